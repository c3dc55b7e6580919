"""Which of a window lies in folded days, which in folded hours, and which is left to be read by its rows."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple

from nexscout_cli.store.sqlite.folding import Folded, hour_of
from nexscout_cli.store.sqlite.transaction import stamp

_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
Stretch = tuple[datetime, datetime]


class Cover(NamedTuple):
    """A window in three kinds of stretches, each from a moment up to another."""

    days: list[Stretch]
    hours: list[Stretch]
    rows: list[Stretch]


def cover(since: datetime, until: datetime, known: Folded, *, hourly: bool) -> Cover:
    """Cut a window. ``hourly``: whether there are hours beside days."""
    end = min(_hour(until), _moment(known.end)) if known.end else since
    start = _hour(since + _HOUR - timedelta(microseconds=1))
    if start >= end:
        return Cover([], [], [(since, until)])
    rows = [(since, start), (end, until)]
    first, last = _day(start + _DAY - timedelta(microseconds=1)), _day(end)
    days, hours = ([(first, last)], [(start, first), (last, end)]) if first < last else ([], [(start, end)])
    for hour in sorted(known.changed):
        at = _moment(hour)
        days, cut = _without(days, _day(at), _DAY)
        hours, gone = _without(hours + cut, at, _HOUR)
        rows += gone
    if not hourly:
        rows, hours = rows + hours, []
    return Cover(*([one for one in kind if one[0] < one[1]] for kind in (days, hours, rows)))


def periods(cut: Cover) -> list[tuple[int, str, str]]:
    """The hours, first period and end of each folded stretch of a window."""
    return [(24, f"{a:%Y-%m-%d}", f"{b:%Y-%m-%d}") for a, b in cut.days] + [
        (1, hour_of(a), hour_of(b)) for a, b in cut.hours
    ]


def stamps(cut: Cover) -> list[tuple[str, str]]:
    """The stretches that are read by their rows, as stamps."""
    return [(stamp(a), stamp(b)) for a, b in cut.rows]


def _without(stretches: list[Stretch], at: datetime, length: timedelta) -> tuple[list[Stretch], list[Stretch]]:
    """The stretches without what lies at a moment, and that."""
    left: list[Stretch] = []
    cut: list[Stretch] = []
    for a, b in stretches:
        if a <= at < b:
            left += [(a, at), (at + length, b)]
            cut.append((at, at + length))
        else:
            left.append((a, b))
    return left, cut


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _day(moment: datetime) -> datetime:
    return datetime.combine(moment.astimezone(UTC).date(), time(), UTC)


def _moment(hour: str) -> datetime:
    return datetime.fromisoformat(hour + ":00+00:00")
