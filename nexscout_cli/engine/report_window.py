"""A report's window, and what people may write for its ends: 7d, 24h, 2026-11-01, an ISO time, today, yesterday."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import NamedTuple

from nexscout_cli.errors import UsageError

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"(\d{1,9})([mhdw])", re.I)
_EXAMPLES = "for instance 7d, 24h, 2026-11-01, 2026-11-01T09:30, today or yesterday"
_YEARS = range(1970, 9999)
_DAY = timedelta(days=1)


class Window(NamedTuple):
    """The time from ``since`` up to, not including, ``until``, both UTC; ``tz`` is the zone of its days."""

    since: datetime
    until: datetime
    tz: tzinfo = UTC


def zone(name: str) -> tzinfo:
    """The time zone of that name. Raises UsageError."""
    if name.upper() == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise UsageError(f"there is no time zone {name!r}", "for instance --tz Europe/Berlin, or UTC") from error


def parse_when(text: str, now: datetime, tz: tzinfo) -> datetime:
    """The UTC time that ``text`` means: so long ago, a day's start or an ISO time in ``tz``, today, yesterday.

    Raises UsageError.
    """
    word = text.strip()
    try:
        if ago := _AGO.fullmatch(word):
            moment = now - timedelta(**{_UNITS[ago[2].lower()]: int(ago[1])})
        elif word.lower() in ("today", "yesterday"):
            today = now.astimezone(tz).date()
            moment = datetime.combine(today - _DAY * (word.lower() == "yesterday"), time(), tz)
        elif word.lower() == "now":
            moment = now
        else:
            moment = datetime.fromisoformat(word)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=tz)
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{text!r} is not a time", _EXAMPLES) from error
    if moment.year not in _YEARS:
        raise UsageError(f"{text!r} lies too far away", _EXAMPLES)
    return moment


def between(now: datetime, since: str, until: str | None, tz: tzinfo) -> Window:
    """A report's window; without ``until`` it takes in all up to ``now``. Raises UsageError for an empty one."""
    start = parse_when(since, now, tz)
    end = parse_when(until, now, tz) if until else max(now, start) + timedelta(microseconds=1)
    if not until and start > now:
        raise UsageError(f"--since {since} lies in the future", _EXAMPLES)
    if start >= end:
        raise UsageError(f"--since {since} is not before --until {until}", "the window runs from --since up to --until")
    return Window(start, end, tz)
