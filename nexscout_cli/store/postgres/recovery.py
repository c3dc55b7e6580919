"""Attempts that nobody looks after, where steps may wait on this machine that end some of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.store.postgres import months
from nexscout_cli.store.sqlite.recovery import SqliteRecovery

if TYPE_CHECKING:
    from nexscout_cli.engine.catalog.recovery_rules import Recovered
    from nexscout_cli.store.postgres.ledger import PostgresLedger
    from nexscout_cli.store.postgres.store import PostgresStore


class PostgresRecovery(SqliteRecovery):
    """Recovery in PostgreSQL."""

    def __init__(self, store: PostgresStore, ledger: PostgresLedger) -> None:
        super().__init__(store)
        self._connections = store.db
        self._ledger = ledger

    def recover(self, actor: str) -> Recovered:
        """Make what waits first: it knows what became of its calls. Then settle what dead processes left behind."""
        self._ledger.make_kept()
        months.make_ahead(self._connections)
        return super().recover(actor)
