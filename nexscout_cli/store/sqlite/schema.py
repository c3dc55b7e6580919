"""Making a database, bringing an older one up to date, copying one. Imported only where one of these is done."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

from sqlite_utils import Database

from nexscout_cli.files import remove_left_over

# Each adds its own when it is imported: in this order.
from nexscout_cli.store.sqlite.migrations import (  # noqa: F401
    MIGRATIONS,
    m01_books,
    m02_routing_and_cache,
    m10_teams,
    m17_folds_and_jobs,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a database to the newest schema, each migration in a transaction of its own."""
    connection.execute("PRAGMA foreign_keys = OFF")  # else a table that is made anew takes those that refer to it along
    try:
        MIGRATIONS.apply(Database(connection))
    finally:
        connection.execute("PRAGMA foreign_keys = ON")


def backup(connection: sqlite3.Connection, target: Path, change: Callable[[Path], None] | None = None) -> None:
    """A consistent copy of the database as a file that only its owner can read. ``change`` is made to it before it counts.

    Raises FileExistsError. A copy that is cut short by a kill has another name, and the next backup removes it.
    """
    if target.exists():
        raise FileExistsError(target)
    # They hold people's texts, and nobody knows of them.
    remove_left_over(target.parent, ".part", lambda name: name == target.name or name.endswith(".bak"))
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    try:
        connection.execute("VACUUM INTO ?", (str(part),))
        if change is not None:
            change(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())  # VACUUM INTO itself syncs nothing
        _put(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _put(part: Path, target: Path) -> None:
    """Give a finished copy its name, unless a file has it. Raises FileExistsError."""
    try:
        target.hardlink_to(part)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        target.touch(mode=0o600, exist_ok=False)
        part.replace(target)
    else:
        part.unlink()
