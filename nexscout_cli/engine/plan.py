"""Steps 3–7 together: a plan is a pure function of the request and the snapshot."""

from __future__ import annotations

import json
from collections.abc import Callable

from nexscout_cli.config import Settings
from nexscout_cli.engine import firewall, predict, route
from nexscout_cli.engine.shape import make_shape
from nexscout_cli.engine.types import (
    AIRequest,
    Compression,
    Forecast,
    Message,
    Model,
    Plan,
    Profile,
    Shape,
    Snapshot,
)
from nexscout_cli.errors import NexScoutError, UsageError

Count = Callable[[str, str], tuple[int, bool]]
"""Tokens of a text for a litellm model, and whether that model's provider counts the same way."""


LEARNED_FROM = 5
"""Answers seen before a user's preferred length shapes the next one."""


def shape_of(request: AIRequest, snapshot: Snapshot, settings: Settings, *bounds: int | None) -> Shape:
    """Step 5. ``bounds`` lower the answer's bound below what tier, efficiency and request ask for."""
    profile = snapshot.profile
    if profile.writing_style.get("n", 0) < LEARNED_FROM:
        profile = profile._replace(preferred_output_length="medium")
    return _shape(request, snapshot.tier, profile, settings, *bounds)


def plain_shape(request: AIRequest, snapshot: Snapshot, settings: Settings) -> Shape:
    """The shape without what was learned of the user, for the cache's key: learning goes on, an answer stays right."""
    return _shape(request, snapshot.tier, Profile(), settings)


def _shape(request: AIRequest, tier_name: str, profile: Profile, settings: Settings, *bounds: int | None) -> Shape:
    tier = f"tiers.{tier_name}."
    limit = min((bound for bound in (request.options.max_tokens, *bounds) if bound is not None), default=None)
    return make_shape(
        settings[tier + "answer_tokens"],
        settings[tier + "verbosity"],
        settings[tier + "style"],
        profile.efficiency_rating,
        profile.preferred_output_length,
        profile.writing_style,
        limit,
        request.tone,
        request.goal,
    )


def context_text(request: AIRequest) -> str:
    """The context as it is sent: JSON, or the text itself."""
    if request.context is None:
        return ""
    if isinstance(request.context, str):
        return request.context
    return json.dumps(request.context, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def originals(request: AIRequest) -> tuple[str, ...]:
    """The texts of a request as they were given: prompt, context, attachments."""
    return (request.prompt, context_text(request), *(a.text for a in request.attachments))


def user_text(request: AIRequest, texts: tuple[str, ...]) -> str:
    """The user's message that those texts make."""
    prompt, context, *attachments = texts
    user = [prompt]
    if context:
        user.append(f"Context:\n{context}")
    user += [
        f'<attachment name="{a.name}">\n{text}\n</attachment>'
        for a, text in zip(request.attachments, attachments, strict=True)
    ]
    return "\n\n".join(user)


def _messages(request: AIRequest, model: Model, shape: Shape, texts: tuple[str, ...]) -> tuple[Message, ...]:
    system = [part for part in (request.options.system, model.instruction, shape.instructions) if part]
    return (Message("system", "\n".join(system)), Message("user", user_text(request, texts)))


class Planner:
    """Makes plans. ``count`` is the tokenizer; everything else is pure."""

    def __init__(self, settings: Settings, count: Count) -> None:
        self._settings = settings
        self._count = count

    def plan(self, request: AIRequest, snapshot: Snapshot) -> Plan:
        """The plan for a request, allowed or refused with ``error``.

        Raises NexScoutError only where no model can be named: a wrong model or mode, or none available.
        """
        return self._first_allowed(request, snapshot, *self._choice(request, snapshot))

    def compare(self, request: AIRequest, snapshot: Snapshot) -> list[Plan]:
        """A plan for each available model, cheapest expected cost first."""
        _, emotion, compression, texts = self._choice(request, snapshot)
        plans = [
            self._one(
                request, snapshot, model, route.Choice((model,), "compare", model.quality), emotion, compression, texts
            )
            for model in snapshot.models
            if model.name in snapshot.available
        ]
        return sorted(plans, key=lambda plan: (plan.predicted_cost, plan.model.name))

    def alternative(
        self, failed: Plan, request: AIRequest, model: Model, snapshot: Snapshot, *, last_resort: bool
    ) -> Plan:
        """The plan for ``model`` after ``failed`` gave no answer. Energy is held already; surge stays frozen."""
        texts, compression = self._compressed(request, snapshot)
        same = model.name == failed.model.name
        reason = failed.routing_reason if same else "last_resort" if last_resort else "fallback"
        choice = route.Choice((model,), reason, failed.required_quality, failed.warnings if same else ())
        plan = self._one(
            request, snapshot, model, choice, failed.emotional_complexity, compression, texts, energy_held=True
        )
        return plan._replace(degraded=last_resort or (same and failed.degraded), surge_milli=failed.surge_milli)

    def _choice(
        self, request: AIRequest, snapshot: Snapshot
    ) -> tuple[route.Choice, float, Compression, tuple[str, ...]]:
        settings = self._settings
        policy = request.options.policy
        if policy not in (None, "rules"):
            raise UsageError(f"there is no routing policy {policy!r}", "policies: rules")
        forced = route.permit(request, snapshot, settings)
        texts, compression = self._compressed(request, snapshot)
        from nexscout_cli.engine.emotion import emotional_complexity

        emotion = emotional_complexity(request.prompt)
        shape = shape_of(request, snapshot, settings)
        size = compression.tokens_after
        expected = size + predict.answer(request, snapshot.output_lengths, "", "", size, shape).expected
        mode = route.effective_mode(request, snapshot)
        need = route.requirement(route.Facts(request, snapshot.tier, snapshot.panic, mode, emotion, expected), settings)

        def fits(model: Model) -> bool:
            return self._forecast(request, snapshot, model, shape, texts).max_input_tokens < model.max_tokens

        def price(model: Model) -> int:
            forecast = self._forecast(request, snapshot, model, shape, texts)
            return model.cost(forecast.input_tokens, forecast.output_tokens)

        return (route.choose(need, forced, snapshot, settings, fits, price), emotion, compression, texts)

    def _first_allowed(
        self,
        request: AIRequest,
        snapshot: Snapshot,
        choice: route.Choice,
        emotion: float,
        compression: Compression,
        texts: tuple[str, ...],
    ) -> Plan:
        first: Plan | None = None
        for model in choice.models:
            plan = self._one(request, snapshot, model, choice, emotion, compression, texts)
            if plan.allow_proceed:
                if first is not None:
                    note = f"{first.model.name} was not allowed ({first.error and first.error['message']}); {model.name} is used"
                    plan = plan._replace(warnings=(note, *plan.warnings))
                return plan
            first = first or plan
        assert first is not None
        return first

    def _compressed(self, request: AIRequest, snapshot: Snapshot) -> tuple[tuple[str, ...], Compression]:
        """Step 4: prompt, context and attachments as they are sent, and what was saved."""
        from nexscout_cli.engine.squeeze import squeeze

        return squeeze(request, originals(request), snapshot, self._settings, self._count)

    def _forecast(
        self, request: AIRequest, snapshot: Snapshot, model: Model, shape: Shape, texts: tuple[str, ...]
    ) -> Forecast:
        messages = _messages(request, model, shape, texts)
        content, asked, exact = 0, 0, True
        for message in messages:
            asked, exact = self._count(message.content, model.litellm_model)
            content += asked
        return predict.estimate(request, snapshot, model, predict.counted(messages, content), exact, asked, shape)

    def _one(
        self,
        request: AIRequest,
        snapshot: Snapshot,
        model: Model,
        choice: route.Choice,
        emotion: float,
        compression: Compression,
        texts: tuple[str, ...],
        *,
        energy_held: bool = False,
    ) -> Plan:
        settings = self._settings
        charge = not request.options.skip_energy_charge
        own = model.params.get("max_answer_tokens")
        shape = shape_of(request, snapshot, settings, own)
        forecast = self._forecast(request, snapshot, model, shape, texts)
        verdict = firewall.check(request, snapshot, settings, model, forecast, charge and not energy_held)
        if verdict.refusal is None and verdict.bound < shape.max_tokens:
            # A shorter bound is said in fewer or other words; the hold keeps the larger count of the two.
            shape = shape_of(request, snapshot, settings, own, verdict.bound)
            lowered = self._forecast(request, snapshot, model, shape, texts)
            forecast = lowered._replace(max_input_tokens=max(lowered.max_input_tokens, forecast.max_input_tokens))
        tokens = forecast.input_tokens + forecast.output_tokens
        warnings = tuple(dict.fromkeys(choice.warnings + verdict.warnings + _daily_warning(snapshot, tokens)))
        refusal: NexScoutError | None = verdict.refusal
        return Plan(
            request=request,
            model=model,
            routing_reason=choice.reason,
            required_quality=choice.quality,
            emotional_complexity=emotion,
            messages=_messages(request, model, shape, texts),
            shape=shape,
            compression=compression,
            forecast=forecast,
            surge_milli=snapshot.surge_milli,
            nano_per_energy=firewall.nano_per_unit(settings),
            warnings=warnings,
            degraded=False,
            charge_energy=charge,
            mode=route.effective_mode(request, snapshot),
            version=snapshot.version,
            error=refusal.as_json() if refusal else None,
            exit_status=refusal.exit_status if refusal else 0,
        )


def _daily_warning(snapshot: Snapshot, tokens: int) -> tuple[str, ...]:
    """A warning when this call and the user's usual day together pass the daily token budget, in the user's busy hours."""
    budget = next(
        (limit for limit in snapshot.limits if (limit.unit, limit.scope, limit.window) == ("tokens", "user", "day")),
        None,
    )
    usual, hours = snapshot.profile.predicted_daily_usage, snapshot.profile.peak_hours
    if budget is None or not usual or not any(hours):
        return ()
    ahead = sum(hours[snapshot.now.hour :]) / sum(hours)
    forecast = snapshot.tokens_today + tokens + round(usual * ahead)
    if forecast <= budget.cap:
        return ()
    return (f"at your usual pace today comes to about {forecast:,} tokens; the daily budget is {budget.cap:,}",)


def formula_tokens(plan: Plan) -> int:
    """What the seed's formula predicts for a plan's request, which `report accuracy` shows beside ours."""
    return predict.formula(plan.request, len(context_text(plan.request)))
