"""The way of a request, steps 0–10: snapshot, idempotency, cache, plan, hold, call, post."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from nexscout_cli.engine.asked import Asked, Moment, elapsed_ms, metadata, new_id, refusal
from nexscout_cli.engine.cache import hits, in_flight, key
from nexscout_cli.engine.catalog.aliases import in_full
from nexscout_cli.engine.failures import ReaderGone
from nexscout_cli.engine.idempotency import answered_before
from nexscout_cli.engine.interrupts import Interrupts
from nexscout_cli.engine.planning.resolve import Resolved, resolve
from nexscout_cli.engine.planning.shape import plain_shape
from nexscout_cli.engine.purse import current as current_purse
from nexscout_cli.engine.recalled import CachedAnswer
from nexscout_cli.engine.response import AIResponse
from nexscout_cli.engine.validate import check_request
from nexscout_cli.engine.world import read_snapshot
from nexscout_cli.errors import Blocked, DuplicateInFlight, Interrupted, NexScoutError

if (
    TYPE_CHECKING
):  # what makes and carries out plans is imported when a request needs one: an answer from the cache does not
    from collections.abc import Callable

    from nexscout_cli.config import Settings
    from nexscout_cli.engine.call import OnText
    from nexscout_cli.engine.planning.plan import Plan
    from nexscout_cli.engine.planning.planner import Planner
    from nexscout_cli.engine.planning.texts import Count
    from nexscout_cli.engine.ports import Clock, Ledger, Observer, Provider
    from nexscout_cli.engine.request import AIRequest
    from nexscout_cli.engine.runner import Runner
    from nexscout_cli.engine.snapshot import Snapshot

    Confirm = Callable[[Plan], bool]


class Silent:
    """An observer that tells nobody."""

    def note(self, text: str) -> None:
        """Hear it and say nothing."""


class Engine:
    """Decides, charges and answers; thread-safe.

    ``count`` is the tokenizer. ``actor`` is who acts where a call does not name another one. ``interrupts`` is told when a
    signal asks to stop; an engine has its own where none is given. ``sends_at_once``, to be set before the first run: a hold
    and the mark that its call was sent are one transaction. ``lets_others_go_on``: whether a coroutine that waits for its
    ledger or provider does (``waiting.py``); else many at a time need threads.
    """

    def __init__(
        self,
        ledger: Ledger,
        provider: Provider,
        settings: Settings,
        clock: Clock,
        count: Count,
        actor: str,
        observer: Observer | None = None,
        interrupts: Interrupts | None = None,
    ) -> None:
        self.sends_at_once = self.lets_others_go_on = False
        self.ledger = ledger
        self.provider = provider
        self.settings = settings
        self.clock = clock
        self.actor = actor
        self.observer = observer or Silent()
        self.interrupts = interrupts or Interrupts()
        self._count = count

    @cached_property
    def planner(self) -> Planner:
        """Makes plans."""
        from nexscout_cli.engine.planning.planner import Planner

        return Planner(self.settings, self._count)

    @cached_property
    def runner(self) -> Runner:
        """Carries plans out."""
        from nexscout_cli.engine.execution import Execution
        from nexscout_cli.engine.runner import Runner

        execution = Execution(self.settings, self._count, self.planner, self.clock.now)
        runner = Runner(
            execution, self.ledger, self.provider, self.settings, self.clock, self.observer, self.interrupts
        )
        runner.sends_at_once = self.sends_at_once
        return runner

    def adopt(self, settings: Settings) -> None:
        """Go on under other settings; what is under way ends under those that it began with."""
        self.settings = settings
        for made in ("planner", "runner"):
            self.__dict__.pop(made, None)

    def snapshot(self, request: AIRequest, actor: str | None = None) -> Snapshot:
        """Step 0: the world that a request is planned in. Raises NotPermitted, UsageError."""
        return read_snapshot(self.ledger, self.provider, self.settings, actor or self.actor, request)

    def tokens(self, text: str, model: str) -> int:
        """Tokens of a text for a target (a ``litellm_model``)."""
        return self._count(text, model)[0]

    def simulate(self, request: AIRequest, *, actor: str | None = None) -> Plan:
        """The plan for a request; nothing is written. Raises NexScoutError where no plan can be made."""
        request = in_full(request, self.settings)
        check_request(request, self.settings)
        return self.planner.plan(request, self.snapshot(request, actor))

    def compare(self, request: AIRequest, *, actor: str | None = None) -> list[Plan]:
        """A plan for every available model; nothing is written."""
        request = in_full(request, self.settings)
        check_request(request, self.settings)
        return self.planner.compare(request, self.snapshot(request, actor))

    def run(
        self,
        request: AIRequest,
        on_text: OnText | None = None,
        confirm: Confirm | None = None,
        *,
        actor: str | None = None,
        request_id: str | None = None,
        patient: bool = False,
    ) -> AIResponse:
        """Answer a request, or say why not. ``on_text`` streams the answer; ``confirm`` is asked before money moves.
        ``patient``: wait as long as it takes for room at a model's deployments.

        ``request_id``: its name, where one was made already (:func:`~nexscout_cli.engine.asked.new_id`).
        Raises Interrupted when a signal ends it; what was in flight is settled first.
        """
        purse = current_purse()
        if purse is not None:
            request = purse.over(request)
        asked = self._asked(request, actor, request_id)._replace(patient=patient)
        try:
            check_request(asked.request, self.settings)
            response = self._answer(asked, self.snapshot(asked.request, asked.actor), on_text, confirm)
        except Interrupted:
            raise
        except NexScoutError as error:
            response = refusal(asked, self._moment(asked), error.as_json(), error.exit_status)
        if purse is not None:
            purse.hear(request, response)
        return response

    def share(self, request: AIRequest, first: AIResponse, *, actor: str | None = None) -> AIResponse:
        """Answer a request with an identical one's answer of a moment ago; recorded as a cache hit."""
        asked, known = self._asked(request, actor), first.metadata
        assert known is not None and known.model_used is not None and first.result is not None
        try:
            asked = asked._replace(fingerprint=key.fingerprint(request))
            snapshot = self.snapshot(request, asked.actor)
            if (earlier := self._recall(asked)) is not None:
                return earlier
            resolved = resolve(request, snapshot, self.settings)
            model = snapshot.model(known.model_used)
            shared = CachedAnswer(
                id=0,
                text=first.result,
                model=known.model_used,
                quality=model.quality if model else 0.0,
                input_tokens=known.input_tokens,
                output_tokens=known.output_tokens,
                cost=int(known.cost_usd.scaleb(9)),
                source=known.request_id,
            )
            return self._serve(asked, snapshot, resolved, shared, None)
        except NexScoutError as error:
            return refusal(asked, self._moment(asked), error.as_json(), error.exit_status)

    def _asked(self, request: AIRequest, actor: str | None, request_id: str | None = None) -> Asked:
        return Asked(
            request_id or new_id(self.clock),
            in_full(request, self.settings),
            actor or self.actor,
            self.clock.monotonic(),
        )

    def _moment(self, asked: Asked) -> Moment:
        return Moment(elapsed_ms(self.clock, asked.started))

    def _recall(self, asked: Asked) -> AIResponse | None:
        """Step 1: the first answer under the request's idempotency key."""
        name = asked.request.options.idempotency_key
        if name is None:
            return None
        earlier = self.ledger.recall(asked.actor, asked.request.user_id, name)
        return answered_before(earlier, name, asked.fingerprint)

    def _begun(
        self, asked: Asked, snapshot: Snapshot, on_text: OnText | None
    ) -> AIResponse | tuple[Asked, Resolved, Plan]:
        """Steps 1 to 7: an answer that there was before or that the books can give, else the plan, allowed or not."""
        request = asked.request
        if request.options.idempotency_key is not None:
            asked = asked._replace(fingerprint=key.fingerprint(request))
        if (earlier := self._recall(asked)) is not None:
            return earlier
        resolved = resolve(request, snapshot, self.settings)
        if self._cacheable(request):
            cache_key, form_key = self.cache_keys(request, snapshot, resolved)
            asked = asked._replace(cache_key=cache_key, form_key=form_key)
            if (hit := self._cached(asked, snapshot, resolved)) is not None:
                return self._serve(asked, snapshot, resolved, hit, on_text)
        plan = self.planner.plan(request, snapshot, resolved)
        return asked._replace(fingerprint=asked.fingerprint or key.fingerprint(request)), resolved, plan

    def for_later(self, request: AIRequest, *, actor: str | None = None) -> AIResponse | tuple[Asked, Snapshot, Plan]:
        """Steps 0 to 7 of a request that a provider's batch is to answer: who asks, the world it was planned in, and a plan
        that is allowed; or the answer, where there is one now, or what refuses it. Nothing is held.
        """
        from nexscout_cli.engine.jobs.keeping import later

        asked = self._asked(request, actor)
        try:
            check_request(asked.request, self.settings)
            asked = asked._replace(request=later(asked.request))
            snapshot = self.snapshot(asked.request, asked.actor)
            begun = self._begun(asked, snapshot, None)
        except NexScoutError as error:
            return refusal(asked, self._moment(asked), error.as_json(), error.exit_status)
        if isinstance(begun, AIResponse):
            return begun
        asked, _, plan = begun
        if plan.error is not None:
            return self._refuse(asked, plan, plan.error, plan.exit_status)
        return asked, snapshot, plan

    def _answer(self, asked: Asked, snapshot: Snapshot, on_text: OnText | None, confirm: Confirm | None) -> AIResponse:
        begun = self._begun(asked, snapshot, on_text)
        if isinstance(begun, AIResponse):
            return begun
        asked, resolved, plan = begun
        if plan.error is not None:
            return self._refuse(asked, plan, plan.error, plan.exit_status)
        if confirm is not None and not confirm(plan):
            declined = Blocked("the quote was declined; nothing was sent", code="declined")
            return self._refuse(asked, plan, declined.as_json(), declined.exit_status)
        from nexscout_cli.engine.course import Course

        course = Course(asked, snapshot, plan, on_text is not None, confirmed=plan if confirm else None)
        try:
            return self.runner.run(course, on_text)
        except DuplicateInFlight:
            self.observer.note("the same request is in flight; waiting for its answer")
            in_flight.wait(self.ledger, self.clock, self.interrupts, asked, self.settings["providers.timeout"])
            if (hit := self._cached(asked, snapshot, resolved)) is not None:
                return self._serve(asked, snapshot, resolved, hit, on_text)
            return self.runner.run(course._replace(asked=asked._replace(claims=False)), on_text)

    def _refuse(self, asked: Asked, plan: Plan, error: dict[str, str], exit_status: int) -> AIResponse:
        from nexscout_cli.engine import bookkeeping

        self.ledger.record_refusal(asked.actor, bookkeeping.prediction(asked.request_id, plan), error["code"])
        return refusal(asked, self._moment(asked), error, exit_status, plan)

    def cache_keys(
        self, request: AIRequest, snapshot: Snapshot, resolved: Resolved | None = None
    ) -> tuple[str, str | None]:
        """The keys that an answer may lie under: the request's own, and that of its canonical form where it has one.

        Raises NotPermitted, UsageError for a model or mode that cannot be forced.
        """
        settings, known = self.settings, resolved or resolve(request, snapshot, self.settings)
        shape, mode, forced = plain_shape(request, snapshot, settings), known.mode, known.forced
        endpoint = [forced.litellm_model, forced.api_base, forced.params] if forced else None
        how = [known.policy_in_key, *known.compression, endpoint]
        form = None
        if settings["cache.match"] == "canonical":
            from nexscout_cli.engine.cache.canonical import canonical_question
            from nexscout_cli.word_list import english, together

            form = canonical_question(key.normalized(request.prompt), english(), together)
        own = key.cache_key(request, shape, mode, how, settings["cache.match"])
        return own, form and key.form_key(request, shape, mode, how, form)

    def _cached(self, asked: Asked, snapshot: Snapshot, resolved: Resolved) -> CachedAnswer | None:
        """Step 2: an answer that is kept and good enough."""
        assert asked.cache_key is not None
        hit = self.ledger.cached(asked.actor, asked.request.user_id, asked.cache_key, asked.form_key)
        return hit if hit is not None and self._good_enough(hit, snapshot, resolved) else None

    def _cacheable(self, request: AIRequest) -> bool:
        settings = self.settings
        return bool(
            settings["cache.enabled"] and request.options.allow_cache and request.feature in settings["cache.features"]
        )

    def _good_enough(self, hit: CachedAnswer, snapshot: Snapshot, resolved: Resolved) -> bool:
        """An answer of a model below the quality floor counts only while nothing better is available, or where it was forced."""
        floor = self.settings["routing.floor"]
        if resolved.forced is not None or hit.quality >= floor:
            return True
        return not any(m.quality >= floor for m in snapshot.models if m.name in snapshot.available)

    def _serve(
        self, asked: Asked, snapshot: Snapshot, resolved: Resolved, hit: CachedAnswer, on_text: OnText | None
    ) -> AIResponse:
        known = metadata(asked, self._moment(asked))._replace(
            model_used=hit.model,
            routing_reason="cache",
            from_cache=True,
            cache_match=hit.match,
            budget_left_usd=snapshot.left_usd(),
        )
        response = AIResponse(True, hit.text, None, known, parsed=_parsed(asked.request, hit.text))
        record = hits.hit(
            asked.request_id,
            asked.request,
            hit,
            snapshot,
            self.settings,
            self.clock.now(),
            mode=resolved.mode,
            answer=response.as_json() if asked.request.options.idempotency_key else {},
            fingerprint=asked.fingerprint,
        )
        self.ledger.record_hit(asked.actor, record)
        if on_text is not None:
            with suppress(ReaderGone):
                on_text(hit.text)
        return response


def _parsed(request: AIRequest, text: str) -> object:
    """The JSON value of a cached answer, where JSON was asked for: only what was checked is kept."""
    if not request.options.wants_json:
        return None
    import json

    return json.loads(text)
