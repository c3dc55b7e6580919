"""Surge: energy costs more while many calls are made at once."""

from __future__ import annotations

NORMAL = 1000
STEPS = ((2.0, 2000), (1.5, 1500), (1.0, 1250))
"""(load ÷ capacity from which it holds, surge in thousandths), highest first; below the last step surge is 1.0."""


def surge_milli(load: int, capacity: int) -> int:
    """Surge in thousandths. ``load`` counts calls in flight and those of the last minute; ``capacity`` is a minute's."""
    return next((surge for share, surge in STEPS if load >= share * capacity), NORMAL)
