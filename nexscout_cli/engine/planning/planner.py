"""Steps 3–7 together: a plan is a pure function of the request and the snapshot."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

from nexscout_cli.config import Settings
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.money import dollars
from nexscout_cli.engine.plan_types import Candidate, Cascade, Compression, Decision, Forecast, Message, Plan, Shape
from nexscout_cli.engine.planning import firewall, predict
from nexscout_cli.engine.planning.shape import make_shape
from nexscout_cli.engine.request import AIRequest
from nexscout_cli.engine.routing import policy, rules
from nexscout_cli.engine.snapshot import Profile, Snapshot
from nexscout_cli.errors import NexScoutError

Count = Callable[[str, str], tuple[int, bool]]
"""Tokens of a text for a litellm model, and whether that model's provider counts the same way."""


WEIGHED = 5
"""Features of a prompt that are named when somebody asks why it was taken for easy or hard."""
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


class Second(NamedTuple):
    """What follows a doubted answer: the strong model, a second cheap one where there is one, the limit and its chance."""

    strong: rules.Choice
    other: Model | None
    doubt: float
    chance: float


class Basis(NamedTuple):
    """What a request's plans have in common: how its model was chosen, and the texts as they are sent.

    ``second`` is what a cascade asks when its first answer is doubted.
    """

    choice: rules.Choice
    decision: Decision
    compression: Compression
    texts: tuple[str, ...]
    second: Second | None = None


class Planner:
    """Makes plans. ``count`` is the tokenizer; everything else is pure."""

    def __init__(self, settings: Settings, count: Count) -> None:
        self._settings = settings
        self._count = count

    def plan(self, request: AIRequest, snapshot: Snapshot) -> Plan:
        """The plan for a request, allowed or refused with ``error``.

        Raises NexScoutError only where no model can be named: a wrong model or mode, or none available.
        """
        basis = self._basis(request, snapshot)
        plan = self._first_allowed(request, snapshot, basis)
        if basis.second is None or plan.error is not None or plan.model is not basis.choice.models[0]:
            return plan
        return self._with_cascade(request, snapshot, basis, plan, basis.second)

    def compare(self, request: AIRequest, snapshot: Snapshot) -> list[Plan]:
        """A plan for each available model, cheapest expected cost first."""
        basis = self._basis(request, snapshot)
        plans = [
            self._one(request, snapshot, basis._replace(choice=rules.Choice((model,), "compare", model.quality)), model)
            for model in snapshot.models
            if model.name in snapshot.available
        ]
        return sorted(plans, key=lambda plan: (plan.predicted_cost, plan.model.name))

    def alternative(
        self, failed: Plan, request: AIRequest, model: Model, snapshot: Snapshot, *, last_resort: bool
    ) -> Plan:
        """The plan for ``model`` after ``failed`` gave no answer. Energy is held already; surge stays frozen."""
        same = model.name == failed.model.name
        reason = failed.routing_reason if same else "last_resort" if last_resort else "fallback"
        choice = rules.Choice((model,), reason, failed.required_quality, failed.warnings if same else ())
        plan = self._later(failed, request, snapshot, choice)
        return plan._replace(
            degraded=last_resort or (same and failed.degraded), cascade=failed.cascade if same else None
        )

    def further(self, first: Plan, step: Plan, request: AIRequest, snapshot: Snapshot) -> Plan | None:
        """The plan of a cascade's later ``step``, None when its model cannot be called any more."""
        model = snapshot.model(step.model.name)
        if model is None or model.name not in snapshot.available:
            return None
        choice = rules.Choice((model,), step.routing_reason, step.required_quality)
        return self._later(first, request, snapshot, choice)

    def _later(self, before: Plan, request: AIRequest, snapshot: Snapshot, choice: rules.Choice) -> Plan:
        """A plan for a further attempt at a request: its energy is held already, and its surge stays frozen."""
        texts, compression = self._compressed(request, snapshot)
        basis = Basis(choice, before.decision, compression, texts)
        plan = self._one(request, snapshot, basis, choice.models[0], energy_held=True)
        return _of_what_is_left(plan, request.options.max_cost)._replace(surge_milli=before.surge_milli)

    def _basis(self, request: AIRequest, snapshot: Snapshot) -> Basis:
        settings = self._settings
        name = policy.effective_policy(request, snapshot.profile, settings)
        forced = rules.permit(request, snapshot, settings)
        texts, compression = self._compressed(request, snapshot)
        from nexscout_cli.engine.routing.emotion import emotional_complexity

        emotion = emotional_complexity(request.prompt)
        shape = shape_of(request, snapshot, settings)
        size = compression.tokens_after
        length = predict.answer(request, snapshot.output_lengths, "", "", size, shape).expected
        mode = rules.effective_mode(request, snapshot)
        rule = rules.requirement(
            rules.Facts(request, snapshot.tier, snapshot.panic, mode, emotion, size + length), settings
        )

        forecasts: dict[str, Forecast] = {}

        def forecast(model: Model) -> Forecast:
            if model.name not in forecasts:
                forecasts[model.name] = self._forecast(request, snapshot, model, shape, texts)
            return forecasts[model.name]

        def fits(model: Model) -> bool:
            return forecast(model).max_input_tokens < model.max_tokens

        def price(model: Model) -> int:
            # The same answer's length for all: a model that was asked first must not win by what was learned of it alone.
            return model.cost(forecast(model).input_tokens, length)

        decision = Decision(
            policy=name,
            rule=rule.reason,
            rule_quality=rule.quality,
            quality=rule.quality,
            reason=rule.reason,
            mode=mode,
            tier=snapshot.tier,
            feature=request.feature,
            prompt_chars=len(request.prompt),
            emotion=emotion,
        )
        if not policy.governs(name, request, snapshot):
            choice = rules.choose(rule, forced, snapshot, settings, fits, price)
            return Basis(choice, _decided(decision, choice), compression, texts)
        from nexscout_cli.engine.routing.difficulty import difficulty
        from nexscout_cli.engine.routing.estimates import Estimates
        from nexscout_cli.engine.routing.thresholds import threshold

        target = float(settings["routing.quality_target"])
        estimate, limit = difficulty(request.prompt), threshold(name, target)
        aim = policy.aim(name, rule, snapshot.tier, estimate, limit)
        estimates = Estimates(snapshot.verdicts, estimate.bucket)
        choice = rules.choose(aim.first, None, snapshot, settings, fits, price, estimates)
        decision = decision._replace(
            difficulty=round(estimate.probability, 4),
            bucket=estimate.bucket,
            weighed=_weighed(estimate.reasons, words=settings["learning.patterns"]),
            limit=limit.difficulty,
            target=target,
            strong_share=limit.strong_share,
            kept=limit.kept,
        )
        second = None
        if aim.second is not None:
            need = rules.Need(aim.second, "cascade_escalated")
            above = rules.choose(need, None, snapshot, settings, fits, price, estimates)
            strong, weak = above.models[0], choice.models[0]
            if price(strong) > price(weak) and estimates.quality(strong) > estimates.quality(weak):
                able = [m for m in snapshot.models if m.name in snapshot.available and fits(m)]
                other = policy.second_opinion_of(
                    [m for m in able if estimates.quality(m) >= aim.first.quality], weak, strong, price
                )
                second = Second(above, other, limit.doubt, policy.chance_of_second(limit, snapshot.doubts))
                decision = decision._replace(doubt=limit.doubt, strong=strong.name)
        return Basis(choice, _decided(decision, choice), compression, texts, second)

    def _first_allowed(self, request: AIRequest, snapshot: Snapshot, basis: Basis) -> Plan:
        refused: dict[str, str] = {}
        first: Plan | None = None
        for model in basis.choice.models:
            plan = self._one(request, snapshot, basis, model)
            if plan.error is None:
                if first is not None:
                    note = f"{first.model.name} was not allowed ({refused[first.model.name]}); {model.name} is used"
                    plan = plan._replace(warnings=(note, *plan.warnings))
                return plan._replace(decision=_allowed(plan.decision, refused, model.name))
            refused[model.name] = plan.error["message"]
            first = first or plan
        assert first is not None
        return first._replace(decision=_allowed(first.decision, refused, None))

    def _with_cascade(self, request: AIRequest, snapshot: Snapshot, basis: Basis, plan: Plan, second: Second) -> Plan:
        """The plan as the first step of a cascade, where budgets cover the worst case of all; else alone, with a warning."""
        from nexscout_cli.engine.answers.second_opinion import chance_of_agreement, pays

        above = basis._replace(choice=second.strong)
        strong = self._after((plan,), request, snapshot, above, second.strong.models[0])
        if strong.error is not None:
            note = f"a doubtful answer would not be sent up to {strong.model.name}: {strong.error['message']}"
            made = _allowed(plan.decision, {strong.model.name: strong.error["message"]}, plan.model.name)
            return plan._replace(warnings=(*plan.warnings, note), decision=made._replace(doubt=None, strong=None))
        alone = plan._replace(cascade=Cascade(strong, second.doubt, second.chance))
        if second.other is None:
            return alone
        asked = basis._replace(choice=rules.Choice((second.other,), "cascade_second_opinion", plan.required_quality))
        other = self._after((plan,), request, snapshot, asked, second.other)
        if other.error is not None or not pays(second.doubt, second.doubt, other.own_cost, strong.own_cost):
            return alone
        strong = self._after((plan, other), request, snapshot, above, strong.model)
        if strong.error is not None:
            return alone
        agreement = chance_of_agreement(second.doubt)
        seen = tuple(
            one._replace(verdict="opinion", detail="") if one.model == other.model.name else one
            for one in plan.decision.candidates
        )
        return plan._replace(
            cascade=Cascade(strong, second.doubt, second.chance, other, agreement),
            decision=plan.decision._replace(other=other.model.name, candidates=seen),
        )

    def _after(
        self, before: tuple[Plan, ...], request: AIRequest, snapshot: Snapshot, basis: Basis, model: Model
    ) -> Plan:
        """The plan for ``model`` in a world where the worst case of the steps ``before`` has come."""
        options, paid = request.options, [step for step in before if not step.model.free]
        used = {"usd": sum(s.own_max_cost for s in paid), "tokens": sum(s.max_total_tokens for s in paid)}
        left = None if options.max_cost is None else options.max_cost - used["usd"]
        later = snapshot._replace(
            limits=tuple(limit._replace(left=limit.left - used[limit.unit]) for limit in snapshot.limits),
            energy=snapshot.energy - sum(step.energy_of(step.own_max_cost) for step in before),
        )
        plan = self._one(request._replace(options=options._replace(max_cost=left)), later, basis, model)
        return _of_what_is_left(plan, left)._replace(request=request)

    def _compressed(self, request: AIRequest, snapshot: Snapshot) -> tuple[tuple[str, ...], Compression]:
        """Step 4: prompt, context and attachments as they are sent, and what was saved."""
        from nexscout_cli.engine.compression.choice import compress_texts

        return compress_texts(request, originals(request), snapshot, self._settings, self._count)

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
        basis: Basis,
        model: Model,
        *,
        energy_held: bool = False,
    ) -> Plan:
        settings, choice, texts = self._settings, basis.choice, basis.texts
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
            emotional_complexity=basis.decision.emotion,
            messages=_messages(request, model, shape, texts),
            shape=shape,
            compression=basis.compression,
            forecast=forecast,
            surge_milli=snapshot.surge_milli,
            nano_per_energy=firewall.nano_per_unit(settings),
            warnings=warnings,
            degraded=False,
            charge_energy=charge,
            mode=rules.effective_mode(request, snapshot),
            version=snapshot.version,
            decision=basis.decision,
            error=refusal.as_json() if refusal else None,
            exit_status=refusal.exit_status if refusal else 0,
        )


def _weighed(reasons: tuple[tuple[str, float], ...], *, words: bool) -> tuple[tuple[str, float], ...]:
    """The heaviest reasons of an estimate; without ``words`` none that repeats words of the prompt."""
    kept = [(told, weight) for told, weight in reasons if words or not told.startswith("words: ")]
    return tuple(kept[:WEIGHED])


def _decided(decision: Decision, choice: rules.Choice) -> Decision:
    seen = tuple(one._replace(verdict="second") if one.model == decision.strong else one for one in choice.candidates)
    return decision._replace(quality=choice.quality, reason=choice.reason, candidates=seen)


def _of_what_is_left(plan: Plan, left: int | None) -> Plan:
    """A later step's plan; a refusal for its cost names the dollars that the steps before leave, not --max-cost."""
    if left is None or plan.error is None or plan.error["code"] != "max_cost":
        return plan
    told = f"the call is predicted to cost ${dollars(plan.own_cost)}; ${dollars(left)} is left for it"
    return plan._replace(error=plan.error | {"message": told})


def _allowed(decision: Decision, refused: dict[str, str], chosen: str | None) -> Decision:
    """The decision after budgets had their say of the models that came first."""
    if not refused:
        return decision

    def seen(one: Candidate) -> Candidate:
        if one.model in refused:
            return one._replace(verdict="not_allowed", detail=refused[one.model])
        return one._replace(verdict="chosen") if one.model == chosen else one

    return decision._replace(candidates=tuple(seen(one) for one in decision.candidates))


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
