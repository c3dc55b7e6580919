"""What this month will have cost at its end, from the days so far; amounts in nano-dollars."""

from __future__ import annotations

import math
from calendar import monthrange
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import NamedTuple

_LIKELY = 1.2816
"""Standard deviations on each side within which four months of five end."""
HISTORY = 28
"""Days that are looked back on: whole weeks, so that each weekday counts alike."""


class Reach(NamedTuple):
    """What will have been spent by the end of a day; all three are the same for what is past."""

    day: date
    low: int
    expected: int
    high: int


class Forecast(NamedTuple):
    """What a month has cost, and what it will have cost: expected, and the range in which 8 of 10 such months end.

    ``days`` are all of the month.
    """

    spent: int
    expected: int
    low: int
    high: int
    days: list[Reach]


def month_end(costs: Mapping[date, int], now: datetime) -> Forecast:
    """The forecast of the month of ``now``, which is in the zone of the days. ``costs`` is by day; a day without use may lack.

    Each day to come is expected to be like the same weekday of the last four weeks, less where use began later.
    """
    today = now.date()
    first = today.replace(day=1)
    end = first.replace(day=monthrange(today.year, today.month)[1])
    began = min((day for day in costs if day < today), default=today)
    past = [today - timedelta(days=n) for n in range(1, HISTORY + 1) if today - timedelta(days=n) >= began]
    usual = {weekday: _mean([costs.get(d, 0) for d in past if d.weekday() == weekday]) for weekday in range(7)}
    level = _mean([costs.get(day, 0) for day in past])
    means = {weekday: level if mean is None else mean for weekday, mean in usual.items()}
    off = [costs.get(day, 0) - (means[day.weekday()] or 0.0) for day in past]
    spread = math.sqrt(sum(x * x for x in off) / (len(off) - 1)) if len(off) > 1 else 0.0

    sum_so_far = expected = 0.0
    uncertain = 0.0
    days = []
    for n in range((end - first).days + 1):
        day = first + timedelta(days=n)
        sum_so_far += costs.get(day, 0)
        expected += costs.get(day, 0)
        if day >= today:
            left = 1.0 if day > today else 1.0 - (now.hour * 60 + now.minute) / 1440
            expected += left * (means[day.weekday()] or 0.0)
            uncertain += left
        give = _LIKELY * spread * math.sqrt(uncertain)
        days.append(Reach(day, round(max(sum_so_far, expected - give)), round(expected), round(expected + give)))
    _, low, likely, high = days[-1]
    return Forecast(round(sum_so_far), likely, low, high, days)


def _mean(values: list[int]) -> float | None:
    return sum(values) / len(values) if values else None
