"""The world of a request that is answered later: which models have a batch interface, and what they cost there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.engine.jobs.prices import in_a_batch
from nexscout_cli.engine.jobs.remote import AnswersLater
from nexscout_cli.engine.ports import KnowsPrices

if TYPE_CHECKING:
    from nexscout_cli.engine.model import Model
    from nexscout_cli.engine.ports import Provider
    from nexscout_cli.engine.snapshot import World

_NONE = "its provider has no batch interface that we know"


def in_batches(
    world: World, provider: Provider, available: frozenset[str], missing: dict[str, str]
) -> tuple[World, frozenset[str], dict[str, str]]:
    """The world with prices in a batch, and what can be called there."""
    models, lacking = [], dict(missing)
    for model in world.models:
        served = isinstance(provider, AnswersLater) and provider.remote(model) is not None
        if not served:
            lacking[model.name] = _NONE
        models.append(in_a_batch(model, _listed(model, provider)) if served else model)
    able = frozenset(name for name in available if name not in lacking)
    return world._replace(models=tuple(models)), able, lacking


def _listed(model: Model, provider: Provider) -> dict[str, int] | None:
    """The table's prices in a batch, where it has the very prices that the model has."""
    if not isinstance(provider, KnowsPrices):
        return None
    found = provider.listed(model.litellm_model)
    if found is None or (found.price_in, found.price_out) != (model.price_in, model.price_out):
        return None
    return found.batch
