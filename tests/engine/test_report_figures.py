"""Reports from sums alone: what is worked out of them, without a store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.config import Settings
from nexscout_cli.engine.catalog.baseline import baseline_model
from nexscout_cli.engine.catalog.seed import seeded
from nexscout_cli.engine.report_values import Deployed, Failed, Person, PromptCache
from nexscout_cli.engine.report_window import Window
from nexscout_cli.engine.reports import build
from nexscout_cli.engine.reports import margins as margins_module
from nexscout_cli.engine.reports.build import COLUMNS, Terms
from nexscout_cli.engine.sums import SUMS

NOW = datetime(2026, 11, 10, tzinfo=UTC)
TERMS = Terms(Settings(), "gpt-4o")
DOLLAR = 10**9


def sums(**given: Any) -> dict[str, Any]:
    return dict.fromkeys(SUMS, 0) | given


class Given:
    """A reader of what a test says."""

    now = NOW
    user: str | None = None
    archived: tuple[Any, ...] = ()

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

    def people(self) -> list[Person]:
        return list(self.more.get("people", ()))

    def failed_attempts(self) -> list[Failed]:
        return list(self.more.get("failed", ()))

    def latencies(self) -> dict[str, tuple[int, int]]:
        return dict(self.more.get("slow", {}))

    def latency(self) -> dict[str, int | None]:
        return {"n": 0, "p50": None, "p95": None}

    def deployed_calls(self) -> list[Deployed]:
        return list(self.more.get("deployed", ()))

    def kept_answers(self) -> dict[str, int]:
        return dict(self.more.get("kept", {}))

    def tokens_saved_by_hits(self) -> dict[str, int]:
        return dict(self.more.get("saved", {}))

    def prompt_caches(self) -> list[PromptCache]:
        return list(self.more.get("caches", []))

    def audits(self) -> tuple[int, int, int, int]:
        return (0, 0, 0, 0)

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


def person(name: str, *tiers: tuple[datetime, str], is_admin: bool = False) -> Person:
    return Person(name, is_admin, list(tiers))


JULY, AUGUST, SEPTEMBER = (datetime(2026, month, 1, tzinfo=UTC) for month in (7, 8, 9))


def having(**values: Any) -> Settings:
    return Settings({name: (value, "test") for name, value in values.items()})


def margins(*people: Person, rows: list[dict[str, Any]], **settings: Any) -> dict[str, Any]:
    """The report over July and August 2026."""
    given = Given(*rows, people=people)
    given.window, given.now = Window(JULY, SEPTEMBER), NOW
    return build.build(given, "unprofitable", Terms(having(**settings), "gpt-4o"))


def test_a_user_is_unprofitable_above_what_their_tiers_paid_in_that_time() -> None:
    people = (person("ann", (JULY, "pro")), person("bob", (JULY, "pro")), person("cy", (JULY, "free")))
    rows = [sums(user_id="ann", cost_usd=58 * DOLLAR), sums(user_id="bob", cost_usd=58 * DOLLAR + 1)]
    made = margins(*people, rows=rows)
    (row,) = made["rows"]
    assert (row["user_id"], row["margin_usd"], row["revenue_usd"]) == ("bob", Decimal("-0.000000001"), 58)
    assert (made["totals"]["users"], made["totals"]["unprofitable_users"], made["totals"]["days"]) == (3, 1, 62)


def test_revenue_follows_a_history_of_tiers_as_by_hand() -> None:
    # Born on 11 July as pro (21 of 31 days at 29), elite from 16 August noon (15.5 days pro, 15.5 of 31 elite at 99).
    born, risen = datetime(2026, 7, 11, tzinfo=UTC), datetime(2026, 8, 16, 12, tzinfo=UTC)
    who = person("dee", (born, "pro"), (risen, "elite"))
    by_hand = Decimal(29) * 21 / 31 + Decimal(29) * Decimal("15.5") / 31 + Decimal(99) * Decimal("15.5") / 31
    made = margins(who, rows=[sums(user_id="dee", cost_usd=500 * DOLLAR)])
    assert made["rows"][0]["revenue_usd"] == (by_hand * DOLLAR).to_integral_value() / DOLLAR
    assert made["rows"][0]["tier"] == "elite"


def test_nothing_is_due_before_the_first_day_nor_after_now() -> None:
    late = person("eve", (datetime(2026, 8, 1, tzinfo=UTC), "pro"))
    assert margins(late, rows=[])["totals"]["revenue_usd"] == 29
    given = Given(people=(late,))
    given.window, given.now = Window(JULY, datetime(2027, 1, 1, tzinfo=UTC)), SEPTEMBER
    assert build.build(given, "unprofitable", TERMS)["totals"]["revenue_usd"] == 29


def test_the_owner_and_internal_users_are_left_out_of_margins() -> None:
    people = (
        person("own", (JULY, "elite"), is_admin=True),
        person("tester", (JULY, "pro")),
        person("ann", (JULY, "pro")),
    )
    rows = [sums(user_id=name, cost_usd=100 * DOLLAR) for name in ("own", "tester", "ann")]
    made = margins(*people, rows=rows, **{"billing.internal": ["tester"]})
    assert [row["user_id"] for row in made["rows"]] == ["ann"]
    assert (made["totals"]["cost_usd"], made["totals"]["users"], made["totals"]["left_out_users"]) == (100, 1, 2)


def test_a_small_loss_stays_below_the_threshold() -> None:
    rows = [sums(user_id="ann", cost_usd=59 * DOLLAR)]
    who = person("ann", (JULY, "pro"))
    assert [len(margins(who, rows=rows, **{"billing.min_loss": least})["rows"]) for least in (0, 0.99, 1)] == [1, 1, 0]


def test_prices_in_another_currency_count_in_dollars_and_months_begin_on_the_billing_day() -> None:
    who = person("ann", (JULY, "pro"))
    made = margins(who, rows=[], **{"billing.currency": "EUR", "billing.usd_per_unit": 1.25})
    assert (made["totals"]["revenue_usd"], made["currency"]) == (Decimal("72.5"), "EUR")
    # From 10 June to 10 July are 30 days, of which 9 lie in the window; then a month of 31, and 22 of one of 31.
    by_hand = Decimal(29) * (Decimal(9) / 30 + 1 + Decimal(22) / 31)
    made = margins(who, rows=[], **{"billing.day": 10})
    assert made["totals"]["revenue_usd"] == (by_hand * DOLLAR).to_integral_value() / DOLLAR


@given(st.lists(st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)), min_size=3, max_size=3), st.integers(1, 28))
def test_revenue_of_two_parts_is_that_of_the_whole(moments: list[datetime], day: int) -> None:
    a, b, c = sorted(moment.replace(tzinfo=UTC) for moment in moments)
    who, settings = person("ann", (datetime(2025, 1, 1, tzinfo=UTC), "pro")), having(**{"billing.day": day})
    parts = [margins_module.revenue_of(who, since, until, settings, UTC) for since, until in ((a, b), (b, c), (a, c))]
    assert abs(parts[0] + parts[1] - parts[2]) <= 1


def test_failures_are_counted_by_provider_and_kind_and_a_dead_key_by_its_day() -> None:
    failed = [
        Failed("gpt-4o", "refused_key", "2026-11-08", 11, 0, 0),
        Failed("gpt-4o", "server", "2026-11-09", 2, 1, 1),
        Failed("haiku", "unknown", "2026-11-09", 1, 1, 0),
    ]
    given = Given(
        sums(model_used="haiku", calls=9), sums(model_used="mini", calls=5), failed=failed, slow={"haiku": (900, 4000)}
    )
    terms = Terms(Settings(), "gpt-4o", {"gpt-4o": "openai", "haiku": "anthropic", "mini": "openai"})
    made = build.build(given, "providers", terms)
    assert [(r["provider"], r["model_used"], r["calls"], r["errors"], r["error_rate"]) for r in made["rows"]] == [
        ("openai", "gpt-4o", 0, 13, 1.0),
        ("anthropic", "haiku", 9, 1, 0.1),
        ("openai", "mini", 5, 0, 0.0),
    ]
    assert (made["rows"][1]["latency_p50_ms"], made["rows"][2]["latency_p95_ms"]) == (900, None)
    totals = made["totals"]
    kinds = ("refused_key", "server", "unknown", "retries", "fallbacks")
    assert [totals[kind] for kind in kinds] == [11, 2, 1, 2, 1]
    assert made["refused_keys"] == [{"day": "2026-11-08", "provider": "openai", "errors": 11}]
    overview = build.build(given, "overview", terms)["providers"]
    assert overview["kinds"] == {"refused_key": 11, "server": 2, "unknown": 1} and overview["errors"] == 14


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
