"""What a month will have cost, and what counts as a change: from sums alone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from nexscout_cli.pages.changes import Series, changes
from nexscout_cli.pages.charts import scale
from nexscout_cli.pages.forecast import month_end
from nexscout_cli.pages.words import axis_nano

DAYS = [(date(2026, 9, 1) + timedelta(days=n)).isoformat() for n in range(60)]


def costs(first: date, *amounts: int) -> dict[date, int]:
    return {first + timedelta(days=n): amount for n, amount in enumerate(amounts)}


def test_steady_spending_goes_on_and_has_no_range() -> None:
    found = month_end(costs(date(2026, 10, 1), *([10] * 40)), datetime(2026, 11, 10, tzinfo=UTC))
    assert (found.spent, found.expected, found.low, found.high) == (90, 300, 300, 300)
    assert len(found.days) == 30 and found.days[8][1:] == (90, 90, 90)


def test_quiet_weekends_stay_quiet() -> None:
    first = date(2026, 10, 1)
    weekly = costs(first, *(0 if (first + timedelta(days=n)).weekday() > 4 else 7 for n in range(40)))
    assert month_end(weekly, datetime(2026, 11, 10, tzinfo=UTC)).expected == 21 * 7


def test_the_more_days_vary_the_wider_is_the_range_and_never_below_what_is_spent() -> None:
    wild = month_end(costs(date(2026, 10, 1), *([1, 90, 3, 40] * 10)), datetime(2026, 11, 10, tzinfo=UTC))
    assert wild.spent <= wild.low < wild.expected < wild.high


@pytest.mark.parametrize("known", [{}, {date(2026, 11, 10): 5}])
def test_without_a_day_behind_it_nothing_more_is_expected(known: dict[date, int]) -> None:
    found = month_end(known, datetime(2026, 11, 10, 12, tzinfo=UTC))
    assert found.spent == found.expected == sum(known.values())


def user(name: str, amounts: list[int], requests: int = 10, failures: list[int] | None = None) -> Series:
    none = [0] * len(amounts)
    return Series("user", name, amounts, [requests] * len(amounts), failures or none, none, none)


def test_a_bill_that_doubles_is_found_on_its_day_and_a_steady_one_is_not() -> None:
    doubled = user("a", [100 + n % 3 for n in range(30)] + [200 + n % 3 for n in range(30)])
    found = changes(DAYS, DAYS[0], [doubled, user("b", [100 + 20 * (n % 7) for n in range(60)])])
    assert [(one.name, one.since, round(one.after / one.before, 1)) for one in found] == [("a", DAYS[30], 2.0)]


def test_what_changed_before_the_window_is_not_told_again() -> None:
    doubled = user("a", [100 + n % 3 for n in range(30)] + [200 + n % 3 for n in range(30)])
    assert changes(DAYS, DAYS[40], [doubled]) == []


def test_a_day_of_failures_is_told_once_by_what_it_hit_most() -> None:
    bad = [0] * 60
    bad[45] = 8
    worse = [0] * 60
    worse[45] = 10
    found = changes(DAYS, DAYS[0], [user("a", [5] * 60, failures=bad), user("b", [5] * 60, failures=worse)])
    assert [(one.name, one.measure, one.since, one.after) for one in found] == [("b", "failures", DAYS[45], 1.0)]


@pytest.mark.parametrize("most", [0, 1e-9, 0.3, 1, 9.99, 10, 123456, 3e15])
def test_a_scale_holds_its_numbers_in_a_few_round_steps(most: float) -> None:
    found = scale(most)
    assert found.top >= most and 1 <= round(found.top / found.step) <= 5


@pytest.mark.parametrize("most", [1, 2, 3, 7, 12, 24, 26, 99, 1001])
def test_a_scale_of_counts_has_whole_steps(most: int) -> None:
    found = scale(most, whole=True)
    assert found.step % 1 == 0 and found.top >= most and 1 <= round(found.top / found.step) <= 5


@pytest.mark.parametrize(
    ("nano", "said"),
    [(0, "$0"), (250_000, "0.025¢"), (5e6, "0.5¢"), (1e7, "$0.01"), (1.5e8, "$0.15"), (3e12, "$3,000")],
)
def test_what_stands_beside_a_grid_is_short(nano: float, said: str) -> None:
    assert axis_nano(nano) == said


def lengths(name: str, *tokens: int, calls: int = 5) -> Series:
    none = [0] * len(tokens)
    return Series("feature", name, none, none, none, [calls] * len(tokens), [calls * each for each in tokens])


def test_answers_that_grow_longer_are_told_from_the_day_on() -> None:
    wobble = [200 + n % 5 for n in range(30)]
    steady, grown = lengths("steady", *wobble, *wobble), lengths("grown", *wobble, *(2 * each for each in wobble))
    all_users = grown._replace(what="user", name="ann")
    found = [one for one in changes(DAYS, DAYS[10], [steady, grown, all_users]) if one.what == "feature"]
    assert [(one.name, one.measure, one.since) for one in found] == [("grown", "length", DAYS[30])]
    assert found[0].before == pytest.approx(202) and found[0].after == pytest.approx(404, abs=1)


def test_a_few_long_answers_are_no_change_of_length() -> None:
    few = lengths("few", *([100] * 30), *([900] * 30), calls=2)
    assert changes(DAYS, DAYS[10], [few, few._replace(what="user")]) == []
