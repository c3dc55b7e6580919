"""Another program's SQLite database, which is read and never written."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nexscout_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


class Foreign:
    """An open database of somebody else's."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, tables: Sequence[str], columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """The rows of those tables that there are, with those of the columns that each has, in the table's order."""
        for table in tables:
            there = [row[1] for row in self._connection.execute(f"PRAGMA table_info({table})")]
            names = [name for name in columns if name in there]
            if names:
                for row in self._connection.execute(f"SELECT {', '.join(names)} FROM {table} ORDER BY rowid"):
                    yield dict(zip(names, row, strict=True))

    def has(self, tables: Sequence[str]) -> bool:
        """Whether any of the tables is there."""
        return any(self._connection.execute(f"PRAGMA table_info({table})").fetchone() for table in tables)

    def one(self, sql: str, value: str) -> tuple[Any, ...] | None:
        """The row of a query with one value."""
        row: tuple[Any, ...] | None = self._connection.execute(sql, (value,)).fetchone()
        return row


@contextmanager
def reading(path: Path, what: str) -> Iterator[Foreign]:
    """A database that is only read. Raises UsageError, which says that it is not ``what``, for what cannot be read."""
    connection = None
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        yield Foreign(connection)
    except sqlite3.Error as error:
        raise UsageError(f"{path.name} cannot be read as {what}: {error}", "check the name and --from") from error
    finally:
        if connection is not None:
            connection.close()
