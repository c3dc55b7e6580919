"""How often the streams of a busy event loop are read: the busier it is, the more of each stream at a time.

To read a stream, take it apart and pass it on costs nearly as much for one event as for ten. So a loop that many streams
keep busy lets each rest for some milliseconds after it was read; what comes meanwhile waits in the system's buffers, and is
read and passed on together. Streams that have not begun to speak never rest: the first words of others come before the
further words of these.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Protocol
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from nexscout_cli.waiting import Loop

LONGEST = 0.25
"""Seconds that a stream rests at the most: by so much may its words come later, all but the first."""
_LOOK = 0.1
"""Seconds between two looks at how busy the loop is."""
_BUSY, _IDLE = 0.5, 0.35
"""Shares of a loop's time from which on streams rest longer, and below which they rest shorter."""
_LATE = 0.01
"""Seconds that a look may come too late; what is later is busy too, with others' work on this machine."""
_SHORTEST = 0.01
"""Seconds below which a rest is none."""
_TICK = 0.001
"""Seconds between two times that rests end."""
_AT_ONCE = 8
"""Rests that end at a time. Else what a hiccup has gathered would come together again after each rest, and whoever begins then
would have to wait for all of it.
"""
_GIVES_WAY = 0.03
"""Seconds that a rest may last longer for that."""


class Rests(Protocol):
    """A stream that is not read for a while."""

    def go_on(self) -> None:
        """The rest is over."""


class Pace:
    """The pace of one loop's streams. ``rest``: seconds that a stream rests now, after it was read.

    While a coroutine is at work on something else than a stream, a request's plan or its booking, rests last a little longer:
    it has the loop to itself.
    """

    def __init__(self, loop: Loop) -> None:
        self.rest = 0.0
        self._loop, self._events = loop, loop.events
        self._resting: deque[tuple[float, Rests]] = deque()
        self._open = 0
        self._looked: tuple[float, float] | None = None

    def begin(self) -> None:
        """A stream is open."""
        self._open += 1
        if self._looked is None:
            self._wait_to_look()

    def end(self) -> None:
        """It is not any more."""
        self._open -= 1

    def let_rest(self, stream: Rests) -> None:
        """Tell a stream when its rest is over."""
        self._resting.append((time.monotonic() + self.rest, stream))
        if len(self._resting) == 1:
            self._events.call_later(self.rest, self._wake)

    def _wake(self) -> None:
        resting, now = self._resting, time.monotonic()
        if self._loop.running > self._loop.away and now - resting[0][0] < _GIVES_WAY:
            self._events.call_later(_TICK, self._wake)
            return
        for _ in range(_AT_ONCE):
            if not resting or resting[0][0] > now:
                break
            resting.popleft()[1].go_on()
        if resting:
            self._events.call_later(max(_TICK, resting[0][0] - now), self._wake)

    def _wait_to_look(self) -> None:
        self._looked = time.monotonic(), time.thread_time()
        self._events.call_later(_LOOK, self._look)

    def _look(self) -> None:
        """Rest longer where the loop is busy, shorter where it is not."""
        assert self._looked is not None
        seconds, used = time.monotonic() - self._looked[0], time.thread_time() - self._looked[1]
        share = used / seconds
        if share > _BUSY or seconds > _LOOK + _LATE:
            self.rest = min(LONGEST, max(_SHORTEST, self.rest * 1.5))
        elif share < _IDLE:
            self.rest = self.rest * 0.8 if self.rest * 0.8 >= _SHORTEST else 0.0
        if self._open:
            self._wait_to_look()
        else:
            self._looked, self.rest = None, 0.0


_pace_of: WeakKeyDictionary[Loop, Pace] = WeakKeyDictionary()


def pace(loop: Loop) -> Pace:
    """The pace of a loop's streams."""
    found = _pace_of.get(loop)
    if found is None:
        found = _pace_of[loop] = Pace(loop)
    return found
