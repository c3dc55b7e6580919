"""The way of a request, steps 0–10: snapshot, idempotency, cache, plan, hold, call, post."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

from nexscout_cli.config import Settings
from nexscout_cli.engine import cache, fallback, route
from nexscout_cli.engine.failures import ProviderFailure, ReaderGone
from nexscout_cli.engine.learn import Lesson
from nexscout_cli.engine.money import usd
from nexscout_cli.engine.plan import Count, Planner, check_request, plain_shape
from nexscout_cli.engine.ports import Clock, Ledger, Observer, Provider
from nexscout_cli.engine.settle import settle
from nexscout_cli.engine.types import (
    AIRequest, AIResponse, Attempt, CachedAnswer, Call, Charge, Completion, Delivery, Json, Model, OnText, Plan, Snapshot,
)
from nexscout_cli.errors import Blocked, Interrupted, NexScoutError, ProvidersFailed, WorldMoved

REPLANS = 3
Confirm = Callable[[Plan], bool]


class Silent:
    """An observer that tells nobody."""

    def note(self, text: str) -> None:
        """Hear it and say nothing."""


@dataclass
class _Run:
    """What one request has come to so far."""

    request_id: str
    request: AIRequest
    started: float
    on_text: OnText | None = None
    snapshot: Snapshot | None = None
    fingerprint: str = ""
    cache_key: str | None = None
    plan: Plan | None = None
    confirmed: Plan | None = None
    posted: list[Charge] = field(default_factory=list)
    unsettled: int = 0
    energy: int = 0
    energy_held: bool = False
    warnings: list[str] = field(default_factory=list)


class Engine:
    """Decides, charges and answers. Build one with a store, providers, settings, a clock and a tokenizer; thread-safe."""

    def __init__(self, ledger: Ledger, provider: Provider, settings: Settings, clock: Clock, count: Count,
                 observer: Observer | None = None) -> None:
        self.ledger = ledger
        self.provider = provider
        self.settings = settings
        self.clock = clock
        self.count = count
        self.planner = Planner(settings, count)
        self.observer = observer or Silent()

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
        run = _Run(new_id(self.clock), request, self.clock.monotonic(), on_text)
        try:
            return self._answer(run, confirm)
        except NexScoutError as error:
            if isinstance(error, Interrupted):
                raise
            return self._response(run, None, None, error=error.as_json(), exit_status=error.exit_status)

    def share(self, request: AIRequest, first: AIResponse) -> AIResponse:
        """Answer a request with an identical one's answer of a moment ago; recorded as a cache hit."""
        run = _Run(new_id(self.clock), request, self.clock.monotonic())
        run.snapshot = self.ledger.snapshot(request)
        run.fingerprint = cache.fingerprint(request)
        meta = first.metadata
        model = run.snapshot.model(meta["model_used"])
        hit = CachedAnswer(0, first.result or "", meta["model_used"], model.quality if model else 0.0,
                           meta["input_tokens"], meta["output_tokens"], int(meta["cost_usd"].scaleb(9)))
        return self._serve(run, hit)

    def _answer(self, run: _Run, confirm: Confirm | None) -> AIResponse:
        request = run.request
        check_request(request, self.settings)
        run.snapshot = snapshot = self.ledger.snapshot(request)
        run.fingerprint = cache.fingerprint(request)
        if request.options.idempotency_key is not None:
            earlier = self.ledger.recall(request.user_id, request.options.idempotency_key, run.fingerprint)
            if earlier is not None:
                return AIResponse(earlier["success"], earlier["result"], earlier["error"], earlier["metadata"])
        forced = route.permit(request, snapshot, self.settings)
        if self._cacheable(request):
            target = f"{forced.litellm_model} {forced.api_base or ''}" if forced else ""
            shape = plain_shape(request, snapshot, self.settings)
            run.cache_key = cache.cache_key(request, shape, route.effective_mode(request, snapshot), target)
            hit = self.ledger.cached(request.user_id, run.cache_key)
            if hit is not None and self._good_enough(hit, snapshot, forced):
                return self._serve(run, hit)
        run.plan = plan = self.planner.plan(request, snapshot)
        if plan.error is not None:
            self.ledger.record_refusal(run.request_id, plan, plan.error["code"])
            return self._response(run, None, None, error=plan.error, exit_status=plan.exit_status)
        if confirm is not None:
            if not confirm(plan):
                self.ledger.record_refusal(run.request_id, plan, "declined")
                raise Blocked("the quote was declined; nothing was sent", code="declined")
            run.confirmed = plan
        return self._execute(run, plan)

    def _cacheable(self, request: AIRequest) -> bool:
        settings = self.settings
        return bool(settings["cache.enabled"] and request.options.allow_cache and request.feature in settings["cache.features"])

    def _good_enough(self, hit: CachedAnswer, snapshot: Snapshot, forced: Model | None) -> bool:
        """An answer of a model below the floor counts only while nothing better is available, or where it was forced."""
        floor = self.settings["routing.floor"]
        if forced is not None or hit.quality >= floor:
            return True
        return not any(m.quality >= floor for m in snapshot.models if m.name in snapshot.available)

    def _serve(self, run: _Run, hit: CachedAnswer) -> AIResponse:
        assert run.snapshot is not None
        metadata = self._metadata(run, hit.model, from_cache=True, routing_reason="cache")
        response = AIResponse(True, hit.text, None, metadata)
        self.ledger.record_hit(run.request_id, run.request, hit, run.fingerprint, response.as_json(),
                               route.effective_mode(run.request, run.snapshot))
        if run.on_text is not None:
            try:
                run.on_text(hit.text)
            except ReaderGone:
                run.warnings.append("the reader went away")
        return response

    def _execute(self, run: _Run, plan: Plan) -> AIResponse:
        """Steps 8–10 for the plan and, while attempts fail, for what comes after it."""
        tries: dict[str, int] = {}
        steps: Iterator[Model] | None = None
        failures: list[str] = []
        attempt = self._hold(run, plan)
        while True:
            plan = attempt.plan
            tries[plan.model.name] = tries.get(plan.model.name, 0) + 1
            failure = None
            try:
                completion = self._call(run, attempt)
                response = self._post(run, attempt, completion)
                if response is not None:
                    return response
                failures.append(f"{plan.model.name}: the answer was empty ({completion.finish_reason or 'no reason given'})")
            except ProviderFailure as error:
                failure = error
                failures.append(f"{plan.model.name}: {failure.message}")
                self._give_up(run, attempt, failure)
            wait = fallback.pause(failure, tries[plan.model.name], self.settings) if failure else None
            if wait is not None:
                self.observer.note(f"{failures[-1]}; trying again")
                self._sleep(run, wait)
                following = self._next(run, iter([plan.model]), plan)
            else:
                following = None
            if following is None:
                if steps is None or (failure and failure.kind == "too_long"):
                    larger = plan.model.max_tokens if failure and failure.kind == "too_long" else 0
                    steps = self._ladder(run, larger)
                following = self._next(run, (m for m in steps if m.name not in tries), plan)
            if following is None:
                return self._all_failed(run, failures)
            if following.plan.model.name != plan.model.name:
                self.observer.note(f"{failures[-1]}; going on with {following.plan.model.name}")
            attempt = following

    def _hold(self, run: _Run, plan: Plan) -> Attempt:
        """Step 8. When the world moved since the snapshot, plan again: at most 3 times, never dearer than confirmed."""
        for _ in range(REPLANS):
            try:
                return self._held(run, plan)
            except WorldMoved:
                run.snapshot = self.ledger.snapshot(run.request)
                run.plan = plan = self.planner.plan(run.request, run.snapshot)
                if plan.error is not None:
                    self.ledger.record_refusal(run.request_id, plan, plan.error["code"])
                    raise _Refused(plan) from None
                quote = run.confirmed
                if quote and (plan.max_cost > quote.max_cost or plan.max_energy > quote.max_energy):
                    self.ledger.record_refusal(run.request_id, plan, "quote_changed")
                    raise Blocked("the call has become dearer than the quote you confirmed", "run it again for a new quote",
                                  code="quote_changed") from None
        raise Blocked("budgets and balances keep changing under this call", "try again in a moment", code="contention")

    def _held(self, run: _Run, plan: Plan) -> Attempt:
        settings = self.settings
        seconds = settings["providers.stream_timeout"] if run.on_text else settings["providers.timeout"]
        deadline = self.clock.now() + timedelta(seconds=seconds)
        attempt = self.ledger.hold(run.request_id, run.fingerprint, plan, deadline)
        run.energy_held = True
        return attempt

    def _call(self, run: _Run, attempt: Attempt) -> Completion:
        """Step 9. An interrupt after the call was sent leaves the attempt unknown."""
        plan, settings = attempt.plan, self.settings
        call = Call(plan.model, plan.messages, plan.shape.max_tokens, plan.request.options.temperature,
                    settings["providers.timeout"], settings["providers.stream_timeout"], run.on_text is not None)
        self.ledger.mark_sent(attempt)
        try:
            return self.provider.complete(call, run.on_text)
        except KeyboardInterrupt:
            self._give_up(run, attempt, ProviderFailure("unknown", "interrupted"))
            self._close(run, "interrupted", "stopped by a signal")
            if not attempt.hold:
                raise Interrupted("interrupted; nothing is owed") from None
            raise Interrupted("interrupted; what was in flight is recorded as unknown",
                              f"`nexscout db resolve {run.request_id}` settles it") from None

    def _post(self, run: _Run, attempt: Attempt, completion: Completion) -> AIResponse | None:
        """Step 10. None when the answer is empty or was filtered: its cost is posted, and nothing was delivered."""
        assert run.snapshot is not None
        plan = attempt.plan
        charge = settle(plan, completion, run.snapshot.models, attempt.hold,
                        lambda text: self.count(text, plan.model.litellm_model)[0])
        run.posted.append(charge)
        if "provider_excess" in charge.flags:
            run.warnings.append("the provider billed more than it was allowed to")
        if not completion.text.strip() or completion.finish_reason == "content_filter":
            self.ledger.post(attempt, charge, completion.provider_id, None)
            return None
        cut = completion.finish_reason == "length"
        if cut:
            run.warnings.append(f"the answer was cut at its bound of {plan.shape.max_tokens:,} tokens")
        run.energy = min(attempt.hold_energy, plan.energy_of(charge.cost))
        text = completion.text.encode("utf-8", "replace").decode()
        run.plan = plan
        response = self._response(run, text, plan, truncated=cut)
        keep = (completion.finish_reason == "stop" and not plan.degraded
                and charge.output_tokens < self.settings["cache.max_tokens"])
        lesson = self._lesson(run, plan, charge, 0.5 if cut else 1.0)
        self.ledger.post(attempt, charge, completion.provider_id,
                         Delivery(run.energy, lesson, response.as_json(), text, run.cache_key if keep else None))
        return response

    def _lesson(self, run: _Run, plan: Plan, charge: Charge, outcome: float) -> Lesson:
        now = self.clock.now()
        forecast = plan.forecast
        return Lesson(
            day=now.date().isoformat(), hour=now.hour, prompt=run.request.prompt, model=plan.model.name,
            input_tokens=charge.input_tokens, output_tokens=charge.output_tokens,
            predicted_tokens=forecast.input_tokens + forecast.output_tokens, cached=False,
            tokens_saved=plan.compression.tokens_before - plan.compression.tokens_after, outcome=outcome)

    def _give_up(self, run: _Run, attempt: Attempt, failure: ProviderFailure) -> None:
        if failure.kind == "unknown" and attempt.hold:
            self.ledger.mark_unknown(attempt, failure.message, failure.provider_id)
            run.unsettled += attempt.hold
            run.warnings.append(f"a call to {attempt.plan.model.name} has an unknown outcome; up to "
                                f"${usd(attempt.hold):f} stays on hold until it is resolved")
        else:
            self.ledger.void(attempt, failure.message)

    def _sleep(self, run: _Run, seconds: float) -> None:
        try:
            self.clock.sleep(seconds)
        except KeyboardInterrupt:
            self._close(run, "interrupted", "stopped by a signal")
            raise Interrupted("interrupted; nothing is in flight") from None

    def _ladder(self, run: _Run, larger_than: int) -> Iterator[Model]:
        assert run.snapshot is not None and run.plan is not None
        first, snapshot = run.plan, run.snapshot

        def price(model: Model) -> int:
            return model.cost(first.forecast.input_tokens, first.forecast.output_tokens)

        return fallback.ladder(first, snapshot, self.settings, price, larger_than)

    def _next(self, run: _Run, models: Iterator[Model], before: Plan) -> Attempt | None:
        """A hold for the first of ``models`` that budgets allow; they are checked again for the model that will bill."""
        for model in models:
            for _ in range(REPLANS):
                request = self._remaining(run)
                run.snapshot = self.ledger.snapshot(request)
                last_resort = model.embedded and model.quality < self.settings["routing.floor"] and model.name != before.model.name
                plan = self.planner.alternative(before, request, model, run.snapshot, last_resort=last_resort)
                if not plan.allow_proceed:
                    break
                try:
                    return self._held(run, plan)
                except WorldMoved:
                    continue
        return None

    def _remaining(self, run: _Run) -> AIRequest:
        """The request with what earlier attempts may have cost taken off its ``max_cost``."""
        options = run.request.options
        if options.max_cost is None:
            return run.request
        spent = run.unsettled + sum(charge.cost for charge in run.posted)
        return replace(run.request, options=replace(options, max_cost=max(0, options.max_cost - spent)))

    def _all_failed(self, run: _Run, failures: list[str]) -> AIResponse:
        shown = "; ".join(dict.fromkeys(failures[-3:]))
        self._close(run, "providers_failed", shown)
        raise ProvidersFailed(f"no model answered: {shown}",
                              "`nexscout doctor` says what works; `nexscout models pull` fetches the embedded model")

    def _close(self, run: _Run, code: str, message: str) -> None:
        self.ledger.fail(run.request_id, run.request, code, message)

    def _response(self, run: _Run, text: str | None, plan: Plan | None, *, truncated: bool = False,
                  error: dict[str, str] | None = None, exit_status: int = 0) -> AIResponse:
        shown = plan or run.plan
        metadata = self._metadata(
            run, shown.model.name if shown else None, routing_reason=shown.routing_reason if shown else None, plan=shown,
            degraded=bool(plan and plan.degraded), truncated=truncated)
        return AIResponse(error is None, text, error, metadata, exit_status)

    def _metadata(self, run: _Run, model: str | None, *, from_cache: bool = False, routing_reason: str | None = None,
                  plan: Plan | None = None, degraded: bool = False, truncated: bool = False) -> dict[str, Json]:
        tokens_in = sum(charge.input_tokens for charge in run.posted)
        tokens_out = sum(charge.output_tokens for charge in run.posted)
        return {
            "request_id": run.request_id, "model_used": model, "tokens_used": tokens_in + tokens_out,
            "input_tokens": tokens_in, "output_tokens": tokens_out, "energy_cost": run.energy, "from_cache": from_cache,
            "compression_applied": bool(plan and plan.compression.applied),
            "cost_usd": usd(sum(charge.cost for charge in run.posted)),
            "execution_time_ms": round((self.clock.monotonic() - run.started) * 1000),
            "routing_reason": routing_reason, "degraded": degraded, "truncated": truncated,
            "flags": sorted({flag for charge in run.posted for flag in charge.flags}),
            "warnings": [*(plan.warnings if plan else ()), *run.warnings], "plan": plan.as_json() if plan else None,
        }


class _Refused(NexScoutError):
    """A plan made again was refused; carries its error and exit status."""

    def __init__(self, plan: Plan) -> None:
        assert plan.error is not None
        super().__init__(plan.error["message"], plan.error["suggestion"], code=plan.error["code"])
        self.exit_status = plan.exit_status


def new_id(clock: Clock) -> str:
    """A request's name: 11 hexadecimal digits of the time in milliseconds and 10 of chance, so that names sort by time."""
    return f"{int(clock.now().timestamp() * 1000):011x}{os.urandom(5).hex()}"
