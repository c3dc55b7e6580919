"""How code waits: in a thread it blocks; run as a coroutine it lets others go on.

Engine, store and wires are written once, as code that waits. Where a server or a batch runs them as coroutines
(``coroutines.py``), the few places that wait for long ask :func:`here` how.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Iterator
    from contextlib import AbstractContextManager

T = TypeVar("T")


class Loop(Protocol):
    """The event loop that the calling coroutine runs on."""

    events: asyncio.AbstractEventLoop
    writes_behind: bool
    """Whether an answer that costs nothing is handed over before it is booked, as a server does for speed."""

    away: int
    """How many of them wait for another server."""

    @property
    def running(self) -> int:
        """How many coroutines there are, those that wait included."""

    def suspend(self, begin: Callable[[Callable[[], None]], None]) -> None:
        """Let others go on until the function that ``begin`` is given has been called, once, from whichever thread."""

    def until_ready(self, file: int, *, writable: bool = False) -> None:
        """Let others go on until a socket can be read from, or, where that is asked, written to as well."""

    def in_thread(self, work: Callable[[], T]) -> T:
        """Do something that blocks, in a thread."""

    def in_writers_thread(self, work: Callable[[], T]) -> T:
        """The same, in a thread that only what writes for all has: others' calls may have all the threads there are."""

    def to_end(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run an asynchronous function to its end."""

    def sleep(self, seconds: float) -> None:
        """Wait."""

    def start(self, work: Callable[[], None]) -> None:
        """Run something as a coroutine whose end nobody waits for."""

    def at_end(self, work: Callable[[], None]) -> None:
        """Do something when the loop ends."""


_find: Callable[[], Loop | None] | None = None


def here() -> Loop | None:
    """The loop that the calling code runs on as a coroutine; None where it has a thread to itself."""
    return None if _find is None else _find()


def found_by(find: Callable[[], Loop | None]) -> None:
    """Say who knows whether the calling code is a coroutine."""
    global _find
    _find = find


def aside(work: Callable[[], T]) -> T:
    """What ``work`` returns, which blocks: in a coroutine it is done in a thread, while others go on."""
    loop = here()
    return work() if loop is None else loop.in_thread(work)


class Wake:
    """Lets one who waits go on, whether a thread or a coroutine. Once."""

    __slots__ = ("_event", "_is_set", "_loop", "_resume")

    def __init__(self) -> None:
        self._loop = here()
        self._event = threading.Event() if self._loop is None else None
        self._is_set = False
        self._resume: Callable[[], None] | None = None

    def wait(self) -> None:
        """Wait until :meth:`set` is called, or was."""
        if self._event is not None:
            self._event.wait()
        elif not self._is_set:
            assert self._loop is not None
            self._loop.suspend(self._begin)

    def _begin(self, resume: Callable[[], None]) -> None:
        with _wakes:
            if not self._is_set:
                self._resume = resume
                return
        resume()

    def set(self) -> None:
        """End the wait; from any thread."""
        if self._event is not None:
            self._event.set()
            return
        with _wakes:
            self._is_set = True
            resume, self._resume = self._resume, None
        if resume is not None:
            resume()


_wakes = threading.Lock()
"""For a moment, of all that coroutines wait for: a lock each would take longer to make."""


class GaveUp(KeyboardInterrupt):
    """A signal has ended a wait for one's turn; nothing was done."""


@contextmanager
def patient(until: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """Inside, waits of this thread for its turn are entered through ``until``, by which a signal may end them (GaveUp)."""
    before = getattr(_here, "until", nullcontext)
    _here.until = until
    try:
        yield
    finally:
        _here.until = before


@contextmanager
def turn() -> Iterator[None]:
    """A wait of this thread for its turn. Raises GaveUp where it is :func:`patient` and a signal has come."""
    try:
        with getattr(_here, "until", nullcontext)():
            yield
    except KeyboardInterrupt:
        raise GaveUp from None


_here = threading.local()
