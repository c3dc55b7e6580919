"""A transaction that reads for many, by the server's library alone: what psycopg adds to a statement takes longer than it.

It knows the few types that the books' reads have; what it does not know, it leaves to the other kind (:class:`Unfit`). What is
asked for twice in it is read once: it sees one state.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from nexscout_cli.store.postgres.prepared import ran, ran_plain
from nexscout_cli.store.postgres.records import PostgresRecord, index_of, number, numbered
from nexscout_cli.store.postgres.transaction import TIME, PostgresTransaction

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping

    from psycopg.pq.abc import PGresult

    from nexscout_cli.store.sqlite.records import Results
    from nexscout_cli.store.sqlite.transaction import Transaction

_TIME = f"SELECT {TIME}".encode()
_BEGIN = b"BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
T = TypeVar("T")
_RECENT = 0.5
_MOST = 1_000


class Unfit(Exception):
    """A value of a type that is not known here."""


class _Rows:
    """What a statement came to; see ``Results``."""

    def __init__(self, rows: list[PostgresRecord]) -> None:
        self._left = iter(rows)
        self.rowcount = len(rows)

    def fetchone(self) -> Any:
        """The next row, None after the last."""
        return next(self._left, None)

    def fetchall(self) -> list[Any]:
        """The rows that are left."""
        return list(self._left)

    def __iter__(self) -> Iterator[Any]:
        """The rows that are left, one by one."""
        return self._left


class LightTransaction(PostgresTransaction):
    """A transaction that only reads, in a coroutine or in a thread that nobody interrupts."""

    def begin_reading(self) -> None:
        """Begin, on a connection that has no transaction."""
        self._read: dict[Any, list[PostgresRecord]] = {}
        ran_plain(self._open, _BEGIN)

    def end_reading(self) -> None:
        """End it."""
        ran_plain(self._open, b"COMMIT")

    def recently(self, what: Hashable, read: Callable[[Transaction], T]) -> T:
        """See ``Transaction.recently``: of the last half second. To count a busy minute's calls takes milliseconds."""
        kept = self.known.setdefault("recently", {})
        when, value = kept.get(what, (0.0, None))
        if time.monotonic() - when > _RECENT:
            if len(kept) > _MOST:
                kept.clear()
            value = read(self)
            kept[what] = time.monotonic(), value
        return value  # type: ignore[no-any-return]

    def _read_time(self) -> tuple[datetime, str, str]:
        return self._time or self._told_time(_rows(ran(self._open, _TIME, ()))[0])

    def execute(self, sql: str, values: Any = (), /) -> Results:
        """Run a statement that reads."""
        query, names = numbered(sql)
        given = tuple(values) if names is None else tuple(values[name] for name in names)
        rows = self._read.get((query, given))
        if rows is None:
            found = ran(self._open, query, [_written(value) for value in given])
            rows = self._read[query, given] = _rows(found)
        return _Rows(rows)


def _written(value: Any) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value).encode()
    raise Unfit


def _time(text: bytes) -> datetime:
    return datetime.fromisoformat(text.decode()).astimezone(UTC)


_KINDS: Mapping[int, Callable[[bytes], Any]] = {
    **dict.fromkeys((20, 21, 23), int),
    **dict.fromkeys((25, 1043, 3802), bytes.decode),
    **dict.fromkeys((700, 701), float),
    16: b"t".__eq__,
    1184: _time,
    1700: number,
}
"""What reads a value, by the number that its type has in PostgreSQL."""


def _rows(result: PGresult) -> list[PostgresRecord]:
    columns = range(result.nfields)
    kinds = [_KINDS.get(result.ftype(n)) for n in columns]
    if None in kinds:
        raise Unfit
    index = index_of(result)
    found = []
    for row in range(result.ntuples):
        values = [result.get_value(row, n) for n in columns]
        found.append(
            PostgresRecord(
                tuple(None if v is None else kind(v) for kind, v in zip(kinds, values, strict=True)),  # type: ignore[misc]
                index,
            )
        )
    return found
