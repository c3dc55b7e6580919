"""Seals: each day's books still hash to what they did, and to what was kept elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.store.sqlite import archives, seals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nexscout_cli.engine.book_types import Seal
    from nexscout_cli.store.sqlite.transaction import Transaction

FIX = (
    "compare with a backup from before that day, row by row; `nexscout db check` of the backup says whether it is sound"
)


def faults(t: Transaction, kept: Sequence[Seal]) -> Iterator[str]:
    """Days whose rows, or whose seals, are no longer what they were. Of days whose rows are archived the seals are left."""
    here = {}
    before, first = seals.NOTHING, archives.rows_from(t.execute)
    for day in seals.days(t):
        here[day.day] = day.hash
        if any(now < then for now, then in zip(day.upto, before.upto, strict=True)):
            yield f"the seal of {day.day} covers less than the one before it"
        elif day.day >= first and seals.worked_out(t, day.day, before, day.upto) != day.hash:
            since = f"after {before.day} " if before.day else ""
            yield f"what was written {since}up to {day.day} is not what was sealed"
        before = day
    for seal in kept:
        if seal.day not in here:
            yield f"{seal.day} was sealed, and has no seal here any more"
        elif here[seal.day] != seal.hash:
            yield f"the seal of {seal.day} is not the one that was kept: {here[seal.day]:.12}… instead of {seal.hash:.12}…"
