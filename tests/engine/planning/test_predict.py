from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.engine.chat import Message
from nexscout_cli.engine.length.learning import Level, Trend
from nexscout_cli.engine.plan_types import Shape
from nexscout_cli.engine.planning import predict
from tests.support.values import EMBEDDED, model, request, snapshot

Lengths = dict[tuple[str, str], Level]
Seen = tuple[float, float, int, bool]


def test_the_template_costs_four_tokens_a_message_and_three_for_the_reply() -> None:
    assert predict.counted((Message("system", "x"), Message("user", "y")), 100) == 111


def test_the_seeds_formula_is_kept_as_the_baseline_to_beat() -> None:
    assert predict.formula(request("x" * 400), 80) == round(((400 + 80) / 4 + 200) * 2.5)


SHAPE = Shape(5_000, 3_500, "detailed", "comprehensive", "")


def answer(prompt: str, feature: str = "ai_chatbot", lengths: Lengths | None = None, **changes: Any) -> predict.Answer:
    """The answer of gpt-4o, of some twelve tokens a sentence asked."""
    shape = changes.pop("shape", SHAPE)
    return predict.answer(request(prompt, feature, **changes), lengths or {}, "openai/gpt-4o", "gpt-4o", 12, shape)


def taught(prompt: str, tokens: int, n: int, user: str = "ada", feature: str = "ai_chatbot") -> Lengths:
    """What is known after n answers of so many tokens to the prompt."""
    lengths: Lengths = {}
    for _ in range(n):
        made = answer(prompt, feature, lengths, user_id=user)
        for scope in predict.scopes(user, "gpt-4o"):
            lengths[scope] = lengths.get(scope, Level()).after(made.shipped, made.expected, tokens, tokens > made.p90)
    return lengths


def test_the_expected_answer_is_never_longer_than_its_bound() -> None:
    bounded = answer("Write 900 words about rain", shape=SHAPE._replace(max_tokens=100))
    assert (bounded.expected, bounded.p90) == (100, 100)


def test_each_feature_has_a_length_of_its_own_until_answers_have_taught_better() -> None:
    prompt = "Write about our product"
    features = ("ai_message", "ai_new", "ai_sequence", "ai_pitchdeck")
    lengths = [answer(prompt, feature).expected for feature in features]
    assert lengths == sorted(set(lengths))


def test_a_model_told_to_be_short_is_expected_to_be_short() -> None:
    prompt = "Write an essay on the influence of social media on teenagers."
    lengths = [answer(prompt, shape=SHAPE._replace(words=words)).expected for words in (2_000, 500, 100, 20)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[-1] <= 20 * 1.35


def test_tone_and_goal_count() -> None:
    prompt = "Write about our product"
    assert answer(prompt, tone="brief and concise").expected < answer(prompt).expected
    assert answer(prompt, goal="a comprehensive, detailed report").expected > answer(prompt).expected


def test_what_this_user_got_before_draws_the_forecast_towards_it() -> None:
    prompt = "Tell me about the history of chess."
    fresh = answer(prompt).expected
    lengths = [answer(prompt, lengths=taught(prompt, 20, n)).expected for n in (1, 5, 50)]
    assert fresh > lengths[0] > lengths[1] >= lengths[2] >= 20
    assert lengths[2] <= 22


def test_another_users_answers_teach_less_than_ones_own_and_more_than_nothing() -> None:
    prompt = "Tell me about the history of chess."
    both = taught(prompt, 1_500, 30, user="bob")
    own = {scope: level for scope, level in taught(prompt, 40, 30).items() if scope[0] == "ada"}
    fresh = answer(prompt).expected
    newcomer = answer(prompt, lengths=both).expected
    regular = answer(prompt, lengths=both | own).expected
    assert fresh < newcomer
    assert 35 <= regular <= 60


def test_a_feature_is_known_for_a_model_that_has_not_answered_it_yet() -> None:
    prompt = "Tell me about the history of chess."
    known = taught(prompt, 40, 30)
    other = predict.answer(request(prompt, "ai_chatbot"), known, "openai/gpt-4o-mini", "gpt-4o-mini", 12, SHAPE)
    assert other.expected < 60


def test_an_exact_count_is_held_with_the_templates_margin_alone() -> None:
    forecast = predict.estimate(request(), snapshot(), model("gpt-4o"), 1_000, True, 950, SHAPE)
    assert (forecast.input_tokens, forecast.max_input_tokens, forecast.max_output_tokens) == (1_000, 1_016, 5_000)


def test_another_tokenizers_count_is_held_half_as_much_again_until_usage_teaches_better() -> None:
    sonnet = model("claude-3-sonnet")
    assert predict.estimate(request(), snapshot(), sonnet, 1_000, False, 950, SHAPE).max_input_tokens == 1_516
    taught = predict.estimate(
        request(), snapshot(input_factors={"claude-3-sonnet": (1.1, 1.2)}), sonnet, 1_000, False, 950, SHAPE
    )
    assert (taught.input_tokens, taught.max_input_tokens) == (1_100, 1_216)


@given(
    st.text(max_size=300),
    st.integers(0, 10**5),
    st.booleans(),
    st.integers(1, 5_000),
    st.floats(0.5, 2),
    st.floats(0.5, 2),
    st.sampled_from(["gpt-4o", "claude-3-opus", EMBEDDED]),
    st.lists(st.tuples(st.floats(0, 12), st.floats(0, 9), st.integers(1, 8_000), st.booleans()), max_size=12),
)
def test_the_expected_is_at_most_the_p90_and_that_at_most_the_worst_case_whatever_was_learned(
    prompt: str, tokens: int, exact: bool, bound: int, mean: float, most: float, name: str, seen: list[Seen]
) -> None:
    level = Level()
    for t, m, used, above in seen:
        level = level.after(Trend(t, m, 0.8, 1.3), round(math.exp(m)), used, above)
    world = snapshot(
        input_factors={name: (mean, most)}, output_lengths=dict.fromkeys(predict.scopes("ada", name), level)
    )
    shape = SHAPE._replace(max_tokens=bound, words=max(1, bound // 2))
    forecast = predict.estimate(request(prompt), world, model(name), tokens, exact, tokens, shape)
    assert forecast.max_input_tokens >= forecast.input_tokens
    assert 1 <= forecast.output_tokens <= forecast.p90_output_tokens <= forecast.max_output_tokens == bound


@given(st.lists(st.integers(1, 8_000), min_size=1, max_size=60))
def test_any_answers_that_come_in_keep_the_forecast_in_order(answers: list[int]) -> None:
    prompt = "Tell me about the history of chess."
    lengths: Lengths = {}
    for tokens in answers:
        made = answer(prompt, lengths=lengths)
        assert 1 <= made.expected <= made.p90 <= SHAPE.max_tokens
        for scope in predict.scopes("ada", "gpt-4o"):
            lengths[scope] = lengths.get(scope, Level()).after(made.shipped, made.expected, tokens, tokens > made.p90)
