"""Going on with a job from wherever it is: each step is written down before the next, so that any process may take it up.

A part is new → uploading → creating → sent → ended. Before it is uploaded its rows' holds become the job's, so that neither
the death of a process nor age touches them. Where a process died between asking for a batch and hearing of it, the batch is
looked for before another one is made.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from nexscout_cli.engine.failures import ProviderFailure
from nexscout_cli.engine.jobs.keeping import at_full_price, request_of
from nexscout_cli.engine.jobs.preparing import Preparing, Quote
from nexscout_cli.engine.jobs.remote import AnswersLater, TakesFile
from nexscout_cli.engine.jobs.settling import Settling
from nexscout_cli.engine.response import AIResponse
from nexscout_cli.errors import Interrupted, NexScoutError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from nexscout_cli.engine.jobs.ports import JobBook
    from nexscout_cli.engine.jobs.remote import Look, Remote
    from nexscout_cli.engine.jobs.values import Job, Part, Row
    from nexscout_cli.engine.pipeline import Engine
    from nexscout_cli.engine.request import Json

_LEASE = 600.0
"""Seconds that a part is kept from other processes; a dead process's is free at once where its death can be seen."""
MAY_STILL_ARRIVE = timedelta(minutes=2)
"""How long after it was asked for a batch that cannot be found may still come into being."""
MOST_MISSES = 3
"""How often the answers of a batch that has ended may be missing before they count as lost."""


class Jobs:
    """Goes on with jobs in an actor's name. ``wait_for``: how long a batch that was asked for may take to appear."""

    def __init__(self, engine: Engine, book: JobBook, actor: str, *, wait_for: timedelta = MAY_STILL_ARRIVE) -> None:
        if not isinstance(engine.provider, AnswersLater):
            raise UsageError("these providers have no batch interface", "run it without --later")
        self._engine, self._book, self._actor, self._provider = engine, book, actor, engine.provider
        self._wait_for = wait_for

    def prepare(self, job: Job) -> Quote:
        """Hold what waits and put it into parts; what it was quoted. A job that is being cancelled gives its rows back."""
        self._book.reopen(self._actor, job.id)
        if job.state == "cancelling":
            self._end_waiting(job)
            return Quote()
        preparing = Preparing(self._engine, self._book, self._provider, self._actor)
        quoted = preparing.hold_waiting(job.id)
        preparing.make_parts(job.id)
        return quoted

    def go_on(self, job: Job) -> Job:
        """Do what can be done now: hand over, ask how far it is, settle what came back. Returns the job as it is then."""
        self.prepare(job)
        for part in self._book.parts(self._actor, job.id):
            taken = None if part.state == "ended" else self._book.take(self._actor, part.id, _LEASE)
            if taken is None:
                continue
            try:
                self._step(self._book.find(self._actor, job.id), taken)
            finally:
                self._book.let_go(self._actor, part.id)
        self._send_back_rows(job)
        self._answer_copies(job)
        self._book.close(self._actor, job.id)
        return self._book.find(self._actor, job.id)

    def _step(self, job: Job, part: Part) -> None:
        """Go on with one part until its provider is to be waited for. What a provider refuses is noted with the part."""
        remote = self._provider.remote(part.model)
        if remote is None:
            self._book.move(self._actor, part.id, note="its provider's batch interface is not known here")
            return
        try:
            if part.state in ("new", "uploading", "creating"):
                self._hand_over(job, part, remote)
            else:
                self._collect(job, part, remote)
        except ProviderFailure as failure:
            self._book.move(self._actor, part.id, note=failure.message)

    def _hand_over(self, job: Job, part: Part, remote: Remote) -> None:
        if job.state == "cancelling" and part.begun_at is None:
            self._abandon(part, "the job was cancelled before it was sent")
            return
        if part.state == "new":
            first = "uploading" if isinstance(remote, TakesFile) else "creating"
            if not self._book.submit(self._actor, part, first):
                return
            part = part._replace(state=first)
        rows = self._book.bodies(self._actor, part.id)
        if part.state == "uploading":
            assert isinstance(remote, TakesFile)
            try:
                file_id = remote.upload(part.model, part.id, (body for _, body in rows))
            except ProviderFailure as failure:
                self._refused(part, failure)
                return
            self._book.move(self._actor, part.id, state="creating", file_id=file_id)
            part = part._replace(state="creating", file_id=file_id)
        self._create(part, remote, rows)

    def _create(self, part: Part, remote: Remote, rows: list[tuple[str, str]]) -> None:
        """Make the batch, unless an earlier process has."""
        names = [name for name, _ in rows]
        if part.begun_at is not None:
            since = datetime.fromisoformat(part.begun_at)
            known = self._book.remote_ids(self._actor, part.provider)
            found = remote.find(part.model, part.id, names, since, known)
            if found.remote_id is not None:
                self._book.move(self._actor, part.id, state="sent", remote_id=found.remote_id, note=None)
                return
            if found.unsure or self._engine.clock.now() < since + self._wait_for:
                self._book.move(self._actor, part.id, note="it is looked for: a process died while it was asked for")
                return
        self._book.move(self._actor, part.id, begun=True, note=None)
        try:
            remote_id = remote.create(part.model, part.id, part.file_id, [body for _, body in rows])
        except ProviderFailure as failure:
            if failure.kind not in ("unknown", "server"):
                self._book.move(self._actor, part.id, begun_at=None)  # it was not made
            self._refused(part, failure)
            return
        self._book.move(self._actor, part.id, state="sent", remote_id=remote_id, note=None)

    def _refused(self, part: Part, failure: ProviderFailure) -> None:
        """A definite refusal gives the rows back; anything else is tried again the next time."""
        if failure.kind in ("rejected", "too_long"):
            self._abandon(part, failure.message)
        else:
            self._book.move(self._actor, part.id, note=failure.message)

    def _abandon(self, part: Part, why: str) -> None:
        """Nothing of a part was or will be done: all its rows are given back."""
        if part.state == "new":
            self._book.submit(self._actor, part, "creating")
        settling = Settling(self._engine, self._book, self._actor)
        for row in self._rows_of(part):
            settling.give_back(row, why)
        self._book.move(self._actor, part.id, state="ended", note=why)

    def _collect(self, job: Job, part: Part, remote: Remote) -> None:
        """Ask how far a batch is, and settle what it has answered once it is over."""
        assert part.remote_id is not None
        try:
            look = remote.look(part.model, part.remote_id)
        except ProviderFailure as failure:
            if failure.status in (404, 410):
                self._missed(part, f"the provider does not know the batch: {failure.message}")
                return
            raise
        if not look.over:
            if job.state == "cancelling" and not look.state.startswith("cancel"):
                remote.cancel(part.model, part.remote_id)
                look = look._replace(state="cancelling")
            self._book.move(self._actor, part.id, remote_state=look.state, note=None)
            return
        self._book.move(self._actor, part.id, remote_state=look.state, note=look.reason or None)
        try:
            answered = self._settle(part, remote, look)
        except ProviderFailure as failure:
            if failure.status in (404, 410):
                self._missed(part, f"the file of answers is not there: {failure.message}")
                return
            raise
        self._settle_missing(part, look, answered)
        self._book.move(self._actor, part.id, state="ended")

    def _settle(self, part: Part, remote: Remote, look: Look) -> int:
        """Settle every row that the provider tells of; returns how many it has answered."""
        settling = Settling(self._engine, self._book, self._actor)
        places = {row.request_id: row for row in self._book.rows(self._actor, part.job, "sent") if row.part == part.id}
        answered = 0
        for outcome in remote.outcomes(part.model, look):
            answered += outcome.kind == "answered"
            row = places.pop(outcome.row, None)
            if row is not None:
                self._once(settling, remote, self._book.row(self._actor, row.job, row.n), outcome)
            if self._engine.interrupts.stopping:
                raise Interrupted("interrupted; what had come is settled", f"`nexscout jobs poll {part.job}` goes on")
        return answered

    def _once(self, settling: Settling, remote: Remote, row: Row, outcome: object) -> None:
        """Settle a row that nobody has settled meanwhile."""
        try:
            if row.attempt_state == "submitted":
                settling.settle(row, remote, outcome)  # type: ignore[arg-type]
            elif row.state == "sent" and row.attempt_state == "posted":
                settling.finish(row)
        except NexScoutError as error:
            if error.code != "settled_elsewhere":
                raise

    def _settle_missing(self, part: Part, look: Look, answered: int) -> None:
        """Rows of which the provider says nothing: never begun where it was stopped before, else their answers are lost."""
        settling = Settling(self._engine, self._book, self._actor)
        all_told = look.done is None or look.done <= answered
        for row in self._rows_of(part):
            if row.attempt_state == "posted":
                settling.finish(row)
            elif look.stopped is not None and all_told:
                settling.give_back(row, look.reason or look.stopped)
            else:
                settling.lose(row, "the batch has ended, and says nothing of it")

    def _missed(self, part: Part, why: str) -> None:
        """Answers that should be there are not: after some tries they count as lost, and what they may have cost stays held."""
        if part.misses + 1 < MOST_MISSES:
            self._book.move(self._actor, part.id, misses=part.misses + 1, note=why)
            return
        settling = Settling(self._engine, self._book, self._actor)
        for row in self._rows_of(part):
            settling.lose(row, why)
        self._book.move(self._actor, part.id, state="ended", misses=part.misses + 1, note=why)

    def _rows_of(self, part: Part) -> list[Row]:
        """The rows of a part that have no answer yet, with all that is kept of them."""
        rows = self._book.rows(self._actor, part.job, "sent")
        return [self._book.row(self._actor, row.job, row.n) for row in rows if row.part == part.id]

    def _end_waiting(self, job: Job) -> None:
        error = Interrupted("the job was cancelled before it was sent", "run it again", code="cancelled").as_json()
        for row in self._book.rows(self._actor, job.id, "waiting", "back"):
            self._book.end(self._actor, row, AIResponse(False, None, error, None).as_json())

    def _send_back_rows(self, job: Job) -> None:
        """Answer at full price what the batch has given back and may be."""
        for one in self._book.rows(self._actor, job.id, "back"):
            row = self._book.row(self._actor, job.id, one.n)
            if row.request is None:
                continue
            request = at_full_price(request_of(row.request), f"job {job.id} {row.n}")
            self._book.end(self._actor, row, self._engine.run(request, actor=self._actor).as_json())

    def _answer_copies(self, job: Job) -> None:
        """Give identical rows the answer of the one that was asked."""
        waiting = [row for row in self._book.rows(self._actor, job.id, "waiting") if row.same_as is not None]
        if not waiting:
            return
        ended = {row.n for row in self._book.rows(self._actor, job.id, "ended")}
        for one in waiting:
            if one.same_as not in ended:
                continue
            first, row = self._book.row(self._actor, job.id, one.same_as), self._book.row(self._actor, job.id, one.n)
            self._book.end(self._actor, row, self._shared(row, first))

    def _shared(self, row: Row, first: Row) -> dict[str, Json]:
        answer = first.answer
        if answer is None or not answer["success"] or row.request is None:
            return answer or {"success": False, "result": None, "error": None, "metadata": {}}
        return self._engine.share(request_of(row.request), AIResponse.from_json(answer), actor=self._actor).as_json()


def wait(jobs: Jobs, job: Job, every: float, sleep: Callable[[float], bool], told: Callable[[Job], None]) -> Job:
    """Go on with a job until it has ended. ``sleep`` is given seconds and says whether to go on; ``told`` hears of each look."""
    while True:
        job = jobs.go_on(job)
        told(job)
        if job.state == "ended" or not sleep(every):
            return job
