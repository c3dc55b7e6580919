"""How a function's time grows with its text: CPU seconds at n and at 4n, one after the other, as a ratio; the least of several.

Linear functions come to about 4, quadratic ones to about 16. A machine whose own speed changes by half between the least time of
one and that of the other would make 8 of 4: so they are not taken apart.
"""

from __future__ import annotations

import gc
import time
from typing import NamedTuple

from tests.support.families import Family
from tests.support.text_functions import Reads

MOST = 6.0
"""The ratio above which a function does not count as linear."""
SHORT = 0.025
"""CPU seconds at 4n, of 6,000 characters or more, that are too short to measure and too short for a quadratic function: a step
of a pattern takes some 10 ns, which makes 180 ms of 6,000² ÷ 2.
"""
_TRIES = 6


class Growth(NamedTuple):
    """CPU seconds at n and 4n characters."""

    small: float
    large: float

    @property
    def ratio(self) -> float:
        """How many times the CPU time four times the text takes."""
        return self.large / max(self.small, 1e-9)


def cpu(reads: Reads, text: str) -> float:
    """CPU seconds that one call takes. A RecursionError is the function's own to catch, and is passed on."""
    gc.collect(0)
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        start = time.thread_time()
        reads(text)
        return time.thread_time() - start
    finally:
        if was_enabled:
            gc.enable()


def growth(reads: Reads, family: Family, n: int, short: float = SHORT) -> Growth | None:
    """How the time grows from n to 4n; None where it is too short to tell (`short`, in seconds), and too short to matter."""
    small, large = family(n), family(4 * n)
    once = cpu(reads, large)
    if once < short:
        return None
    most = Growth(cpu(reads, small), once)
    for _ in range(_TRIES):
        if most.ratio <= MOST:
            break
        most = min(most, Growth(cpu(reads, small), cpu(reads, large)), key=lambda one: one.ratio)
    return most
