"""What came back for a row: posted once with its answer, given back, or left unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.engine import bookkeeping, delivery
from nexscout_cli.engine.answers.charge import FLAGS, charge_for
from nexscout_cli.engine.asked import Asked, Moment
from nexscout_cli.engine.course import Course, Held, failed, with_empty_answer
from nexscout_cli.engine.failures import ProviderFailure
from nexscout_cli.engine.jobs.keeping import call_of, later, plan_of, request_of
from nexscout_cli.engine.request import AIRequest, Options
from nexscout_cli.engine.settlement import Posting
from nexscout_cli.engine.world import read_snapshot
from nexscout_cli.errors import ProvidersFailed

if TYPE_CHECKING:
    from nexscout_cli.engine.jobs.ports import JobBook
    from nexscout_cli.engine.jobs.remote import Outcome, Remote
    from nexscout_cli.engine.jobs.values import Row
    from nexscout_cli.engine.pipeline import Engine
    from nexscout_cli.engine.settlement import Failure
    from nexscout_cli.engine.snapshot import Snapshot

_AT = Moment(0)
_LOST = "`nexscout db resolve` decides it; after a day it is posted at what it holds"


class Settling:
    """Settles rows of one part. Whoever was faster has settled a row: it is left as it is."""

    def __init__(self, engine: Engine, book: JobBook, actor: str) -> None:
        self._engine, self._book, self._actor = engine, book, actor
        self._snapshots: dict[tuple[str, str], Snapshot] = {}

    def settle(self, row: Row, remote: Remote, outcome: Outcome) -> None:
        """Enter what became of a row that was sent."""
        if outcome.kind != "answered" or outcome.body is None:
            self.give_back(row, outcome.message or f"the batch left it {outcome.kind}")
            return
        course, held = self._course(row)
        call = call_of(held.plan, self._engine.settings["providers.timeout"])
        try:
            completion = remote.completion(call, outcome.body)
        except ProviderFailure as failure:
            if failure.kind == "unknown":  # it was answered, and what it cost cannot be read
                self.lose(row, failure.message)
            else:
                self.give_back(row, failure.message)
            return
        settings, plan = self._engine.settings, held.plan
        charge = charge_for(
            plan,
            completion,
            course.snapshot.models,
            held.attempt.hold,
            lambda text: self._engine.tokens(text, plan.model.litellm_model),
        )
        course = course._replace(posted=(charge,)).warned(*(FLAGS[flag] for flag in charge.flags if flag in FLAGS))
        undelivered = Posting(charge, completion.provider_id, None)
        if delivery.useless(completion) or row.request is None:
            course = with_empty_answer(course, held, completion)
            why = course.failures[-1] if row.request is not None else "the person whose row it is was forgotten"
            error = ProvidersFailed(f"the batch gave no answer to it: {why}", "ask it again")
            response = failed(course, _AT, error.as_json(), error.exit_status, plan)
            self._book.post(self._actor, row, undelivered, None)
            self._book.fail(self._actor, row, self._failure(row, held, error.code, why), response.as_json())
            return
        completion = delivery.without_fence(plan.request.options, completion)
        read = delivery.checked(plan.request.options, completion)
        if read.fault is not None:
            course = course.warned(f"the answer is not as the schema says: {read.fault}")
        now = self._engine.clock.now()
        course, given, response = delivery.delivered(course, held, charge, completion, read, _AT, settings, now)
        self._book.post(self._actor, row, undelivered._replace(delivery=given), response.as_json())

    def finish(self, row: Row) -> None:
        """End a row whose cost was posted by a process that died before it could."""
        _, held = self._course(row)
        error = ProvidersFailed("the batch gave no answer to it", "ask it again")
        self._book.fail(
            self._actor, row, self._failure(row, held, error.code, error.message), self._refused(row, held, error)
        )

    def give_back(self, row: Row, why: str) -> None:
        """Nothing is owed for a row: its hold goes back, and where it may it is sent at full price."""
        _, held = self._course(row)
        error = ProvidersFailed(f"the batch did not answer it: {why}", "--fallback sends such rows at full price")
        again = row.request is not None and held.plan.request.options.allow_fallback
        answer = None if again else self._refused(row, held, error)
        self._book.give_back(self._actor, row, why, self._failure(row, held, error.code, why), answer)

    def lose(self, row: Row, why: str) -> None:
        """A row may have been answered, and nobody can tell at what cost: its hold stays."""
        _, held = self._course(row)
        error = ProvidersFailed(f"its answer is lost: {why}", _LOST, code="unknown")
        self._book.lose(
            self._actor, row, why, self._failure(row, held, error.code, why), self._refused(row, held, error)
        )

    def _refused(self, row: Row, held: Held, error: ProvidersFailed) -> dict[str, object]:
        course, _ = self._course(row)
        return failed(course, _AT, error.as_json(), error.exit_status, held.plan).as_json()

    def _failure(self, row: Row, held: Held, code: str, why: str) -> Failure:
        assert row.request_id is not None
        return bookkeeping.failure(
            row.request_id, held.plan, code, why, self._engine.clock.now(), self._engine.settings
        )

    def _course(self, row: Row) -> tuple[Course, Held]:
        """The course that the row was on when it was handed over."""
        assert row.kept is not None and row.attempt is not None and row.request_id is not None
        settlement = row.attempt.settlement
        nobody = AIRequest(settlement.user_id, settlement.feature, options=Options(allow_cache=False))
        request = later(nobody if row.request is None else request_of(row.request))
        plan = plan_of(row.kept, request, settlement.forecast)
        kept = row.kept
        asked = Asked(
            row.request_id,
            request,
            self._actor,
            self._engine.clock.monotonic(),
            kept["fingerprint"],
            kept["cache_key"],
            kept["form_key"],
        )
        held = Held(row.attempt, plan)
        course = Course(asked, self._snapshot(request), plan, False, quoted_tokens=settlement.quoted_tokens)
        return course._replace(before=plan, attempt_id=row.attempt.id), held

    def _snapshot(self, request: AIRequest) -> Snapshot:
        """The world once for each user and feature: what is left of budgets is not told with answers that come later."""
        where = (request.user_id, request.feature)
        if where not in self._snapshots:
            engine = self._engine
            found = read_snapshot(engine.ledger, engine.provider, engine.settings, self._actor, request)
            self._snapshots[where] = found._replace(limits=())
        return self._snapshots[where]
