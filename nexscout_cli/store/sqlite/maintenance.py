"""Looking after the whole database: checking it, copying it, and what is worth telling of it."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack
from typing import TYPE_CHECKING

from nexscout_cli.store.sqlite.database import SCHEMA_VERSION
from nexscout_cli.store.sqlite.keeping import Keeping

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from nexscout_cli.engine.book_types import Archive, Backup, Problem, Seal
    from nexscout_cli.store.copying import Target, Tell
    from nexscout_cli.store.sqlite.transactions import Transactions


def engine_version() -> tuple[str, str]:
    """What keeps the books, and its version."""
    return "sqlite", sqlite3.sqlite_version


class SqliteMaintenance(Keeping):
    """Checking and copying the whole database. Admins only."""

    _store: Transactions

    def __init__(self, store: Transactions) -> None:
        self._store = store

    def check(self, actor: str, kept: Sequence[Seal] = ()) -> list[Problem]:
        """Everything that is wrong, from one state of the database; empty when it is sound.

        ``kept``: seals that were kept elsewhere, to compare with. Raises NotPermitted; StoreError where the file cannot be
        read at all.
        """
        from nexscout_cli.store.sqlite import checking
        from nexscout_cli.store.sqlite.checking.copied import copied

        with ExitStack() as stack:
            with self._store.read(actor) as t:
                t.require_admin("check the whole database")
                copy = stack.enter_context(copied(t.connection, self._store.path))
                if copy is None:
                    return checking.problems(t, self._store.path, kept)
            return checking.problems(t.over(copy), self._store.path, kept)

    def seal(self, actor: str) -> list[Seal]:
        """Seal the finished days that are not sealed yet, and return their seals; a second time there are none.

        The rows are read while others write. Raises NotPermitted.
        """
        from nexscout_cli.store.sqlite import seals

        with self._store.read(actor) as t:
            t.require_admin("seal the books")
            made = seals.due(t)
        if not made:
            return []
        with self._store.write(actor) as t:
            t.require_admin("seal the books")
            return seals.keep(t, made)

    def backup(self, actor: str, target: Path | None, *, without_text: bool = False) -> Path:
        """A consistent copy in a new file, which is returned and remembered; None: beside the database, under a dated name.

        ``without_text``: no prompt's, answer's or profile's text is in it. Only its owner can read it. Raises NotPermitted,
        UsageError where the file exists, StoreError.
        """
        from nexscout_cli.store.sqlite import backups

        return backups.make(self._store, actor, target, without_text=without_text)

    def prune(self, actor: str, keep: int, *, dry_run: bool = False) -> list[Path]:
        """Remove all backups but the newest; returns those that were (or would be). Raises NotPermitted, StoreError."""
        from nexscout_cli.store.sqlite import backups

        return backups.prune(self._store, actor, keep, dry_run=dry_run)

    def holding(self, actor: str, user_id: str) -> list[Backup]:
        """The backups that still hold texts of a user's. Raises NotPermitted, UsageError."""
        from nexscout_cli.store.sqlite import backups

        with self._store.read(actor) as t:
            t.require_access(user_id)
        return backups.holding(self._store, actor, user_id)

    def archive(self, actor: str, before: str, folder: Path, tell: Callable[[str, str], None]) -> list[Archive]:
        """Move the rows of every whole month before a day (YYYY-MM-DD) into Parquet files; returns the months that went.

        ``tell`` hears of a month and what is done with it. Writers wait while a month is removed. Raises
        NotPermitted, UsageError for what is not settled, StoreError.
        """
        from nexscout_cli.store.sqlite import archiving

        return self._move(archiving.Place(self._store, self._store.write, folder, tell), actor, before)

    def copy_to(self, target: AbstractContextManager[Target], tell: Tell) -> dict[str, int]:
        """Copy all books as they are now; returns how many rows of each table."""
        from nexscout_cli.store import copying
        from nexscout_cli.store.sqlite import copies

        return copying.copy(copies.reading(self._store.db), target, tell)

    def about(self) -> dict[str, str]:
        """engine, version, schema, path, size (bytes), and durability: the journal mode and why it is that one."""
        mode = self._store.db.journal()
        why = "write-ahead log" if mode == "wal" else "rollback journal"
        return {
            **dict(zip(("engine", "version"), engine_version(), strict=True)),
            "schema": str(SCHEMA_VERSION),
            "path": str(self._store.path),
            "size": str(self._store.path.stat().st_size),
            "durability": f"journal mode {mode} ({why})",
        }
