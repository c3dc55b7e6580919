"""Which of a window lies in folded days, which in folded hours, and which is left to be read by its rows."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple

from nexscout_cli.store.sqlite.folding import Folded, hour_of
from nexscout_cli.store.sqlite.transaction import stamp

_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
Stretch = tuple[datetime, datetime]


class Cover(NamedTuple):
    """A window in three kinds of stretches, each from a moment up to another; what ``less_hours`` and ``less_rows`` have is in
    those days and is taken away again.
    """

    days: list[Stretch]
    hours: list[Stretch]
    rows: list[Stretch]
    less_hours: list[Stretch]
    less_rows: list[Stretch]


def cover(since: datetime, until: datetime, known: Folded, *, hourly: bool) -> Cover:
    """Cut a window. ``hourly``: whether there are hours beside days."""
    end = since
    if known.end:
        end = moment if (moment := _moment(known.end)) <= until else _hour(until)
    start = _hour(since + _HOUR - timedelta(microseconds=1))
    if start >= end:
        return Cover([], [], [(since, until)], [], [])
    rows, less_rows = [(since, start), (end, until)], []
    if hourly and start - since > _HOUR / 2 and hour_of(whole := start - _HOUR) not in known.changed:
        # Most of its first hour: the whole hour without the rows before is less to read.
        start, rows, less_rows = whole, rows[1:], [(whole, since)]
    less: list[Stretch] = []
    if _is_mostly_in(day := _day(start), start, end) and not any(day <= _moment(h) < day + _DAY for h in known.changed):
        # Most of its first day: the whole day without the rest is less to read.
        start, less = day, [(day, start)]
    first, last = _day(start + _DAY - timedelta(microseconds=1)), _day(end)
    days, hours = ([(first, last)], [(start, first), (last, end)]) if first < last else ([], [(start, end)])
    for hour in sorted(known.changed):
        at = _moment(hour)
        days, cut = _without(days, _day(at), _DAY)
        hours, gone = _without(hours + cut, at, _HOUR)
        rows += gone
    if not hourly:
        rows, hours = rows + hours, []
        less_rows, less = less, []
    return Cover(*([one for one in kind if one[0] < one[1]] for kind in (days, hours, rows, less, less_rows)))


def _is_mostly_in(day: datetime, start: datetime, end: datetime) -> bool:
    """Whether more than half of a day lies in a stretch that begins on it and ends with it or later."""
    return day < start and day + _DAY <= end and day + _DAY - start > _DAY / 2


def periods(cut: Cover) -> list[tuple[int, int, str, str]]:
    """Of each folded stretch of a window: 1, or -1 where it is taken away; the hours, first period and end."""
    return [
        *((1, 24, f"{a:%Y-%m-%d}", f"{b:%Y-%m-%d}") for a, b in cut.days),
        *(
            (sign, 1, hour_of(a), f"{b:%Y-%m-%dT%H:%M}" if b.minute else hour_of(b))
            for sign, hours in ((1, cut.hours), (-1, cut.less_hours))
            for a, b in hours
        ),
    ]


def stamps(cut: Cover) -> list[tuple[int, str, str]]:
    """The stretches that are read by their rows, as stamps, each with its sign."""
    return [(sign, stamp(a), stamp(b)) for sign, rows in ((1, cut.rows), (-1, cut.less_rows)) for a, b in rows]


def _without(stretches: list[Stretch], at: datetime, length: timedelta) -> tuple[list[Stretch], list[Stretch]]:
    """The stretches without what lies at a moment, and that."""
    left: list[Stretch] = []
    cut: list[Stretch] = []
    for a, b in stretches:
        if a <= at < b:
            left += [(a, at), (at + length, b)]
            cut.append((at, min(at + length, b)))
        else:
            left.append((a, b))
    return left, cut


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _day(moment: datetime) -> datetime:
    return datetime.combine(moment.astimezone(UTC).date(), time(), UTC)


def _moment(hour: str) -> datetime:
    """Of an hour, or of a minute."""
    return datetime.fromisoformat(hour + ":00+00:00")
