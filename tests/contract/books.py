"""What a test may know of a store's books: one reader for every store, so that a test says what holds and not how it is kept.

Amounts are nano-dollars, tokens or units of energy. A row is a dict by the names of DESIGN's tables; JSON columns are values.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

Row = dict[str, Any]
DAY, MONTH, PREPAID = "2026-11-10", "2026-11", "prepaid"
"""The periods in which the tests' clock begins."""
_JSON = {"metadata", "decision", "plan", "price", "params", "answer"} | {
    "writing_style_profile",
    "common_patterns",
    "pattern_counts",
    "peak_usage_hours",
    "model_preference_score",
    "prompt_heads",
}


class Account(NamedTuple):
    """granted is None where nothing limits it."""

    granted: int | None
    held: int
    spent: int


NONE = Account(None, 0, 0)


class Rows(list[Row]):
    """Rows, and the names of their columns, which are known even when there is no row."""

    def __init__(self, columns: Iterable[str], rows: Iterable[Row]) -> None:
        super().__init__(rows)
        self.columns = frozenset(columns)


class Books(Protocol):
    """Everything that is kept, read past every right and rule."""

    def account(self, owner: str, kind: str = "energy", period: str = PREPAID) -> Account:
        """An account; ``NONE`` before it was first drawn on."""

    def accounts(self) -> Rows:
        """All accounts: owner, kind, period, granted, held, spent."""

    def attempts(self, request_id: str | None = None) -> Rows:
        """Attempts in the order they were held."""

    def requests(self) -> Rows:
        """Requests in the order of their ids."""

    def entries(self, request_id: str | None = None) -> Rows:
        """Ledger entries in order, each with its account's owner, account (its kind) and period, and its attempt's n."""

    def usage(self, request_id: str | None = None) -> Rows:
        """Rows of usage in order."""

    def predictions(self) -> Rows:
        """Predictions in order."""

    def cached(self) -> Rows:
        """Kept answers in order."""

    def users(self) -> Rows:
        """Users by name."""

    def profile(self, user_id: str) -> Row:
        """What was learned of a user."""

    def profiles(self) -> Rows:
        """What was learned of all users, by name."""

    def lengths(self) -> Rows:
        """Learned lengths of answers by feature, user and model; ``state`` is a list of numbers."""

    def models(self) -> Rows:
        """The catalog by name."""

    def verdicts(self) -> Rows:
        """What users said of answers."""


class Questions:
    """Short questions about the rows of a kind: attempts, requests, entries, usage, predictions, cached, accounts, users,
    profiles, lengths, models, verdicts.

    ``where``: values that the rows' columns must have. Raises KeyError for a column that there is not.
    """

    def listed(self: Books, kind: str, /, *columns: str, **where: object) -> list[Any]:
        """The rows' columns, in order; bare values where one column is asked for."""
        rows = [tuple(row[column] for column in columns) for row in _found(self, kind, where, columns)]
        return [row[0] for row in rows] if len(columns) == 1 else rows

    def count(self: Books, kind: str, /, **where: object) -> int:
        """How many rows there are."""
        return len(_found(self, kind, where))

    def total(self: Books, kind: str, column: str, /, **where: object) -> int:
        """A column's sum; what has no value counts as 0."""
        return sum(row[column] or 0 for row in _found(self, kind, where, (column,)))


def _found(books: Books, kind: str, where: dict[str, object], columns: Iterable[str] = ()) -> list[Row]:
    rows: Rows = getattr(books, kind)()
    # Where there are no rows, a mistyped name would find none for ever.
    if unknown := {*where, *columns} - rows.columns:
        raise KeyError(f"{kind} have no {', '.join(sorted(unknown))}")
    return [row for row in rows if all(row[name] == value for name, value in where.items())]


def _value(name: str, kept: Any) -> Any:
    return json.loads(kept) if name in _JSON and kept is not None else kept


class _TableBooks(Questions):
    """Books in tables, which both databases have alike. ``?`` stands for a value."""

    def _rows(self, source: str, rest: str, *values: object) -> Rows:
        raise NotImplementedError

    def account(self, owner: str, kind: str = "energy", period: str = PREPAID) -> Account:
        """An account; ``NONE`` before it was first drawn on."""
        found = self._rows("accounts", "WHERE owner = ? AND kind = ? AND period = ?", owner, kind, period)
        return Account(found[0]["granted"], found[0]["held"], found[0]["spent"]) if found else NONE

    def accounts(self) -> Rows:
        """All accounts."""
        return self._rows("accounts", "ORDER BY id")

    def attempts(self, request_id: str | None = None) -> Rows:
        """Attempts in the order they were held."""
        return self._of(request_id, "attempts", "ORDER BY id")

    def requests(self) -> Rows:
        """Requests in the order of their ids."""
        return self._rows("requests", "ORDER BY request_id")

    def entries(self, request_id: str | None = None) -> Rows:
        """Ledger entries in order."""
        source = (
            "(SELECT e.id, e.kind, e.amount, e.reason, e.actor, e.created_at, a.owner, a.kind AS account, a.period, t.n, "
            "t.request_id FROM ledger_entries e JOIN accounts a ON a.id = e.account LEFT JOIN attempts t ON t.id = e.attempt)"
        )
        return self._of(request_id, source, "ORDER BY id")

    def usage(self, request_id: str | None = None) -> Rows:
        """Rows of usage in order."""
        return self._of(request_id, "ai_model_usage", "ORDER BY id")

    def predictions(self) -> Rows:
        """Predictions in order."""
        return self._rows("ai_cost_predictions", "ORDER BY id")

    def cached(self) -> Rows:
        """Kept answers in order."""
        return self._rows("cached_ai_responses", "ORDER BY id")

    def users(self) -> Rows:
        """Users by name."""
        return self._rows("users", "ORDER BY user_id")

    def profile(self, user_id: str) -> Row:
        """What was learned of a user."""
        return self._rows("user_efficiency_profiles", "WHERE user_id = ?", user_id)[0]

    def profiles(self) -> Rows:
        """What was learned of all users, by name."""
        return self._rows("user_efficiency_profiles", "ORDER BY user_id")

    def lengths(self) -> Rows:
        """Learned lengths of answers by feature, user and model."""
        rows = self._rows("output_lengths", "ORDER BY feature, user_id, model")
        return Rows(rows.columns, (row | {"state": json.loads(row["state"])} for row in rows))

    def models(self) -> Rows:
        """The catalog by name."""
        return self._rows("ai_model_configs", "ORDER BY model")

    def verdicts(self) -> Rows:
        """What users said of answers."""
        return self._rows("feedback", "ORDER BY created_at, request_id")

    def _of(self, request_id: str | None, source: str, order: str) -> Rows:
        if request_id is None:
            return self._rows(source, order)
        return self._rows(source, f"WHERE request_id = ? {order}", request_id)


class SqliteBooks(_TableBooks):
    """The books of a SQLite file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _rows(self, source: str, rest: str, *values: object) -> Rows:
        with self._opened() as connection:
            found = connection.execute(f"SELECT * FROM {source} {rest}", values)
            names = [column[0] for column in found.description]
            return Rows(names, ({name: _value(name, row[name]) for name in names} for row in found))

    def change(self, statement: str) -> None:
        """Run a statement as whoever has the file."""
        with self._opened() as connection, connection:
            connection.execute(statement)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self._path, timeout=30)) as connection:
            connection.row_factory = sqlite3.Row
            yield connection


class PostgresBooks(_TableBooks):
    """The books of a PostgreSQL database, read as a superuser."""

    def __init__(self, url: Callable[[], str]) -> None:
        self._url = url

    def _rows(self, source: str, rest: str, *values: object) -> Rows:
        import psycopg

        query = f"SELECT * FROM {source} {rest}".replace("?", "%s")
        with contextlib.closing(psycopg.connect(self._url(), options="-csearch_path=nexscout")) as connection:
            found = connection.execute(query.encode(), values)
            names = [column.name for column in found.description or ()]
            return Rows(names, ({n: _plain(n, v) for n, v in zip(names, row, strict=True)} for row in found))

    def change(self, statement: str) -> None:
        """Run a statement as a superuser."""
        import psycopg

        with (
            contextlib.closing(psycopg.connect(self._url(), options="-csearch_path=nexscout")) as connection,
            connection,
        ):
            connection.execute(statement.encode())


def _plain(name: str, kept: Any) -> Any:
    """Columns of type jsonb are values already."""
    return _value(name, kept) if isinstance(kept, str) else kept
