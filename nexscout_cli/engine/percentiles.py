"""Percentiles and medians of counted values: the one rule, whether all values are known or rounded ones are counted.

Values are whole numbers ≥ 0. Where there are many, they are counted rounded down to a few significant bits, and what is told
of such a count is the middle of the numbers that it stands for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Rounding(NamedTuple):
    """How values are rounded down before they are counted: to ``bits`` significant bits, and to steps of at least ``finest``, a
    power of 2.
    """

    bits: int
    finest: int = 1

    def step(self, value: int) -> int:
        """The step in which values near this one go."""
        return max(self.finest, 1 << max(0, value.bit_length() - self.bits))


LATENCY = Rounding(6)
"""Of milliseconds: what is told is at most 1 in 64 off."""
ERRORS = Rounding(5, 1 << 10)
"""Of errors in millionths: at most 1 in 32 off, or 0.05 percentage points."""
EXACT = 5_000
"""Up to so many values each is looked at; beyond them the rounded ones are counted."""

Counts = Mapping[int, int]
"""How often each value occurs."""


def rounded(value: int, rounding: Rounding) -> int:
    """A value ≥ 0 rounded down."""
    return value - value % rounding.step(value)


def middle(value: int, rounding: Rounding | None) -> int:
    """The middle of the numbers that :func:`rounded` makes ``value`` of; None: it was not rounded."""
    return value + (rounding.step(value) - 1) // 2 if rounding else value


def nearest_rank(counts: Counts, percent: int, rounding: Rounding | None = None) -> int | None:
    """The smallest value that at least ``percent`` of 100 don't exceed; None where there is none."""
    rank = -(-percent * sum(counts.values()) // 100)
    return middle(_at(counts, max(1, rank)), rounding) if counts else None


def median(counts: Counts, rounding: Rounding | None = None) -> float:
    """The value in the middle, or the mean of the two there. Raises ValueError where there is none."""
    many = sum(counts.values())
    if not many:
        raise ValueError("nothing was counted")
    return (middle(_at(counts, (many + 1) // 2), rounding) + middle(_at(counts, many // 2 + 1), rounding)) / 2


def _at(counts: Counts, rank: int) -> int:
    """The value of that rank, from 1 on."""
    passed = 0
    for value in sorted(counts):
        passed += counts[value]
        if passed >= rank:
            return value
    return max(counts)
