"""One commit, and one thread's part of it where several write at once."""

from __future__ import annotations

import sqlite3
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from nexscout_cli.store.sqlite.gate import Gate
    from nexscout_cli.store.sqlite.watch import Watch

T = TypeVar("T")


class Commit:
    """BEGIN IMMEDIATE … COMMIT, or ROLLBACK on any exception. ``gate``: readers of this process, whom a commit waits for.
    ``watch`` is told.
    """

    def __init__(self, connection: sqlite3.Connection, gate: Gate | None = None, watch: Watch | None = None) -> None:
        self._connection = connection
        self._gate, self._watch = gate, watch
        self.committed = False
        self.awaited = True
        """Whether anybody waits for it."""

    def __enter__(self) -> sqlite3.Connection:
        self._begun = time.perf_counter()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except BaseException:
            if self._connection.in_transaction:  # an interrupt came while it waited
                self._connection.execute("ROLLBACK")
            raise
        if self._watch is not None:
            self._watch.begun()
        return self._connection

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        failed = error
        try:
            if error is None:
                with self._gate.committing() if self._gate else nullcontext():
                    self._connection.execute("COMMIT")
        except sqlite3.Error as why:  # busy, disk full
            failed = why
            raise
        finally:
            open_still = self._connection.in_transaction
            self.committed = failed is None and not open_still  # though an interrupt came right after it
            if open_still:
                self._connection.execute("ROLLBACK")
            if self._watch is not None:
                self._watch.ended()
            if self.committed and self.awaited and self._gate is not None:
                self._gate.awaited += 1
                self._gate.awaited_seconds += time.perf_counter() - self._begun


def _nobody() -> None:
    """Nobody waits."""


class Change(Generic[T]):
    """What somebody wants to write, and what came of it."""

    def __init__(self, make: Callable[[sqlite3.Connection], T]) -> None:
        self._make = make
        self._made_in: Commit | None = None
        self.over = False
        """Whether it failed, or is not wanted any more."""
        self.wake: Callable[[], None] = _nobody
        """Tells whoever waits for it that it has ended, or that it is their turn."""
        self.value: T
        self.error: Exception | None = None

    @property
    def ended(self) -> bool:
        """Whether nobody is to make it any more."""
        return self.over or bool(self._made_in and self._made_in.committed)

    def make(self, work: Commit, c: sqlite3.Connection, *, alone: bool) -> None:
        """Make the change in a transaction; beside others an exception is kept for its thread, and they stay."""
        self._made_in, self.error = work, None
        if alone:
            self.value = self._make(c)
            return
        c.execute("SAVEPOINT change")
        try:
            self.value = self._make(c)
        except Exception as error:
            if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.IntegrityError):
                raise  # it may have ended the transaction
            self.error = error
            c.execute("ROLLBACK TO change")
        c.execute("RELEASE change")
