"""The store in PostgreSQL: the same books as in SQLite, over transactions of many at a time."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from nexscout_cli.store.postgres.transactions import PostgresTransactions
from nexscout_cli.store.sqlite.books import Books, fill

if TYPE_CHECKING:
    from pathlib import Path

    from nexscout_cli.engine.ports import Clock
    from nexscout_cli.engine.store_rules import StoreRules
    from nexscout_cli.store.postgres.ledger import PostgresLedger
    from nexscout_cli.store.postgres.maintenance import PostgresMaintenance
    from nexscout_cli.store.postgres.recovery import PostgresRecovery
    from nexscout_cli.store.sqlite.work import Work


class PostgresStore(PostgresTransactions, Books):
    """Books on a server. Who opens a database without books first owns them: admin, tier elite.

    ``makes`` False: it is an error where there are none. ``kept_in``: the folder in which steps wait that are due while the
    server is away; None: they are told as failed alone.
    """

    lets_others_go_on = True

    def __init__(
        self,
        url: str,
        clock: Clock | None,
        rules: StoreRules,
        owner: str,
        kept_in: Path | None = None,
        *,
        makes: bool = True,
    ) -> None:
        super().__init__(url, clock, rules, owner, fill if makes else None)
        self._kept_in = kept_in

    @property
    def _work(self) -> Work:
        return self

    @cached_property
    def ledger(self) -> PostgresLedger:
        """The books of calls."""
        from nexscout_cli.store.postgres.journal import Journal
        from nexscout_cli.store.postgres.ledger import PostgresLedger

        return PostgresLedger(self, Journal(self._kept_in, self.books))

    def take_request(self, key: str, limit: int) -> float | None:
        """See ``engine/store_ports.py``."""
        with self.db.one() as connection:
            row = connection.execute("SELECT nexscout.take_request(%s, %s)", (key, limit)).fetchone()
        assert row is not None
        return None if row[0] is None else float(row[0])

    def close(self) -> None:
        """Close the connections, and tell no more that this process lives."""
        if "ledger" in self.__dict__:
            self.ledger.pulse.end()
        super().close()

    @cached_property
    def recovery(self) -> PostgresRecovery:
        """What dead processes left behind, attempts of unknown outcome, and steps that wait on this machine."""
        from nexscout_cli.store.postgres.recovery import PostgresRecovery

        return PostgresRecovery(self, self.ledger)

    @cached_property
    def maintenance(self) -> PostgresMaintenance:
        """Checking and copying all books."""
        from nexscout_cli.store.postgres.maintenance import PostgresMaintenance

        return PostgresMaintenance(self)
