"""Months of the calendar."""

from __future__ import annotations

from datetime import date, timedelta


def next_month(day: date) -> date:
    """The first day of the month after that of a day."""
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1)
