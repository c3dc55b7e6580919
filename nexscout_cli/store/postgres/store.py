"""The store in PostgreSQL: the same books as in SQLite, over transactions of many at a time."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from nexscout_cli.store.postgres.transactions import PostgresTransactions
from nexscout_cli.store.sqlite.books import Books, fill

if TYPE_CHECKING:
    from nexscout_cli.engine.ports import Clock
    from nexscout_cli.engine.store_rules import StoreRules
    from nexscout_cli.store.postgres.ledger import PostgresLedger
    from nexscout_cli.store.postgres.maintenance import PostgresMaintenance
    from nexscout_cli.store.sqlite.work import Work


class PostgresStore(PostgresTransactions, Books):
    """Books on a server. Who opens a database without books first owns them: admin, tier elite."""

    lets_others_go_on = False

    def __init__(self, url: str, clock: Clock | None, rules: StoreRules, owner: str) -> None:
        super().__init__(url, clock, rules, owner, fill)

    @property
    def _work(self) -> Work:
        return self

    @cached_property
    def ledger(self) -> PostgresLedger:
        """The books of calls."""
        from nexscout_cli.store.postgres.ledger import PostgresLedger

        return PostgresLedger(self)

    @cached_property
    def maintenance(self) -> PostgresMaintenance:
        """Checking and copying all books."""
        from nexscout_cli.store.postgres.maintenance import PostgresMaintenance

        return PostgresMaintenance(self)
