"""What an admin does with the catalog: rules and rows brought together, each in one transaction of the store."""

from __future__ import annotations

from collections.abc import Iterable

from nexscout_cli.engine.catalog import rules
from nexscout_cli.engine.catalog.comparison import Difference, Lookup, difference
from nexscout_cli.engine.catalog.rules import Change
from nexscout_cli.engine.catalog.seed import seeded
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.store_ports import Catalog


def seed(catalog: Catalog, actor: str, more: Iterable[Model], *, dry_run: bool = False) -> list[str]:
    """Write the seeded models and ``more`` where missing; returns their names. Admins only, but for a dry run."""
    wanted = [*seeded(), *more]
    if not dry_run:
        return catalog.add(actor, wanted)
    have = {model.name for model in catalog.models(actor)}
    return [model.name for model in wanted if model.name not in have]


def add(catalog: Catalog, actor: str, name: str, change: Change, lookup: Lookup) -> tuple[Model, list[str]]:
    """Add a model; returns it with what should be said of it. Admins only. Raises NotPermitted, UsageError."""
    model, notes = rules.new_model(name, change, lookup)

    def make(models: tuple[Model, ...]) -> list[Model]:
        rules.check_new(models, name)
        return [model]

    catalog.change(actor, make)
    return model, notes


def change(catalog: Catalog, actor: str, name: str, change: Change, lookup: Lookup) -> tuple[Model, list[str]]:
    """Change a model; returns it with what should be said of it. Admins only. Raises NotPermitted, UsageError."""
    after: list[tuple[Model, list[str]]] = []

    def make(models: tuple[Model, ...]) -> list[Model]:
        before = rules.find(models, name)
        after.append(rules.changed(before, change, lookup))
        model = after[-1][0]
        return [] if model == before else [model]

    catalog.change(actor, make)
    return after[-1]


def enable(catalog: Catalog, actor: str, name: str, on: bool) -> Model:
    """Let a model be used, or keep it from being used. Admins only. Raises NotPermitted, UsageError."""
    return catalog.change(actor, lambda models: [rules.find(models, name)._replace(enabled=on)])[0]


def sync(catalog: Catalog, actor: str, lookup: Lookup, *, apply: bool) -> list[Difference]:
    """Every model beside its provider's price; ``apply`` adopts price and window where they differ (admins)."""
    if not apply:
        return [difference(model, lookup) for model in catalog.models(actor)]
    found: list[Difference] = []

    def make(models: tuple[Model, ...]) -> list[Model]:
        found[:] = [difference(model, lookup) for model in models]
        return [model for one in found if (model := one.adopted())]

    catalog.change(actor, make)
    return [one._replace(applied=one.adopted() is not None) for one in found]
