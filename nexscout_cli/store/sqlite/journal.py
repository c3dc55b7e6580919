"""Which journal a database file may have.

A write-ahead log costs one sync a commit where a rollback journal costs four, and readers don't wait for commits. Two things
speak against it.

SQLite's WAL-reset bug (3.7.0 to 3.51.2 but for 3.44.6 and 3.50.7) loses commits: a checkpoint that begins while another
connection's commit starts the log anew leaves a wrong mark, and a later checkpoint then skips pages. It needs a checkpoint and a
commit at the same time. Here every commit, and every checkpoint (SQLite makes them inside of commits), is made under the lock of
the writers' queue (:mod:`queue`), by whichever process; and the checkpoint of the last connection that closes is made under
SQLite's own exclusive lock, when nobody else has the file open. So the bug is out of reach of this program, but not of another
one that writes into the file.

And the log's index is shared memory, which machines that share a file system don't share.

So: a fixed SQLite has the log from the start, any other from the first process on that makes many commits
(a server, a batch, a program that calls us); on a network's file system nobody has it.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nexscout_cli.store.sqlite.queue import QueueLock

_FIXED, _BACKPORTS = (3, 51, 3), ((3, 44, 6), (3, 50, 7))
_MOUNTS = Path("/proc/self/mountinfo")
_LOCAL = frozenset(
    ("bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay", "ramfs", "reiserfs", "tmpfs", "xfs", "zfs")
)
"""File systems whose files only one machine has."""


def wal_is_safe(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> bool:
    """Whether this SQLite is free of the WAL-reset bug, whoever else writes."""
    return version >= _FIXED or version in _BACKPORTS


def is_local(path: Path, mounts: Path = _MOUNTS) -> bool:
    """Whether the file lies on this machine alone. Where the system does not tell what is mounted, it counts as if."""
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return True
    folder, longest, kind = path.resolve().parent, -1, ""
    for line in lines:
        before, _, after = line.partition(" - ")
        place = Path(before.split()[4].replace("\\040", " "))
        # Of two on one place the later one covers the other.
        if len(place.parts) >= longest and folder.is_relative_to(place):
            longest, kind = len(place.parts), after.split()[0]
    return kind in _LOCAL


def settle(connection: sqlite3.Connection, path: Path, queue: QueueLock, *, logs: bool) -> str:
    """Give the file the journal that it is to have; returns the mode: wal or delete. ``logs``: a log is wanted with any SQLite.

    EXTRA makes each commit durable in both modes, of which another process may make the other one.
    """
    found = connection.execute("PRAGMA journal_mode").fetchone()[0]
    wanted = "wal" if (logs or found == "wal" or wal_is_safe()) and is_local(path) else "delete"
    if found != wanted:
        with queue.held():
            found = connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone()[0]
    connection.execute("PRAGMA synchronous = EXTRA")
    return str(found)
