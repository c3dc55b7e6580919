"""Only the owner may read the files."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from nexscout_cli import system
from nexscout_cli.engine.book_types import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


def file_modes(path: Path) -> list[Problem]:
    """Files of the database, its journals and backups that others than the owner may read or write."""
    beside = [path.with_name(path.name + suffix) for suffix in ("", ".lock", ".lock-next", "-wal", "-shm", "-journal")]
    return list(_open_to_others([*beside, *sorted(path.parent.glob(f"{path.name}.*.bak"))]))


def _open_to_others(files: Iterable[Path]) -> Iterator[Problem]:
    for file in files:
        try:
            mode = stat.S_IMODE(file.stat().st_mode)
        except OSError:
            continue
        if system.HAS_MODES and mode != 0o600:
            yield Problem("mode", f"{file} has mode {mode:04o}, not 0600", f"chmod 600 {file}")
