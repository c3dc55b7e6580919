"""What is folded for reports is what the rows say, whatever is folded when, in every store."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.engine import percentiles
from nexscout_cli.engine.report_window import Only, Window, zone
from nexscout_cli.engine.reports.build import COLUMNS, report
from nexscout_cli.errors import UsageError
from nexscout_cli.store.sqlite import fold_reader, fold_reading, folding, reports
from nexscout_cli.store.sqlite.folding import Folded
from tests.contract.conftest import Shop
from tests.support.steps import Steps

REPORTS = [name for name in COLUMNS if name != "unprofitable"]


def use(shop: Shop, ada: Steps, bob: Steps, hours: int) -> None:
    """Calls of two people, failed ones and some whose end is not known, in many hours."""
    for n in range(hours):
        who = (ada, bob)[n % 3 == 1]
        attempt = who.sent()
        shop.clock.move(seconds=1 + n % 5)
        if n % 7 == 3:
            who.mark_unknown(attempt)
            who.fail(attempt)
        else:
            who.post(attempt, who.charge(attempt, 100 + n, 50 + 7 * n))
        shop.clock.move(hours=1 + n % 4, minutes=13)


def every_report(steps: Steps, window: Window, user: str | None) -> dict[str, Any]:
    return {name: report(steps.store, "ada", name, window, steps.settings, user) for name in REPORTS}


@pytest.fixture
def used(shop: Shop, ada: Steps) -> Steps:
    bob = shop.actor("bob")
    ada.store.users.set_tier("ada", "bob", "elite")
    use(shop, ada, bob, 30)
    return ada


@pytest.mark.parametrize("tz", ["UTC", "Asia/Kolkata"])
def test_reports_say_the_same_folded_or_not(used: Steps, monkeypatch: pytest.MonkeyPatch, tz: str) -> None:
    now = used.store.reports.now("ada")
    since = now - timedelta(hours=57, minutes=21)
    used.store.recovery.recover("ada")
    for window in (Window(since, now, zone(tz)), Window(since, now - timedelta(hours=20, seconds=7), zone(tz))):
        for user in (None, "bob"):
            found = every_report(used, window, user)
            with monkeypatch.context() as unfolded:
                unfolded.setattr(fold_reader, "folded", lambda t: Folded("", frozenset()))
                assert every_report(used, window, user) == found
    assert used.check() == []


def test_reports_say_the_same_from_whatever_hour_on(used: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    used.store.recovery.recover("ada")
    now = used.store.reports.now("ada")
    for hours in range(30, 54, 5):
        window = Window(now - timedelta(hours=hours, minutes=hours), now)
        for user in (None, "bob"):
            found = every_report(used, window, user)
            with monkeypatch.context() as unfolded:
                unfolded.setattr(fold_reader, "folded", lambda t: Folded("", frozenset()))
                assert every_report(used, window, user) == found


@given(
    since=st.integers(0, 60 * 24 * 4),
    length=st.integers(0, 60 * 24 * 4),
    end=st.integers(0, 100).map(lambda hour: hour * 60) | st.integers(0, 1200).map(lambda part: part * 5),
    hourly=st.booleans(),
    changed=st.frozensets(st.integers(0, 99), max_size=3),
)
def test_every_minute_of_a_window_is_read_once(
    since: int, length: int, end: int, hourly: bool, changed: frozenset[int]
) -> None:
    day = datetime(2026, 11, 2, tzinfo=UTC)

    def at(minute: int) -> datetime:
        return day + timedelta(minutes=minute)

    part = f":{end % 60:02}" if end % 60 else ""
    known = Folded(
        folding.hour_of(at(end)) + part, frozenset(folding.hour_of(at(h * 60)) for h in changed if h * 60 < end)
    )
    cut = fold_reading.cover(at(since), at(since + length), known, hourly=hourly)
    counted = [0] * (60 * 24 * 10)
    less = {id(cut.less_hours), id(cut.less_rows)}
    for kind in cut:
        for a, b in kind:
            first, last = (round((moment - day) / timedelta(minutes=1)) for moment in (a, b))
            for minute in range(first, last):
                counted[minute] += -1 if id(kind) in less else 1
    assert [n for n, times in enumerate(counted) if times] == list(range(since, since + length)) and max(counted) <= 1
    for kind in (cut.days, cut.hours, cut.less_hours):
        for a, b in kind:
            first, last = ((moment - day) / timedelta(minutes=1) for moment in (a, b))
            assert first % 60 == 0 and (last % 60 == 0 or last == end) and last <= end
            assert not changed.intersection(range(round(first) // 60, -(-round(last) // 60)))


def test_what_changes_later_is_read_at_once_and_folded_again(used: Steps, shop: Shop) -> None:
    def fold() -> None:
        folding.catch_up(used.store, "ada")  # type: ignore[attr-defined]

    def changed() -> frozenset[str]:
        with used.store.read("ada") as t:  # type: ignore[attr-defined]
            return folding.folded(t).changed

    late = used.sent()
    shop.clock.move(hours=3)
    fold()
    now = used.store.reports.now("ada")
    window = Window(now - timedelta(days=9), now + timedelta(seconds=1))
    before = every_report(used, window, None)["accuracy"]["totals"]["n"]
    used.post(late)
    after = every_report(used, window, None)
    assert after["accuracy"]["totals"]["n"] == before + 1
    assert changed() and used.check() == []
    fold()
    assert not changed() and used.check() == []
    assert every_report(used, window, None) == after


@pytest.mark.parametrize("most", [500, 0])
def test_the_beginning_of_an_hour_that_goes_on_is_folded_where_there_is_much(
    shop: Shop, ada: Steps, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Past midnight; what is posted late into a part that is folded is read by its rows until it is folded again."""
    monkeypatch.setattr(folding, "_PART", 3)
    monkeypatch.setattr(folding, "_SMALL", most)  # at once, and in pieces
    bob = shop.actor("bob")
    ada.store.users.set_tier("ada", "bob", "elite")
    now = ada.store.reports.now("ada")
    shop.clock.move(seconds=(timedelta(days=1) - timedelta(hours=now.hour + 2, minutes=now.minute)).total_seconds())
    window = Window(now - timedelta(days=1), now + timedelta(days=3))
    ends, late, marked = set(), ada.sent(), 0
    for n in range(45):
        who = (ada, bob)[n % 3 == 1]
        attempt = who.sent()
        shop.clock.move(minutes=1 + n % 7)
        who.post(attempt, who.charge(attempt, 100 + n, 50 + 7 * n))
        if n == 15:
            ada.post(late)
            late = ada.sent()
        with ada.store.read("ada") as t:  # type: ignore[attr-defined]
            marked += len(folding.folded(t).changed)
            was_due, before = folding.is_due(t), folding.folded(t)
        folding.catch_up(ada.store, "ada")  # type: ignore[arg-type]
        with ada.store.read("ada") as t:  # type: ignore[attr-defined]
            after = folding.folded(t)
            assert was_due == (after != before) and not folding.is_due(t) and not after.changed
            ends.add(after.end[13:])
        if n % 4 == 0:
            assert ada.check() == []
            for user in (None, "bob"):
                found = every_report(ada, window, user)
                with monkeypatch.context() as unfolded:
                    unfolded.setattr(fold_reader, "folded", lambda t: Folded("", frozenset()))
                    assert every_report(ada, window, user) == found
    assert marked and len(ends) > 4 and any(ends)
    with ada.store.read("ada") as t:  # type: ignore[attr-defined]
        assert t.execute("SELECT count(*) FROM folded_usage WHERE owner = '*' AND hours = 24").fetchone()[0]


def test_folding_again_changes_nothing(used: Steps) -> None:
    used.store.recovery.recover("ada")
    with used.store.write("ada") as t:  # type: ignore[attr-defined]
        hour = folding.folded(t).end
        for back in range(1, 30):
            t.execute("INSERT INTO fold_marks VALUES (?, 0)", (folding._later(hour, -back),))
    used.store.recovery.recover("ada")
    assert used.check() == []


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little is much: everything is folded in pieces."""
    for name, most in {"_SMALL": 0, "_PIECE": 3, "_AT_ONCE": 5}.items():
        monkeypatch.setattr(folding, name, most)


def at_each_read(used: Steps, monkeypatch: pytest.MonkeyPatch, do: Callable[[int], None]) -> None:
    """Call ``do`` before each transaction that reads, with how many there were."""
    read, count = used.store.read, itertools.count()  # type: ignore[attr-defined]

    def reading(actor: str) -> Any:
        with monkeypatch.context() as undone:
            undone.setattr(used.store, "read", read)
            do(next(count))
        return read(actor)

    monkeypatch.setattr(used.store, "read", reading)


def test_what_is_folded_in_pieces_is_what_is_folded_at_once(
    used: Steps, little: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = []
    write = folding.write
    monkeypatch.setattr(folding, "write", lambda t, part: writes.append(len(part)) or write(t, part))
    folding.catch_up(used.store, "ada")  # type: ignore[arg-type]
    assert len(writes) > 20 and max(writes) <= 5
    with used.store.read("ada") as t:  # type: ignore[attr-defined]
        now = folding.folded(t)
        assert now.end == folding.last_hour(t.now) and not now.changed and not folding.is_due(t)
    assert used.check() == []


def test_what_changes_while_it_is_folded_is_folded_again(
    used: Steps, shop: Shop, little: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = [used.sent() for _ in range(3)]
    shop.clock.move(hours=2)
    now = used.store.reports.now("ada")
    window = Window(now - timedelta(days=9), now + timedelta(hours=1))

    def change(n: int) -> None:
        if n % 4 != 1:
            return
        if late:
            used.post(late.pop())
        with monkeypatch.context() as unfolded:
            found = every_report(used, window, None)
            unfolded.setattr(fold_reader, "folded", lambda t: Folded("", frozenset()))
            assert every_report(used, window, None) == found

    with monkeypatch.context() as watched:
        at_each_read(used, watched, change)
        folding.catch_up(used.store, "ada")  # type: ignore[arg-type]
    assert not late and used.check() == []
    folding.catch_up(used.store, "ada")  # type: ignore[arg-type]
    assert used.check() == []
    with used.store.read("ada") as t:  # type: ignore[attr-defined]
        assert not folding.folded(t).changed


def test_one_folds_at_a_time_and_what_a_killed_one_left_is_folded_by_the_next(
    used: Steps, shop: Shop, little: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def left() -> int:
        with used.store.read("ada") as t:  # type: ignore[attr-defined]
            return len(folding.folded(t).changed)

    def killed(n: int) -> None:
        if n == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as watched, pytest.raises(KeyboardInterrupt):
        at_each_read(used, watched, killed)
        folding.catch_up(used.store, "ada")  # type: ignore[arg-type]
    half = left()
    folding.catch_up(used.store, "ada")  # type: ignore[arg-type]
    assert left() == half > 0 and used.check() == []
    shop.clock.move(minutes=11)

    def taken_over(n: int) -> None:
        if n == 1:
            shop.clock.move(minutes=11)
            folding.catch_up(used.store, "ada")  # type: ignore[arg-type]

    with monkeypatch.context() as watched:
        at_each_read(used, watched, taken_over)
        folding.catch_up(used.store, "ada")  # type: ignore[arg-type]
    folding.catch_up(used.store, "ada")  # type: ignore[arg-type]
    assert left() == 0 and used.check() == []


def test_a_wrong_sum_is_told(shop: Shop, used: Steps) -> None:
    used.store.recovery.recover("ada")
    more = "counts = replace(counts, '1', '2')"
    wrong = {"folded_usage": "cost_usd = cost_usd + 1", "folded_failures": "n = n + 1"}
    for table, change in (wrong | {"folded_latency": more, "folded_errors": more}).items():
        with shop.owner().store.write("ada") as t:  # type: ignore[attr-defined]
            t.execute(f"UPDATE {table} SET {change} WHERE owner = '*'")
        assert table in {problem.name for problem in used.check()}


def test_one_model_and_feature_have_their_part_folded_or_not(used: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    used.store.recovery.recover("ada")
    now = used.store.reports.now("ada")
    whole = Window(now - timedelta(hours=61), now)
    (model,) = {row["model_used"] for row in report(used.store, "ada", "models", whole, used.settings)["rows"]}
    (feature,) = {row["feature"] for row in report(used.store, "ada", "features", whole, used.settings)["rows"]}
    for user in (None, "bob"):
        full = every_report(used, whole, user)
        assert full["accuracy"]["totals"]["n"] and full["providers"]["totals"]["errors"]
        for only in (Only(model), Only(None, feature), Only(model, feature), Only("other"), Only(model, "other")):
            found = every_report(used, whole._replace(only=only), user)
            with monkeypatch.context() as unfolded:
                unfolded.setattr(fold_reader, "folded", lambda t: Folded("", frozenset()))
                assert every_report(used, whole._replace(only=only), user) == found
            part = {name: {**made, **only.named()} for name, made in full.items()}
            assert (found == part) is ("other" not in only)
            assert "other" not in only or not any(made["rows"] for made in found.values())
    with pytest.raises(UsageError, match="not kept by model"):
        report(used.store, "ada", "unprofitable", whole._replace(only=Only(model)), used.settings)


@pytest.mark.parametrize("name", ["accuracy", "providers"])
def test_counted_values_are_as_near_as_is_promised(used: Steps, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    used.store.recovery.recover("ada")
    now = used.store.reports.now("ada")
    exact: dict[str, Any] = report(used.store, "ada", name, Window(now - timedelta(days=9), now), used.settings)
    monkeypatch.setattr(reports, "EXACT", 0)
    counted: dict[str, Any] = report(used.store, "ada", name, Window(now - timedelta(days=9), now), used.settings)

    def near(a: float, b: float) -> bool:
        finest = percentiles.ERRORS.finest / 1e6 if name == "accuracy" else 1e-6
        return a == b or abs(a - b) <= max(abs(a) / 2**percentiles.ERRORS.bits, finest)

    for one, other in zip([*exact["rows"], exact["totals"]], [*counted["rows"], counted["totals"]], strict=True):
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert value == other[key] if isinstance(value, str | None) else near(value, other[key]), key
