"""The model catalog's rows, for those who keep it. What may stand in them is decided by the engine's rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.store.sqlite import models

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nexscout_cli.engine.deployment import Use
    from nexscout_cli.engine.model import Model
    from nexscout_cli.store.sqlite.transaction import Transaction
    from nexscout_cli.store.sqlite.work import Work


class SqliteCatalog:
    """The model catalog. Everyone may read it; admins alone write it."""

    def __init__(self, store: Work) -> None:
        self._store = store

    def models(self, actor: str) -> tuple[Model, ...]:
        """The whole catalog, dearest last."""
        with self._store.read(actor) as t:
            return models.read(t)

    def add(self, actor: str, new: Iterable[Model]) -> list[str]:
        """Write the models whose names are not there yet; returns those names. Raises NotPermitted."""
        with self._store.write(actor) as t:
            _require_admin(t)
            return models.add_missing(t, new)

    def change(self, actor: str, make: Callable[[tuple[Model, ...]], Sequence[Model]]) -> Sequence[Model]:
        """Write the models that ``make`` returns for the catalog as it is, in one transaction; returns them.

        Raises NotPermitted, and what ``make`` raises: then nothing is written.
        """
        with self._store.write(actor) as t:
            _require_admin(t)
            changed = make(models.read(t))
            for model in changed:
                models.put(t, model)
            return changed

    def uses(self, actor: str, model: Model) -> dict[str, Use]:
        """How a model's deployments are used now, by name."""
        from nexscout_cli.store.sqlite import deployments

        with self._store.read(actor) as t:
            return deployments.uses(t, model.name, model.deployments)


def _require_admin(t: Transaction) -> None:
    t.require_admin("change the catalog")
