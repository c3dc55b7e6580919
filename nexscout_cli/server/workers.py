"""Several processes behind one address: the parent binds it, begins the workers, begins those anew that die, and ends them.

Workers are forks of a parent that has loaded the program and opened nothing: no database, no thread. All accept from the same
sockets, so that one that is busy leaves connections to the others. Each hears by a pipe that the parent is gone, however it
went, and ends then as by SIGTERM.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from nexscout_cli.errors import StoreError, UsageError
from nexscout_cli.server.board import Memory

PAUSE, LONGEST = 0.1, 30.0
"""Seconds before a worker that died is begun anew; twice as long after each death that follows soon, up to the longest."""
_LIVED = 60.0
"""Seconds after which a worker counts as one that works."""
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""What is wrong with an address that a name has and this machine has not, as ``localhost`` may have one of IPv6."""
_GRACE = 10.0
"""Seconds beyond what answers may take, after which a worker that does not end is killed."""
_STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_ALWAYS = (signal.SIGINT, signal.SIGTERM)
"""Signals that end a server also where whoever began it has them ignored, as a shell does for what runs in the background."""


class Worker(NamedTuple):
    """What a worker is given: its number from 0, the memory of all, the sockets to accept from, the end of a pipe that says
    that the parent is gone, and the one that it tells its parent by that it serves.
    """

    number: int
    memory: Memory
    sockets: list[socket.socket]
    parent: int
    ready: int

    def serves(self) -> None:
        """Tell the parent that requests are answered."""
        with contextlib.suppress(OSError):  # it is gone, of which the other pipe tells
            os.write(self.ready, b"1")
        os.close(self.ready)


class Ended(NamedTuple):
    """How the workers ended: by which signal to the parent, or None and the exit status of one that could not begin."""

    by: int | None
    status: int


def listening(host: str, port: int) -> list[socket.socket]:
    """A socket for each address of a host, bound and heard by nobody yet. Raises StoreError."""
    opened: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, _, _, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            try:
                opened.append(_bound(family, address))
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                missing = error
        if not opened and missing is not None:
            raise missing
    except OSError as error:
        for one in opened:
            one.close()
        raise StoreError(
            f"cannot listen on {host}, port {port}: {error.strerror}",
            "stop what listens there, or name another --host or --port",
            code="address",
        ) from error
    return opened


def _bound(family: int, address: Any) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere it would let two programs have one address
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(address)
        one.setblocking(False)
    except OSError:
        one.close()
        raise
    return one


def begin(workers: int, sockets: list[socket.socket], limit: float, say: Callable[[str], None]) -> Worker | Ended:
    """Run so many workers. Returns in each of them what it is given, and in the parent, at the end, how it came.

    ``limit``: seconds that answers under way may take when all is to end. ``say`` takes what the person at the terminal is to
    know. Raises UsageError where the system cannot fork.
    """
    if not hasattr(os, "fork"):
        raise UsageError("this system runs one worker only", "leave --workers out")
    gc.collect()
    gc.freeze()  # what was loaded stays in memory that all share
    return _Parent(workers, sockets, limit, say).run()


class _Place:
    """A worker's place: who works there, and when the next one is to begin where nobody does."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.pid = 0
        self.ready = -1
        self.is_ready = False
        self.begun = 0.0
        self.due = 0.0
        self.deaths = 0


class _Parent:
    def __init__(self, workers: int, sockets: list[socket.socket], limit: float, say: Callable[[str], None]) -> None:
        self._places = [_Place(number) for number in range(workers)]
        self._sockets, self._limit, self._say = sockets, limit, say
        self._memory = Memory(workers)
        self._lives, self._life = os.pipe()
        self._came: list[int] = []
        self._said = False
        self._ends: float | None = None
        self._failed: int | None = None
        self._is_worker = False

    def run(self) -> Worker | Ended:
        with self._signals() as woken:
            while True:
                if (worker := self._begin_due()) is not None:
                    return worker
                self._wait(woken)
                self._hear()
                self._bury()
                if self._ends is not None and not any(place.pid for place in self._places):
                    return Ended(self._by(), self._failed or 0)

    def _by(self) -> int | None:
        """The signal that ended it; None also where whoever began the server has it ignored."""
        return next((number for number in self._came[:1] if self._before[number] is not signal.SIG_IGN), None)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[int]:
        """Signals are noted, and wake whoever waits at the pipe that is given; in a fork they are as they were."""
        woken, wakes = os.pipe()
        for end in (woken, wakes):
            os.set_blocking(end, False)
        self._before = {number: signal.getsignal(number) for number in (*_STOPPING, signal.SIGCHLD)}
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        for number in _STOPPING:
            if number in _ALWAYS or self._before[number] is not signal.SIG_IGN:
                signal.signal(number, lambda number, frame: self._came.append(number))
        wake_before = signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        try:
            yield woken
        finally:
            signal.set_wakeup_fd(wake_before)
            if not self._is_worker:
                for number, handler in self._before.items():
                    signal.signal(number, handler)
            os.close(woken)
            os.close(wakes)

    def _wait(self, woken: int) -> None:
        """Wait until a signal comes, a worker says that it serves, or something is due."""
        now = time.monotonic()
        due = [place.due for place in self._places if not place.pid and self._may_begin(place)]
        if self._ends is not None:
            due = [self._ends]
        waiting = [place.ready for place in self._places if place.ready >= 0]
        seconds = max(0.0, min(due) - now) if due else None
        heard, _, _ = select.select([woken, *waiting], [], [], seconds)
        if woken in heard:
            with contextlib.suppress(BlockingIOError):
                os.read(woken, 512)
        for place in self._places:
            if place.ready in heard:
                place.is_ready = bool(os.read(place.ready, 1))
                os.close(place.ready)
                place.ready = -1
        if not self._said and all(place.is_ready for place in self._places):
            self._said = True
            self._say_where()

    def _say_where(self) -> None:
        pids = ", ".join(str(place.pid) for place in self._places)
        for one in self._sockets:
            self._say(f"nexscout serves {address(one)} (process {os.getpid()}, workers {pids})")

    def _may_begin(self, place: _Place) -> bool:
        # The first one makes what is not there yet: the database, the tokenizer's table.
        return self._ends is None and (place.number == 0 or self._said or self._places[0].is_ready)

    def _begin_due(self) -> Worker | None:
        """Begin who is due; the worker itself, in its own process."""
        for place in self._places:
            if place.pid or place.due > time.monotonic() or not self._may_begin(place):
                continue
            if (worker := self._fork(place)) is not None:
                return worker
        return None

    def _fork(self, place: _Place) -> Worker | None:
        ready, tells = os.pipe()
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {*_STOPPING, signal.SIGCHLD})
        try:
            place.pid = os.fork()
        except OSError as error:  # too many processes, or no memory now
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            os.close(ready)
            os.close(tells)
            self._again(place, f"could not begin: {error.strerror}")
            return None
        if place.pid == 0:
            for fd in (self._life, ready, *(other.ready for other in self._places if other.ready >= 0)):
                os.close(fd)
            self._come_alive(blocked)
            return Worker(place.number, self._memory, self._sockets, self._lives, tells)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        os.close(tells)
        place.ready, place.is_ready, place.begun = ready, False, time.monotonic()
        return None

    def _come_alive(self, blocked: set[int | signal.Signals]) -> None:
        """In a fork: a signal to end ends it without a word, and that of a terminal that goes is the parent's."""

        def leave(number: int, frame: object) -> None:
            raise SystemExit(0)

        self._is_worker = True
        signal.set_wakeup_fd(-1)
        for number in self._before:
            signal.signal(number, leave if number in _ALWAYS else signal.SIG_DFL)
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def _hear(self) -> None:
        """Pass on what signals have come: the first lets all workers end what they have begun."""
        if self._came and self._ends is None:
            self._end()
        while self._came[1:]:
            self._tell(self._came.pop())
        if self._ends is not None and time.monotonic() >= self._ends:
            self._tell(signal.SIGKILL)
            self._ends += 1.0

    def _end(self) -> None:
        self._ends = time.monotonic() + self._limit + _GRACE
        for one in self._sockets:
            one.close()
        self._tell(signal.SIGTERM)

    def _tell(self, number: int) -> None:
        for place in self._places:
            if place.pid:
                os.kill(place.pid, number)

    def _bury(self) -> None:
        for place in self._places:
            if place.pid:
                pid, status = os.waitpid(place.pid, os.WNOHANG)
                if pid:
                    self._has_ended(place, os.waitstatus_to_exitcode(status))

    def _has_ended(self, place: _Place, status: int) -> None:
        pid, place.pid = place.pid, 0
        self._memory.free(place.number)
        if place.ready >= 0:
            os.close(place.ready)
            place.ready = -1
        if self._ends is not None:
            return
        if not self._said and not place.is_ready and place.number == 0:
            self._failed = status if status >= 0 else 128 - status  # what it said of that is said
            self._end()
            return
        if time.monotonic() - place.begun >= _LIVED:
            place.deaths = 0
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with {status}"
        self._again(place, f"(process {pid}) {how}")

    def _again(self, place: _Place, how: str) -> None:
        """Have another worker begin in a place, and say why."""
        pause = min(LONGEST, PAUSE * 2 ** min(place.deaths, 30))
        place.due = time.monotonic() + pause
        place.deaths += 1
        self._say(f"nexscout: worker {place.number + 1} {how}; another one begins in {pause:g} s")


def address(one: socket.socket) -> str:
    """Where clients find a socket, as a base URL."""
    host, port = one.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
