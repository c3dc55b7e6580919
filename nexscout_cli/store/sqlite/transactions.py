"""Where transactions come from: an open database whose reads and writes are done in an actor's name."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from nexscout_cli import waiting
from nexscout_cli.engine.names import check_user
from nexscout_cli.store.sqlite.database import Database
from nexscout_cli.store.sqlite.dialect import SQLITE
from nexscout_cli.store.sqlite.transaction import Transaction
from nexscout_cli.store.sqlite.unchanged import Unchanged

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Hashable, Iterator
    from pathlib import Path

    from nexscout_cli.engine.ports import Clock
    from nexscout_cli.engine.store_rules import StoreRules

T = TypeVar("T")


class Transactions:
    """An open database. ``fill`` writes what a new one starts with, in the name of its ``owner``."""

    sql = SQLITE

    def __init__(
        self, path: Path, clock: Clock, rules: StoreRules, owner: str, fill: Callable[[Transaction], None]
    ) -> None:
        check_user(owner)  # before a new database would be theirs
        self.clock = clock
        self.rules = rules
        self._known: dict[str, Any] = {}
        self._kept = Unchanged(self, of_few=True)
        self._files = (str(path), f"{path}-wal")
        self.db = Database(path, rules.lock_timeout)
        self.db.open(lambda c: fill(self._transaction(c, owner)))

    def _transaction(self, connection: sqlite3.Connection, actor: str) -> Transaction:
        transaction = Transaction(connection, actor, self.rules, self.clock, self._known)
        transaction.lessons, transaction.kept = self.db.lessons, self._kept
        return transaction

    @contextmanager
    def read(self, actor: str) -> Iterator[Transaction]:
        """One consistent state of the database, as the actor may see it."""
        with self.db.read() as connection:
            yield self._transaction(connection, actor)

    @contextmanager
    def write(self, actor: str, *, touch: bool = True) -> Iterator[Transaction]:
        """A transaction that holds the writers' queue; committed at the end, rolled back on any exception.

        ``touch``: its time becomes the last seen.
        """
        with self.db.write() as connection:
            transaction = self._transaction(connection, actor)
            if touch:
                transaction.touch()
            yield transaction

    def together(self, actor: str, make: Callable[[Transaction], T], user_id: str = "", proof: object = None) -> T:
        """Commit what ``make`` writes and return its value; what other threads write meanwhile goes into the same commit.

        ``user_id``, whose books it writes, and ``proof`` matter where several write at a time or from afar, as none do here.
        """

        def change(connection: sqlite3.Connection) -> T:
            transaction = self._transaction(connection, actor)
            transaction.touch()
            return make(transaction)

        return self.db.together(change)

    def soon(self, actor: str, make: Callable[[Transaction], object], user_id: str = "", proof: object = None) -> None:
        """As :meth:`together`; a coroutine does not wait for it, and a crash within some milliseconds may lose it."""

        def change(connection: sqlite3.Connection) -> None:
            transaction = self._transaction(connection, actor)
            transaction.touch()
            make(transaction)

        self.db.soon(change)

    def for_many_commits(self) -> None:
        """Make commits cheap, for a process that makes many of them."""
        self.db.log_ahead()

    def commits(self) -> tuple[int, float, int, float]:
        """How many commits this process has made, and the seconds they took; how many of them somebody waited for, and the
        seconds of the whole transactions of those.
        """
        gate = self.db.gate
        return gate.commits, gate.seconds, gate.awaited, gate.awaited_seconds

    def settle(self) -> None:
        """See that all is written that :meth:`soon` was given."""
        if (loop := waiting.here()) is not None:
            self.db.loop_writer(loop).settle(loop)

    def state(self, *, of_few: bool = False) -> Hashable | None:
        """See ``Work.state``. Another process's commit is missed where it falls into the file system's tick of the last one,
        and found by the next one of ours.
        """
        if (watch := self.db.watch) is not None:
            return watch.of_few() if of_few else watch.of_all()
        from nexscout_cli.store.sqlite.watch import looked_at  # a command asks for no state

        return (self.db.gate.commits, *looked_at(self._files))

    def forget(self) -> None:
        """See ``Work.forget``."""
        self._kept.forget()

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return self.db.path

    def flush(self) -> None:
        """See that nothing that was removed stays in the log of changes."""
        self.db.flush_log()

    def close(self) -> None:
        """Close the database."""
        self.db.close()
