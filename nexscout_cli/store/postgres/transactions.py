"""Where transactions come from.

Two kinds write. What many do at a time, the steps of a call, takes the lock on all books together with others, and the one on
its user's books alone; what is shared among users it changes by single statements or under row locks, in one order: accounts
by id and the installation's last, sums, what is learned. Everything else has all books alone, as in SQLite.
"""

from __future__ import annotations

import random
import time
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg import errors

from nexscout_cli import waiting
from nexscout_cli.engine.names import check_user
from nexscout_cli.errors import StoreError
from nexscout_cli.store.postgres.asking import asked
from nexscout_cli.store.postgres.connections import (
    MOST,
    SCHEMA_VERSION,
    UNFINISHED,
    Connections,
    missing,
    read_schema,
    unusable,
)
from nexscout_cli.store.postgres.groups import NO_PLAIN_CASE, may_be_made
from nexscout_cli.store.postgres.light import LightTransaction
from nexscout_cli.store.postgres.transaction import NeedsAllBooks, PostgresTransaction
from nexscout_cli.store.sqlite.dialect import POSTGRES
from nexscout_cli.store.sqlite.states import elsewhere

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nexscout_cli.engine.ports import Clock
    from nexscout_cli.engine.store_rules import StoreRules
    from nexscout_cli.store.postgres.connections import Connection
    from nexscout_cli.store.sqlite.transaction import Transaction
    from nexscout_cli.store.sqlite.work import Proof

T = TypeVar("T")
_TRIES = 6
"""How often a transaction is begun that the server gave up for another's sake, or whose connection broke before its commit."""
_PAUSE = 0.1
"""Seconds between two tries to reach a server that is gone, for as long as a writer waits at most."""
_AGAIN = (errors.DeadlockDetected, errors.SerializationFailure)
_MAY_BE_MADE, _LOOK = "the database went away during a commit, which may have been made", "look before you do it again"


class CommitUnsureError(StoreError):
    """The connection broke while a commit was under way. (The transaction's number would not tell: after a crash of the
    server another one may have it.)
    """

    code = "unsure"


class PostgresTransactions:
    """A database on a server. ``fill`` writes what new books start with, in the name of their ``owner``; None: none are made.

    ``clock`` None: the server's, which all programs share.
    """

    sql = POSTGRES

    def __init__(
        self, url: str, clock: Clock | None, rules: StoreRules, owner: str, fill: Callable[[Transaction], None] | None
    ) -> None:
        check_user(owner)  # before new books would be theirs
        self.own_clock = clock
        self.rules = rules
        self._known: dict[str, Any] = {}
        self.db = Connections(url, rules.lock_timeout)
        with self.db.one() as connection:
            self._prepare(connection, owner, fill)

    def _prepare(self, connection: Connection, owner: str, fill: Callable[[Transaction], None] | None) -> None:
        try:
            version, self.books = read_schema(connection)
            if version == UNFINISHED:
                raise StoreError(
                    "these books are a copy that is not finished",
                    "run the same `nexscout db copy` again",
                    code="unfinished",
                )
            if version > SCHEMA_VERSION:
                raise StoreError(
                    f"the books were written by a newer nexscout (schema {version}, this one knows {SCHEMA_VERSION})",
                    "upgrade nexscout",
                    code="newer_schema",
                )
            if version == 0 and fill is None:
                raise missing(self.db.url)
            if version < SCHEMA_VERSION:
                from nexscout_cli.store.postgres.schema import migrate

                migrate(connection, lambda: fill and fill(self._transaction(connection, owner, is_alone=True)))
                self.books = read_schema(connection).books
        except psycopg.Error as error:
            raise unusable(error) from error

    @cached_property
    def clock(self) -> Clock:
        """The clock that pauses are measured with."""
        if self.own_clock is None:
            from nexscout_cli.store.postgres.clock import ServerClock

            return ServerClock(self.db)
        return self.own_clock

    def _transaction(self, connection: Connection, actor: str, *, is_alone: bool = False) -> PostgresTransaction:
        return PostgresTransaction(connection, actor, self.rules, self.own_clock, self._known, is_alone=is_alone)

    @contextmanager
    def read(self, actor: str) -> Iterator[Transaction]:
        """One consistent state of the database, as the actor may see it."""
        if waiting.here() is not None:  # others go on meanwhile
            with self.read_lightly(actor) as transaction:
                yield transaction
            return
        try:
            with self.db.one("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY") as connection:
                yield self._transaction(connection, actor)
                connection.execute("COMMIT")
        except psycopg.Error as error:
            raise unusable(error) from error

    @contextmanager
    def read_lightly(self, actor: str) -> Iterator[LightTransaction]:
        """The same for statements whose values have plain types, in a thread that nobody interrupts. Raises Unfit for others."""
        try:
            with self.db.one() as connection:
                transaction = LightTransaction(connection, actor, self.rules, self.own_clock, self._known)
                transaction.begin_reading()
                yield transaction
                transaction.end_reading()
        except psycopg.Error as error:
            raise unusable(error) from error

    @contextmanager
    def write(self, actor: str, *, touch: bool = True) -> Iterator[Transaction]:
        """A transaction that has all books to itself; committed at the end, rolled back on any exception.

        ``touch``: remember the time as last seen.
        """
        try:
            with (
                self.db.one("BEGIN") as connection,
                self._written(connection, actor, None, touch=touch, begun=True) as transaction,
            ):
                yield transaction
        except psycopg.Error as error:
            raise unusable(error) from error

    @contextmanager
    def leave(self, actor: str) -> Iterator[Transaction]:
        """A transaction that sees one state of the books and may remove rows of it, beside all that write: where one of them
        changes such a row it fails. Committed at the end, rolled back on any exception.
        """
        try:
            with self.db.one("BEGIN ISOLATION LEVEL REPEATABLE READ") as connection:
                connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                yield self._transaction(connection, actor)
                connection.execute("COMMIT")
        except psycopg.Error as error:
            raise unusable(error) from error

    @contextmanager
    def _written(
        self, connection: Connection, actor: str, user_id: str | None, *, touch: bool = True, begun: bool = False
    ) -> Iterator[PostgresTransaction]:
        """What happens between BEGIN and COMMIT. Statements are sent one after the other; only where the books look at what
        one came to is it waited for. So a rule that one broke may come to light at a later one.
        """
        committing = False
        try:
            with connection.pipeline():
                if not begun:
                    connection.execute("BEGIN")
                    self.db.settle_in(connection)
                transaction = self._transaction(connection, actor)
                transaction.begin(user_id)
                if touch:
                    transaction.touch()
                yield transaction
                committing = True
                self._commit(connection)
        except BaseException as error:
            if committing and connection.closed and isinstance(error, psycopg.OperationalError):
                raise CommitUnsureError(_MAY_BE_MADE, _LOOK) from error
            if not connection.closed:
                connection.rollback()
            if isinstance(error, errors.CheckViolation) and "cannot change" in str(error):
                raise elsewhere("the attempt") from error
            raise

    def _commit(self, connection: Connection) -> None:
        with connection.pipeline():  # to leave it is to wait for it, and for all that was sent before
            connection.execute("COMMIT")

    def state(self, *, of_few: bool = False) -> None:
        """See ``Work.state``: others commit unseen."""

    def forget(self) -> None:
        """Nothing is kept."""

    def for_many_commits(self) -> None:
        """Nothing is to be done."""

    def commits(self) -> None:
        """They are not counted."""

    def settle(self) -> None:
        """Nothing is left to be written later."""

    def soon(
        self, actor: str, make: Callable[[Transaction], None], user_id: str = "", proof: Proof[None] | None = None
    ) -> None:
        """As :meth:`together`."""
        self.together(actor, make, user_id, proof)

    def together(
        self, actor: str, make: Callable[[Transaction], T], user_id: str = "", proof: Proof[T] | None = None
    ) -> T:
        """Commit what ``make`` writes to a user's books and return its value, while others write to other users'.

        What the server gave up to let another transaction on, and what a broken connection cut short, is made again. Where
        the commit may have been made, ``proof`` is looked for first, when whatever is left of that transaction has ended.
        """
        return waiting.aside(lambda: self._together(actor, make, user_id, proof))

    def _together(self, actor: str, make: Callable[[Transaction], T], user_id: str, proof: Proof[T] | None) -> T:
        whose: str | None = user_id
        unsure: list[T] = []

        def once(_: float | None) -> T:
            nonlocal whose, unsure
            made: list[T] = []
            try:
                with self.db.one() as connection, self._written(connection, actor, whose) as transaction:
                    if unsure and proof is not None and transaction.execute(*proof(unsure[0])).fetchone():
                        return unsure[0]
                    made.append(make(transaction))
            except NeedsAllBooks:
                whose = None
                return once(None)
            except CommitUnsureError:
                unsure = made
                raise
            return made[0]

        return self._tried(once)

    def ask(self, function: str, value: dict[str, Any]) -> Any:
        """What a function tells that is a transaction of its own; :data:`NO_PLAIN_CASE` where it leaves the case.

        What the server gave up, and what a broken connection cut short, is asked again: then ``within`` tells the function how
        many seconds ago an earlier try was made that may have been committed.
        """

        def once(within: float | None) -> Any:
            with self.db.one() as connection:
                try:
                    return asked(connection, function, value if within is None else value | {"within": within})
                except (psycopg.DataError, UnicodeError, ValueError):  # the general code says what is odd
                    return NO_PLAIN_CASE
                except psycopg.Error as error:
                    if error.sqlstate == NO_PLAIN_CASE:
                        return NO_PLAIN_CASE
                    if may_be_made(error):
                        raise CommitUnsureError(_MAY_BE_MADE, _LOOK) from error
                    raise

        return waiting.aside(lambda: self._tried(once))

    def _tried(self, once: Callable[[float | None], T]) -> T:
        """What ``once`` returns, at the first try that nothing outside of it foils. It is told how many seconds ago an earlier
        one began that may have been committed.
        """
        tried, begun = 0, time.monotonic()
        end = begun + self.rules.lock_timeout
        unsure: CommitUnsureError | None = None
        while True:
            tried += 1
            try:
                return once(time.monotonic() - begun if unsure else None)
            except CommitUnsureError as error:
                if time.monotonic() > end:
                    raise
                unsure = error
            except _AGAIN as error:
                if tried >= _TRIES:
                    raise unusable(error) from error
                time.sleep(random.uniform(0, 0.02 * tried))
            except (psycopg.Error, StoreError) as error:
                told = error if isinstance(error, StoreError) else unusable(error)
                passes = told.code == "unreachable" or (
                    told is error and told.code == "busy"
                )  # no connection was to be had
                if not passes or time.monotonic() > end:
                    raise unsure if passes and unsure else told from error
                if (
                    tried > MOST
                ):  # a connection that was kept may have broken long ago; after those, it may be starting anew
                    time.sleep(_PAUSE)

    def flush(self) -> None:
        """Nothing to do: what was removed leaves the tables with the next vacuum."""

    def close(self) -> None:
        """Close the connections."""
        self.db.close()
