"""A report's window, and what people may write for its ends: 7d, 24h, 2026-11-01, an ISO time, today, yesterday, a month."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple

from nexscout_cli.errors import UsageError
from nexscout_cli.months import next_month

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"(\d{1,9})([mhdw])", re.I)
_MONTH = re.compile(r"(\d{4})-(\d{2})")
_EXAMPLES = "for instance 7d, 24h, 2026-11-01, 2026-11-01T09:30, 2026-11, month, last-month, today or yesterday"
_YEARS = range(1970, 9999)
_DAY = timedelta(days=1)


class Only(NamedTuple):
    """Which part of all usage: of one model, of one feature, of both; None: of any."""

    model: str | None = None
    feature: str | None = None

    def named(self) -> dict[str, str]:
        """What it is narrowed to, by name."""
        return {name: value for name, value in self._asdict().items() if value is not None}


class Window(NamedTuple):
    """The time from ``since`` up to, not including, ``until``, both UTC; ``tz`` is the zone of its days; ``only``: what is
    looked at in that time.
    """

    since: datetime
    until: datetime
    tz: tzinfo = UTC
    only: Only = Only()


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
    """The UTC time that ``text`` means: so long ago, a day's start or an ISO time in ``tz``, today, yesterday, the start of
    this or the last month, or of one that is named as 2026-11.

    Raises UsageError.
    """
    word = text.strip()
    try:
        if ago := _AGO.fullmatch(word):
            moment = now - timedelta(**{_UNITS[ago[2].lower()]: int(ago[1])})
        elif word.lower() in ("today", "yesterday"):
            today = now.astimezone(tz).date()
            moment = datetime.combine(today - _DAY * (word.lower() == "yesterday"), time(), tz)
        elif first := _month(word.lower(), now.astimezone(tz)):
            moment = datetime.combine(first, time(), tz)
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


def _month(word: str, now: datetime) -> date | None:
    """The first day of the month that a word means; None for another word. Raises ValueError for a month there is not."""
    if named := _MONTH.fullmatch(word):
        return date(int(named[1]), int(named[2]), 1)
    first = now.date().replace(day=1)
    return {"month": first, "last-month": (first - _DAY).replace(day=1)}.get(word)


def between(now: datetime, since: str, until: str | None, tz: tzinfo) -> Window:
    """A report's window; without ``until`` it takes in all up to ``now``, or to the end of the month that ``since`` names.

    Raises UsageError for an empty one.
    """
    start = parse_when(since, now, tz)
    end = parse_when(until, now, tz) if until else max(now, start) + timedelta(microseconds=1)
    first = None if until else _month(since.strip().lower(), now.astimezone(tz))
    if first is not None:
        end = min(end, datetime.combine(next_month(first), time(), tz).astimezone(UTC))
    if not until and start > now:
        raise UsageError(f"--since {since} lies in the future", _EXAMPLES)
    if start >= end:
        raise UsageError(f"--since {since} is not before --until {until}", "the window runs from --since up to --until")
    return Window(start, end, tz)
