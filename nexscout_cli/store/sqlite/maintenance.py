"""Looking after the whole database: checking it, copying it, and what is worth telling of it."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from nexscout_cli.errors import StoreError, UsageError
from nexscout_cli.store.sqlite.database import SCHEMA_VERSION, wal_is_safe

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from nexscout_cli.engine.book_types import Problem
    from nexscout_cli.store.copying import Target, Tell
    from nexscout_cli.store.sqlite.transactions import Transactions


def engine_version() -> tuple[str, str]:
    """What keeps the books, and its version."""
    return "sqlite", sqlite3.sqlite_version


class SqliteMaintenance:
    """Checking and copying the whole database. Admins only."""

    def __init__(self, store: Transactions) -> None:
        self._store = store

    def check(self, actor: str) -> list[Problem]:
        """Everything that is wrong, from one state of the database; empty when it is sound.

        Raises NotPermitted; StoreError where the file cannot be read at all.
        """
        from nexscout_cli.store.sqlite import check

        with self._store.read(actor) as t:
            t.require_admin("check the whole database")
            return check.problems(t, self._store.path)

    def backup(self, actor: str, target: Path | None) -> Path:
        """A consistent copy in a new file, which is returned; None: beside the database, under a dated name.

        Only its owner can read it. Raises NotPermitted, UsageError where the file exists, StoreError.
        """
        with self._store.read(actor) as t:
            t.require_admin("copy the whole database")
        copy = target or self._store.db.backup_path()
        try:
            self._store.db.backup(copy)
        except FileExistsError as error:
            raise UsageError(f"{copy} exists already; it is not overwritten", "give another name") from error
        except OSError as error:
            raise StoreError(
                f"cannot write {copy}: {error.strerror}", "check the folder's permissions and space"
            ) from error
        return copy

    def copy_to(self, target: AbstractContextManager[Target], tell: Tell) -> dict[str, int]:
        """Copy all books as they are now; returns how many rows of each table."""
        from nexscout_cli.store import copying
        from nexscout_cli.store.sqlite import copies

        return copying.copy(copies.reading(self._store.db), target, tell)

    def about(self) -> dict[str, str]:
        """engine, version, schema, path, size (bytes), and durability: the journal mode and why it is that one."""
        why = "write-ahead log" if wal_is_safe() else "since this version's write-ahead log can lose commits"
        return {
            **dict(zip(("engine", "version"), engine_version(), strict=True)),
            "schema": str(SCHEMA_VERSION),
            "path": str(self._store.path),
            "size": str(self._store.path.stat().st_size),
            "durability": f"journal mode {self._store.db.journal()} ({why})",
        }
