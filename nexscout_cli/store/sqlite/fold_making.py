"""What is folded, added up from rows that are read in small pieces, and the statements that write it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from nexscout_cli.store.sqlite.folds import DAY, EVERYONE, FOLDS, HOUR, Fold, Rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nexscout_cli.store.sqlite.dialect import Dialect
    from nexscout_cli.store.sqlite.records import Execute, ExecuteMany

Key = tuple[Any, ...]
Statement = tuple[str, tuple[Any, ...]]


class Books(Protocol):
    """Where rows are read and folds are written: a transaction, or a connection that has the books to itself."""

    @property
    def sql(self) -> Dialect:
        """The database's words."""

    @property
    def execute(self) -> Execute:
        """Runs a statement."""

    @property
    def executemany(self) -> ExecuteMany:
        """Runs it for each of many values."""


class Whole(NamedTuple):
    """A connection that has the books to itself."""

    sql: Dialect
    execute: Execute
    executemany: ExecuteMany


class Made:
    """The folded sums of some hours, and of the ``day`` they lie in if it is given (2026-11-03)."""

    def __init__(self, hours: Iterable[str], day: str | None) -> None:
        self.hours = frozenset(hours)
        self.day = day
        self._sums: dict[Fold, dict[Key, list[int]]] = {fold: {} for fold in FOLDS}

    def read(self, books: Books, start: str, end: str) -> list[tuple[Fold, list[Any]]]:
        """The sums of the rows from ``start`` up to ``end``, two stamps or beginnings of such, by owner and hour."""
        return [(fold, books.execute(_by_hour(fold, books.sql, start, end)).fetchall()) for fold in FOLDS]

    def add(self, found: list[tuple[Fold, list[Any]]]) -> None:
        """Add what :meth:`read` gave."""
        for fold, rows in found:
            sums, first = self._sums[fold], 2 + len(fold.keys)
            whose, places = None, []
            for record in rows:
                row = tuple(record)
                if row[:2] != whose:  # they come by owner and hour
                    whose, places = row[:2], self._places(fold, row[0], row[1])
                for place in places:
                    _add(sums, place + row[2:first], row[first:])

    def _places(self, fold: Fold, owner: str, hour: str) -> list[Key]:
        places: list[Key] = []
        if hour in self.hours:
            places.append((EVERYONE, HOUR, hour))
            if fold.own_hourly:
                places.append((owner, HOUR, hour))
        if self.day is not None:
            places.append((owner, DAY, self.day))
        return places

    def _with_everyone(self, sums: dict[Key, list[int]]) -> dict[Key, list[int]]:
        """With the day's sums of all owners."""
        everyone: dict[Key, list[int]] = {}
        for key, values in sums.items():
            if key[1] == DAY:
                _add(everyone, (EVERYONE, *key[1:]), values)
        return sums | everyone

    def inserts(self) -> Iterator[Statement]:
        """The statements that write all of it."""
        for fold, found in self._sums.items():
            sums = self._with_everyone(found)
            marks = ", ".join("?" * len(fold.columns))
            insert = f"INSERT INTO {fold.table} ({', '.join(fold.columns)}) VALUES ({marks})"
            for key, values in _packed(sums) if fold.packed else sums.items():
                yield insert, (*key, *values)

    def deletes(self, books: Books) -> list[Statement]:
        """The statements that remove what the tables have of the same hours and day."""
        periods = [(HOUR, hour) for hour in sorted(self.hours)] + ([(DAY, self.day)] if self.day else [])
        return [
            (f"DELETE FROM {fold.table} WHERE owner = ? AND hours = ? AND period = ?", (row[0], hours, period))
            for fold in FOLDS
            for hours, period in periods
            for row in books.execute(_OWNERS.format(table=fold.table), (hours, period))
        ]


# The key of each table begins with the owner: step from owner to owner instead of reading the whole table.
_OWNERS = """WITH RECURSIVE owners (id) AS (SELECT min(owner) FROM {table} UNION ALL
  SELECT (SELECT min(owner) FROM {table} WHERE owner > owners.id) FROM owners WHERE owners.id IS NOT NULL)
  SELECT id FROM owners WHERE EXISTS (SELECT 1 FROM {table} WHERE owner = owners.id AND hours = ? AND period = ?)"""


def piece_end(execute: Execute, start: str, end: str, most: int) -> str:
    """Where a piece from ``start`` on ends that has ``most`` rows of usage, or those of one moment; ``end`` at the latest."""
    row = execute(
        "SELECT created_at FROM ai_model_usage WHERE created_at >= ? AND created_at < ? "
        f"ORDER BY created_at LIMIT 1 OFFSET {int(most)}",
        (start, end),
    ).fetchone()
    if row is None:
        return end
    first = execute("SELECT min(created_at) FROM ai_model_usage WHERE created_at >= ?", (start,)).fetchone()[0]
    if row[0] > first:
        return str(row[0])
    after = execute("SELECT min(created_at) FROM ai_model_usage WHERE created_at > ?", (first,)).fetchone()[0]
    return end if after is None else min(str(after), end)


def write(books: Books, statements: Iterable[Statement]) -> None:
    """Run statements, those of one text that follow each other together."""
    gathered: list[tuple[Any, ...]] = []
    text = ""
    for sql, values in statements:
        if sql != text and gathered:
            books.executemany(text, gathered)
            gathered = []
        text = sql
        gathered.append(values)
    if gathered:
        books.executemany(text, gathered)


def periods(fold: Fold, sql: Dialect, hours: int, span: str) -> str:
    """A SELECT of owner, hours, period, keys and sums of the rows of that span: each owner's and everyone's."""
    period = f"substr(at, 1, {13 if hours == HOUR else 10})"
    keys = "".join(f", {key}" for key in fold.keys)
    sums = "".join(f", sum({name}) AS {name}" for name in fold.sums)
    source = fold.source(sql, Rows(span))
    if hours == DAY or fold.own_hourly:
        return f"""WITH own AS MATERIALIZED (SELECT owner, {hours} AS hours, {period} AS period{keys}{sums}
            FROM ({source}) each_row GROUP BY owner, {period}{keys})
            SELECT * FROM own UNION ALL
            SELECT '{EVERYONE}', hours, period{keys}{sums} FROM own GROUP BY hours, period{keys}"""
    return f"""SELECT '{EVERYONE}' AS owner, {hours} AS hours, {period} AS period{keys}{sums}
        FROM ({source}) each_row GROUP BY {period}{keys}"""


def kept(fold: Fold, sql: Dialect, where: str) -> str:
    """A SELECT of what the table has, as ``periods`` gives it."""
    if not fold.packed:
        return f"SELECT {', '.join(fold.columns)} FROM {fold.table} WHERE {where}"
    *keys, counts = fold.columns
    return f"""SELECT {", ".join(keys)}, CAST(j.key AS bigint) AS {fold.keys[-1]}, j.value AS {fold.sums[0]}
        FROM (SELECT * FROM {fold.table} WHERE {where}) f, {sql.fields_of.format(counts)}"""


def _by_hour(fold: Fold, sql: Dialect, start: str, end: str) -> str:
    hour = "substr(at, 1, 13)"
    keys = "".join(f", {key}" for key in fold.keys)
    sums = "".join(f", CAST(sum({name}) AS bigint)" for name in fold.sums)
    span = f"created_at >= '{safe(start)}' AND created_at < '{safe(end)}'"
    return (
        f"SELECT owner, {hour}{keys}{sums} FROM ({fold.source(sql, Rows(span))}) each_row GROUP BY owner, {hour}{keys}"
    )


def _add(sums: dict[Key, list[int]], key: Key, values: Sequence[int]) -> None:
    before = sums.get(key)
    if before is None:
        sums[key] = list(values)
        return
    for at, value in enumerate(values):
        before[at] += value


def _packed(sums: dict[Key, list[int]]) -> Iterator[tuple[Key, tuple[str]]]:
    """The last key and its sum as one value: a JSON object."""
    found: dict[Key, dict[int, int]] = {}
    for (*key, value), (n,) in sums.items():
        found.setdefault(tuple(key), {})[value] = n
    return ((key, (json.dumps(counts, separators=(",", ":")),)) for key, counts in found.items())


def safe(at: str) -> str:
    """A time of our own making, whole or its beginning, which may stand in SQL. Raises ValueError for what is none."""
    datetime.fromisoformat(at + ":00" if len(at) == len("2026-11-03T14") else at)
    return at
