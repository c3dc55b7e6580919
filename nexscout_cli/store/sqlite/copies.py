"""The two ends of a copy in SQLite: a file that is read, a file that is made."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from nexscout_cli.errors import UsageError
from nexscout_cli.store.copying import Totals
from nexscout_cli.store.sqlite import archives, schema
from nexscout_cli.store.sqlite.database import Database, connect
from nexscout_cli.store.sqlite.dialect import SQLITE
from nexscout_cli.store.sqlite.fold_making import Whole
from nexscout_cli.store.sqlite.folding import fold_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from nexscout_cli.store.copying import Sums


class _File:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._meta: list[Any] = []

    def state(self) -> str:
        """Another text whenever something was written: the time last seen, and the catalog's version."""
        rows = self._connection.execute("SELECT key, value FROM meta ORDER BY key").fetchall()
        return " ".join(f"{name} {value}" for name, value in rows)

    def begin(self, state: str) -> dict[str, int]:
        """Nothing: a file that was cut short is gone."""
        return {}

    def keep(self, table: str, rows: int, state: str) -> None:
        """Nothing is kept before the file is whole."""

    def columns(self, table: str) -> list[str]:
        """The names of a table's columns, without computed ones."""
        found = self._connection.execute(
            f"PRAGMA table_info({table})"
        ).fetchall()  # computed ones are in table_xinfo alone
        return [row["name"] for row in found]

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[Sequence[Any]]:
        """Its rows, in the order of their ids where they have some."""
        order = "ORDER BY id" if "id" in columns and table != "api_keys" else ""
        yield from self._connection.execute(f"SELECT {_named(columns)} FROM {table} {order}")

    def rows_from(self) -> str:
        """The first day whose rows are here, "" where all are."""
        return archives.rows_from(self._connection.execute)

    def sums(self, of: Sums, before: str) -> Iterator[Sequence[Any]]:
        """The sums of what is from before that day."""
        yield from self._connection.execute(f"SELECT {_named(of.columns)} FROM {of.table} WHERE {of.at} < ?", (before,))

    def write_sums(self, of: Sums, rows: Iterable[Sequence[Any]], before: str) -> Totals:
        """Write sums of what is from before that day, in place of what triggers made of the few rows that are here."""
        marks = ", ".join("?" * len(of.columns))
        self._connection.executemany(
            f"INSERT OR REPLACE INTO {of.table} ({_named(of.columns)}) VALUES ({marks})", (tuple(row) for row in rows)
        )
        return self._totals(of.table, [name for name in of.values if name != "counts"], f"WHERE {of.at} < ?", (before,))

    def fold_from(self, day: str) -> None:
        """All before that day is folded."""
        self._connection.execute("DELETE FROM fold_marks")
        self._connection.execute("INSERT INTO fold_marks (hour, is_end) VALUES (?, 1)", (f"{day}T00",))

    def write(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Write rows. Triggers make the sums of usage; what they make beside is replaced."""
        self._connection.executemany(
            f"INSERT OR REPLACE INTO {table} ({_named(columns)}) VALUES ({', '.join('?' * len(columns))})",
            (tuple(row) for row in rows),
        )
        if table in ("ai_model_configs", "deployments"):  # to write it moved the world, of which `meta` tells
            self._connection.executemany("UPDATE meta SET value = ? WHERE key = ?", self._meta)
        if table == "meta":
            self._meta = self._connection.execute("SELECT value, key FROM meta").fetchall()

    def totals(self, table: str, columns: Sequence[str]) -> Totals:
        """What a table has now, with the sums of the columns that are named."""
        return self._totals(table, columns)

    def _totals(self, table: str, columns: Sequence[str], where: str = "", values: tuple[str, ...] = ()) -> Totals:
        sums = "".join(f', coalesce(sum("{name}"), 0)' for name in columns)
        count, *found = self._connection.execute(f"SELECT count(*){sums} FROM {table} {where}", values).fetchone()
        return Totals(count, dict(zip(columns, found, strict=True)))


def _named(columns: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


@contextmanager
def reading(db: Database) -> Iterator[_File]:
    """A file's books as they are now: from a copy of it, so that nobody has to wait meanwhile."""
    still = db.path.with_name(f"{db.path.name}.{os.getpid()}.copying")
    still.unlink(missing_ok=True)
    try:
        db.backup(still)
        with closing(connect(still, db.timeout)) as connection:
            yield _File(connection)
    finally:
        still.unlink(missing_ok=True)


@contextmanager
def making(path: Path, timeout: float) -> Iterator[_File]:
    """A new file, which is there when all of it is. Raises UsageError where there is one."""
    if path.exists():
        raise UsageError(f"{path} exists already; books are copied into a new file", "give another name")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f"{path.name}.{os.getpid()}.new")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with closing(connect(part, timeout)) as connection:
            schema.migrate(connection)
            connection.execute("BEGIN")
            yield _File(connection)
            fold_all(Whole(SQLITE, connection.execute, connection.executemany))
            connection.execute("COMMIT")
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
