"""What may be written for the ends of a report's window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from nexscout_cli.engine.report_window import Window, between, parse_when, zone
from nexscout_cli.errors import UsageError

NOW = datetime(2026, 11, 3, 14, 30, 0, 250_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7d", NOW - timedelta(days=7)),
        ("24h", NOW - timedelta(hours=24)),
        ("30m", NOW - timedelta(minutes=30)),
        ("2W", NOW - timedelta(weeks=2)),
        ("2026-11-01", datetime(2026, 10, 31, 23, tzinfo=UTC)),
        ("2026-11-01T09:30", datetime(2026, 11, 1, 8, 30, tzinfo=UTC)),
        ("2026-11-01T09:30Z", datetime(2026, 11, 1, 9, 30, tzinfo=UTC)),
        ("2026-11-01 09:30:00.5+05:30", datetime(2026, 11, 1, 4, 0, 0, 500_000, tzinfo=UTC)),
        ("today", datetime(2026, 11, 2, 23, tzinfo=UTC)),
        ("yesterday", datetime(2026, 11, 1, 23, tzinfo=UTC)),
        ("month", datetime(2026, 10, 31, 23, tzinfo=UTC)),
        ("last-month", datetime(2026, 9, 30, 22, tzinfo=UTC)),
        ("2026-07", datetime(2026, 6, 30, 22, tzinfo=UTC)),
    ],
)
def test_a_time_may_be_written_in_many_ways(text: str, expected: datetime) -> None:
    assert parse_when(text, NOW, zone("Europe/Berlin")) == expected


@pytest.mark.parametrize(
    "text",
    ["", "soon", "7", "7y", "-7d", "2026-13-01", "2026-13", "2026-1", "0001-01-01", "9999-12-31", "999999999d", "1e3d"],
)
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_when(text, NOW, UTC)
    assert "7d" in error.value.suggestion


@pytest.mark.parametrize(("since", "until"), [("1d", "2d"), ("1d", "1d"), ("2030-01-01", None)])
def test_a_window_that_ends_before_it_begins_is_refused(since: str, until: str | None) -> None:
    with pytest.raises(UsageError):
        between(NOW, since, until, UTC)


def test_an_unknown_zone_is_refused() -> None:
    for name in ("Mars/Olympus", "../etc/passwd", ""):
        with pytest.raises(UsageError):
            zone(name)


@pytest.mark.parametrize(
    ("since", "first", "end"),
    [
        ("last-month", datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-02", datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)),
        ("2025-12", datetime(2025, 12, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)),
        ("month", datetime(2026, 11, 1, tzinfo=UTC), NOW + timedelta(microseconds=1)),
    ],
)
def test_a_month_that_is_named_ends_with_itself(since: str, first: datetime, end: datetime) -> None:
    assert between(NOW, since, None, UTC) == Window(first, end, UTC)
    later = datetime(2026, 11, 2, tzinfo=UTC)
    assert between(NOW, since, "2026-11-02", UTC) == Window(first, later, UTC)
