"""Usage that other tools kept: rows of imports, each counted once, and their sums for reports."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nexscout_cli.engine.book_types import ImportRow
from nexscout_cli.engine.report_values import Failed
from nexscout_cli.engine.sums import SUMS
from nexscout_cli.errors import UsageError
from nexscout_cli.store.sqlite.reports import SqliteReportReader
from nexscout_cli.store.sqlite.transaction import OWN_OR_ADMIN, stamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from nexscout_cli.engine.report_window import Window
    from nexscout_cli.store.sqlite.transaction import Transaction
    from nexscout_cli.store.sqlite.work import Work

Row = dict[str, Any]

_COLUMNS = (
    *("key", "at", "model", "provider", "user_id", "feature", "requests"),
    *("input", "cached", "cache_write", "cache_write_1h", "output", "reasoning", "source_cost", "table_cost"),
)
_VALUES = _COLUMNS[6:]
# Sessions are logged while an answer still grows, days are exported before they are over: what says more is the later one.
_ADD = f"""INSERT INTO imported_usage AS kept (import, {", ".join(_COLUMNS)}) VALUES (?{", ?" * len(_COLUMNS)})
ON CONFLICT (key) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _VALUES)}
WHERE excluded.requests >= kept.requests AND excluded.output + excluded.reasoning >= kept.output + kept.reasoning
  AND excluded.requests + excluded.output + excluded.reasoning + excluded.input + excluded.cached
    + excluded.cache_write + excluded.cache_write_1h
    > kept.requests + kept.output + kept.reasoning + kept.input + kept.cached + kept.cache_write + kept.cache_write_1h"""
_IN = "input + cached + cache_write + cache_write_1h"
_SUM_OF = {
    "requests": "requests",
    "calls": "requests",
    "input_tokens": _IN,
    "output_tokens": "output + reasoning",
    "cost_usd": "coalesce(source_cost, table_cost, 0)",
}
_SUMS = ", ".join(f"coalesce(sum({_SUM_OF.get(name, '0')}), 0)" for name in SUMS)
_LISTED = """SELECT i.id, source, name, actor, coalesce(i.rows, s.n, 0), coalesce(known, 0), coalesce(left_out, 0),
  created_at, finished_at, coalesce(s.requests, 0), coalesce(s.cost, 0), coalesce(s.priced, 0), coalesce(s.unpriced, 0)
FROM imports i LEFT JOIN (SELECT import, count(*) AS n, sum(requests) AS requests,
  sum(coalesce(source_cost, table_cost, 0)) AS cost, count(source_cost) AS priced,
  count(CASE WHEN source_cost IS NULL AND table_cost IS NULL THEN 1 END) AS unpriced
  FROM imported_usage GROUP BY import) s ON s.import = i.id"""
_AT_ONCE = 20_000
"""Rows that one transaction removes: others write in between."""
_ASKED = 500
"""Keys that one query asks for."""
_CACHE_KIB = 65_536
"""What an import may keep of the database in memory: the index of keys is met in no order."""


class SqliteImports:
    """Usage that other tools kept."""

    def __init__(self, store: Work) -> None:
        self._store = store

    def begin(self, actor: str, source: str, name: str) -> int:
        """Enter an import; returns its number. Raises NotPermitted."""
        with self._store.write(actor) as t:
            t.require_admin("import usage")
            if not t.sql.is_postgres:
                t.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            row = (source, name, t.actor, t.stamp)
            return t.insert("INSERT INTO imports (source, name, actor, created_at) VALUES (?, ?, ?, ?)", row) or 0

    def add(self, actor: str, number: int, rows: Sequence[tuple[Any, ...]]) -> int:
        """Enter rows in one transaction; returns how many were new or replaced one."""
        with self._store.write(actor) as t:
            t.require_admin("import usage")
            return t.executemany(_ADD, ((number, row[0], stamp(row[1]), *row[2:]) for row in rows)).rowcount

    def finish(self, actor: str, number: int, known: int, left_out: int) -> ImportRow:
        """End an import."""
        with self._store.write(actor) as t:
            t.require_admin("import usage")
            t.execute(
                """UPDATE imports SET rows = (SELECT count(*) FROM imported_usage WHERE import = :id), known = :known,
                   left_out = :left_out, finished_at = :now WHERE id = :id""",
                {"id": number, "known": known, "left_out": left_out, "now": t.stamp},
            )
            return ImportRow(*t.execute(f"{_LISTED} WHERE i.id = ?", (number,)).fetchone())

    def known(self, actor: str, keys: Sequence[bytes]) -> int:
        """How many of these keys are there."""
        with self._store.read(actor) as t:
            found: set[bytes] = set()
            for start in range(0, len(keys), _ASKED):
                part = keys[start : start + _ASKED]
                asked = f"SELECT key FROM imported_usage WHERE key IN ({', '.join('?' * len(part))})"
                found.update(row[0] for row in t.execute(asked, part))
            return sum(key in found for key in keys)

    def listing(self, actor: str) -> list[ImportRow]:
        """The imports there were, oldest first. Admins only."""
        with self._store.read(actor) as t:
            t.require_admin("list imports")
            return [ImportRow(*row) for row in t.execute(f"{_LISTED} ORDER BY i.id")]

    def forget(self, actor: str, number: int) -> int:
        """Remove an import and its rows, in short transactions. Raises NotPermitted, UsageError."""
        gone, last = 0, None
        while True:
            with self._store.write(actor) as t:
                t.require_admin("forget an import")
                if not t.execute("SELECT 1 FROM imports WHERE id = ?", (number,)).fetchone():
                    raise UsageError(f"there is no import {number}", "`nexscout import list` shows them")
                # No index by import: it would make every import slower, for what is done once in a while in one pass.
                at = t.sql.place
                after = "" if last is None else f"{at} > :last AND"
                rows = t.execute(
                    f"SELECT {at} FROM imported_usage WHERE {after} import = :id ORDER BY {at} LIMIT :most",
                    {"last": last, "id": number, "most": _AT_ONCE},
                ).fetchall()
                t.executemany(f"DELETE FROM imported_usage WHERE {at} = ?", [tuple(row) for row in rows])
                gone += len(rows)
                if len(rows) < _AT_ONCE:
                    t.execute("DELETE FROM imports WHERE id = ?", (number,))
                    return gone
                last = rows[-1][0]

    @contextmanager
    def reading(self, actor: str, window: Window, user: str | None = None) -> Iterator[ImportedReader]:
        """A reader of one window of imported usage. Raises NotPermitted, UsageError."""
        with self._store.read(actor) as t:
            subject = user if user is not None and t.is_admin() else t.readable_user(user)
            yield ImportedReader(t, window, subject)


class ImportedReader(SqliteReportReader):
    """Sums over a window of imported usage; nothing of it was a hit, failed, or took energy."""

    def __init__(self, t: Transaction, window: Window, user: str | None) -> None:
        super().__init__(t, window, user)
        self._oldest = "SELECT min(at) FROM imported_usage"
        self.archived = []  # nothing of it ever is

    def kept_answers(self) -> dict[str, int]:
        """No answers are kept of it."""
        return {}

    def tokens_saved_by_hits(self) -> dict[str, int]:
        """There were no hits."""
        return {}

    def token_classes(self) -> dict[str, int]:
        """Tokens of the window that are not plain, by class."""
        classes = ("cached", "cache_write", "cache_write_1h", "reasoning")
        sums = ", ".join(f"coalesce(sum({name}), 0)" for name in classes)
        (row,) = self._select(
            f"SELECT {sums} FROM imported_usage WHERE at >= :since AND at < :until AND {OWN_OR_ADMIN} {self._only}"
        )
        return {name: value for name, value in sorted(zip(classes, row, strict=True), key=lambda p: -p[1]) if value}

    def failed_attempts(self) -> list[Failed]:
        """Failures are not imported."""
        return []

    def latency(self) -> Row:
        """Nor is how long calls took."""
        return {"n": 0, "p50": None, "p95": None}

    def predictions(self, *keys: str) -> list[Row]:
        """Nothing was predicted."""
        return []

    def _sums(self, keys: tuple[str, ...], since: datetime, until: datetime) -> list[Row]:
        columns = {"day": "substr(at, 1, 10)", "model_used": "model"}
        names = [columns.get(key, key) for key in keys]
        group = f"GROUP BY {', '.join(names)}" if names else "HAVING count(*) > 0"
        rows = self._select(
            f"SELECT {', '.join([*names, _SUMS])} FROM imported_usage "
            f"WHERE at >= :start AND at < :end AND {OWN_OR_ADMIN} {self._only} {group}",
            start=stamp(since),
            end=stamp(until),
        )
        return [dict(zip((*keys, *SUMS), row, strict=True)) for row in rows]
