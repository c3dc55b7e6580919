"""What SQLite's errors mean to the user."""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from nexscout_cli.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

RESTORE = "restore a backup (nexscout.db.*.bak beside it), or move the file away to start a new one"


class Errors(AbstractContextManager[None]):
    """What SQLite raises, but for a broken constraint, as what it means to the user."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.IntegrityError):
            raise unusable(self._path, error) from error


def unusable(path: Path, error: sqlite3.Error) -> StoreError:
    """What SQLite's error means to the user."""
    text = str(error)
    if "locked" in text:
        return StoreError(f"{path} is locked by another program", "close it and try again", code="busy")
    if "readonly" in text or "unable to open" in text:
        return StoreError(
            f"cannot write to {path}: {text}", "check the permissions of the file and its folder", code="read_only"
        )
    if "not a database" in text:
        return StoreError(f"{path} is not a NexScout database", RESTORE, code="corrupt")
    if "full" in text or getattr(error, "sqlite_errorname", "") == "SQLITE_IOERR_SHMSIZE":  # no room for a log's index
        return StoreError(f"no space left for {path}", "free some disk space; nothing was lost", code="disk_full")
    return StoreError(
        f"{path} cannot be used: {text}", "`nexscout db check` says more; a backup may lie beside it", code="corrupt"
    )
