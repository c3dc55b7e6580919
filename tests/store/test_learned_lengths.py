from __future__ import annotations

import pytest

from nexscout_cli.engine.length.learning import Level
from nexscout_cli.engine.planning.predict import FACTOR_MARGIN, FACTOR_SAMPLES
from nexscout_cli.engine.settlement import Charge
from nexscout_cli.jsontext import dumps
from tests.support.bench import Bench

SCOPES = {("*", ""), ("*", "gpt-4o-mini"), ("ada", "gpt-4o-mini")}


def kept(bench: Bench) -> dict[tuple[str, str], Level]:
    return bench.snapshot().output_lengths


def test_a_posted_answer_teaches_the_user_the_model_and_the_feature_what_the_engine_says(bench: Bench) -> None:
    attempt = bench.sent()
    assert kept(bench) == {}
    bench.post(attempt)
    forecast = attempt.settlement.forecast
    one = Level().after(forecast.shipped, forecast.output_tokens, 50, forecast.p90_output_tokens < 50)
    assert set(kept(bench)) == SCOPES
    assert all(level == pytest.approx(one, abs=1e-6) for level in kept(bench).values())


def test_the_next_plan_reads_what_was_taught(bench: Bench) -> None:
    first = bench.plan().forecast
    for _ in range(25):
        bench.post(bench.sent())
    taught = bench.plan().forecast
    assert abs(taught.output_tokens - 50) <= 5 < abs(first.output_tokens - 50)
    assert taught.output_tokens <= taught.p90_output_tokens < first.p90_output_tokens
    assert taught.max_output_tokens == first.max_output_tokens


def test_another_user_starts_from_what_everyone_taught(bench: Bench) -> None:
    for _ in range(25):
        bench.post(bench.sent())
    known = bench.snapshot(bench.request(user="bob")).output_lengths
    assert set(known) == {("*", ""), ("*", "gpt-4o-mini")}


@pytest.mark.parametrize("flag", ["usage_invalid", "reader_gone"])
def test_an_answer_that_was_not_counted_or_not_whole_teaches_nothing(bench: Bench, flag: str) -> None:
    attempt = bench.sent()
    bench.post(attempt, Charge(100, 50, bench.plan_of(attempt).model.cost(100, 50), (flag,)))
    assert kept(bench) == {}


def test_the_prediction_keeps_its_p90(bench: Bench) -> None:
    attempt = bench.sent()
    forecast = attempt.settlement.forecast
    ((p90, total),) = bench.books.listed("predictions", "predicted_tokens_p90", "predicted_tokens")
    assert (p90, total) == (
        forecast.input_tokens + forecast.p90_output_tokens,
        forecast.input_tokens + forecast.output_tokens,
    )


def test_a_level_is_a_row_of_few_numbers(bench: Bench) -> None:
    for _ in range(3):
        bench.post(bench.sent())
    states = bench.books.listed("lengths", "state")
    assert len(states) == len(SCOPES)
    assert all(len(state) == len(Level()) and len(dumps(state)) < 150 for state in states)


def report(bench: Bench, model: str, counted: int, reported: int) -> tuple[float, float]:
    """Let a provider report what it counted for an input; returns the factor as it is expected, and its bound."""
    plan = bench.plan()
    plan = plan._replace(
        model=next(known for known in bench.snapshot().models if known.name == model),
        forecast=plan.forecast._replace(counted=counted, max_input_tokens=10_000),
    )
    bench.post(bench.sent(plan), Charge(reported, 5, 1))
    return bench.snapshot().input_factors[model]


def test_an_input_factor_is_expected_soon_and_bounds_a_hold_only_after_twenty_reports(bench: Bench) -> None:
    seen = [report(bench, "claude-3-sonnet", 1_000, 1_200) for _ in range(FACTOR_SAMPLES)]
    means = [mean for mean, _ in seen]
    assert means == sorted(means) and 1 < means[0] < means[-1] < 1.2
    assert {most for _, most in seen[:-1]} == {1.5}
    assert seen[-1][1] == pytest.approx(1.2 * FACTOR_MARGIN)


def test_a_provider_that_counts_more_than_was_thought_possible_is_believed_at_once(bench: Bench) -> None:
    assert report(bench, "claude-3-opus", 100, 250)[1] == 2.5
