"""Copies of the database: making them with or without texts, knowing where they are, removing the oldest."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nexscout_cli.engine.book_types import Backup
from nexscout_cli.errors import StoreError, UsageError
from nexscout_cli.store.sqlite import texts
from nexscout_cli.store.sqlite.database import schema_version
from nexscout_cli.store.sqlite.transaction import stamp

if TYPE_CHECKING:
    from nexscout_cli.store.sqlite.transaction import Transaction
    from nexscout_cli.store.sqlite.transactions import Transactions


def make(store: Transactions, actor: str, target: Path | None, *, without_text: bool) -> Path:
    """Copy the database to a new file and remember where that is. Raises NotPermitted, UsageError, StoreError."""
    with store.read(actor) as t:
        t.require_admin("copy the whole database")
    copy = target or store.db.backup_path()
    try:
        store.db.backup(copy, texts.remove_all if without_text else None)
    except FileExistsError as error:
        raise UsageError(f"{copy} exists already; it is not overwritten", "give another name") from error
    except OSError as error:
        raise StoreError(
            f"cannot write {copy}: {error.strerror}", "check the folder's permissions and space"
        ) from error
    with store.write(actor) as t:
        remember(t, copy, has_text=not without_text)
    return copy


def remember(t: Transaction, copy: Path, *, has_text: bool) -> None:
    """Enter where a copy lies, and whether people's texts are in it."""
    t.execute(
        "INSERT INTO backups VALUES (?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET made_at = excluded.made_at, "
        "made_by = excluded.made_by, has_text = excluded.has_text",
        (str(copy.absolute()), t.stamp, t.actor, int(has_text)),
    )


def known(store: Transactions, actor: str) -> list[Backup]:
    """The backups that were recorded, and those that lie beside the database, newest first."""
    with store.read(actor) as t:
        rows = t.execute("SELECT path, made_at, has_text FROM backups").fetchall()
    found = {row[0]: Backup(row[0], row[1], bool(row[2]), Path(row[0]).is_file()) for row in rows}
    for beside in store.path.parent.glob(f"{store.path.name}.*.bak"):
        path = str(beside.absolute())
        if path not in found and beside.is_file():
            made = stamp(datetime.fromtimestamp(beside.stat().st_mtime, UTC))
            found[path] = Backup(path, made, has_text=True, there=True)
    return sorted(found.values(), key=lambda backup: (backup.made_at, backup.path), reverse=True)


def holding(store: Transactions, actor: str, user_id: str) -> list[Backup]:
    """The backups that hold texts of a user's, and those that did when they were made and lie elsewhere now."""
    return [
        backup
        for backup in known(store, actor)
        if backup.has_text and (not backup.there or texts.in_copy(Path(backup.path), user_id))
    ]


def prune(store: Transactions, actor: str, keep: int, *, dry_run: bool = False) -> list[Path]:
    """Remove all backups but the newest ``keep``; returns those that were (or would be). Raises NotPermitted, StoreError.

    Only files that are databases of this program's are removed; links are left alone.
    """
    with store.read(actor) as t:
        t.require_admin("remove backups")
    there = [Path(backup.path) for backup in known(store, actor) if backup.there]
    doomed = [path for path in there[keep:] if not path.is_symlink() and schema_version(path)]
    if dry_run:
        return doomed
    for path in doomed:
        try:
            path.unlink()
        except OSError as error:
            raise StoreError(f"cannot remove {path}: {error.strerror}", "check the folder's permissions") from error
    with store.write(actor) as t:
        t.executemany("DELETE FROM backups WHERE path = ?", [(str(path),) for path in doomed])
    return doomed
