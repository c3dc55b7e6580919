"""Step 0: the snapshot a plan is made from, from what the store tells, the settings, and which models can be called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.engine.budgets import Budget, Used, budgets, is_drawn_on, kind_of, own_budgets, owners, presses
from nexscout_cli.engine.catalog.surge import surge_milli
from nexscout_cli.engine.planning.predict import input_factor
from nexscout_cli.engine.ports import KnowsPrices
from nexscout_cli.engine.routing.policy import effective_policy
from nexscout_cli.engine.snapshot import Experience, Limit, Snapshot, World
from nexscout_cli.engine.tiers import FIRST_TIER, tier_terms
from nexscout_cli.recent import Recent
from nexscout_cli.terms import MODES

if TYPE_CHECKING:
    from nexscout_cli.config import Settings
    from nexscout_cli.engine.model import Model
    from nexscout_cli.engine.ports import Ledger, Provider
    from nexscout_cli.engine.request import AIRequest

_MONTH = len("2026-11")
_NOTHING = Experience({}, ())
_snapshots: Recent[tuple[tuple[object, ...], Snapshot]] = Recent()
_availability: Recent[tuple[tuple[Model, ...], tuple[frozenset[str], dict[str, str]], tuple[Model, ...]]] = Recent()


def read_snapshot(ledger: Ledger, provider: Provider, settings: Settings, actor: str, request: AIRequest) -> Snapshot:
    """The snapshot for a request. Raises NotPermitted, UsageError where the actor may not act for its user."""
    # Which budgets have a cap does not depend on the tier; how high a user's daily one is does.
    drawn = (*budgets(settings, FIRST_TIER), *own_budgets(request))
    world = ledger.world(actor, request.user_id, request.feature, drawn, owners(request))
    policy = effective_policy(request, world.profile, settings)
    if (added := _unlisted(world, provider, request)) is not None:
        world = world._replace(models=(*world.models, added))
    known = (
        _NOTHING
        if policy == "rules" and not settings["routing.audit"]
        else ledger.experience(actor, request.user_id, request.feature)
    )
    if added is not None or request.options.service_tier is not None:
        return _able(_snapshot(world, known, settings, provider, actor, request), request)
    # What the store tells is the same object while nothing was written: then so is the snapshot.
    parts = (world, known, settings, provider)
    _, same = _snapshots.get(
        (*map(id, parts), actor), lambda: (parts, _snapshot(world, known, settings, provider, actor, request))
    )
    return _able(same, request)


def _able(snapshot: Snapshot, request: AIRequest) -> Snapshot:
    """The snapshot without the models that cannot do what the request asks for."""
    if request.is_plain:
        return snapshot
    from nexscout_cli.engine.abilities import without_the_unable

    available, missing = without_the_unable(snapshot.models, snapshot.available, snapshot.missing, request)
    return snapshot._replace(available=available, missing=missing)


def _snapshot(
    world: World, known: Experience, settings: Settings, provider: Provider, actor: str, request: AIRequest
) -> Snapshot:
    tier, granted = world.subject or (FIRST_TIER, "")
    # The catalog's models are the same object while they are the same; what is kept with them keeps them, and so their id.
    _, (available, missing), models = _availability.get(
        (id(world.models), id(provider)),
        lambda: (world.models, availability(world.models, provider), _callable(world.models, provider)),
    )
    world = world._replace(models=models)
    served = request.options.service_tier
    if served == "batch":
        from nexscout_cli.engine.jobs.world import in_batches

        world, available, missing = in_batches(world, provider, available, missing)
    elif served in ("flex", "priority"):  # from here on the models cost what they cost there
        world = world._replace(models=tuple(model.at_tier(served) or model for model in world.models))
    used = {budget[:3]: gone for budget, gone in world.used.items() if not budget.owner}
    drawn_on = [(budget, used.get(budget[:3], Used(0, 0))) for budget in budgets(settings, tier)]
    own = {budget: gone for budget, gone in world.used.items() if budget.owner and is_drawn_on(budget, tier)}
    drawn_on += own.items()
    return Snapshot(
        now=world.now,
        actor=actor,
        user_id=request.user_id,
        tier=tier,
        is_admin=world.is_admin,
        profile=world.profile,
        energy=world.energy + tier_terms(settings)[tier].due(granted, world.now.isoformat()[:_MONTH]),
        limits=tuple(_limit(budget, gone) for budget, gone in drawn_on if budget.cap is not None),
        panic=world.panic or any(presses(budget, gone) for budget, gone in drawn_on),
        surge_milli=surge_milli(
            0 if request.options.service_tier == "batch" else world.load, settings["surge.capacity"]
        ),
        models=world.models,
        available=available,
        missing=missing,
        input_factors={name: input_factor(*seen) for name, seen in world.input_factors.items()},
        output_lengths=world.output_lengths,
        tokens_today=next((gone.spent for budget, gone in drawn_on if budget.is_daily_tokens), 0),
        version=world.version,
        verdicts=known.verdicts,
        doubts=known.doubts,
        thinking=world.thinking,
        own_budgets=tuple(own),
    )


def _unlisted(world: World, provider: Provider, request: AIRequest) -> Model | None:
    """The model that an admin's request names where the catalog does not have it, and a table of prices does."""
    name = request.options.force_model
    if not name or not world.is_admin or name in MODES or any(model.name == name for model in world.models):
        return None
    if not isinstance(provider, KnowsPrices):
        return None
    from nexscout_cli.engine.catalog.unlisted import unlisted

    return unlisted(name, provider.listed, world.models)


def _limit(budget: Budget, used: Used) -> Limit:
    assert budget.cap is not None
    return Limit(budget.unit, kind_of(budget), budget.window, budget.cap, budget.cap - used.all)


def availability(catalog: tuple[Model, ...], provider: Provider) -> tuple[frozenset[str], dict[str, str]]:
    """The names that can be called now, and what is missing for the others; a retired name is neither."""
    missing = {}
    for model in catalog:
        if not model.enabled:
            missing[model.name] = f"it is disabled; `nexscout models enable {model.name}` brings it back"
        elif reason := _missing(model, provider):
            missing[model.name] = reason
    return frozenset(m.name for m in catalog if m.name not in missing and not m.retired), missing


def _missing(model: Model, provider: Provider) -> str | None:
    """What a model lacks to be called; nothing where one of its deployments can be."""
    reasons = [provider.available(place) for place in model.places]
    return None if None in reasons else reasons[0]


def _callable(catalog: tuple[Model, ...], provider: Provider) -> tuple[Model, ...]:
    """The catalog with those deployments alone that can be called now."""
    if not any(model.deployments for model in catalog):
        return catalog
    found = []
    for model in catalog:
        places = [place for place in model.deployments if provider.available(model.at(place)) is None]
        found.append(model._replace(deployments=tuple(places)) if places else model)
    return tuple(found)
