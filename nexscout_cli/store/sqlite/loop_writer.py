"""What coroutines write: gathered by their event loop, committed together while it goes on."""

from __future__ import annotations

import functools
import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from nexscout_cli.store.sqlite.changes import Change, Commit
from nexscout_cli.store.sqlite.lessons import Lessons

if TYPE_CHECKING:
    import asyncio
    import sqlite3
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from nexscout_cli.store.sqlite.gate import Gate
    from nexscout_cli.store.sqlite.queue import QueueLock
    from nexscout_cli.store.sqlite.watch import Watch
    from nexscout_cli.waiting import Loop

T = TypeVar("T")
_log = logging.getLogger("nexscout.store")
_SLICE = 0.004
"""Seconds that statements run before others on the loop have a turn."""
_NAP = 0.001
"""Seconds between two tries for the turn, while a thread of this process writes."""
SOON, LATEST = 0.02, 0.25
"""Seconds, at least and at most, that what nobody waits for is kept, so that many of it are one commit."""
_SHARE = 10
"""How many times as long as the last commit took: nobody can read while one is made."""
_SHORT = 0.005
"""Seconds of a commit up to which a coroutine that is alone makes it without a thread."""


class Lender(Protocol):
    """The database, as far as a loop needs it."""

    queue: QueueLock
    gate: Gate
    lessons: Lessons | None
    watch: Watch | None

    @property
    def errors(self) -> AbstractContextManager[None]:
        """Raises what SQLite does as what it means."""

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection that writes."""

    def lend(self) -> bool:
        """Take this process's turn and that connection; False where somebody has them."""

    def take_back(self) -> None:
        """End that."""

    def commit_alone(self, change: Change[Any]) -> None:
        """Make a change in a transaction of its own."""


class LoopWriter:
    """The changes of one loop's coroutines.

    The statements run on the loop, one change after the other, which costs no hand-over between threads; what blocks, the
    queue of other processes and the commit itself, is done in a thread, but for a commit that nobody else would have to wait
    for. Who waits for a change goes on once it is durable.
    """

    def __init__(self, db: Lender) -> None:
        self._db = db
        self._waiting: deque[Change[Any]] = deque()
        self._later: list[Change[Any]] = []
        self._working = self._is_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._took = 0.0
        self._untaught: Lessons | None = None

    def make(self, loop: Loop, make: Callable[[sqlite3.Connection], T]) -> T:
        """Commit what ``make`` writes and return its value; all or nothing. Raises what it raises."""
        change = Change(make)
        self._waiting.append(change)
        if not self._working and self._is_alone(loop):
            self._working = True
            try:
                self._turn(loop)
            finally:
                self._working = False
                self._go_on(loop)
        else:
            loop.suspend(functools.partial(self._begin, loop, change))
        if change.error is not None:
            raise change.error
        return change.value

    def _begin(self, loop: Loop, change: Change[Any], resume: Callable[[], None]) -> None:
        change.wake = resume
        self._go_on(loop)

    def _is_alone(self, loop: Loop, others: int = 0) -> bool:
        """Whether a commit on the loop itself keeps nobody waiting but those it is made for, and ``others`` of our own."""
        return not self._db.gate.shuts and self._took < _SHORT and loop.running <= len(self._waiting) + others

    def soon(self, loop: Loop, make: Callable[[sqlite3.Connection], object]) -> None:
        """Commit what ``make`` writes within :data:`LATEST` seconds, with whatever else is committed then."""
        self._write_later(loop, make, min(LATEST, max(SOON, _SHARE * self._took)))

    def _write_later(self, loop: Loop, make: Callable[[sqlite3.Connection], object], seconds: float) -> None:
        change: Change[Any] = Change(make)
        change.wake = lambda: _tell(change)
        self._later.append(change)
        if self._timer is not None and self._timer.when() > loop.events.time() + seconds:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = loop.events.call_later(seconds, self._due, loop)

    def _teach(self, loop: Loop, lessons: Lessons) -> None:
        """Have what a commit taught folded in by a later one: those whose changes they are don't wait for that.

        A crash before it loses them, and no more: what they describe is booked.
        """
        if self._untaught is not None:
            self._untaught.take(lessons)
            return
        self._untaught = lessons

        def fold(connection: sqlite3.Connection) -> None:
            if self._untaught is lessons:
                self._untaught = None
            lessons.fold(connection)

        self._write_later(loop, fold, LATEST)

    def settle(self, loop: Loop) -> None:
        """Wait until all that was to be written soon is written."""
        if self._later or self._waiting:
            self._is_due = True
            self.make(loop, lambda c: None)

    def _due(self, loop: Loop) -> None:
        self._timer = None
        self._is_due = bool(self._later)
        self._go_on(loop)

    @property
    def _has_work(self) -> bool:
        # What came while a commit was made is left until it is due, else each would be a commit of its own.
        return bool(self._waiting or (self._later and self._is_due))

    def _go_on(self, loop: Loop) -> None:
        if self._has_work and not self._working:
            self._working = True
            loop.start(lambda: self._work(loop))

    def _work(self, loop: Loop) -> None:
        while self._has_work:
            self._turn(loop, 1)
        self._working = False

    def _turn(self, loop: Loop, others: int = 0) -> None:
        """Make what waits, one commit."""
        while not self._db.lend():
            loop.sleep(_NAP)
        batch: list[Change[Any]] = []
        try:
            self._commit(loop, batch, others)
        except Exception as error:  # noqa: BLE001 - whose change it was raises it
            failed: Exception | None = error
        else:
            failed = None
        finally:
            self._db.take_back()
        batch = batch or [*self._waiting, *self._later]
        if failed is not None:
            self._one_by_one(loop, batch, failed)
        self._forget(batch)
        for change in batch:
            change.wake()

    def _one_by_one(self, loop: Loop, batch: list[Change[Any]], error: Exception) -> None:
        """After a transaction that failed, each change in one of its own: an error of one takes the others nothing."""
        for change in batch:
            if change.ended:
                continue
            if len(batch) == 1 or getattr(error, "code", "") == "busy":
                change.error, change.over = error, True
            else:
                loop.in_writers_thread(lambda change=change: self._db.commit_alone(change))  # type: ignore[misc]

    def _forget(self, batch: list[Change[Any]]) -> None:
        gone = set(map(id, batch))
        self._waiting = deque(change for change in self._waiting if id(change) not in gone)
        self._later = [change for change in self._later if id(change) not in gone]

    def _commit(self, loop: Loop, batch: list[Change[Any]], others: int) -> None:
        """One turn: what waits when it comes, which ``batch`` is filled with, in one transaction."""
        db = self._db
        with db.errors, db.queue.held_by(loop.in_writers_thread):
            # Who is alone is not to wait for what nobody waits for, until that is due.
            alone = self._is_alone(loop, others)
            batch += self._waiting if alone and not self._is_due else [*self._waiting, *self._later]
            self._is_due = False
            work = Commit(db.connection, db.gate, db.watch)
            work.awaited = bool(self._waiting)
            lessons = self._statements(loop, work, batch, behind=loop.writes_behind and work.awaited)
            begun = time.monotonic()
            if alone and self._is_alone(loop, others):
                work.__exit__(None, None, None)
            else:
                loop.in_writers_thread(lambda: work.__exit__(None, None, None))
            self._took = time.monotonic() - begun
        if lessons:
            self._teach(loop, lessons)

    def _statements(self, loop: Loop, work: Commit, batch: list[Change[Any]], *, behind: bool) -> Lessons | None:
        """Make the changes. What they teach is folded in as well, or ``behind``, and then returned."""
        connection, begun = work.__enter__(), time.monotonic()
        self._db.lessons = lessons = Lessons()
        try:
            for change in batch:
                if time.monotonic() - begun > _SLICE:
                    loop.sleep(0)
                    begun = time.monotonic()
                taught = len(lessons)
                change.make(work, connection, alone=len(batch) == 1)
                if change.error is not None:
                    lessons.forget_after(taught)
            if behind:
                return lessons
            lessons.fold(connection)
        except BaseException as error:
            work.__exit__(type(error), error, None)
            raise
        finally:
            self._db.lessons = None
        return None


def _tell(change: Change[Any]) -> None:
    """Nobody waits for it: its failure is the log's."""
    if change.error is not None:
        _log.error("what nobody waited for could not be written: %s", change.error)
