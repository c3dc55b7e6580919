"""The ledger beside an export: what is equal, what is explained, and what an export tells of unknown attempts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.engine.book_types import AttemptRow
from nexscout_cli.engine.imported.record import Tally
from nexscout_cli.engine.reconcile.compare import EVERY, Sums, Unknowns, compare, exported
from nexscout_cli.engine.reconcile.export import Line, bare, lines, source_of
from nexscout_cli.engine.reconcile.settle import settled

ONE = Decimal("0.01")
DAY, NEXT = "2026-11-01", "2026-11-02"
AT = datetime(2026, 11, 1, 12, tzinfo=UTC)


def costs(*rows: dict[str, Any]) -> list[Line]:
    return list(lines(rows, lambda row: (), lambda record: None, Tally()))


@pytest.mark.parametrize(
    ("row", "nano"),
    [
        (
            {
                "start_time": 1793491200,
                "results": [
                    {"amount": {"value": Decimal("0.06"), "currency": "usd"}, "line_item": "gpt-4o-mini, input"}
                ],
            },
            60_000_000,
        ),
        (
            {"start_time": "1793491200", "amount_value": "1.5", "line_item": "gpt-4o-mini-2024-07-18, output"},
            1_500_000_000,
        ),
    ],
)
def test_openais_costs_are_dollars_by_line_item(row: dict[str, Any], nano: int) -> None:
    (line,) = costs(row)
    assert (bare(line.model), line.cost, line.tokens_in) == ("gpt-4o-mini", nano, None)


def test_anthropics_cost_report_is_in_cents_and_its_csv_in_dollars() -> None:
    (line,) = costs(
        {"starting_at": "2026-11-01T00:00:00Z", "results": [{"amount": "123.45", "model": "claude-haiku-4-5-20251001"}]}
    )
    assert (bare(line.model), line.cost) == ("claude-haiku-4-5", 1_234_500_000)
    (line,) = costs({"usage_date_utc": "2026-11-01", "model": "claude-haiku-4-5-20251001", "cost_usd": "0.25"})
    assert line.cost == 250_000_000


@pytest.mark.parametrize(
    ("row", "source"),
    [
        ({"starting_at": "", "results": []}, "anthropic-usage"),
        ({"start_time": 1, "results": []}, "openai-usage"),
        ({"generation_id": "g", "created_at": ""}, "openrouter"),
        ({"request_id": "r", "startTime": ""}, "litellm"),
        ({"id": "o", "startTime": "", "usageDetails": {}}, "langfuse"),
        ({"time": "", "model": ""}, "csv"),
    ],
)
def test_whose_an_export_is_shows_in_its_names(row: dict[str, Any], source: str) -> None:
    assert source_of(row) == source


@pytest.mark.parametrize(
    "name",
    ["gpt-4o", "openai/gpt-4o", "gpt-4o-2024-08-06", "GPT-4o", "openrouter/openai/gpt-4o:free", "gpt-4o-20240806"],
)
def test_a_model_is_one_whatever_its_maker_date_or_variant(name: str) -> None:
    assert bare(name) == "gpt-4o"


def test_equal_sides_agree() -> None:
    sums = Sums(2, 200, 100, 90_000)
    found = compare({(DAY, "m"): sums}, {(DAY, "m"): sums}, {}, Decimal(0))
    assert found.within(Decimal(0)) and [one.within for one in found.lines] == [True]


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_difference_is_within_the_tolerance_as_exact_arithmetic_says(a: int, b: int) -> None:
    found = compare({(DAY, "m"): Sums(1, 1, 1, a)}, {(DAY, "m"): Sums(1, 1, 1, b)}, {}, ONE)
    assert found.within(ONE) == (abs(a - b) * 100 <= max(a, b))


def test_what_unknown_attempts_hold_explains_what_the_export_has_more() -> None:
    ours, theirs = Sums(2, 200, 100, 90_000), Sums(3, 300, 150, 135_000)
    found = compare({(DAY, "m"): ours}, {(DAY, "m"): theirs}, {(DAY, "m"): Unknowns(1, 60_000)}, ONE)
    assert "unknown" in found.lines[0].why and found.within(ONE)
    assert not compare({(DAY, "m"): ours}, {(DAY, "m"): theirs}, {(DAY, "m"): Unknowns(1, 40_000)}, ONE).within(ONE)
    more = theirs._replace(requests=4)
    assert not compare({(DAY, "m"): ours}, {(DAY, "m"): more}, {(DAY, "m"): Unknowns(1, 60_000)}, ONE).within(ONE)


def test_cached_tokens_explain_a_lower_cost_of_the_same_tokens_and_no_more_than_they_could() -> None:
    ours = Sums(1, 1000, 0, 100_000)
    theirs = Sums(1, 1000, 0, 60_000, cached=800)
    assert "cache" in compare({(DAY, "m"): ours}, {(DAY, "m"): theirs}, {}, ONE).lines[0].why
    assert compare({(DAY, "m"): ours}, {(DAY, "m"): theirs._replace(cached=100)}, {}, ONE).lines[0].why == ""


def test_days_that_begin_at_another_hour_are_not_taken_for_money() -> None:
    ours = {(DAY, "m"): Sums(1, 1, 1, 700), (NEXT, "m"): Sums(1, 1, 1, 300)}
    theirs = {(DAY, "m"): Sums(1, 1, 1, 400), (NEXT, "m"): Sums(1, 1, 1, 600)}
    found = compare(ours, theirs, {}, ONE)
    assert found.within(ONE) and all("--tz" in one.why for one in found.lines)


def test_use_that_the_ledger_does_not_know_is_not_explained() -> None:
    assert not compare({}, {(DAY, "m"): Sums(1, 1, 1, 5)}, {}, ONE).within(ONE)


def test_an_export_without_models_is_compared_by_whole_days() -> None:
    ours = {(DAY, "a"): Sums(1, 1, 1, 70), (DAY, "b"): Sums(1, 1, 1, 30)}
    found = compare(ours, {(DAY, EVERY): Sums(cost=100)}, {}, Decimal(0))
    assert [(one.model, one.within) for one in found.lines] == [(EVERY, True)]


def test_credits_are_told_apart_from_what_calls_cost() -> None:
    sums, credits, ours = exported([Line(AT, "m", cost=100), Line(AT, "credit grant", cost=-40)], UTC)
    assert (sums, credits, ours) == ({(DAY, "m"): Sums(cost=100)}, 40, False)


def attempt(number: int, **changes: Any) -> AttemptRow:
    row = AttemptRow(
        f"r{number}", 1, "mini", "unknown", 50, None, None, AT.isoformat(), (AT + timedelta(seconds=60)).isoformat()
    )
    return row._replace(**changes)


def line(key: str, **changes: Any) -> Line:
    return Line(AT + timedelta(seconds=5), "gpt-4o-mini", 1, 10, 5, 0, 30, False, key)._replace(**changes)


def fates(attempts: list[AttemptRow], rows: list[Line]) -> list[tuple[str, int]]:
    return [
        (one.request_id, one.cost)
        for one in settled(attempts, rows, lambda model: {"mini": "openai/gpt-4o-mini"}[model])
    ]


def test_the_providers_id_settles_an_attempt() -> None:
    assert fates([attempt(1, provider_id="x")], [line("x"), line("y")]) == [("r1", 30)]


def test_the_only_row_that_it_can_be_settles_an_attempt() -> None:
    assert fates([attempt(1)], [line("y")]) == [("r1", 30)]


@pytest.mark.parametrize(
    ("attempts", "rows"),
    [
        ([attempt(1)], [line("y"), line("z")]),
        ([attempt(1), attempt(2)], [line("y")]),
        ([attempt(1)], [line("y", cost=51)]),
        ([attempt(1)], [line("y", model="gpt-4o")]),
        ([attempt(1)], [line("y", at=AT + timedelta(hours=1))]),
        ([attempt(1)], [line("")]),
        ([attempt(1), attempt(2, state="posted", actual=30, provider_id="y")], [line("y")]),
        ([attempt(1), attempt(2, state="posted", actual=30)], [line("y")]),
        ([attempt(1, provider_id="x"), attempt(1, n=2)], [line("x")]),
        ([attempt(1, provider_id="x")], [line("x", cost=60)]),
    ],
    ids=[
        "two rows", "two attempts", "beyond the hold", "another model", "another time", "a sum", "it is a posted one's by id",
        "it may be a posted one's", "half of a request", "more than is held",
    ],
)  # fmt: skip
def test_what_is_not_sure_settles_nothing(attempts: list[AttemptRow], rows: list[Line]) -> None:
    assert fates(attempts, rows) == []
