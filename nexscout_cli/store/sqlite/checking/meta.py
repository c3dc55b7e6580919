"""The few values of the whole database: the time last seen, panic, and the version of the world."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from nexscout_cli.engine.book_types import Problem
from nexscout_cli.store.sqlite.checking.findings import RESTORE, readable
from nexscout_cli.store.sqlite.transaction import parse_stamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nexscout_cli.store.sqlite.transaction import Transaction

AHEAD = timedelta(days=1)
"""How far the last-seen time may lie ahead of the clock."""
_SET_CLOCK = "nexscout db resolve --clock"


def problems(t: Transaction, now: datetime) -> Iterator[Problem]:
    """What is missing, is not what it should be, or lies in the future of ``now``."""
    found = dict(t.execute("SELECT key, value FROM meta").fetchall())
    for name, is_right in (("panic", ("0", "1").__contains__), ("world_version", str.isdecimal)):
        if name not in found or not is_right(str(found[name])):
            fix = "nexscout mode panic off" if name == "panic" else RESTORE
            yield Problem("meta", readable(f"{name} is {found.get(name)!r}"), fix)
    for name in found.keys() - {"panic", "world_version", "last_seen"}:
        yield Problem("meta", readable(f"there is a {name!r} that this program does not know"), RESTORE)
    if "last_seen" not in found:
        yield Problem("clock", "the time last seen is missing", _SET_CLOCK)
    elif found["last_seen"]:
        yield from _clock(now, str(found["last_seen"]))


def _clock(now: datetime, seen: str) -> Iterator[Problem]:
    try:
        ahead = parse_stamp(seen) > now + AHEAD
    except (ValueError, TypeError):
        yield Problem("clock", readable(f"the time last seen is no time: {seen!r:.40}"), _SET_CLOCK)
        return
    if ahead:
        message = f"the last time seen, {seen}, lies more than a day ahead of the clock"
        yield Problem("clock", message, f"once the clock is right: {_SET_CLOCK}")
