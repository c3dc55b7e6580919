"""What an admin does with a model's deployments: add or change one, take one away, point a provider elsewhere. Pure.

Prices are pico-dollars per token.
"""

from __future__ import annotations

from typing import NamedTuple

from nexscout_cli.engine.catalog import endpoints, rules
from nexscout_cli.engine.catalog.comparison import Lookup
from nexscout_cli.engine.catalog.rules import Change
from nexscout_cli.engine.deployment import OWN, Deployment, free_name
from nexscout_cli.engine.model import EMBEDDED_PREFIX, Model
from nexscout_cli.engine.money import usd
from nexscout_cli.errors import UsageError


class Place(NamedTuple):
    """What an admin says of a deployment; None: nothing. ``api_base`` and ``api_key_env`` are "" to be cleared, a limit is 0
    for any number.
    """

    target: str | None = None
    api_base: str | None = None
    api_key_env: str | None = None
    weight: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None
    cool_down: float | None = None
    price_in: int | None = None
    price_out: int | None = None


def deployed(model: Model, name: str | None, said: Place, lookup: Lookup) -> tuple[Model, str, list[str]]:
    """A model after one of its deployments was added or changed; its name, and what should be said of it. Raises UsageError."""
    if model.embedded or (said.target or "").startswith(EMBEDDED_PREFIX):
        raise UsageError("the embedded model runs in this process, and nowhere else", "deploy another one")
    target = said.target or (model.litellm_model if said.api_base else None)
    name = name or _meant(model, target, said)
    before = next((place for place in model.deployments if place.name == name), None)
    if before is not None:
        place, notes = _changed(model, before, said, lookup)
    elif name == OWN and said.target is None and not said.api_base:
        place, notes = _with_limits(Deployment(OWN), said), []
    elif target is None:
        raise UsageError(f"{model.name} has no deployment {name!r} yet", "add --target, for instance azure/gpt-4o")
    else:
        endpoints.check_name(name)
        place, notes = _new(model, name, target, said, lookup)
    if before is None or (place.target, place.api_base) != (before.target, before.api_base):
        model = model.forgetting(name)  # what another place takes is not known
    others = [one for one in model.deployments if one.name != name]
    if not others and before is None and name != OWN and not model.retired:
        others = [Deployment(OWN)]
        notes.append(
            f"{model.litellm_model} stays one of its deployments; `nexscout models undeploy {model.name} {OWN}` ends that"
        )
    places = tuple(sorted((*others, place), key=lambda one: one.name))
    return model._replace(deployments=places, retired=model.retired and name == OWN), name, notes


def undeployed(model: Model, name: str) -> Model:
    """A model without one of its deployments. Raises UsageError."""
    left = tuple(place for place in model.deployments if place.name != name)
    if left == model.deployments:
        have = ", ".join(place.name for place in left)
        raise UsageError(
            f"{model.name} has no deployment {name!r}",
            f"it has {have}" if have else "it is served at its own target alone",
        )
    return model.forgetting(name)._replace(deployments=() if left == (Deployment(OWN),) else left)


def pointed(models: tuple[Model, ...], provider: str, change: Change, lookup: Lookup) -> tuple[list[Model], list[str]]:
    """All models and deployments of a provider at another address; the models that change, and what to say of them.

    ``change.free``: those that cost nothing do so there, too. Raises UsageError where there are none.
    """
    found, notes = [], dict[str, None]()
    for model in models:
        after = model
        if endpoints.owner(model.litellm_model) == provider:
            after, said = rules.changed(model, _for(model, change), lookup)
            notes |= dict.fromkeys(said)
        places = tuple(_pointed(after, place, provider, change, lookup) for place in after.deployments)
        for place, moved in zip(after.deployments, places, strict=True):
            after = after if moved == place else after.forgetting(place.name)
        after = after._replace(deployments=places)
        if after != model:
            found.append(after)
    if not found and not any(
        endpoints.owner(place.litellm_model) == provider for m in models for place in (m, *m.places)
    ):
        known = sorted({endpoints.owner(model.litellm_model) for model in models if not model.embedded})
        raise UsageError(f"no model of the catalog is {provider}'s", f"there are {', '.join(known)}")
    return found, list(notes)


def _for(model: Model, change: Change) -> Change:
    """What a change of many models is for one of them: what costs something does not become free."""
    return change._replace(free=change.free and 0 in (model.price_in, model.price_out))


def _pointed(model: Model, place: Deployment, provider: str, change: Change, lookup: Lookup) -> Deployment:
    if place.target is None or endpoints.owner(place.target) != provider:
        return place
    here = model.at(place)
    after, _ = rules.changed(here, _for(here, change), lookup)
    return place._replace(target=after.litellm_model, api_base=after.api_base, api_key_env=after.api_key_env)


def _meant(model: Model, target: str | None, said: Place) -> str:
    """The name of the deployment that is meant where none is given: the one at that place, else a new one."""
    base = said.api_base or None
    for place in model.deployments:
        if place.target is not None and (place.target, place.api_base) == (target, base):
            return place.name
    return free_name((place.name for place in model.deployments), target, endpoints.provider(target or ""))


def _new(model: Model, name: str, target: str, said: Place, lookup: Lookup) -> tuple[Deployment, list[str]]:
    notes = []
    key = said.api_key_env
    if key is None:
        same = endpoints.provider(target) == endpoints.provider(model.litellm_model)
        key = (model.api_key_env or "") if same else endpoints.key_variable(target)
        notes.append(f"its key is read from {key}" if key else "it is called without a key")
    place = Deployment(name, target, said.api_base or None, key or None)
    place, said_of_it = _priced(model, _with_limits(place, said), said, lookup)
    return place, notes + said_of_it


def _changed(model: Model, before: Deployment, said: Place, lookup: Lookup) -> tuple[Deployment, list[str]]:
    place = _with_limits(before, said)
    moves = said.target is not None or said.api_base is not None or said.api_key_env is not None
    if moves and before.target is None:
        raise UsageError(
            f"{OWN} is served where {model.name} says", f"`nexscout models set {model.name} …` changes that"
        )
    if said.target is not None:
        place = place._replace(target=said.target)
    if said.api_base is not None:
        place = place._replace(api_base=said.api_base or None)
    if said.api_key_env is not None:
        place = place._replace(api_key_env=said.api_key_env or None)
    if place.target != before.target or said.price_in is not None or said.price_out is not None:
        return _priced(model, place, said, lookup)
    return place, []


def _with_limits(place: Deployment, said: Place) -> Deployment:
    return place._replace(
        weight=place.weight if said.weight is None else said.weight,
        rpm=place.rpm if said.rpm is None else said.rpm or None,
        tpm=place.tpm if said.tpm is None else said.tpm or None,
        concurrency=place.concurrency if said.concurrency is None else said.concurrency or None,
        cool_down=place.cool_down if said.cool_down is None else said.cool_down,
    )


def _priced(model: Model, place: Deployment, said: Place, lookup: Lookup) -> tuple[Deployment, list[str]]:
    """A deployment with prices of its own where it has some: those that are said, else the table's."""
    if said.price_in is not None or said.price_out is not None:
        if place.target is not None:
            rules.check_chat(place.target, lookup(place.target))
        here = model.price_in if said.price_in is None else said.price_in
        there = model.price_out if said.price_out is None else said.price_out
        return place._replace(price_in=here, price_out=there, class_prices={}), []
    place = place._replace(price_in=None, price_out=None, class_prices={})
    if place.target is None or place.target == model.litellm_model:
        return place, []
    as_model = f"its price is {model.name}'s; --input-price and --output-price say otherwise"
    listed = lookup(place.target)
    rules.check_chat(place.target, listed)
    if listed is None or not listed.price_in or not listed.price_out:
        return place, [as_model]
    if listed.tiered and (listed.flat_input_tokens is None or listed.flat_input_tokens < model.max_tokens):
        return place, [as_model]
    if (listed.price_in, listed.price_out) == (model.price_in, model.price_out):
        return place, []
    own = place._replace(price_in=listed.price_in, price_out=listed.price_out, class_prices=listed.class_prices)
    return own, [
        f"its own price counts there: ${usd(listed.price_in):f} in, ${usd(listed.price_out):f} out per 1k tokens"
    ]
