"""Reports from sums alone: what is worked out of them, without a store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from nexscout_cli.config import Settings
from nexscout_cli.engine.book_types import SUMS
from nexscout_cli.engine.catalog.baseline import baseline_model
from nexscout_cli.engine.catalog.seed import seeded
from nexscout_cli.engine.report_window import Window
from nexscout_cli.engine.reports import build, savings
from nexscout_cli.engine.reports.build import COLUMNS, Terms

NOW = datetime(2026, 11, 10, tzinfo=UTC)
TERMS = Terms(Settings(), "gpt-4o")
DOLLAR = 10**9


def sums(**given: Any) -> dict[str, Any]:
    return dict.fromkeys(SUMS, 0) | given


class Given:
    """A reader of what a test says."""

    now = NOW
    user: str | None = None

    def __init__(self, *rows: dict[str, Any], days: float = 30.4375, **more: Any) -> None:
        self.window = Window(NOW - timedelta(days=days), NOW)
        self.rows = list(rows)
        self.more = more

    def sums(self, *keys: str) -> list[dict[str, Any]]:
        return [dict.fromkeys(keys, "x") | row for row in self.rows]

    def days(self) -> list[dict[str, Any]]:
        return [{"day": "2026-11-09"} | row for row in self.rows]

    def tiers(self) -> dict[str, str]:
        return dict(self.more.get("tiers", {}))

    def kept_answers(self) -> dict[str, int]:
        return dict(self.more.get("kept", {}))

    def tokens_saved_by_hits(self) -> dict[str, int]:
        return dict(self.more.get("saved", {}))

    def token_classes(self) -> dict[str, int]:
        return dict(self.more.get("classes", {}))

    def predictions(self, *keys: str) -> list[dict[str, Any]]:
        return [dict.fromkeys(keys, "x") | row for row in self.more.get("predictions", [])]


@pytest.mark.parametrize("name", list(COLUMNS))
def test_a_report_on_nothing_has_no_rows_and_no_division_by_nothing(name: str) -> None:
    made = build.build(Given(), name, TERMS)
    assert made["rows"] == [] and made["report"] == name
    assert (made["since"], made["until"]) == ("2026-10-10T13:30:00.000000Z", "2026-11-10T00:00:00.000000Z")


def test_rows_stand_dearest_first_with_their_shares() -> None:
    cheap = sums(model_used="a", requests=1, cost_usd=DOLLAR, input_tokens=30)
    dear = sums(model_used="b", requests=3, cost_usd=3 * DOLLAR, output_tokens=10, hits=1)
    made = build.build(Given(cheap, dear), "models", TERMS)
    assert [(row["model_used"], row["cost_share"], row["token_share"]) for row in made["rows"]] == [
        ("b", 0.75, 0.25),
        ("a", 0.25, 0.75),
    ]
    assert made["totals"]["cost_usd"] == 4 and made["totals"]["hit_rate"] == 0.25


@pytest.mark.parametrize(("cost", "average"), [(1, "0"), (4, "0.000000001"), (5, "0.000000002")])
def test_an_average_is_rounded_half_up_to_a_nano_dollar(cost: int, average: str) -> None:
    made = build.build(Given(sums(feature="f", requests=3, cost_usd=cost)), "features", TERMS)
    assert made["totals"]["avg_cost_usd"] == Decimal(average)


def test_routing_saved_what_caching_and_compression_leave_of_the_difference() -> None:
    row = sums(
        feature="f",
        baseline_usd=10 * DOLLAR,
        cost_usd=4 * DOLLAR,
        avoided_usd=DOLLAR,
        compression_saved_usd=2 * DOLLAR,
    )
    (made,) = build.build(Given(row), "savings", TERMS)["rows"]
    assert (made["saved_usd"], made["caching_saved_usd"]) == (6, 1)
    assert (made["compression_saved_usd"], made["routing_saved_usd"], made["saved_share"]) == (2, 3, 0.6)


def test_features_with_kept_answers_are_in_the_cache_report_though_nobody_asked() -> None:
    used = sums(feature="f", requests=4, hits=1, avoided_usd=DOLLAR)
    made = build.build(Given(used, kept={"g": 3}, saved={"f": 70}), "cache", TERMS)
    assert [(row["feature"], row["hits"], row["answers"], row["tokens_saved"]) for row in made["rows"]] == [
        ("f", 1, 0, 70),
        ("g", 0, 3, 0),
    ]
    assert (made["totals"]["hit_rate"], made["totals"]["answers"], made["totals"]["avoided_usd"]) == (0.25, 3, 1)


def test_a_user_is_unprofitable_above_what_the_tier_pays_for_that_time() -> None:
    rows = [
        sums(user_id="ann", cost_usd=29 * DOLLAR),
        sums(user_id="bob", cost_usd=29 * DOLLAR + 1),
        sums(user_id="gone"),
    ]
    made = build.build(Given(*rows, tiers={"ann": "pro", "bob": "pro", "cy": "free"}), "unprofitable", TERMS)
    (row,) = made["rows"]
    assert (row["user_id"], row["margin_usd"], row["revenue_usd"]) == ("bob", Decimal("-0.000000001"), 29)
    assert (made["totals"]["users"], made["totals"]["unprofitable_users"], made["totals"]["days"]) == (4, 1, 30.4375)


def test_half_a_month_brings_in_half_the_price() -> None:
    assert savings.revenue_of(Decimal(29), savings.DAYS_A_MONTH / 2) == 14_500_000_000


def test_a_coverage_that_nobody_predicted_is_none() -> None:
    part = {
        "n": 1,
        "predicted": 150,
        "actual": 100,
        "formula": 300,
        "accuracy": 0.5,
        "error": 0.5,
        "median_error": 0.5,
        "formula_error": 2.0,
        "formula_median_error": 2.0,
        "covered": None,
    }
    made = build.build(Given(predictions=[part]), "accuracy", TERMS)["totals"]
    assert (made["bias"], made["formula_bias"], made["p90_coverage"]) == (1.5, 3.0, None)


def test_the_baseline_is_the_settings_or_the_seeded_gpt_4o() -> None:
    catalog = tuple(seeded())
    assert baseline_model(catalog, Settings().with_values(report__baseline="claude-3-opus")).name == "claude-3-opus"
    without = tuple(model for model in catalog if model.name != "gpt-4o")
    assert baseline_model(without, Settings().with_values(report__baseline="nothing")).name == "gpt-4o"


@pytest.mark.parametrize(
    ("name", "key", "periods"),
    [
        ("weeks", "week", ["2026-W53", "2027-W01"]),
        ("months", "month", ["2026-12", "2027-01"]),
    ],
)
def test_weeks_and_months_add_up_their_days(name: str, key: str, periods: list[str]) -> None:
    days = {"2026-12-30": 1, "2026-12-31": 2, "2027-01-04": 4}

    class ByDay(Given):
        def days(self) -> list[dict[str, Any]]:
            return [{"day": day} | sums(requests=n, cost_usd=n * DOLLAR) for day, n in days.items()]

    made = build.build(ByDay(), name, TERMS)
    assert [(row[key], row["requests"], row["cost_usd"]) for row in made["rows"]] == [
        (periods[0], 3, Decimal(3)),
        (periods[1], 4, Decimal(4)),
    ]
    assert made["totals"]["requests"] == 7 and COLUMNS[name][0] == key
