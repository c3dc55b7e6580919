"""Between the books' SQL and psycopg: how values are bound, and how rows and numbers come back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from psycopg.adapt import Loader
from psycopg.types.string import TextLoader

from nexscout_cli.jsontext import plain
from nexscout_cli.store.sqlite.dialect import POSTGRES
from nexscout_cli.store.sqlite.fold_making import Whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg import Connection, Cursor
    from psycopg.abc import Buffer
    from psycopg.pq.abc import PGresult

_WORDS = re.compile(r"""'(?:[^']|'')*' | \? | (?<!:):(?P<name>[a-z_]+) | %""", re.VERBOSE)
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


class PostgresRecord:
    """A row: see ``Record``."""

    __slots__ = ("_index", "_values")

    def __init__(self, values: Sequence[Any], index: Mapping[str, int]) -> None:
        self._values = values
        self._index = index

    def __getitem__(self, key: Any, /) -> Any:
        """The value of a column, by its name or position; a tuple for a slice."""
        return self._values[self._index[key] if isinstance(key, str) else key]

    def __iter__(self) -> Iterator[Any]:
        """The values."""
        return iter(self._values)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._values)

    def keys(self) -> Sequence[str]:
        """The names."""
        return [*self._index]


def as_records(cursor: Cursor[Any]) -> Callable[[Sequence[Any]], PostgresRecord]:
    """A row factory."""
    index = index_of(cursor.pgresult)
    return lambda values: PostgresRecord(tuple(values), index)


def index_of(result: PGresult | None) -> dict[str, int]:
    """Where each column of a result stands, by its name."""
    return _index(() if result is None else tuple(result.fname(n) or b"" for n in range(result.nfields)))


@lru_cache(maxsize=512)
def _index(names: tuple[bytes, ...]) -> dict[str, int]:
    return {name.decode(): n for n, name in enumerate(names)}


class Pending:
    """What a statement that was sent comes to: waited for when it is looked at, or when the transaction ends."""

    __slots__ = ("_connection", "_cursor")

    def __init__(self, connection: Connection[Any], cursor: Cursor[Any]) -> None:
        self._connection = connection
        self._cursor = cursor

    @property
    def rowcount(self) -> int:
        """How many rows were written."""
        with self._connection.pipeline():
            """To leave it is to wait for what was sent."""
        return self._cursor.rowcount

    def fetchone(self) -> Any:
        """The next row, None after the last."""
        return self._cursor.fetchone()

    def fetchall(self) -> list[Any]:
        """The rows that are left."""
        return self._cursor.fetchall()

    def __iter__(self) -> Iterator[Any]:
        """The rows that are left, one by one."""
        return iter(self._cursor.fetchall())


class _NumberLoader(Loader):
    """Sums of whole numbers are whole numbers, means are floats: as SQLite has them."""

    def load(self, data: Buffer) -> int | float:
        return number(bytes(data))


def number(text: bytes) -> int | float:
    """What a numeric says."""
    return float(text) if b"." in text or b"N" in text else int(text)


def adapt(connection: Connection[Any]) -> None:
    """JSON comes as text, which the books read themselves; a numeric as a number."""
    connection.adapters.register_loader("jsonb", TextLoader)
    connection.adapters.register_loader("numeric", _NumberLoader)


@lru_cache(maxsize=512)
def bound(sql: str) -> bytes:
    """SQL whose values are bound as psycopg wants it: ``%s`` for ``?``, ``%(name)s`` for ``:name``."""

    def word(found: re.Match[str]) -> str:
        text = found[0]
        if text == "?":
            return "%s"
        if found["name"]:
            return f"%({found['name']})s"
        return text.replace("%", "%%")

    return _WORDS.sub(word, sql).encode()


@lru_cache(maxsize=512)
def numbered(sql: str) -> tuple[bytes, tuple[str, ...] | None]:
    """SQL whose values are bound by number, as the server itself wants it; of named ones the names, by number."""
    names: list[str] = []
    count = 0

    def word(found: re.Match[str]) -> str:
        nonlocal count
        text = found[0]
        if text == "?":
            count += 1
            return f"${count}"
        if name := found["name"]:
            if name not in names:
                names.append(name)
            return f"${names.index(name) + 1}"
        return text

    query = _WORDS.sub(word, sql).encode()
    return query, tuple(names) if names else None


def whole(connection: Connection[Any]) -> Whole:
    """A connection that has the books to itself, as what folds them needs it."""

    def execute(sql: str, values: Any = (), /) -> Cursor[Any]:
        return connection.execute(bound(sql), values or None)

    def executemany(sql: str, values: Any, /) -> Cursor[Any]:
        cursor = connection.cursor()
        cursor.executemany(bound(sql), values)
        return cursor

    return Whole(POSTGRES, execute, executemany)


def json_without_nul(value: Any) -> str:
    """JSON text of a value, for a column of type jsonb: NUL, for which it has no place, becomes U+FFFD."""
    return str(without_nul(plain(value)))


def without_nul(text: Any) -> Any:
    """JSON text without escaped NULs; what is no text as it is."""
    if not isinstance(text, str):
        return text
    return _NUL.sub("\\1\ufffd", text) if "\\u0000" in text else text


def storable(values: Any) -> Any:
    """The values without what PostgreSQL has no place for: NUL in text becomes U+FFFD."""
    if not any(isinstance(value, str) and "\x00" in value for value in _each(values)):
        return values
    if isinstance(values, Mapping):
        return {name: _storable(value) for name, value in values.items()}
    return [_storable(value) for value in values]


def _each(values: Any) -> Iterable[Any]:
    return values.values() if isinstance(values, Mapping) else values


def _storable(value: Any) -> Any:
    return value.replace("\x00", "\ufffd") if isinstance(value, str) and "\x00" in value else value
