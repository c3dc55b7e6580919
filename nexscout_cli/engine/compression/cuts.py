"""What every way of cutting a text by its structure needs: marks where something was left out, and what fits into the room."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

MARK_SIZE = 20
"""Characters that a mark takes, about."""


def mark(what: str, *, indent: str = "") -> str:
    """The line that stands where something was left out: how much, and what is known of it."""
    return f"{indent}[… {what}]"


def number(count: int, one: str, many: str = "") -> str:
    """``1 line``, ``1,200 lines``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def fill(order: Iterable[int], sizes: Sequence[int], room: float, taken: Collection[int] = ()) -> set[int]:
    """The pieces that fit, in the order of their worth; ``taken`` are there already and have been paid for.

    ``sizes`` and ``room`` are in characters. A piece that does not fit is passed over, and a smaller one may follow.
    """
    kept = set(taken)
    for at in order:
        if at not in kept and sizes[at] <= room:
            kept.add(at)
            room -= sizes[at]
    return kept


def join(pieces: Sequence[str], kept: Collection[int], what: str = "line", many: str = "") -> list[str]:
    """The pieces that are kept in their order, with a mark in the place of each run of the others."""
    result: list[str] = []
    gone = 0
    for at, piece in enumerate(pieces):
        if at in kept:
            if gone:
                result.append(mark(number(gone, what, many)))
            result.append(piece)
            gone = 0
        else:
            gone += 1
    if gone:
        result.append(mark(number(gone, what, many)))
    return result
