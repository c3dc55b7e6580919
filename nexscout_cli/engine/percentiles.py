"""Percentiles and medians of counted values: the one rule, whether all values are known or rounded ones are counted.

Values are whole numbers ≥ 0. Where there are many, they are counted rounded down to a few significant bits, and what is told
of such a count is the middle of the numbers that it stands for.
"""

from __future__ import annotations

from collections.abc import Mapping

LATENCY_BITS = 6
"""Of milliseconds: what is told is at most 1 in 64 off."""
ERROR_BITS = 5
"""Of errors in millionths: at most 1 in 32 off."""
EXACT = 5_000
"""Up to so many values each is looked at; beyond them the rounded ones are counted."""

Counts = Mapping[int, int]
"""How often each value occurs."""


def rounded(value: int, bits: int) -> int:
    """A value ≥ 0 rounded down to ``bits`` significant bits."""
    step = 1 << max(0, value.bit_length() - bits)
    return value - value % step


def middle(value: int, bits: int) -> int:
    """The middle of the numbers that :func:`rounded` makes ``value`` of; ``bits`` 0: it was not rounded."""
    return value + ((1 << max(0, value.bit_length() - bits)) - 1) // 2 if bits else value


def nearest_rank(counts: Counts, percent: int, bits: int = 0) -> int | None:
    """The smallest value that at least ``percent`` of 100 don't exceed; None where there is none."""
    rank = -(-percent * sum(counts.values()) // 100)
    return middle(_at(counts, max(1, rank)), bits) if counts else None


def median(counts: Counts, bits: int = 0) -> float:
    """The value in the middle, or the mean of the two there. Raises ValueError where there is none."""
    many = sum(counts.values())
    if not many:
        raise ValueError("nothing was counted")
    return (middle(_at(counts, (many + 1) // 2), bits) + middle(_at(counts, many // 2 + 1), bits)) / 2


def _at(counts: Counts, rank: int) -> int:
    """The value of that rank, from 1 on."""
    passed = 0
    for value in sorted(counts):
        passed += counts[value]
        if passed >= rank:
            return value
    return max(counts)
