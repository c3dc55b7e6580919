"""Where transactions come from.

Two kinds write. What many do at a time, the steps of a call, takes the lock on all books together with others, and the one on
its user's books alone; what is shared among users it changes by single statements or under row locks, in one order: accounts
by id and the installation's last, sums, what is learned. Everything else has all books alone, as in SQLite.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg import errors

from nexscout_cli.engine.names import check_user
from nexscout_cli.errors import StoreError
from nexscout_cli.store.postgres.connections import SCHEMA_VERSION, Connections, schema_version, unusable
from nexscout_cli.store.postgres.transaction import NeedsAllBooks, PostgresTransaction
from nexscout_cli.store.sqlite.dialect import POSTGRES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nexscout_cli.engine.ports import Clock
    from nexscout_cli.engine.store_rules import StoreRules
    from nexscout_cli.store.postgres.connections import Connection
    from nexscout_cli.store.sqlite.transaction import Transaction

T = TypeVar("T")
_TRIES = 6
"""How often a transaction is begun that the server gave up for another's sake, or whose connection broke before its commit."""
_AGAIN = (errors.DeadlockDetected, errors.SerializationFailure)


class PostgresTransactions:
    """A database on a server. ``fill`` writes what new books start with, in the name of their ``owner``.

    ``clock`` None: the server's, which all programs share.
    """

    sql = POSTGRES

    def __init__(
        self, url: str, clock: Clock | None, rules: StoreRules, owner: str, fill: Callable[[Transaction], None]
    ) -> None:
        check_user(owner)  # before new books would be theirs
        self._clock = clock
        self.rules = rules
        self._known: dict[str, Any] = {}
        self.db = Connections(url, rules.lock_timeout)
        with self.db.one() as connection:
            self._prepare(connection, owner, fill)

    def _prepare(self, connection: Connection, owner: str, fill: Callable[[Transaction], None]) -> None:
        try:
            version = schema_version(connection)
            if version > SCHEMA_VERSION:
                raise StoreError(
                    f"the books were written by a newer nexscout (schema {version}, this one knows {SCHEMA_VERSION})",
                    "upgrade nexscout",
                    code="newer_schema",
                )
            if version < SCHEMA_VERSION:
                from nexscout_cli.store.postgres.schema import migrate

                migrate(connection, lambda: fill(self._transaction(connection, owner, is_alone=True)))
        except psycopg.Error as error:
            raise unusable(error) from error

    @property
    def clock(self) -> Clock:
        """The clock that pauses are measured with."""
        if self._clock is None:
            from nexscout_cli.store.postgres.clock import ServerClock

            return ServerClock(self.db)
        return self._clock

    def _transaction(self, connection: Connection, actor: str, *, is_alone: bool = False) -> PostgresTransaction:
        return PostgresTransaction(connection, actor, self.rules, self._clock, self._known, is_alone=is_alone)

    @contextmanager
    def read(self, actor: str) -> Iterator[Transaction]:
        """One consistent state of the database, as the actor may see it."""
        with self.db.one() as connection:
            try:
                connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                yield self._transaction(connection, actor)
                connection.execute("COMMIT")
            except psycopg.Error as error:
                raise unusable(error) from error

    @contextmanager
    def write(self, actor: str) -> Iterator[Transaction]:
        """A transaction that has all books to itself; committed at the end, rolled back on any exception."""
        with self.db.one() as connection:
            try:
                with self._written(connection, actor, None) as transaction:
                    yield transaction
            except psycopg.Error as error:
                raise unusable(error) from error

    @contextmanager
    def _written(self, connection: Connection, actor: str, user_id: str | None) -> Iterator[PostgresTransaction]:
        connection.execute("BEGIN")
        try:
            transaction = self._transaction(connection, actor)
            transaction.begin(user_id)
            transaction.touch()
            yield transaction
        except BaseException:
            if not connection.closed and not connection.broken:
                connection.rollback()
            raise
        self._commit(connection)

    def _commit(self, connection: Connection) -> None:
        connection.execute("COMMIT")

    def together(self, actor: str, make: Callable[[Transaction], T], user_id: str = "") -> T:
        """Commit what ``make`` writes to a user's books and return its value, while others write to other users'.

        What the server gave up to let another transaction on, and what a broken connection cut short before the commit, is
        made again. Of a commit whose outcome did not arrive the server is asked.
        """
        whose: str | None = user_id
        tried = 0
        while True:
            tried += 1
            try:
                return self._once(actor, make, whose)
            except NeedsAllBooks:
                whose = None
            except _AGAIN as error:
                if tried >= _TRIES:
                    raise unusable(error) from error
                self.clock.sleep(random.uniform(0, 0.02 * tried))
            except psycopg.Error as error:
                raise unusable(error) from error

    def _once(self, actor: str, make: Callable[[Transaction], T], user_id: str | None) -> T:
        with self.db.one() as connection, self._written(connection, actor, user_id) as transaction:
            return make(transaction)

    def flush(self) -> None:
        """Nothing to do: what was removed leaves the tables with the next vacuum."""

    def close(self) -> None:
        """Close the connections."""
        self.db.close()
