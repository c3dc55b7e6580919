"""One transaction of one actor in PostgreSQL."""

from __future__ import annotations

import zlib
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg

from nexscout_cli.store import owner
from nexscout_cli.store.postgres.pulse import SILENCE
from nexscout_cli.store.postgres.records import Pending, bound, json_without_nul, storable
from nexscout_cli.store.sqlite.dialect import POSTGRES
from nexscout_cli.store.sqlite.transaction import Transaction, parse_stamp, stamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from nexscout_cli.engine.ports import Clock
    from nexscout_cli.engine.store_rules import StoreRules
    from nexscout_cli.store.postgres.connections import Connection
    from nexscout_cli.store.postgres.records import PostgresRecord
    from nexscout_cli.store.sqlite.records import Record, Results

_AT_A_TIME = 2_000
"""Rows of a long query that are asked for at a time."""
BOOKS, USER, OTHER = 0x6E78_0002, 0x6E78_0003, 0x6E78_0004
"""The kinds of advisory locks: on all books, on one user's, on something named. They are taken in this order."""
TIME = "value, clock_timestamp() FROM meta WHERE key = 'last_seen'"
# Worked out from left to right: first the locks, then the time.
_ALONE = f"SELECT pg_advisory_xact_lock({BOOKS}, 0), {TIME}"
_BESIDE = f"SELECT pg_advisory_xact_lock_shared({BOOKS}, 0), pg_advisory_xact_lock({USER}, %s), {TIME}"
_TOUCH = """UPDATE meta SET value = %s WHERE key = (
    SELECT key FROM meta WHERE key = 'last_seen' AND value < %s FOR UPDATE SKIP LOCKED)"""


class NeedsAllBooks(Exception):
    """What a transaction is about to do is safe only while nobody else writes: it is begun again, alone."""


def number_of(name: str) -> int:
    """A name as the number of a lock. Names that share one wait for each other without need, and no more than that."""
    return zlib.crc32(name.encode("utf-8", "surrogatepass")) - (1 << 31)


class PostgresTransaction(Transaction):
    """What every statement of a transaction needs.

    ``is_alone``: whether it has all books to itself. ``clock`` None: the time is the server's.
    """

    sql = POSTGRES
    broken = psycopg.IntegrityError
    failed = psycopg.DatabaseError

    def __init__(
        self,
        connection: Connection,
        actor: str,
        rules: StoreRules,
        clock: Clock | None,
        known: dict[str, Any],
        *,
        is_alone: bool = False,
    ) -> None:
        self.known = known
        self._open = connection
        self.actor = actor
        self.rules = rules
        self._clock = clock
        self._is_alone = is_alone
        self._time = None
        self._streams = 0

    def execute(self, sql: str, values: Any = (), /) -> Results:
        """Run a statement."""
        return Pending(self._open, self._open.execute(bound(sql), storable(values) if values else None))

    def executemany(self, sql: str, values: Any, /) -> Results:
        """Run a statement once for each of the values."""
        cursor = self._open.cursor()
        cursor.executemany(bound(sql), [storable(row) for row in values])
        return Pending(self._open, cursor)

    @staticmethod
    def json(value: Any) -> str:
        """JSON text of a value, for a column that the database looks into."""
        return json_without_nul(value)

    def insert(self, sql: str, values: Sequence[object]) -> int | None:
        """The id of the row that the statement inserts; None where it inserts none."""
        row = self.execute(f"{sql} RETURNING id", values).fetchone()
        return None if row is None else int(row[0])

    def by_function(self, name: str, *values: object) -> Results:
        """What a function of the schema returns, which writes with its owner's rights."""
        values = tuple(self.json(value) if isinstance(value, dict | list) else value for value in values)
        query = f"SELECT * FROM nexscout.{name}({', '.join(['%s'] * len(values))})"
        return Pending(self._open, self._open.execute(query.encode(), storable(values)))

    def lives(self, name: str, since: str) -> bool:
        """Whether an owner of attempts lives: on another machine, by its signs of life."""
        if owner.is_seen(name) or not owner.alive(name):
            return owner.alive(name)
        return bool(self.by_function("lives", name, since, self.stamp, timedelta(seconds=SILENCE)).fetchone()[0])

    def stream(self, sql: str, values: Any = ()) -> Iterator[Record]:
        """The rows of a query that may be long, which the server keeps. Only in a transaction that reads."""
        self._streams += 1
        with self._open.cursor(f"stream_{self._streams}") as cursor:
            cursor.itersize = _AT_A_TIME
            cursor.execute(bound(sql), values or None)
            yield from cursor

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What fails inside is taken back alone, and not told: the rest of the transaction stands."""
        with self._open.pipeline():  # to leave it is to wait: what was sent before is not what failed
            self._open.execute("SAVEPOINT aside")
        try:
            with self._open.pipeline():
                yield
        except (self.failed, ArithmeticError, ValueError):
            if self._open.closed:
                raise
            self._open.execute("ROLLBACK TO aside")
        self._open.execute("RELEASE aside")

    def begin(self, user_id: str | None) -> None:
        """Take the locks of a transaction that writes: all books alone, or the books of one user beside others."""
        if user_id is None:
            self._is_alone = True
            cursor = self._open.execute(_ALONE)
        else:
            cursor = self._open.execute(_BESIDE, (number_of(user_id),))
        self._told_time(cursor.fetchone())

    def alone(self, what: str, *, shared: bool) -> None:
        """From here on nobody else changes what is read next, until this transaction ends.

        Raises NeedsAllBooks where that takes all books.
        """
        if self._is_alone:
            return
        if shared:
            raise NeedsAllBooks
        if what not in _OWN:
            self._open.execute("SELECT pg_advisory_xact_lock(%s, %s)", (OTHER, number_of(what)))

    def _read_time(self) -> tuple[datetime, str, str]:
        if self._time is None:
            return self._told_time(self._open.execute(f"SELECT {TIME}").fetchone())
        return self._time

    def _told_time(self, row: PostgresRecord | None) -> tuple[datetime, str, str]:
        """Hear of the time last seen and the server's, which stand at a row's end."""
        assert row is not None
        seen, now = row[-2], row[-1] if self._clock is None else self._clock.now()
        when = stamp(now)
        self._time = (now, when, seen) if when >= seen else (parse_stamp(seen), seen, seen)
        return self._time

    def touch(self) -> None:
        """Remember the time as last seen, once a second; where somebody else is about to, that will do."""
        _, when, seen = self._read_time()
        if when[:19] > seen[:19]:
            self._open.execute(_TOUCH, (when, when))


_OWN = frozenset({"user", "name", "run"})
"""Scopes of budgets that one user alone draws on, whose books this transaction has anyway."""
