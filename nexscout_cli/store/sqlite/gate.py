"""Readers and the commit of one process: neither finds the file locked by the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nexscout_cli import waiting


class Gate:
    """Open for any number of readers, and shut for as long as a commit takes.

    With a rollback journal a commit needs the file alone, and SQLite lets whoever finds it locked sleep for up to 100 ms, over
    and over: with 50 threads that was most of the time. Here they wait for each other just as long as it takes. What waits
    longer than ``timeout`` seconds goes on: SQLite's own locks keep what must be kept, among processes too.
    ``shuts``: False where commits keep nobody from reading (a write-ahead log).
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._changed = threading.Condition(threading.Lock())
        self._readers = 0
        self._shut = False
        self.shuts = True
        self.commits = 0
        """How many commits were made or tried."""
        self.seconds = 0.0
        """How long they took, all together."""
        self.awaited = 0
        """How many of them somebody waited for."""
        self.awaited_seconds = 0.0
        """How long the transactions of those took, from the first statement to the end of the commit."""
        self._outside: list[Callable[[], None]] = []  # coroutines, which are told when it opens

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Inside, no commit of this process begins."""
        while self._shut and (loop := waiting.here()) is not None:
            loop.suspend(self._when_open)
        with self._changed:
            if self._shut:
                self._changed.wait_for(lambda: not self._shut, self._timeout)
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                if not self._readers and self._shut:
                    self._changed.notify_all()

    def _when_open(self, resume: Callable[[], None]) -> None:
        with self._changed:
            if self._shut:
                self._outside.append(resume)
                return
        resume()

    @contextmanager
    def committing(self) -> Iterator[None]:
        """Inside, no thread of this process reads. One commit at a time, as the writers' turn is one thread's."""
        with self._changed:
            self._shut = self.shuts
            if self._shut and self._readers:
                self._changed.wait_for(lambda: not self._readers, self._timeout)
        begun = time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - begun
            with self._changed:
                self._shut = False
                self.commits += 1
                self.seconds += took
                outside, self._outside = self._outside, []
                self._changed.notify_all()
            for resume in outside:
                resume()
