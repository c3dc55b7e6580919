"""Attempts that nobody looks after, each decision about them one function in the database: one round trip, one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nexscout_cli.errors import StoreError
from nexscout_cli.store.postgres import months
from nexscout_cli.store.postgres.groups import NO_PLAIN_CASE
from nexscout_cli.store.sqlite import log
from nexscout_cli.store.sqlite.recovery import SqliteRecovery, to_decide
from nexscout_cli.store.sqlite.transaction import stamp

if TYPE_CHECKING:
    from nexscout_cli.engine.catalog.recovery_rules import Recovered as Counted
    from nexscout_cli.store.postgres.ledger import PostgresLedger
    from nexscout_cli.store.postgres.transactions import PostgresTransactions
    from nexscout_cli.store.sqlite.recovery import LeftBehind

_TRIES = 3


class PostgresRecovery(SqliteRecovery):
    """Recovery in PostgreSQL."""

    def __init__(self, store: PostgresTransactions, ledger: PostgresLedger) -> None:
        super().__init__(store)
        self._store: PostgresTransactions = store
        self._ledger = ledger

    def recover(self, actor: str) -> Counted:
        """Make what waits first: it knows what became of its calls. Then settle what dead processes left behind."""
        self._ledger.make_kept()
        months.make_ahead(self._store.db)
        counted = last = super().recover(actor)
        for _ in range(_TRIES):
            if not any(last):
                break
            # To settle waits for all steps that were under way when this looked: what dead programs' came to is seen now.
            last = super().recover(actor)
            counted = type(last)(*map(sum, zip(counted, last, strict=True)))
        return counted

    def _settle(self, actor: str, left: LeftBehind, /) -> Counted:
        from nexscout_cli.engine.catalog.recovery_rules import Recovered

        counted = self._store.ask(
            "recover",
            self._asked_by(actor)
            | {
                "left": [(row["id"], row["request_id"], row["state"], fate) for row, fate in left.attempts],
                "abandoned": [row["request_id"] for row in left.abandoned],
                "keys_kept": self._store.rules.ageing.keys_kept.total_seconds(),
            },
        )
        return Recovered(**counted)

    def resolve(self, actor: str, request_id: str, cost: int | None, *, beyond_hold: bool = False) -> int:
        """Decide a request's unknown attempts. Where the answer to a try was lost, what that one has done counts."""
        decision = self._asked_by(actor) | {
            "request": request_id,
            "past": log.past(request_id),
            "least": log.MIN_PREFIX,
            "cost": cost,
            "beyond_hold": beyond_hold,
        }
        for _ in range(_TRIES):
            told = self._store.ask("resolve", decision)
            if told != NO_PLAIN_CASE:
                return int(told)
            with self._store.read(actor) as t:  # says what is wrong, if it still is
                to_decide(t, request_id, cost, beyond_hold=beyond_hold)
        raise StoreError(
            f"what is known of {request_id} cannot be read", "`nexscout db check` says more", code="corrupt"
        )

    def _asked_by(self, actor: str) -> dict[str, Any]:
        clock = self._store.own_clock
        return {"actor": actor} if clock is None else {"actor": actor, "now": stamp(clock.now())}
