"""Where to cut: from a share of the strong model's advantage to keep, to the difficulty and the doubt that call for it.

``data/curves.json`` holds measured points, made by ``scripts/train/router`` from predictions for questions left out of the
training; each set of questions counts the same.
"""

from __future__ import annotations

from typing import NamedTuple

from nexscout_cli.engine.shipped_data import table


class Threshold(NamedTuple):
    """Send a prompt to the strong model from ``difficulty`` on; a cheap answer up from ``doubt`` on (1: never).

    ``strong_share``, 0..1: calls that then go to the strong model; ``kept``, 0..1: of its advantage over the cheap one.
    """

    difficulty: float
    doubt: float
    strong_share: float
    kept: float


def curve(policy: str) -> tuple[Threshold, ...]:
    """The measured points of ``learned`` or ``cascade``, from no call to the strong model to all. KeyError for others."""
    return tuple(Threshold(*point) for point in table("curves")[policy])


def threshold(policy: str, target: float) -> Threshold:
    """The measured point with the fewest strong calls that keeps ``target`` (0..1) of the advantage.

    Raises ValueError for a target outside 0..1.
    """
    if not 0 <= target <= 1:
        raise ValueError(f"a share to keep lies between 0 and 1, not {target:g}")
    points = curve(policy)
    return next((point for point in points if point.kept >= target), points[-1])
