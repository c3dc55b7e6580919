from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.engine import predict
from nexscout_cli.engine.types import Message
from tests.support.values import EMBEDDED, model, request, snapshot


def test_the_template_costs_four_tokens_a_message_and_three_for_the_reply() -> None:
    assert predict.counted((Message("system", "x"), Message("user", "y")), 100) == 111


def test_the_seeds_formula_is_kept_as_the_baseline_to_beat() -> None:
    assert predict.formula(request("x" * 400), 80) == round(((400 + 80) / 4 + 200) * 2.5)


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [
        ("Tell me about roses in 50 words", 68),
        ("Give me three bullet points on rain", 90),
        ("Write a 2-paragraph reply", 220),
        ("Write a two paragraph reply", 220),
        ("List 10 short steps to bake bread", 340),
        ("Write one sentence", 24),
    ],
)
def test_a_length_asked_for_decides(prompt: str, tokens: int) -> None:
    assert predict.expected_output(request(prompt), snapshot(), 5_000) == tokens


def test_the_expected_answer_is_never_longer_than_its_bound() -> None:
    assert predict.expected_output(request("Write 900 words"), snapshot(), 100) == 100


def test_each_feature_has_a_length_of_its_own_until_answers_have_taught_better() -> None:
    lengths = {
        f: predict.expected_output(request("Hello", f), snapshot(), 5_000)
        for f in ("ai_message", "ai_pitchdeck", "ai_new")
    }
    assert lengths["ai_message"] < lengths["ai_new"] < lengths["ai_pitchdeck"]


def test_what_this_user_got_before_draws_the_forecast_towards_it() -> None:
    fresh = predict.expected_output(request("Hello"), snapshot(), 5_000)
    taught = [
        predict.expected_output(request("Hello"), snapshot(output_lengths={"user": (n, math.log(20))}), 5_000)
        for n in (1, 5, 50)
    ]
    assert fresh > taught[0] > taught[1] > taught[2] > 20


def test_an_exact_count_is_held_with_the_templates_margin_alone() -> None:
    forecast = predict.estimate(request(), snapshot(), model("gpt-4o"), 1_000, True, 500)
    assert (forecast.input_tokens, forecast.max_input_tokens, forecast.max_output_tokens) == (1_000, 1_016, 500)


def test_another_tokenizers_count_is_held_half_as_much_again_until_usage_teaches_better() -> None:
    sonnet = model("claude-3-sonnet")
    assert predict.estimate(request(), snapshot(), sonnet, 1_000, False, 500).max_input_tokens == 1_516
    taught = predict.estimate(
        request(), snapshot(input_factors={"claude-3-sonnet": (1.1, 1.2)}), sonnet, 1_000, False, 500
    )
    assert (taught.input_tokens, taught.max_input_tokens) == (1_100, 1_216)


@given(
    st.integers(0, 10**5),
    st.booleans(),
    st.integers(1, 5_000),
    st.floats(0.5, 2),
    st.floats(0.5, 2),
    st.sampled_from(["gpt-4o", "claude-3-opus", EMBEDDED]),
)
def test_the_worst_case_is_never_below_the_expected(
    tokens: int, exact: bool, bound: int, mean: float, most: float, name: str
) -> None:
    world = snapshot(input_factors={name: (mean, most)})
    forecast = predict.estimate(request(), world, model(name), tokens, exact, bound)
    assert forecast.max_input_tokens >= forecast.input_tokens
    assert forecast.max_output_tokens >= forecast.output_tokens >= 1
