"""What an admin does with the catalog: rules and rows brought together, each in one transaction of the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nexscout_cli.engine.catalog import deploying, rules
from nexscout_cli.engine.catalog.comparison import Difference, Lookup, difference
from nexscout_cli.engine.catalog.deploying import Place
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


def deploy(
    catalog: Catalog, actor: str, model: str, name: str | None, said: Place, lookup: Lookup
) -> tuple[Model, str, list[str]]:
    """Add or change a model's deployment; returns the model, the deployment's name and what should be said of it. Admins only.

    Raises NotPermitted, UsageError.
    """
    after: list[tuple[Model, str, list[str]]] = []

    def make(models: tuple[Model, ...]) -> list[Model]:
        before = rules.find(models, model)
        after.append(deploying.deployed(before, name, said, lookup))
        return [] if after[-1][0] == before else [after[-1][0]]

    catalog.change(actor, make)
    return after[-1]


def undeploy(catalog: Catalog, actor: str, model: str, name: str) -> Model:
    """Take one of a model's deployments away. Admins only. Raises NotPermitted, UsageError."""
    return catalog.change(actor, lambda models: [deploying.undeployed(rules.find(models, model), name)])[0]


def point(
    catalog: Catalog, actor: str, provider: str, change: Change, lookup: Lookup
) -> tuple[Sequence[Model], list[str]]:
    """Point all of a provider's models and deployments at another address; returns those that changed, and what to say.

    Admins only. Raises NotPermitted, UsageError.
    """
    notes: list[str] = []

    def make(models: tuple[Model, ...]) -> list[Model]:
        found, said = deploying.pointed(models, provider, change, lookup)
        notes.extend(said)
        return found

    return catalog.change(actor, make), notes
