"""What operating systems have in different ways, asked for by what is there and not by its name. Imports nothing of ours."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HAS_MODES = hasattr(os, "getuid")
"""Whether a file's mode says who may read it. On Windows rights are kept elsewhere, and every mode looks open to all."""
_NONBLOCK: int = getattr(os, "O_NONBLOCK", 0)
_BINARY: int = getattr(os, "O_BINARY", 0)


def opened(path: Path | str, flags: int, mode: int = 0o600, *, waits: bool = True) -> int:
    """``os.open``, whose bytes stay as they are; ``waits`` False: not even for who writes to a FIFO. Raises OSError."""
    return os.open(path, flags | _BINARY | (0 if waits else _NONBLOCK), mode)


def sync_folder(folder: Path) -> None:
    """See that a new name in a folder outlasts a power cut, where a folder can be opened for that."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def host() -> str:
    """This machine's name."""
    if hasattr(os, "uname"):
        return os.uname().nodename
    import socket

    return socket.gethostname()


def login() -> str:
    """Who is at the keyboard, by the system's account."""
    if not HAS_MODES:
        return os.environ.get("USERNAME", "").strip() or "user"
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid-{os.getuid()}"


def lives(pid: int) -> bool:
    """Whether there is a process of that number."""
    if HAS_MODES:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except (PermissionError, OverflowError):
            return True
        return True
    import psutil  # os.kill would end it

    return psutil.pid_exists(pid)


def started(pid: int) -> str:
    """When a process began, as a text that no other process of that number has; ``-`` where that is not known, or of one that
    has died and was not waited for yet.
    """
    if not HAS_MODES:
        import psutil

        try:
            return f"{psutil.Process(pid).create_time():.3f}"
        except psutil.Error:
            return "-"
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - pathlib is not imported for that
            stat = file.read()
    except OSError:
        return "-"
    # In clock ticks after boot: proc(5), field 22; the state, Z for a zombie, is field 3.
    state, *fields = stat.rpartition(b")")[2].split()
    return "-" if state == b"Z" else fields[18].decode()
