"""Steps 3–7 together: a plan is a pure function of the request and the snapshot."""

from __future__ import annotations

from nexscout_cli.config import Settings
from nexscout_cli.engine.chat import Message
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.plan_types import Candidate, Decision, Forecast
from nexscout_cli.engine.planning import firewall, predict
from nexscout_cli.engine.planning.basis import Basis, make_basis
from nexscout_cli.engine.planning.cascade import with_cascade, within_what_is_left
from nexscout_cli.engine.planning.plan import Plan
from nexscout_cli.engine.planning.resolve import Resolved, resolve
from nexscout_cli.engine.planning.shape import shape_of
from nexscout_cli.engine.planning.texts import Count, context_text, messages
from nexscout_cli.engine.request import AIRequest
from nexscout_cli.engine.routing import rules
from nexscout_cli.engine.snapshot import Snapshot


class Planner:
    """Makes plans. ``count`` is the tokenizer; everything else is pure."""

    def __init__(self, settings: Settings, count: Count) -> None:
        self._settings = settings
        self._count = count

    def plan(self, request: AIRequest, snapshot: Snapshot, resolved: Resolved | None = None) -> Plan:
        """The plan for a request, allowed or refused with ``error``.

        Raises NexScoutError only where no model can be named: a wrong model or mode, or none available.
        """
        basis = self._basis(request, snapshot, resolved)
        plan = self._first_allowed(request, snapshot, basis)
        if basis.second is None or plan.error is not None or plan.model is not basis.choice.models[0]:
            return plan
        return with_cascade(self._one, snapshot, basis, plan, basis.second)

    def compare(self, request: AIRequest, snapshot: Snapshot) -> list[Plan]:
        """A plan for each available model, cheapest expected cost first."""
        basis = self._basis(request, snapshot, None)
        plans = [
            self._one(request, snapshot, basis._replace(choice=rules.Choice((model,), "compare", model.quality)), model)
            for model in snapshot.models
            if model.name in snapshot.available
        ]
        return sorted(plans, key=lambda plan: (plan.predicted_cost, plan.model.name))

    def alternative(
        self,
        failed: Plan,
        request: AIRequest,
        model: Model,
        snapshot: Snapshot,
        *,
        last_resort: bool = False,
        said: tuple[Message, ...] = (),
    ) -> Plan:
        """The plan for ``model`` after ``failed`` gave no answer, or not as it should be: ``said`` is what is said about it.

        Energy is held already; surge stays frozen.
        """
        same = model.name == failed.model.name
        reason = failed.routing_reason if same else "last_resort" if last_resort else "fallback"
        choice = rules.Choice((model,), reason, failed.required_quality, failed.warnings if same else ())
        plan = self._later(failed, request, snapshot, choice, said)
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

    def _later(
        self,
        before: Plan,
        request: AIRequest,
        snapshot: Snapshot,
        choice: rules.Choice,
        said: tuple[Message, ...] = (),
    ) -> Plan:
        """A plan for a further attempt, on the basis of the one before: only what budgets allow is looked at again."""
        known: Basis = before.basis
        forecasts = known.forecasts.in_world(snapshot, said)
        basis = known._replace(choice=choice, decision=before.decision, forecasts=forecasts)
        plan = self._one(request, snapshot, basis, choice.models[0], energy_held=True)
        return within_what_is_left(plan, request.options.max_cost)._replace(surge_milli=before.surge_milli)

    def _basis(self, request: AIRequest, snapshot: Snapshot, resolved: Resolved | None) -> Basis:
        resolved = resolved or resolve(request, snapshot, self._settings)
        return make_basis(request, snapshot, self._settings, self._count, resolved)

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

    def _verdict(
        self, request: AIRequest, snapshot: Snapshot, basis: Basis, model: Model, forecast: Forecast, charge: bool
    ) -> firewall.Verdict:
        """What the firewall says; of a model whose window is too small with what extraction would come to."""
        compression = basis.compression
        verdict = firewall.check(request, snapshot, self._settings, model, forecast, charge, compression)
        if verdict.refusal is None or verdict.refusal.code != "context_window":
            return verdict
        from nexscout_cli.engine.compression.choice import could_fit

        compression = could_fit(request, basis.texts, compression, model.max_tokens, self._count)
        return firewall.check(request, snapshot, self._settings, model, forecast, charge, compression)

    def _one(
        self, request: AIRequest, snapshot: Snapshot, basis: Basis, model: Model, *, energy_held: bool = False
    ) -> Plan:
        settings, choice = self._settings, basis.choice
        charge = not request.options.skip_energy_charge
        own = (model.params.get("max_answer_tokens"), model.max_output)
        shape = shape_of(request, snapshot, settings, *own)
        forecast = basis.forecasts.of(model, shape)
        verdict = self._verdict(request, snapshot, basis, model, forecast, charge and not energy_held)
        if verdict.refusal is None and verdict.bound < forecast.max_output_tokens:
            # A shorter bound is said in fewer or other words; the hold keeps the larger count of the two. Half of it at
            # most is left for thinking.
            answers = request.options.n or 1
            room = min(forecast.thinking_room, verdict.bound // 2)
            shape = shape_of(request, snapshot, settings, *own, max(1, (verdict.bound - room) // answers))
            lowered = basis.forecasts.of(model, shape)
            thought = min(lowered.thinking, room)
            forecast = lowered._replace(
                max_input_tokens=max(lowered.max_input_tokens, forecast.max_input_tokens),
                output_tokens=lowered.output_tokens - lowered.thinking + thought,
                p90_output_tokens=min(lowered.p90_output_tokens, shape.max_tokens * answers + room),
                max_output_tokens=shape.max_tokens * answers + room,
                thinking=thought,
                thinking_room=room,
            )
        tokens = forecast.input_tokens + forecast.output_tokens
        asked = _option_warnings(request, model, forecast.thinking_room)
        warnings = dict.fromkeys(choice.warnings + verdict.warnings + _daily_warning(snapshot, tokens) + asked)
        refusal = verdict.refusal
        return Plan(
            request=request,
            model=model,
            routing_reason=choice.reason,
            required_quality=choice.quality,
            emotional_complexity=basis.decision.emotion,
            messages=(*messages(request, model, shape, basis.texts), *basis.forecasts.said),
            shape=shape,
            compression=basis.compression,
            forecast=forecast,
            surge_milli=snapshot.surge_milli,
            nano_per_energy=firewall.nano_per_unit(settings),
            warnings=tuple(warnings),
            degraded=False,
            charge_energy=charge,
            mode=basis.resolved.mode,
            version=snapshot.version,
            decision=basis.decision,
            basis=basis,
            error=refusal.as_json() if refusal else None,
            exit_status=refusal.exit_status if refusal else 0,
        )


def _allowed(decision: Decision, refused: dict[str, str], chosen: str | None) -> Decision:
    """The decision after budgets had their say of the models that came first."""
    if not refused:
        return decision

    def shown(one: Candidate) -> Candidate:
        if one.model in refused:
            return one._replace(verdict="not_allowed", detail=refused[one.model])
        return one._replace(verdict="chosen") if one.model == chosen else one

    return decision._replace(candidates=tuple(shown(one) for one in decision.candidates))


def _option_warnings(request: AIRequest, model: Model, room: int) -> tuple[str, ...]:
    """What to say of options that the model does not take; ``room``: the tokens that are left for its thinking."""
    said = []
    effort, temperature = request.options.effort, request.options.temperature
    if effort not in (None, "none") and not model.reasons:
        said.append(f"{model.name} does not think before it answers: --effort has no effect")
    if temperature is not None:
        refuse = [not place.takes_temperature(temperature, thinking=room > 0) for place in model.places]
        if all(refuse):
            said.append(f"{model.name} takes no temperature but its own: --temperature {temperature:g} is not sent")
        elif any(refuse):
            where = ", ".join(place.name for place, no in zip(model.deployments, refuse, strict=True) if no)
            said.append(f"{model.name} takes no temperature but its own at {where}: {temperature:g} is not sent there")
    return tuple(said)


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
    """What the first document's formula predicts for a plan's request, which `report accuracy` shows beside ours."""
    return predict.formula(plan.request, len(context_text(plan.request)))
