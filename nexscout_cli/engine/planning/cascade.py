"""The later steps of a cascade: what is asked where the first answer is doubtful, and whether budgets cover the worst case."""

from __future__ import annotations

from collections.abc import Callable

from nexscout_cli.engine.model import Model
from nexscout_cli.engine.money import dollars
from nexscout_cli.engine.planning.basis import Basis, SecondStep
from nexscout_cli.engine.planning.plan import Cascade, Plan
from nexscout_cli.engine.request import AIRequest
from nexscout_cli.engine.routing import rules
from nexscout_cli.engine.snapshot import Snapshot

MakeOne = Callable[[AIRequest, Snapshot, Basis, Model], Plan]
"""Makes the plan for one model."""


def with_cascade(make: MakeOne, snapshot: Snapshot, basis: Basis, plan: Plan, second: SecondStep) -> Plan:
    """The plan as the first step of a cascade, where budgets cover the worst case of all; else alone, with a warning."""
    from nexscout_cli.engine.answers.second_opinion import chance_of_agreement, pays

    request, above = plan.request, basis._replace(choice=second.strong)
    strong = _after(make, (plan,), request, snapshot, above, second.strong.models[0])
    if strong.error is not None:
        return plan if second.audit else _without(plan, strong)
    alone = plan._replace(cascade=Cascade(strong, second.doubt, second.chance, audit=second.audit))
    if second.other is None:
        return alone
    asked = basis._replace(choice=rules.Choice((second.other,), "cascade_second_opinion", plan.required_quality))
    other = _after(make, (plan,), request, snapshot, asked, second.other)
    if other.error is not None or not pays(second.doubt, second.doubt, other.own_cost, strong.own_cost):
        return alone
    strong = _after(make, (plan, other), request, snapshot, above, strong.model)
    if strong.error is not None:
        return alone
    candidates = tuple(
        one._replace(verdict="opinion", detail="") if one.model == other.model.name else one
        for one in plan.decision.candidates
    )
    return plan._replace(
        cascade=Cascade(strong, second.doubt, second.chance, other, chance_of_agreement(second.doubt)),
        decision=plan.decision._replace(other=other.model.name, candidates=candidates),
    )


def _without(plan: Plan, strong: Plan) -> Plan:
    """The plan alone: the strong model would not be allowed after it."""
    assert strong.error is not None
    why, name = strong.error["message"], strong.model.name
    candidates = tuple(
        one._replace(verdict="not_allowed", detail=why) if one.model == name else one
        for one in plan.decision.candidates
    )
    made = plan.decision._replace(doubt=None, strong=None, candidates=candidates)
    note = f"a doubtful answer would not be sent up to {name}: {why}"
    return plan._replace(warnings=(*plan.warnings, note), decision=made)


def _after(
    make: MakeOne, before: tuple[Plan, ...], request: AIRequest, snapshot: Snapshot, basis: Basis, model: Model
) -> Plan:
    """The plan for ``model`` in a world where the worst case of the steps ``before`` has come."""
    options, paid = request.options, [step for step in before if not step.model.free]
    used = {"usd": sum(s.own_max_cost for s in paid), "tokens": sum(s.max_total_tokens for s in paid)}
    left = None if options.max_cost is None else options.max_cost - used["usd"]
    later = snapshot._replace(
        limits=tuple(limit._replace(left=limit.left - used[limit.unit]) for limit in snapshot.limits),
        energy=snapshot.energy - sum(step.energy_of(step.own_max_cost) for step in before),
    )
    plan = make(request._replace(options=options._replace(max_cost=left)), later, basis, model)
    return within_what_is_left(plan, left)._replace(request=request)


def within_what_is_left(plan: Plan, left: int | None) -> Plan:
    """A later step's plan; a refusal for its cost names the dollars that the steps before leave, not --max-cost."""
    if left is None or plan.error is None or plan.error["code"] != "max_cost":
        return plan
    message = f"the call is predicted to cost ${dollars(plan.own_cost)}; ${dollars(left)} is left for it"
    return plan._replace(error=plan.error | {"message": message})
