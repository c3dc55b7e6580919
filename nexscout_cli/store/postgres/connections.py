"""Connections to the server: opened when they are needed, kept for the next who asks, given up when they broke.

No pool of a library's: a command would wait for its threads, and would not hear why a server can't be reached.
"""

from __future__ import annotations

import os
import time
from collections import deque
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
from psycopg import errors

from nexscout_cli import waiting
from nexscout_cli.errors import NotPermitted, StoreError
from nexscout_cli.store.postgres.records import PostgresRecord, adapt, as_records

if TYPE_CHECKING:
    from nexscout_cli.errors import NexScoutError

SCHEMA_VERSION = 31
UNFINISHED = 1_000_000
"""The schema's number while books are being copied there: every version of the program refuses it."""
MOST = 20
"""Connections that one program has at a time; who wants one more waits."""
_AT_REST = 30.0
"""Seconds after which a connection that was kept is tried before it is used."""
_IDLE = int(psycopg.pq.TransactionStatus.IDLE)
_CONNECT = 10
"""Seconds that a server has to answer, for each of its addresses."""
_ALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 20_000}
"""How soon a server counts as gone that no packet comes from (seconds, milliseconds), where the URL says nothing else."""


# A transaction that its program left alone must not keep everybody's locks.
_SETTINGS = (
    "SELECT pg_backend_pid(), set_config('search_path', 'nexscout, pg_temp', false), set_config('lock_timeout', %s, false), "
    "set_config('idle_in_transaction_session_timeout', '60s', false)"
)


class Connection(psycopg.Connection[PostgresRecord]):
    """One to the server."""

    prepared: dict[bytes, bytes] | None
    """What is prepared in it by ``prepared.py``: statements, and their names; None where it is shared."""


def is_shared(connection: Connection) -> bool:
    """Whether a pool of connections stands between here and the server, which may give each transaction another session: so
    that nothing may be kept in one, neither settings nor prepared statements. Its sessions have other numbers than the server's.
    """
    return connection.prepared is None


class Connections:
    """Connections to one database, at most ``MOST`` at a time. Thread-safe; a forked child opens its own."""

    def __init__(self, url: str, timeout: float) -> None:
        self.url = url
        self.timeout = timeout
        self._begin()
        self.closed = False

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._free: deque[tuple[Connection, float]] = deque()
        # A queue of turns costs a third of a semaphore's time.
        self._room: SimpleQueue[None] = SimpleQueue()
        for _ in range(MOST):
            self._room.put(None)

    def one(self, begin: str = "") -> _One:
        """A connection on which ``begin`` was run, for the time of a ``with``. Raises StoreError where none is to be had within
        the timeout.
        """
        if self._pid != os.getpid():  # the parent goes on talking on those
            self._begin()
        return _One(self, begin)

    def _wait_for_room(self) -> None:
        """Wait for one's turn."""
        try:
            waiting.aside(lambda: self._room.get(timeout=self.timeout))
        except Empty:
            raise StoreError(
                f"all {MOST} connections to the database were busy for {self.timeout:g} seconds",
                "try again; many calls are under way",
                code="busy",
            ) from None

    def _begun(self, begin: str) -> Connection:
        """One that was kept, where it still answers, else a new one."""
        while True:
            try:
                connection, since = self._free.pop()
            except IndexError:
                break
            if not begin and time.monotonic() - since <= _AT_REST:
                return connection
            try:
                waiting.aside(partial(self._start, connection, begin))
            except psycopg.OperationalError:
                connection.close()
            else:
                return connection
        return waiting.aside(lambda: self._new(begin))

    def _new(self, begin: str) -> Connection:
        connection = self.connect()
        if begin:
            self._start(connection, begin)
        return connection

    def _start(self, connection: Connection, begin: str) -> None:
        connection.execute((begin or "SELECT 1").encode())
        if begin:
            self.settle_in(connection)

    def settle_in(self, connection: Connection) -> None:
        """In a transaction that has just begun: settings that are its own where the session is shared with other programs."""
        if is_shared(connection):
            connection.execute(_SETTINGS.replace("false", "true"), self._wait())

    def _wait(self) -> tuple[str]:
        return (f"{round(self.timeout * 1000)}ms",)

    def _clear(self, connection: Connection) -> None:
        """End a transaction that was left open; one that broke ends by itself."""
        if waiting.here() is not None:  # a loop waits for nobody, and a thread to wait in may not be had
            connection.close()
        else:
            with suppress(psycopg.Error):
                connection.rollback()

    def connect(self) -> Connection:
        """A new connection. Raises StoreError."""
        try:
            given = psycopg.conninfo.conninfo_to_dict(self.url)
            alive: dict[str, Any] = {name: value for name, value in _ALIVE.items() if name not in given}
            connection = Connection.connect(
                self.url,
                autocommit=True,
                row_factory=as_records,
                connect_timeout=_CONNECT,
                application_name="nexscout",
                **alive,
            )
            connection.prepared = {}
            adapt(connection)
            row = connection.execute(_SETTINGS, self._wait()).fetchone()
            if row is not None and row[0] != connection.info.backend_pid:
                connection.prepare_threshold = connection.prepared = None
        except (psycopg.ProgrammingError, UnicodeError) as error:
            raise StoreError(  # libpq repeats what it could not read, which may be a password
                "the URL of the database is none that PostgreSQL's library can read",
                "postgresql://USER@HOST:PORT/DATABASE, what is unusual in it percent-encoded",
                code="bad_url",
            ) from (error if "://" not in str(error) else None)
        except psycopg.Error as error:
            raise unusable(error) from error
        return connection

    def close(self) -> None:
        """Close every connection that is not in use."""
        self.closed = True
        while self._free:
            self._free.pop()[0].close()


class _One:
    """A connection for the time of a ``with``. A class, for each call takes two: a generator's context is twice as slow."""

    __slots__ = ("_begin", "_connection", "_place")

    def __init__(self, place: Connections, begin: str) -> None:
        self._place, self._begin = place, begin

    def __enter__(self) -> Connection:
        place = self._place
        try:
            place._room.get(block=False)
        except Empty:
            place._wait_for_room()
        try:
            self._connection = place._begun(self._begin)
        except BaseException:
            place._room.put(None)
            raise
        return self._connection

    def __exit__(self, *_: object) -> None:
        place, connection = self._place, self._connection
        try:
            if connection.pgconn.transaction_status != _IDLE:
                place._clear(connection)
            if place.closed or connection.pgconn.transaction_status != _IDLE:  # it broke
                connection.close()
            else:
                place._free.append((connection, time.monotonic()))
        finally:
            place._room.put(None)


_SCHEMA = """SELECT max(number)::bigint, to_regclass('nexscout.ledger_entries') IS NOT NULL,
    (extract(epoch FROM min(applied_at)) * 1000000)::bigint FROM nexscout.migrations"""


class Schema(NamedTuple):
    """The schema that books have, 0 where there are none; ``books``: what tells them from others, however they are reached."""

    version: int
    books: str = ""


def schema_version(connection: psycopg.Connection[Any]) -> int:
    """The schema the books have; 0 where there are none. Raises as :func:`read_schema` does."""
    return read_schema(connection).version


def read_schema(connection: psycopg.Connection[Any]) -> Schema:
    """The schema the books have. Raises StoreError where a schema of that name is another program's."""
    try:
        row = connection.execute(_SCHEMA).fetchone()
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        return Schema(0)
    except errors.InsufficientPrivilege as error:
        raise unusable(error) from error
    except (psycopg.ProgrammingError, psycopg.DataError) as error:  # a table of that name with other columns
        raise foreign("migrations") from error
    if row is None or row[0] is None:
        return Schema(0)
    if not row[1]:
        raise foreign("migrations")
    return Schema(int(row[0]), f"{row[2]:x}")


def missing(url: str) -> StoreError:
    """What to say of a database without books."""
    return StoreError(
        f"there are no books in the database {psycopg.conninfo.conninfo_to_dict(url).get('dbname', '')} yet",
        "`nexscout db migrate` makes them, and whoever runs it owns them; or check NEXSCOUT_DB",
        code="missing",
    )


def foreign(what: str) -> StoreError:
    """What to say of a schema ``nexscout`` with something in it that is another program's."""
    return StoreError(
        f"the schema nexscout in that database is another program's: it has {what}, and no books",
        "give another database; or rename that schema, if nothing uses it",
        code="foreign_schema",
    )


def present_schema(url: str) -> int | None:
    """The schema of the books at a URL; None where there are none. Raises StoreError."""
    connections = Connections(url, _CONNECT)
    try:
        with connections.one() as connection:
            return schema_version(connection) or None
    finally:
        connections.close()


_NOT_THERE = "see that the server runs; then try again"
_REFUSED = {
    "authentication failed": "check the user and the password in NEXSCOUT_DB",
    "no password supplied": "give the password in NEXSCOUT_DB, in PGPASSWORD, or in ~/.pgpass",
    "role ": "check the user in NEXSCOUT_DB",
    "does not exist": "make the database (createdb), or name another one in NEXSCOUT_DB",
    "no pg_hba.conf entry": "let the server take this user from here (pg_hba.conf)",
}
"""What a server says that does not let one in, and what to do then."""
_BESIDE = ("DETAIL:", "HINT:", "This probably means", "before or while", "Is the server running")
"""How lines begin that say nothing without those before them."""
_NO_ROOM = ("too many connections", "too many clients", "remaining connection slots")


def unusable(error: Exception) -> NexScoutError:
    """What an error of psycopg's means to the user. Neither address nor password is repeated."""
    said = (getattr(getattr(error, "diag", None), "message_primary", None) or str(error)).strip().splitlines()
    told = [line.strip() for line in said if not line.strip().startswith(_BESIDE)]
    text = told[-1].rpartition("FATAL:")[2].strip() if told else type(error).__name__
    match error:
        case errors.InsufficientPrivilege():
            return NotPermitted(f"this database login may not do that: {text}", "docs/postgres.md explains the roles")
        case errors.ReadOnlySqlTransaction():
            return StoreError(
                "the database accepts no writes: it is a replica, or set to read only",
                "point NEXSCOUT_DB at the primary",
                code="read_only",
            )
        case errors.DiskFull():
            return StoreError("no space left at the database", "free some; nothing was lost", code="disk_full")
        case (
            errors.LockNotAvailable()
            | errors.QueryCanceled()
            | errors.DeadlockDetected()
            | errors.SerializationFailure()
        ):
            return StoreError(f"the database was busy: {text}", "try again; another nexscout is at work", code="busy")
        case errors.UndefinedFunction() | errors.UndefinedTable() | errors.UndefinedColumn():
            return StoreError(
                f"another version of nexscout has changed the schema since this one began: {text}",
                "upgrade nexscout, or end it and start it again; `nexscout db check` says more",
                code="newer_schema",
            )
        case errors.TooManyConnections():
            return StoreError("the database has no connection left", "try again, or raise max_connections", code="busy")
        case psycopg.OperationalError() if any(
            words in text for words in _NO_ROOM
        ):  # while connecting there is no number
            return StoreError("the database has no connection left", "try again, or raise max_connections", code="busy")
        case psycopg.OperationalError() | psycopg.InterfaceError():
            what_to_do = next((todo for words, todo in _REFUSED.items() if words in text), _NOT_THERE)
            return StoreError(f"the database cannot be reached: {text}", what_to_do, code="unreachable")
        case _:
            return StoreError(f"the database cannot be used: {text}", "`nexscout db check` says more", code="corrupt")
