"""The way of a request, steps 0–10: snapshot, idempotency, cache, plan, hold, call, post."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from nexscout_cli.config import Settings
from nexscout_cli.engine.cache import in_flight, key
from nexscout_cli.engine.call import OnText
from nexscout_cli.engine.compression.choice import compression_choice
from nexscout_cli.engine.execution import Execution
from nexscout_cli.engine.failures import ReaderGone
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.plan_types import Plan
from nexscout_cli.engine.planning.planner import Count, Planner, plain_shape
from nexscout_cli.engine.ports import Clock, Ledger, Observer, Provider
from nexscout_cli.engine.progress import Progress
from nexscout_cli.engine.request import AIRequest
from nexscout_cli.engine.response import AIResponse
from nexscout_cli.engine.routing import policy, rules
from nexscout_cli.engine.settlement import CachedAnswer
from nexscout_cli.engine.snapshot import Snapshot
from nexscout_cli.engine.validate import check_request
from nexscout_cli.errors import Blocked, DuplicateInFlight, Interrupted, NexScoutError

Confirm = Callable[[Plan], bool]


class Silent:
    """An observer that tells nobody."""

    def note(self, text: str) -> None:
        """Hear it and say nothing."""


class Engine:
    """Decides, charges and answers. Build one with a store, providers, settings, a clock and a tokenizer; thread-safe."""

    def __init__(
        self,
        ledger: Ledger,
        provider: Provider,
        settings: Settings,
        clock: Clock,
        count: Count,
        observer: Observer | None = None,
    ) -> None:
        self.ledger = ledger
        self.provider = provider
        self.settings = settings
        self.clock = clock
        self.count = count
        self.planner = Planner(settings, count)
        self.execution = Execution(ledger, provider, settings, clock, count, self.planner, observer or Silent())

    def simulate(self, request: AIRequest) -> Plan:
        """The plan for a request; nothing is written. Raises NexScoutError where no plan can be made."""
        check_request(request, self.settings)
        return self.planner.plan(request, self.ledger.snapshot(request))

    def compare(self, request: AIRequest) -> list[Plan]:
        """A plan for every available model; nothing is written."""
        check_request(request, self.settings)
        return self.planner.compare(request, self.ledger.snapshot(request))

    def run(self, request: AIRequest, on_text: OnText | None = None, confirm: Confirm | None = None) -> AIResponse:
        """Answer a request, or say why not. ``on_text`` streams the answer; ``confirm`` is asked before money moves.

        Raises Interrupted when a signal ends it; what was in flight is settled first.
        """
        run = Progress(request, self.clock, on_text)
        try:
            return self._answer(run, confirm)
        except NexScoutError as error:
            if isinstance(error, Interrupted):
                raise
            return run.response(None, None, error=error.as_json(), exit_status=error.exit_status)

    def share(self, request: AIRequest, first: AIResponse) -> AIResponse:
        """Answer a request with an identical one's answer of a moment ago; recorded as a cache hit."""
        run = Progress(request, self.clock)
        try:
            run.snapshot = self.ledger.snapshot(request)
            earlier = self._recall(run)
            if earlier is not None:
                return earlier
            rules.permit(request, run.snapshot, self.settings)
            meta = first.metadata
            model = run.snapshot.model(meta["model_used"])
            quality, cost = model.quality if model else 0.0, int(meta["cost_usd"].scaleb(9))
            text, name = first.result or "", meta["model_used"]
            used = meta["input_tokens"], meta["output_tokens"]
            return self._serve(run, CachedAnswer(0, text, name, quality, *used, cost, source=meta["request_id"]))
        except NexScoutError as error:
            return run.response(None, None, error=error.as_json(), exit_status=error.exit_status)

    def _recall(self, run: Progress) -> AIResponse | None:
        """Step 1: the first answer under the request's idempotency key."""
        request = run.request
        run.fingerprint = key.fingerprint(request)
        if request.options.idempotency_key is None:
            return None
        earlier = self.ledger.recall(request.user_id, request.options.idempotency_key, run.fingerprint)
        if earlier is None:
            return None
        return AIResponse(**earlier, replayed=True)

    def _answer(self, run: Progress, confirm: Confirm | None) -> AIResponse:
        request = run.request
        check_request(request, self.settings)
        run.snapshot = snapshot = self.ledger.snapshot(request)
        earlier = self._recall(run)
        if earlier is not None:
            return earlier
        forced = rules.permit(request, snapshot, self.settings)
        if self._cacheable(request):
            run.cache_key, run.form_key = self.cache_keys(request, snapshot)
            hit = self._cached(run, forced)
            if hit is not None:
                return self._serve(run, hit)
        run.plan = plan = self.planner.plan(request, snapshot)
        if plan.error is not None:
            self.ledger.record_refusal(run.request_id, plan, plan.error["code"])
            return run.response(None, None, error=plan.error, exit_status=plan.exit_status)
        if confirm is not None:
            if not confirm(plan):
                self.ledger.record_refusal(run.request_id, plan, "declined")
                raise Blocked("the quote was declined; nothing was sent", code="declined")
            run.confirmed = plan
        try:
            return self.execution.run(run, plan)
        except DuplicateInFlight:
            self.execution.observer.note("the same request is in flight; waiting for its answer")
            in_flight.wait(self.ledger, self.clock, run, self.settings["providers.timeout"])
            hit = self._cached(run, forced)
            if hit is not None:
                return self._serve(run, hit)
            run.claims = False
            return self.execution.run(run, plan)

    def cache_keys(self, request: AIRequest, snapshot: Snapshot) -> tuple[str, str | None]:
        """The keys that an answer may lie under: the request's own, and that of its canonical form where it has one.

        Raises NotPermitted, UsageError for a model or mode that cannot be forced.
        """
        settings, forced = self.settings, rules.permit(request, snapshot, self.settings)
        shape, mode = plain_shape(request, snapshot, settings), rules.effective_mode(request, snapshot)
        endpoint = [forced.litellm_model, forced.api_base, forced.params] if forced else None
        how = [policy.shaping(request, snapshot, settings), *compression_choice(request, settings), endpoint]
        form = None
        if settings["cache.match"] == "canonical":
            from nexscout_cli.engine.cache.canonical import canonical_question
            from nexscout_cli.word_list import english

            form = canonical_question(key.normalized(request.prompt), english())
        return key.cache_key(request, shape, mode, how), form and key.form_key(request, shape, mode, how, form)

    def _cached(self, run: Progress, forced: Model | None) -> CachedAnswer | None:
        assert run.cache_key is not None
        hit = self.ledger.cached(run.request.user_id, run.cache_key, run.form_key)
        return hit if hit is not None and self._good_enough(hit, run.snapshot, forced) else None

    def _cacheable(self, request: AIRequest) -> bool:
        settings = self.settings
        return bool(
            settings["cache.enabled"] and request.options.allow_cache and request.feature in settings["cache.features"]
        )

    def _good_enough(self, hit: CachedAnswer, snapshot: Snapshot, forced: Model | None) -> bool:
        """An answer of a model below the floor counts only while nothing better is available, or where it was forced."""
        floor = self.settings["routing.floor"]
        if forced is not None or hit.quality >= floor:
            return True
        return not any(m.quality >= floor for m in snapshot.models if m.name in snapshot.available)

    def _serve(self, run: Progress, hit: CachedAnswer) -> AIResponse:
        metadata = run.metadata(hit.model, cache_match=hit.match, routing_reason="cache")
        response = AIResponse(True, hit.text, None, metadata)
        self.ledger.record_hit(
            run.request_id,
            run.request,
            hit,
            run.fingerprint,
            response.as_json(),
            rules.effective_mode(run.request, run.snapshot),
        )
        if run.on_text is not None:
            with suppress(ReaderGone):
                run.on_text(hit.text)
        return response
