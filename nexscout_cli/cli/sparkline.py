"""Small drawings of numbers in a line of characters."""

from __future__ import annotations

import sys
from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"


def drawable() -> bool:
    """Whether stdout can show the characters."""
    return "utf" in (sys.stdout.encoding or "").lower()


def sparkline(values: Sequence[float], width: int) -> str:
    """Values as characters between nothing (a space) and the highest of them, ``width`` long at most.

    More values than that are taken together: their sum.
    """
    if not values:
        return ""
    together = -(-len(values) // width)
    shown = [sum(values[n : n + together]) for n in range(0, len(values), together)]
    most = max(shown)
    return "".join(
        " " if value <= 0 else _BLOCKS[min(len(_BLOCKS) - 1, int(value / most * len(_BLOCKS)))] for value in shown
    )
