"""One actor at a SQLite store, for tests that look into the file."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from nexscout_cli.config import Settings
from nexscout_cli.engine.settlement import Attempt
from nexscout_cli.engine.store_rules import store_rules
from nexscout_cli.store.sqlite.store import SqliteStore
from tests.contract.books import Account, SqliteBooks
from tests.support.clock import SettableClock
from tests.support.steps import EveryoneAvailable, Steps, count

__all__ = ["Bench", "EveryoneAvailable", "count"]


class Bench(Steps):
    """One actor at an open database; the first there is its owner."""

    store: SqliteStore

    def __init__(self, path: Path, actor: str = "ada", clock: SettableClock | None = None, **settings: Any) -> None:
        self.path = path
        clock, values = clock or SettableClock(), Settings().with_values(**settings)
        super().__init__(SqliteStore(path, clock, store_rules(values), actor), actor, clock, values, path)
        self.books = SqliteBooks(path)

    def as_actor(self, name: str, **settings: Any) -> Bench:
        """Another actor at the same database."""
        return Bench(self.path, name, self.clock, **settings)

    def sql(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        return self.store.db.connection.execute(statement, values).fetchall()

    def account(self, owner: str, kind: str = "energy", period: str = "prepaid") -> Account:
        """granted, held, spent."""
        return self.books.account(owner, kind, period)

    def state(self, attempt: Attempt) -> str:
        return next(str(row["state"]) for row in self.books.attempts() if row["id"] == attempt.id)

    def request_state(self, attempt: Attempt) -> str:
        return next(str(row["state"]) for row in self.books.requests() if row["request_id"] == attempt.request_id)

    def damage(self, *statements: str) -> None:
        """Change what the schema's triggers and checks would not let through, as a foreign program could."""
        c = sqlite3.connect(self.path, isolation_level=None)
        c.execute("PRAGMA ignore_check_constraints = ON")
        triggers = [row[0] for row in c.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger'")]
        for (name,) in c.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            c.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            assert c.execute(statement).rowcount != 0, statement
        for trigger in triggers:
            c.execute(trigger)
        c.close()
