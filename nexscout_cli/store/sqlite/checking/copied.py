"""The copy that a large database is checked in, so that nobody who writes has to wait for the check."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGE = 20_000_000
"""Bytes from which it is worth it: smaller ones are checked in a second or two."""


@contextmanager
def copied(connection: sqlite3.Connection, path: Path) -> Iterator[sqlite3.Connection | None]:
    """The state that an open read sees, in a file of its own beside the database, which nobody else can open.

    None where reading keeps nobody from writing (a write-ahead log), for a small database, and where there is no room.
    """
    copy = _copy(connection, path)
    try:
        yield copy
    finally:
        if copy is not None:
            copy.close()


def _copy(connection: sqlite3.Connection, path: Path) -> sqlite3.Connection | None:
    if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
        return None
    pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    if pages * size < LARGE:
        return None
    copy: sqlite3.Connection | None = None
    try:
        with tempfile.NamedTemporaryFile(prefix=".check-", dir=path.parent) as file:
            # Open, it outlives its name: a check that is killed leaves nothing.
            copy = sqlite3.connect(file.name, isolation_level=None)
            copy.execute("PRAGMA journal_mode = OFF")
            copy.execute("PRAGMA synchronous = OFF")
            connection.backup(copy)
    except (OSError, sqlite3.Error):
        if copy is not None:
            copy.close()
        return None
    copy.row_factory = connection.row_factory
    return copy
