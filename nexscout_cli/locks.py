"""Locks on open files, that no two programs have at a time. They end with the program that has them, however it ends."""

from __future__ import annotations

import time

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_NAP = 0.02
"""Seconds between two tries, where nothing tells that a lock is free."""


def take_if_free(fd: int) -> bool:
    """Lock an open file, which may be written to; False where somebody else has it. Raises OSError."""
    if fcntl is not None:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
    # What a program has locked there, others can't read either: what lies in such a file is read with the lock.
    import portalocker

    try:
        portalocker.lock(fd, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
    except portalocker.AlreadyLocked:
        return False
    except portalocker.LockException as error:
        raise OSError(*error.args) from error
    return True


def take(fd: int) -> None:
    """Lock an open file, however long that takes. Raises OSError."""
    if fcntl is not None:
        fcntl.flock(fd, fcntl.LOCK_EX)
        return
    while not take_if_free(fd):
        time.sleep(_NAP)


def leave(fd: int) -> None:
    """Unlock it. Raises OSError."""
    if fcntl is not None:
        fcntl.flock(fd, fcntl.LOCK_UN)
        return
    import portalocker

    portalocker.unlock(fd)
