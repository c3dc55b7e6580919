"""The store in one SQLite file."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from nexscout_cli.store.sqlite.books import Books, fill
from nexscout_cli.store.sqlite.transactions import Transactions

if TYPE_CHECKING:
    from pathlib import Path

    from nexscout_cli.engine.ports import Clock
    from nexscout_cli.engine.store_rules import StoreRules
    from nexscout_cli.store.sqlite.maintenance import SqliteMaintenance
    from nexscout_cli.store.sqlite.work import Work


class SqliteStore(Transactions, Books):
    """An open database and its books. Who opens a new one first owns it: admin, tier elite."""

    lets_others_go_on = True
    take_request = None

    def __init__(self, path: Path, clock: Clock, rules: StoreRules, owner: str) -> None:
        super().__init__(path, clock, rules, owner, fill)

    @property
    def _work(self) -> Work:
        return self

    @cached_property
    def maintenance(self) -> SqliteMaintenance:
        """Checking and copying the whole database."""
        from nexscout_cli.store.sqlite.maintenance import SqliteMaintenance

        return SqliteMaintenance(self)
