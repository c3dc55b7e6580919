"""Every figure of a report equals a sum over the rows; roll-ups and edges are only a faster way to it."""

from __future__ import annotations

import random
import statistics
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexscout_cli.config import Settings
from nexscout_cli.engine.report_window import Window, zone
from nexscout_cli.engine.reports.build import COLUMNS, report
from nexscout_cli.engine.store_rules import store_rules
from nexscout_cli.engine.sums import SUMS
from nexscout_cli.errors import NotPermitted, UsageError
from nexscout_cli.store.sqlite import usage, users
from nexscout_cli.store.sqlite.reports import split
from nexscout_cli.store.sqlite.store import SqliteStore
from nexscout_cli.store.sqlite.transaction import stamp
from tests.contract.books import SqliteBooks

START = datetime(2026, 10, 20, tzinfo=UTC)
NOW = datetime(2026, 11, 3, 14, 30, 0, 250_000, tzinfo=UTC)
MODELS, FEATURES, USERS = ("gpt-4o", "gpt-4o-mini", "smollm2-135m"), ("ai_message", "ai_chatbot"), ("ann", "bob", "cy")


class Clock:
    """A clock that shows what it is told."""

    def __init__(self, now: datetime) -> None:
        self.time = now

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        pass


def build(
    store: SqliteStore, name: str, window: Window, user: str | None = None, actor: str = "root"
) -> dict[str, Any]:
    return report(store, actor, name, window, Settings(), user)


def fill(store: SqliteStore, clock: Clock, moments: list[datetime], seed: int = 1) -> None:
    """Usage at those moments; now and then an earlier request gets a further row, on another day and model."""
    dice, known = random.Random(seed), []
    for n, moment in enumerate(sorted(moments)):
        clock.time = moment
        again = bool(known) and dice.random() < 0.2
        fresh = f"r{n:04}", dice.choice(USERS), dice.choice(FEATURES)
        request_id, user, feature = dice.choice(known) if again else fresh
        known.append((request_id, user, feature))
        outcome = "posted" if again else dice.choice(("posted", "posted", "hit", "failed"))
        row: dict[str, Any] = {
            "request_id": request_id,
            "n": n,
            "user_id": user,
            "feature": feature,
            "model_used": dice.choice(MODELS),
            "outcome": outcome,
            "mode": "auto",
            "routing_reason": "balanced",
        }
        if outcome == "posted":
            row |= {
                "input_tokens": dice.randint(1, 900),
                "output_tokens": dice.randint(1, 900),
                "energy": 1,
                "cost_usd": dice.randint(0, 10**9),
                "baseline_usd": dice.randint(10**6, 10**10),
                "compression_saved_usd": dice.randint(0, 999),
                "tokens_saved": dice.randint(0, 9),
            }
        elif outcome == "hit":
            row |= {
                "avoided_usd": dice.randint(1, 10**6),
                "baseline_usd": 10**7,
                "tokens_saved": 500,
                "cached_response": 1,
            }
        with store.write("root") as t:
            usage.record(t, row)


@pytest.fixture(scope="module")
def store() -> Iterator[SqliteStore]:
    with tempfile.TemporaryDirectory() as folder:
        clock = Clock(START)
        made = SqliteStore(Path(folder) / "n.db", clock, store_rules(Settings()), "root")
        for user, tier in zip(USERS, ("free", "pro", "elite"), strict=True):
            made.users.set_tier("root", user, tier)
        dice = random.Random(7)
        midnights = [START + timedelta(days=day) for day in range(14)]
        moments = [
            START + timedelta(microseconds=dice.randint(0, int((NOW - START) / timedelta(microseconds=1))))
            for _ in range(220)
        ]
        fill(made, clock, [*moments, *midnights, *(m - timedelta(microseconds=1) for m in midnights[1:]), NOW])
        yield made
        made.close()


OUTCOMES = {"calls": "posted", "hits": "hit", "failures": "failed"}
ADDED = (*SUMS[4:], "total_tokens")


def plain(store: SqliteStore, window: Window, user: str | None = None, by: str = "") -> dict[str, dict[str, Any]]:
    """The same by hand: sums over rows alone, requests by their first row; by a column, by day, or altogether."""
    found: dict[str, dict[str, Any]] = {}
    seen: set[str] = set()
    for row in SqliteBooks(store.db.path).usage():
        first = row["request_id"] not in seen
        seen.add(row["request_id"])
        if not stamp(window.since) <= row["created_at"] < stamp(window.until) or user not in (None, row["user_id"]):
            continue
        group = {"": "", "day": row["created_at"][:10]} | row
        sums = found.setdefault(group[by], dict.fromkeys(("requests", *OUTCOMES, *ADDED), 0))
        sums["requests"] += first
        for name, outcome in OUTCOMES.items():
            sums[name] += row["outcome"] == outcome
        for name in ADDED:
            sums[name] += row[name]
    return found


COMMON = (
    "requests",
    "calls",
    "hits",
    "failures",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cost_usd",
    "energy",
)


def nano(value: Any) -> Any:
    return int(value.scaleb(9)) if isinstance(value, Decimal) else value


def figures(row: dict[str, Any], names: tuple[str, ...] = COMMON) -> dict[str, Any]:
    return {name: nano(row[name]) for name in names}


WHOLE = Window(START, NOW + timedelta(microseconds=1), UTC)
ODD = Window(START + timedelta(days=2, hours=5, seconds=1), START + timedelta(days=9, hours=17), UTC)


def test_the_reports_know_the_columns_of_the_roll_ups(store: SqliteStore) -> None:
    with store.db.read() as c:
        columns = [row["name"] for row in c.execute("PRAGMA table_info(usage_by_user_day)")]
    assert columns == ["user_id", "day", *SUMS]


@pytest.mark.parametrize("name", list(COLUMNS))
def test_every_row_has_the_published_columns_in_their_order(store: SqliteStore, name: str) -> None:
    rows = build(store, name, WHOLE)["rows"]
    assert name == "accuracy" or rows
    assert all(tuple(row) == COLUMNS[name] for row in rows)


@pytest.mark.parametrize("user", [None, "ann", "cy"])
@pytest.mark.parametrize("window", [WHOLE, ODD])
@pytest.mark.parametrize(
    ("name", "key", "by"),
    [
        ("models", "model_used", "model_used"),
        ("features", "feature", "feature"),
        ("users", "user_id", "user_id"),
        ("days", "day", "day"),
        ("overview", "day", "day"),
    ],
)
def test_rows_and_totals_equal_plain_sums(
    store: SqliteStore, name: str, key: str, by: str, window: Window, user: str | None
) -> None:
    result = build(store, name, window, user)
    assert {row[key]: figures(row) for row in result["rows"]} == {
        k: {n: v[n] for n in COMMON} for k, v in plain(store, window, user, by).items()
    }
    assert figures(result["totals"]) == {n: plain(store, window, user)[""][n] for n in COMMON}


def test_a_window_over_everything_counts_each_request_once(store: SqliteStore) -> None:
    books = SqliteBooks(store.db.path)
    requests = len(set(books.listed("usage", "request_id")))
    totals = build(store, "overview", WHOLE)["totals"]
    assert (totals["requests"], nano(totals["cost_usd"]), totals["total_tokens"]) == (
        requests,
        books.total("usage", "cost_usd"),
        books.total("usage", "total_tokens"),
    )


def test_shares_and_rates_are_those_of_the_totals(store: SqliteStore) -> None:
    result = build(store, "models", WHOLE)
    rows, totals = result["rows"], result["totals"]
    assert [row["cost_usd"] for row in rows] == sorted((row["cost_usd"] for row in rows), reverse=True)
    assert sum(row["cost_share"] for row in rows) == pytest.approx(1, abs=1e-5)
    assert totals["hit_rate"] == pytest.approx(totals["hits"] / totals["requests"], abs=1e-6)
    assert float(totals["avg_cost_usd"]) == pytest.approx(float(totals["cost_usd"]) / totals["requests"], abs=1e-9)


def test_savings_split_the_difference_from_the_baseline_without_a_rest(store: SqliteStore) -> None:
    result, expected = build(store, "savings", ODD), plain(store, ODD, None, "feature")
    for row in [*result["rows"], result["totals"] | {"feature": ""}]:
        by_hand = expected.get(row["feature"]) or plain(store, ODD)[""]
        assert nano(row["baseline_usd"]) == by_hand["baseline_usd"]
        assert nano(row["caching_saved_usd"]) == by_hand["avoided_usd"]
        assert nano(row["compression_saved_usd"]) == by_hand["compression_saved_usd"]
        assert row["saved_usd"] == row["baseline_usd"] - row["cost_usd"]
        assert row["caching_saved_usd"] + row["routing_saved_usd"] + row["compression_saved_usd"] == row["saved_usd"]


@pytest.mark.parametrize("user", [None, "bob"])
def test_the_cache_report_counts_tokens_that_hits_saved_and_answers_still_kept(
    store: SqliteStore, user: str | None
) -> None:
    result, expected = build(store, "cache", ODD, user), plain(store, ODD, user)[""]
    assert result["totals"]["hits"] == expected["hits"]
    assert result["totals"]["tokens_saved"] == 500 * expected["hits"]
    assert nano(result["totals"]["avoided_usd"]) == expected["avoided_usd"]
    assert result["totals"]["answers"] == 0


def test_unprofitable_users_are_those_whose_cost_exceeds_their_tiers_price_for_that_time(store: SqliteStore) -> None:
    window = Window(START + timedelta(days=1), START + timedelta(days=8), UTC)
    costs = {k: v["cost_usd"] for k, v in plain(store, window, None, "user_id").items() if k != "root"}
    prices = {"ann": 0, "bob": 29, "cy": 99}  # root owns the place and pays nothing
    revenue = {user: round(Decimal(price * 10**9) * 7 / 31) for user, price in prices.items()}
    losses = {user: costs.get(user, 0) - revenue[user] for user in prices}
    result = build(store, "unprofitable", window)
    worst_first = sorted((user for user in losses if losses[user] > 0), key=lambda user: -losses[user])
    assert worst_first
    assert [row["user_id"] for row in result["rows"]] == worst_first
    assert {row["user_id"]: -nano(row["margin_usd"]) for row in result["rows"]} == {u: losses[u] for u in worst_first}
    assert nano(result["totals"]["revenue_usd"]) == sum(revenue.values())
    assert nano(result["totals"]["cost_usd"]) == sum(costs.values())
    assert (result["totals"]["users"], result["totals"]["unprofitable_users"]) == (3, len(worst_first))


PREDICTED = [
    # id, user, model, predicted, P90, actual, formula, accuracy
    ("a", "root", "gpt-4o", 100, 250, 200, 400, 0.9),
    ("b", "root", "gpt-4o", 300, 310, 200, 100, 0.5),
    ("c", "root", "gpt-4o", 50, 80, None, 10, None),
    ("d", "bob", "gpt-4o-mini", 90, 95, 100, 500, 0.9),
    ("e", "bob", "gpt-4o-mini", 120, None, 100, 500, 0.8),
    ("f", "bob", "gpt-4o-mini", 100, 130, 150, 500, 0.5),
]


@pytest.fixture
def predicted(tmp_path: Path) -> SqliteStore:
    store = SqliteStore(tmp_path / "n.db", Clock(NOW), store_rules(Settings()), "root")
    with store.write("root") as t:
        users.ensure(t, "bob")
        for name, user, model, tokens, p90, actual, formula, accuracy in PREDICTED:
            t.execute(
                """INSERT INTO ai_cost_predictions (request_id, user_id, feature, predicted_tokens, predicted_tokens_p90,
                   predicted_output_tokens, predicted_cost_usd, max_cost_usd, predicted_energy, formula_tokens,
                   recommended_model, routing_reason, actual_tokens, prediction_accuracy, approved, created_at)
                   VALUES (?, ?, 'ai_message', ?, ?, 1, 1, 1, 1, ?, ?, 'forced', ?, ?, 1, ?)""",
                (name, user, tokens, p90, formula, model, actual, accuracy, stamp(NOW)),
            )
    return store


def test_accuracy_is_measured_against_actual_tokens_beside_the_formula(predicted: SqliteStore) -> None:
    window = Window(NOW, NOW + timedelta(seconds=1), UTC)
    result = build(predicted, "accuracy", window)

    def expected(*models: str) -> dict[str, Any]:
        rows = [row for row in PREDICTED if row[2] in models and row[5] is not None]
        errors = [abs(p - used) / used for _, _, _, p, _, used, _, _ in rows]
        formula = [abs(f - used) / used for _, _, _, _, _, used, f, _ in rows]
        used = sum(row[5] for row in rows)
        held = [row[5] <= row[4] for row in rows if row[4] is not None]
        figures = {
            "n": len(rows),
            "predicted_tokens": sum(row[3] for row in rows),
            "actual_tokens": used,
            "mape": statistics.mean(errors),
            "mdape": statistics.median(errors),
            "bias": sum(row[3] for row in rows) / used,
            "p90_coverage": statistics.mean(held),
            "prediction_accuracy": statistics.mean(row[7] for row in rows),
            "formula_tokens": sum(row[6] for row in rows),
            "formula_mape": statistics.mean(formula),
            "formula_mdape": statistics.median(formula),
            "formula_bias": sum(row[6] for row in rows) / used,
        }
        return {name: pytest.approx(value, abs=1e-6) for name, value in figures.items()}

    assert result["totals"] == expected("gpt-4o", "gpt-4o-mini")
    assert result["rows"] == [
        {"feature": "ai_message", "recommended_model": name, **expected(name)} for name in ("gpt-4o-mini", "gpt-4o")
    ]
    assert build(predicted, "accuracy", window, "bob")["totals"] == expected("gpt-4o-mini")


def test_the_accuracy_of_nothing_is_nothing(predicted: SqliteStore) -> None:
    result = build(predicted, "accuracy", Window(NOW - timedelta(days=2), NOW - timedelta(days=1), UTC))
    assert result["rows"] == []
    assert result["totals"] == dict.fromkeys(result["totals"], 0) | {"p90_coverage": None}


def test_days_of_another_zone_begin_at_its_midnight_and_survive_a_change_of_the_clock(store: SqliteStore) -> None:
    berlin = zone("Europe/Berlin")  # summer time ends on 25 October 2026, within the window
    window = Window(START + timedelta(hours=3), NOW, berlin)
    expected: dict[str, dict[str, int]] = {}
    for row in SqliteBooks(store.db.path).usage():
        if not stamp(window.since) <= row["created_at"] < stamp(window.until):
            continue
        day = datetime.fromisoformat(row["created_at"]).astimezone(berlin).date().isoformat()
        sums = expected.setdefault(day, {"cost_usd": 0, "total_tokens": 0})
        sums["cost_usd"] += row["cost_usd"]
        sums["total_tokens"] += row["total_tokens"]
    rows = build(store, "days", window)["rows"]
    assert {row["day"]: figures(row, ("cost_usd", "total_tokens")) for row in rows} == expected
    assert [row["day"] for row in rows] == sorted(expected)


@pytest.mark.parametrize("name", list(COLUMNS))
def test_whoever_is_no_admin_sees_their_own_figures_alone(store: SqliteStore, name: str) -> None:
    mine = build(store, name, WHOLE, actor="ann")
    assert mine["user"] == "ann"
    assert mine["rows"] == build(store, name, WHOLE, "ann")["rows"]
    assert not any(repr(other) in str(mine) for other in ("bob", "cy", "root"))
    with pytest.raises(NotPermitted):
        build(store, name, WHOLE, "bob", "ann")


def test_a_stranger_and_a_user_there_is_not_are_told_so(store: SqliteStore) -> None:
    with pytest.raises(NotPermitted):
        build(store, "models", WHOLE, actor="mallory")
    with pytest.raises(UsageError, match="no user 'nobody'"):
        build(store, "models", WHOLE, "nobody")


def test_a_report_reads_the_roll_ups_and_only_the_edges_by_time(store: SqliteStore) -> None:
    plans = []
    store.db.connection.set_trace_callback(plans.append)
    try:
        build(store, "models", ODD)
    finally:
        store.db.connection.set_trace_callback(None)
    assert any("usage_by_model_day" in sql for sql in plans)
    for sql in (sql for sql in plans if sql.lstrip().startswith(("SELECT", "WITH")) and "ai_model_usage" in sql):
        steps = [row[3] for row in store.db.connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
        assert any("usage_by_time" in step for step in steps), steps


moments = st.datetimes(
    START.replace(tzinfo=None) - timedelta(days=2), NOW.replace(tzinfo=None) + timedelta(days=2), timezones=st.just(UTC)
)
midnights = st.integers(-2, 17).map(lambda day: START + timedelta(days=day))


@pytest.mark.parametrize("tz", ["UTC", "America/New_York"])
@pytest.mark.parametrize("step", [1, 7])
def test_days_one_by_one_add_up_to_the_window(store: SqliteStore, tz: str, step: int) -> None:
    with store.reports.reading("root", Window(ODD.since, ODD.until, zone(tz))) as reader:
        days = list(reader.by_day(step))
        for key in ("model_used", "feature", "user_id"):
            parts = [row for _, day in days for row in day.sums(key)]
            for name in SUMS:
                assert sum(row[name] for row in parts) == sum(row[name] for row in reader.sums(key))
        if step == 1:
            whole = {row["day"]: row["cost_usd"] for row in reader.days()}
            assert {day: sum(row["cost_usd"] for row in one.sums("feature")) for day, one in days} == whole
    assert [day for day, _ in days] == sorted({day for day, _ in days})


@pytest.mark.parametrize("actor", ["root", "ann"])
def test_what_was_never_measured_is_told_as_none(store: SqliteStore, actor: str) -> None:
    with store.reports.reading(actor, WHOLE) as reader:
        assert reader.latency() == {"n": 0, "p50": None, "p95": None}
        nothing = dict.fromkeys(("error", "formula_error", "covered"))
        assert reader.predicted() == {"n": 0, "predicted": 0, "actual": 0, "p90": 0} | nothing


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(moments, midnights),
    st.one_of(moments, midnights),
    st.sampled_from([None, *USERS]),
    st.sampled_from(["model_used", "feature", "user_id", ""]),
)
def test_roll_ups_and_edges_equal_row_sums_for_any_window(
    store: SqliteStore, a: datetime, b: datetime, user: str | None, key: str
) -> None:
    window = Window(min(a, b), max(a, b) + timedelta(microseconds=1), UTC)
    expected = plain(store, window, user, key)
    with store.reports.reading("root", window, user) as reader:
        found = reader.sums(*([key] if key else []))
    assert {row.get(key, ""): {n: row[n] for n in SUMS} for row in found} == {
        k: {n: v[n] for n in SUMS} for k, v in expected.items()
    }


@given(moments, moments, moments)
def test_a_split_window_covers_each_moment_until_now_exactly_once(a: datetime, b: datetime, when: datetime) -> None:
    since, until = min(a, b), max(a, b) + timedelta(microseconds=1)
    when = min(when, NOW)
    parts = split(since, until, NOW)
    whole = parts.days is not None and parts.days[0] <= when.date().isoformat() < parts.days[1]
    assert whole + sum(x <= when < y for x, y in parts.edges) == (since <= when < until)
