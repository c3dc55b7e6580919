"""The queue of writers: locks on files beside the database, in turn, with a deadline, safe with threads, forks and kills."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import WeakSet

from nexscout_cli import locks, system, waiting
from nexscout_cli.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class QueueLock:
    """The lock beside the database on which writers queue, in turn and with a deadline.

    Two locks: the next writer holds the queue's own lock while it waits, so that a writer who comes straight back must wait
    behind it. On one lock alone that writer would have it again before those who wait are even awake.
    The files stay open between two turns, but not in a child that is forked: the lock would stay with it.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        self._path = str(path)
        self._door = f"{path}-next"
        self._timeout = timeout
        self._kept: dict[str, int] = {}
        _QUEUES.add(self)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock. Raises StoreError when it is not had within the timeout."""
        with self._kept_until_left(self._turn()):
            yield

    @contextmanager
    def held_by(self, in_thread: Callable[[Callable[[], int]], int]) -> Iterator[None]:
        """The same; where others are before us it is waited for by ``in_thread``."""
        fd = self._at_once()
        with self._kept_until_left(in_thread(self._turn) if fd is None else fd):
            yield

    @contextmanager
    def _kept_until_left(self, fd: int) -> Iterator[None]:
        try:
            yield
        finally:
            self._leave(self._path, fd)

    def _turn(self) -> int:
        end = time.monotonic() + self._timeout
        door = self._taken(self._door, end)
        try:
            return self._taken(self._path, end)
        finally:
            self._leave(self._door, door)

    def _at_once(self) -> int | None:
        """The lock where nobody has it or waits for it, else None."""
        door = self._free(self._door)
        if door is None:
            return None
        try:
            return self._free(self._path)
        finally:
            self._leave(self._door, door)

    def _free(self, path: str) -> int | None:
        """A lock that nobody has, else None."""
        fd = self._opened(path)
        try:
            is_ours = locks.take_if_free(fd)
        except BaseException:
            os.close(fd)
            raise
        if is_ours:
            return fd
        os.close(fd)
        return None

    def close(self) -> None:
        """Close the files that are kept open; the next turn opens them again."""
        while self._kept:
            os.close(self._kept.popitem()[1])

    __del__ = close

    def _opened(self, path: str) -> int:
        fd = self._kept.pop(path, None)
        if fd is None:
            try:
                fd = system.opened(path, os.O_RDWR | os.O_CREAT)
            except OSError as error:
                raise StoreError(
                    f"cannot write to {path}: {error.strerror}", "check its permissions and the space", code="read_only"
                ) from error
        return fd

    def _taken(self, path: str, end: float) -> int:
        fd = self._opened(path)
        try:
            is_ours = locks.take_if_free(fd)
        except BaseException:
            os.close(fd)
            raise
        if not is_ours and not _wait(fd, end - time.monotonic()):
            raise StoreError(
                f"the database was busy for {self._timeout:g} seconds",
                "try again; another nexscout is at work",
                code="busy",
            )
        return fd

    def _leave(self, path: str, fd: int) -> None:
        locks.leave(fd)
        if self._kept.setdefault(path, fd) != fd:
            os.close(fd)


def lock_of(database: Path) -> Path:
    """The file on which the writers of a database queue: beside the database itself where a link leads to it, for all its
    names are one, as SQLite has one journal for them. Raises StoreError for a link that leads nowhere.
    """
    if not database.is_symlink():
        return database.with_name(f"{database.name}.lock")
    if not database.exists():
        raise StoreError(
            f"{database} is a link to {database.readlink()}, which is not there",
            "mount what is missing, or remove the link to start a new database",
            code="corrupt",
        )
    real = database.resolve()
    return real.with_name(f"{real.name}.lock")


_QUEUES: WeakSet[QueueLock] = WeakSet()


def _leave_to_the_parent() -> None:
    for queue in _QUEUES:
        queue.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_the_parent)


def _wait(fd: int, seconds: float) -> bool:
    """Queue in a thread, for a lock knows no deadline; one given up on closes the file when its turn comes."""
    turn, given_up = threading.Lock(), False
    got = threading.Event()

    def wait() -> None:
        locks.take(fd)
        with turn:
            got.set()
            if given_up:
                _free(fd)

    threading.Thread(target=wait, daemon=True).start()
    try:
        with waiting.turn():
            got.wait(seconds)
    except BaseException:
        with turn:
            given_up = True
            if got.is_set():
                _free(fd)
        raise
    with turn:
        given_up = not got.is_set()
    return not given_up


def _free(fd: int) -> None:
    """Unlock and close: to close it alone would leave the lock with a child that was forked meanwhile."""
    locks.leave(fd)
    os.close(fd)
