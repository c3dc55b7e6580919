"""Year's end, leap day, summer time and clocks that are set back: a budget's window opens once, and every call has one day."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli.store.sqlite import folding
from tests.support.bench import Bench
from tests.support.clock import SettableClock


def bench_at(home: Path, *moment: int, **settings: Any) -> Bench:
    """The owner at this home's database, at a moment in UTC."""
    return Bench(home / "nexscout.db", "owner", SettableClock(datetime(*moment, tzinfo=UTC)), **settings)  # type: ignore[arg-type]


def call(bench: Bench) -> int:
    """One paid call; what it cost."""
    return bench.post(bench.sent()).cost


def spent(bench: Bench) -> dict[str, int]:
    """What the owner has spent by day and by month."""
    rows = bench.sql("SELECT period, spent FROM accounts WHERE owner = 'owner' AND kind = 'usd' AND spent > 0")
    return {row["period"]: row["spent"] for row in rows}


@pytest.mark.parametrize(
    ("last", "days", "months"),
    [
        ((2026, 12, 31, 23, 59, 59), ("2026-12-31", "2027-01-01"), ("2026-12", "2027-01")),
        ((2028, 2, 28, 23, 59, 59), ("2028-02-28", "2028-02-29"), ("2028-02", "2028-02")),
        ((2028, 2, 29, 23, 59, 59), ("2028-02-29", "2028-03-01"), ("2028-02", "2028-03")),
        ((2027, 2, 28, 23, 59, 59), ("2027-02-28", "2027-03-01"), ("2027-02", "2027-03")),
        ((2100, 2, 28, 23, 59, 59), ("2100-02-28", "2100-03-01"), ("2100-02", "2100-03")),
    ],
)
def test_a_call_counts_in_the_day_and_the_month_it_was_held_in(
    home: Path, last: tuple[int, ...], days: tuple[str, str], months: tuple[str, str]
) -> None:
    bench = bench_at(home, *last, caps__usd__user_day=5.0, caps__usd__user_month=50.0)
    late = bench.sent()  # it is held before midnight and posted after it
    before = call(bench)
    bench.clock.move(seconds=1)
    before += bench.post(late).cost
    after = call(bench)
    wanted = {days[0]: before, days[1]: after, months[0]: before}
    wanted[months[1]] = wanted.get(months[1], 0) + after
    assert spent(bench) == wanted
    assert bench.check() == []


@pytest.mark.parametrize("back", [timedelta(hours=1), timedelta(days=365)])
def test_a_clock_that_is_set_back_opens_no_window_again_and_check_says_so(home: Path, back: timedelta) -> None:
    bench = bench_at(home, 2027, 1, 1, 0, 30, caps__usd__user_day=5.0, caps__usd__user_month=50.0)
    first = call(bench)
    bench.clock.time -= back
    second = call(bench)
    assert spent(bench) == {"2027-01-01": first + second, "2027-01": first + second}
    ahead = [problem.name for problem in bench.check()]
    assert ahead == (["clock"] if back > timedelta(days=1) else []), (
        "an hour is forgiven: nothing is wrong with the books"
    )
    bench.store.recovery.reset_clock("owner")
    assert bench.check() == []
    bench.clock.time += back
    assert call(bench) and bench.check() == []


@pytest.mark.parametrize(
    ("first", "changed", "hours"), [((2024, 3, 29, 23), "2024-03-31", 23), ((2024, 10, 25, 22), "2024-10-27", 25)]
)
def test_the_day_on_which_the_clocks_change_has_its_own_hours_and_no_call_is_lost_or_counted_twice(
    home: Path, nexscout: Callable[..., Any], first: tuple[int, ...], changed: str, hours: int
) -> None:
    bench = bench_at(home, *first)
    start = bench.clock.now()
    change, end = start + timedelta(hours=24), start + timedelta(hours=24 + hours + 24)
    minute, rest = timedelta(minutes=1), timedelta(hours=hours)
    around = [change + timedelta(hours=h) for h in (0, 0.5, 1.5, 2.5)]
    for moment in (start, change - minute, *around, change + rest - minute, change + rest, end - minute):
        bench.clock.time = moment
        call(bench)
    window = ("--since", start.isoformat(), "--until", end.isoformat())
    done = nexscout("report", "days", "--tz", "Europe/Berlin", *window, "--json")
    rows = json.loads(done.stdout)["rows"]
    calls = {row["day"]: row["calls"] for row in rows}
    assert list(calls.values()) == [2, 5, 2] and calls[changed] == 5
    day = nexscout("report", "days", "--tz", "Europe/Berlin", "--since", changed, "--until", end.isoformat(), "--json")
    alone = json.loads(day.stdout)["rows"]
    figures = ("day", "calls", "cost_usd", "input_tokens")
    assert [[row[name] for name in figures] for row in alone] == [[row[name] for name in figures] for row in rows[1:]]
    assert bench.check() == []


def test_years_in_which_nothing_happened_are_folded_in_a_few_steps(home: Path) -> None:
    bench = bench_at(home, 2021, 2, 28, 23, 30)
    call(bench)
    bench.clock.time = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)
    call(bench)
    bench.clock.move(hours=2)
    folding.catch_up(bench.store, "owner", days=4)
    with bench.store.read("owner") as t:
        assert folding.folded(t) == ("2027-01-01T01", frozenset())
    days = bench.sql("SELECT DISTINCT period FROM folded_usage WHERE hours = 24 ORDER BY period")
    assert [row[0] for row in days] == ["2021-02-28", "2026-12-31"]
