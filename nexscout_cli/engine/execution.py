"""Steps 8–10: hold, call, post, and what comes next while attempts fail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NoReturn

from nexscout_cli.config import Settings
from nexscout_cli.engine import bookkeeping, fallback
from nexscout_cli.engine.answers.charge import charge_for, least_charge
from nexscout_cli.engine.call import Call, Completion, OnText
from nexscout_cli.engine.failures import CallInterrupted, ProviderFailure, ReaderGone
from nexscout_cli.engine.interrupts import interrupts
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.money import usd
from nexscout_cli.engine.plan_types import Plan
from nexscout_cli.engine.planning.planner import Count, Planner
from nexscout_cli.engine.ports import Clock, Ledger, Observer, Provider
from nexscout_cli.engine.progress import Doubted, Held, Progress
from nexscout_cli.engine.request import AIRequest
from nexscout_cli.engine.response import AIResponse
from nexscout_cli.engine.settlement import Charge, Delivery, Posting
from nexscout_cli.engine.snapshot import Snapshot
from nexscout_cli.engine.world import read_snapshot
from nexscout_cli.errors import Blocked, Interrupted, NexScoutError, ProvidersFailed, StalePlan

REPLANS = 3
NAP = 0.5
"""Seconds after which a thread that waits looks whether the process is to stop."""


class Execution:
    """Carries plans out. Every held has a hold of its own; each ends posted, voided or unknown."""

    def __init__(
        self,
        ledger: Ledger,
        provider: Provider,
        settings: Settings,
        clock: Clock,
        count: Count,
        planner: Planner,
        observer: Observer,
    ) -> None:
        self.ledger = ledger
        self.provider = provider
        self.settings = settings
        self.clock = clock
        self.count = count
        self.planner = planner
        self.observer = observer

    def run(self, run: Progress, plan: Plan) -> AIResponse:
        """Steps 8–10 for the plan and, while attempts fail, for what comes after it.

        Raises Interrupted when a signal stops it; what was in flight is settled first.
        """
        if interrupts.stopping:
            raise Interrupted("interrupted; nothing was sent")
        with interrupts.shield():
            return self._run(run, plan)

    def _run(self, run: Progress, plan: Plan) -> AIResponse:
        tries: dict[str, int] = {}
        bounds: dict[str, int] = {}
        waited = 0.0
        steps: Iterator[Model] | None = None
        failures: list[str] = []
        held = self._hold(run, plan)
        while True:
            plan = held.plan
            tries[plan.model.name] = tries.get(plan.model.name, 0) + 1
            failure = None
            try:
                completion = self._call(run, held, _listener(run, plan))
                response = self._post(run, held, completion)
                if response is not None:
                    return response
                if run.doubted and run.doubted.held is held:
                    self._ask_other(run, plan)
                    strong = None if run.doubted.confirmed else self._hold_strong(run, plan)
                    if strong is None:
                        return self._deliver_doubted(run)
                    held = strong
                    continue
                failures.append(
                    f"{plan.model.name}: the answer was empty ({completion.finish_reason or 'no reason given'})"
                )
            except ProviderFailure as error:
                failure = error
                failures.append(f"{plan.model.name}: {failure.message}")
                self._give_up(run, held, failure)
            if interrupts.stopping:
                self._stop(run)
            name = plan.model.name
            if failure and failure.kind == "unknown":  # at most one more try, whatever that one comes to
                bounds.setdefault(name, tries[name] + 1)
            wait = fallback.pause(failure, tries[name], self.settings, waited) if failure else None
            if wait is not None and tries[name] < bounds.get(name, tries[name] + 1):
                self.observer.note(f"{failures[-1]}; trying again")
                waited += wait
                self._sleep(run, wait)
                following = self._next(run, iter([plan.model]), plan)
            else:
                following = None
            if following is None and run.doubted:
                run.warnings.append(f"no second answer came: {failures[-1]}")
                return self._deliver_doubted(run)
            if following is None:
                if steps is None or (failure and failure.kind == "too_long"):
                    larger = plan.model.max_tokens if failure and failure.kind == "too_long" else 0
                    steps = self._ladder(run, larger)
                following = self._next(run, (m for m in steps if m.name not in tries), plan)
            if following is None:
                return self._all_failed(run, failures)
            if following.plan.model.name != plan.model.name:
                self.observer.note(f"{failures[-1]}; going on with {following.plan.model.name}")
            held = following

    def _hold(self, run: Progress, plan: Plan) -> Held:
        """Step 8. When the world moved since the snapshot, plan again: at most 3 times, never dearer than confirmed."""
        for _ in range(REPLANS):
            try:
                return self._held(run, plan)
            except StalePlan:
                run.snapshot = self._snapshot(run, run.request)
                run.plan = plan = self.planner.plan(run.request, run.snapshot)
                if plan.error is not None:
                    self.ledger.record_refusal(
                        run.actor, bookkeeping.prediction(run.request_id, plan), plan.error["code"]
                    )
                    raise _Refused(plan) from None
                quote = run.confirmed
                if quote and (plan.max_cost > quote.max_cost or plan.max_energy > quote.max_energy):
                    self.ledger.record_refusal(run.actor, bookkeeping.prediction(run.request_id, plan), "quote_changed")
                    raise Blocked(
                        "the call has become dearer than the quote you confirmed",
                        "run it again for a new quote",
                        code="quote_changed",
                    ) from None
        raise Blocked("budgets and balances keep changing under this call", "try again in a moment", code="contention")

    def _snapshot(self, run: Progress, request: AIRequest) -> Snapshot:
        return read_snapshot(self.ledger, self.provider, self.settings, run.actor, request)

    def _held(self, run: Progress, plan: Plan) -> Held:
        settings = self.settings
        order = bookkeeping.order(
            run.request_id,
            plan,
            run.quoted_tokens(plan),
            run.snapshot,
            settings,
            fingerprint=run.fingerprint,
            seconds=settings["providers.stream_timeout" if _listener(run, plan) else "providers.timeout"],
            cache_key=run.cache_key if run.claims else None,
        )
        held = Held(self.ledger.hold(run.actor, order), plan)
        run.tried = plan
        return held

    def _call(self, run: Progress, held: Held, on_text: OnText | None) -> Completion:
        """Step 9. An interrupt after the call was sent leaves the held unknown; before that, it is voided."""
        plan, settings = held.plan, self.settings
        call = Call(
            plan.model,
            plan.messages,
            plan.shape.max_tokens,
            plan.request.options.temperature,
            settings["providers.timeout"],
            settings["providers.stream_timeout"],
            on_text is not None,
        )
        if interrupts.stopping:
            self._give_up(run, held, ProviderFailure("unreached", "interrupted; not sent"))
            self._stop(run)
        self.ledger.mark_sent(run.actor, held.attempt)
        failure = ProviderFailure("unreached", "interrupted; not sent")
        try:
            with interrupts.exposed():
                failure = ProviderFailure("unknown", "interrupted")
                return self.provider.complete(call, on_text)
        except KeyboardInterrupt as stop:
            self._give_up(run, held, stop.failure if isinstance(stop, CallInterrupted) else failure)
            self._stop(run)

    def _post(self, run: Progress, held: Held, completion: Completion) -> AIResponse | None:
        """Step 10. None when nothing was delivered: the answer is empty, was filtered, or is doubted; its cost is posted."""
        plan = held.plan
        charge = self._charge(run, held, completion)
        if _useless(completion):
            self.ledger.post(run.actor, held.attempt, Posting(charge, completion.provider_id, None))
            return None
        found = None
        if plan.cascade is not None:
            from nexscout_cli.engine.answers.doubt import doubt

            score, reasons = doubt(run.request.prompt, completion.text, completion.finish_reason)
            found = {"score": round(score, 4), "limit": plan.cascade.doubt, "reasons": list(reasons)}
            if score >= plan.cascade.doubt:
                self.ledger.post(run.actor, held.attempt, Posting(charge, completion.provider_id, None, found))
                run.doubted = Doubted(held, charge, completion, score)
                told = f" ({'; '.join(reasons)})" if reasons else ""
                self.observer.note(f"{plan.model.name}'s answer is doubtful{told}; asking further")
                return None
        response, delivery = self._delivery(run, held, charge, completion)
        self.ledger.post(run.actor, held.attempt, Posting(charge, completion.provider_id, delivery, found))
        if plan.cascade is not None:
            self._show(run, delivery.text)
        return response

    def _charge(self, run: Progress, held: Held, completion: Completion) -> Charge:
        """What an answered held cost, as it is posted next."""
        plan = held.plan
        charge = charge_for(
            plan,
            completion,
            run.snapshot.models,
            held.attempt.hold,
            lambda text: self.count(text, plan.model.litellm_model)[0],
        )
        run.posted.append(charge)
        if "provider_excess" in charge.flags:
            run.warnings.append("the provider billed more than it was allowed to")
        return charge

    def _delivery(
        self, run: Progress, held: Held, charge: Charge, completion: Completion
    ) -> tuple[AIResponse, Delivery]:
        """The response an answer makes, and what the books are told of it."""
        plan = held.plan
        cut = completion.finish_reason == "length"
        if cut:
            run.warnings.append(f"the answer was cut at its bound of {plan.shape.max_tokens:,} tokens")
        run.energy = min(held.attempt.hold_energy, plan.energy_of(charge.cost))
        text = completion.text.encode("utf-8", "replace").decode()
        if run.doubted is None:
            run.plan = plan
        response = run.response(text, plan, truncated=cut)
        keep = (
            completion.finish_reason == "stop"
            and not plan.degraded
            and not (run.doubted and run.doubted.held is held and not run.doubted.confirmed)
            and charge.output_tokens < self.settings["cache.max_tokens"]
        )
        lesson = bookkeeping.lesson(plan, charge, 0.5 if cut else 1.0, self.clock.now(), self.settings)
        keys = (run.cache_key, run.form_key) if keep else (None, None)
        return response, Delivery(run.energy, lesson, response.as_json(), text, *keys)

    def _ask_other(self, run: Progress, first: Plan) -> None:
        """A second cheap model's opinion of a doubted answer, where that is expected to pay. Its answer is never delivered."""
        from nexscout_cli.engine.answers.doubt import agree, second_opinion
        from nexscout_cli.engine.answers.second_opinion import pays

        cascade, doubted = first.cascade, run.doubted
        assert cascade is not None and doubted is not None
        other, limit = cascade.other, cascade.doubt
        if other is None or not pays(doubted.score, limit, other.own_cost, cascade.strong.own_cost):
            return
        held, _ = self._further(run, first, other)
        if held is None:
            return
        try:
            completion = self._call(run, held, None)
        except ProviderFailure as failure:
            self._give_up(run, held, failure)
            return
        charge = self._charge(run, held, completion)
        same = not _useless(completion) and agree(run.request.prompt, doubted.completion.text, completion.text)
        score = second_opinion(doubted.score, same)
        found = {"score": round(score, 4), "limit": limit, "reasons": [], "agrees": same}
        self.ledger.post(run.actor, held.attempt, Posting(charge, completion.provider_id, None, found))
        run.doubted = doubted._replace(confirmed=score < limit)

    def _hold_strong(self, run: Progress, first: Plan) -> Held | None:
        """A hold for a cascade's last step; None, with a warning, where budgets or the catalog do not allow it any more."""
        assert first.cascade is not None
        strong = first.cascade.strong
        held, why = self._further(run, first, strong)
        if held is None:
            run.warnings.append(f"{strong.model.name} was not asked: {why}")
        return held

    def _further(self, run: Progress, first: Plan, step: Plan) -> tuple[Held | None, str]:
        """A hold for a later step of a cascade, or why there is none. It stays within what the quote has left."""
        for _ in range(REPLANS):
            request = self._remaining(run)
            run.snapshot = self._snapshot(run, request)
            plan = self.planner.further(first, step, request, run.snapshot)
            if plan is None:
                return None, "it cannot be called any more"
            if plan.error is not None:
                return None, plan.error["message"]
            try:
                return self._held(run, plan), ""
            except StalePlan:
                continue
        return None, "budgets and balances keep changing"

    def _deliver_doubted(self, run: Progress) -> AIResponse:
        """Deliver a cascade's first answer after all: it was confirmed, or is better than none."""
        assert run.doubted is not None
        held, charge, completion, _, confirmed = run.doubted
        if not confirmed:
            run.warnings.append(f"the answer is {held.plan.model.name}'s, and may be wrong")
        response, delivery = self._delivery(run, held, charge, completion)
        self.ledger.deliver(run.actor, held.attempt, charge, delivery)
        self._show(run, delivery.text)
        return response

    def _show(self, run: Progress, text: str) -> None:
        """Hand over a whole answer that could not be streamed, because it was checked first."""
        if run.on_text is not None:
            with suppress(ReaderGone):
                run.on_text(text)

    def _give_up(self, run: Progress, held: Held, failure: ProviderFailure) -> None:
        if failure.kind == "unknown" and held.attempt.hold:
            least = least_charge(held.plan, failure, lambda text: self.count(text, held.plan.model.litellm_model)[0])
            reason = failure.message
            if least is not None:
                reason += f"; at least {least.input_tokens}+{least.output_tokens} tokens, ${usd(least.cost):f}"
            self.ledger.mark_unknown(run.actor, held.attempt, reason, failure.provider_id)
            run.unsettled += held.attempt.hold
            run.warnings.append(
                f"a call to {held.plan.model.name} has an unknown outcome; up to "
                f"${usd(held.attempt.hold):f} stays on hold until it is resolved"
            )
        else:
            self.ledger.void(run.actor, held.attempt, failure.message)

    def _sleep(self, run: Progress, seconds: float) -> None:
        try:
            with interrupts.exposed():
                while seconds > 0 and not interrupts.stopping:
                    self.clock.sleep(min(seconds, NAP))
                    seconds -= NAP
        except KeyboardInterrupt:
            self._stop(run)
        if interrupts.stopping:
            self._stop(run)

    def _stop(self, run: Progress) -> NoReturn:
        """A signal came and nothing of this request is in flight any more: close it."""
        self._close(run, "interrupted", "stopped by a signal")
        if not run.unsettled:
            raise Interrupted("interrupted; nothing is owed" + (" but what was posted" if run.posted else "")) from None
        raise Interrupted(
            "interrupted; what was in flight is recorded as unknown",
            f"`nexscout db resolve {run.request_id}` settles it",
        ) from None

    def _ladder(self, run: Progress, larger_than: int) -> Iterator[Model]:
        assert run.plan is not None
        first, snapshot = run.plan, run.snapshot

        def price(model: Model) -> int:
            return model.cost(first.forecast.input_tokens, first.forecast.output_tokens)

        return fallback.ladder(first, snapshot, self.settings, price, larger_than)

    def _next(self, run: Progress, models: Iterator[Model], before: Plan) -> Held | None:
        """A hold for the first of ``models`` that budgets allow; they are checked again for the model that will bill."""
        for model in models:
            for _ in range(REPLANS):
                request = self._remaining(run)
                run.snapshot = self._snapshot(run, request)
                last_resort = (
                    model.embedded
                    and model.quality < self.settings["routing.floor"]
                    and model.name != before.model.name
                )
                plan = self.planner.alternative(before, request, model, run.snapshot, last_resort=last_resort)
                if not plan.allow_proceed:
                    break
                try:
                    return self._held(run, plan)
                except StalePlan:
                    continue
        return None

    def _remaining(self, run: Progress) -> AIRequest:
        """The request with what earlier attempts may have cost taken off its ``max_cost``; of a cascade, off its quote."""
        options = run.request.options
        limits = [
            limit
            for limit in (options.max_cost, run.plan.max_cost if run.doubted and run.plan else None)
            if limit is not None
        ]
        if not limits:
            return run.request
        spent = run.unsettled + sum(charge.cost for charge in run.posted)
        return run.request._replace(options=options._replace(max_cost=max(0, min(limits) - spent)))

    def _all_failed(self, run: Progress, failures: list[str]) -> AIResponse:
        shown = "; ".join(dict.fromkeys(failures[-3:]))
        self._close(run, "providers_failed", shown)
        raise ProvidersFailed(
            f"no model answered: {shown}",
            "`nexscout doctor` says what works; `nexscout models pull` fetches the embedded model",
        )

    def _close(self, run: Progress, code: str, message: str) -> None:
        assert run.tried is not None, "a request is closed after its first hold"
        end = bookkeeping.failure(run.request_id, run.tried, code, message, self.clock.now(), self.settings)
        self.ledger.fail(run.actor, end)


def _useless(completion: Completion) -> bool:
    """Whether there is nothing to deliver."""
    gone = completion.finish_reason == "reader_gone"
    return not (completion.text.strip() or gone) or completion.finish_reason == "content_filter"


def _listener(run: Progress, plan: Plan) -> OnText | None:
    """Who hears the answer as it comes: nobody, where it is to be checked first."""
    return run.on_text if plan.cascade is None else None


class _Refused(NexScoutError):
    """A plan made again was refused; carries its error and exit status."""

    def __init__(self, plan: Plan) -> None:
        assert plan.error is not None
        super().__init__(plan.error["message"], plan.error["suggestion"], code=plan.error["code"])
        self.exit_status = plan.exit_status
