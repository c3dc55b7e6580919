from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexscout_cli.engine.learning.observation import Lesson, observe
from nexscout_cli.engine.learning.profile import ProfileState, accuracy, rate

LESSON = Lesson("2026-11-01", 9, observe("Write a plan for the launch."), "gpt-4o", 60, 40, 100, False, 0, 1.0)


def after(*lessons: Lesson, state: ProfileState | None = None, patterns: bool = True) -> ProfileState:
    state = ProfileState() if state is None else state
    for lesson in lessons:
        state = state.after(lesson._replace(patterns=patterns))
    return state


@pytest.mark.parametrize(
    ("actual", "predicted", "expected"),
    [(100, 100, 1.0), (50, 100, 0.5), (150, 100, 0.5), (500, 100, 0.0), (0, 0, 1.0), (5, 0, 0.0), (0, -1, 0.0)],
)
def test_accuracy_is_one_minus_the_relative_error_of_the_prediction(
    actual: int, predicted: int, expected: float
) -> None:
    assert accuracy(actual, predicted) == pytest.approx(expected)


def test_the_rating_moves_a_tenth_of_the_way() -> None:
    assert rate(0.8, 1.0) == pytest.approx(0.82)
    assert after(LESSON).efficiency_rating == pytest.approx(0.82)


@pytest.mark.parametrize("change", [{"cached": True}, {"outcome": 0.0}])
def test_only_an_answered_uncached_request_moves_the_rating(change: dict[str, float]) -> None:
    state = after(LESSON._replace(**change))  # type: ignore[arg-type]
    assert state.efficiency_rating == 0.8
    assert state.avg_output_tokens == 0.0
    assert state.total_requests == 1


def test_a_cache_hit_counts_as_a_hit_with_its_savings_hour_and_style_and_uses_no_tokens() -> None:
    state = after(LESSON, LESSON._replace(cached=True, tokens_saved=100, hour=23))
    assert (state.total_requests, state.cache_hits, state.cache_hit_rate, state.total_tokens_saved) == (2, 1, 0.5, 100)
    assert (state.peak_usage_hours[9], state.peak_usage_hours[23]) == (1, 1)
    assert state.writing_style_profile["n"] == 2
    assert (state.avg_token_per_request, state.usage_day_tokens) == (100.0, 100)


def test_the_first_days_forecast_is_its_running_total() -> None:
    assert after(LESSON, LESSON).predicted_daily_usage == 200


def test_a_finished_day_is_folded_in_with_seven_to_three() -> None:
    state = after(LESSON._replace(input_tokens=960), LESSON._replace(day="2026-11-02", input_tokens=0))
    assert state.predicted_daily_usage == 1000
    assert after(LESSON._replace(day="2026-11-03", input_tokens=0), state=state).predicted_daily_usage == 712


def test_idle_days_count_as_zeros_thirty_at_most() -> None:
    start = ProfileState(usage_day="2026-01-01", usage_day_tokens=10**9, predicted_daily_usage=10**9)
    tiny = LESSON._replace(input_tokens=0, output_tokens=0)
    assert after(tiny._replace(day="2026-01-04"), state=start).predicted_daily_usage == round(10**9 * 0.49)
    assert after(tiny._replace(day="2026-12-31"), state=start).predicted_daily_usage == round(10**9 * 0.7**30)


def test_the_forecast_is_never_below_todays_total() -> None:
    state = ProfileState(usage_day="2026-11-01", usage_day_tokens=10, predicted_daily_usage=10)
    assert after(LESSON._replace(day="2026-11-02", input_tokens=5000), state=state).predicted_daily_usage == 5040


def test_a_posting_of_an_earlier_day_opens_no_day_again() -> None:
    state = after(LESSON, LESSON._replace(day="2026-10-30"))
    assert (state.usage_day, state.usage_day_tokens) == ("2026-11-01", 200)


@pytest.mark.parametrize(("tokens", "length"), [(50, "short"), (400, "medium"), (2000, "long")])
def test_the_preferred_length_follows_the_answers(tokens: int, length: str) -> None:
    assert after(LESSON._replace(output_tokens=tokens)).preferred_output_length == length


def test_a_models_score_rises_with_whole_answers_and_falls_with_failures() -> None:
    good, bad = after(LESSON), after(LESSON._replace(outcome=0.0))
    assert good.model_preference_score["gpt-4o"] > 0.5 > bad.model_preference_score["gpt-4o"]


def test_at_most_fifty_models_are_remembered_and_the_longest_unused_goes() -> None:
    state = after(*(LESSON._replace(model=f"m{i}") for i in range(60)))
    assert len(state.model_preference_score) == 50
    assert "m59" in state.model_preference_score and "m0" not in state.model_preference_score


def test_a_phrase_that_recurs_three_times_is_kept_with_numbers_and_names_masked() -> None:
    prompts = [
        f"Write a follow-up to Mr. {n} about invoice {i}4-77." for i, n in enumerate(["Okafor", "Smith", "Vega"])
    ]
    twice = after(*(LESSON._replace(observation=observe(p)) for p in prompts[:2]))
    state = after(LESSON._replace(observation=observe(prompts[2])), state=twice)
    assert twice.common_patterns == ()
    assert any("<name> about invoice" in p for p in state.common_patterns)
    assert all(3 <= p.count(" ") + 1 <= 6 for p in state.common_patterns)


@pytest.mark.parametrize("secret", ["Okafor", "okafor@example.com", "https://okafor.example/x", "4111-1111", "Priya"])
def test_no_name_number_or_address_of_a_prompt_is_kept(secret: str) -> None:
    state = after(
        *(
            LESSON._replace(observation=observe(f"Write the reminder letter to {secret} about the contract."))
            for _ in range(3)
        )
    )
    assert state.common_patterns
    assert secret.lower() not in repr((state.common_patterns, state.pattern_counts)).lower()


def test_a_name_that_opens_a_sentence_is_masked_too() -> None:
    state = after(*(LESSON._replace(observation=observe("Okafor wants the new price list today.")) for _ in range(3)))
    assert "okafor" not in repr(state).lower()


def test_a_phrase_of_masks_and_stop_words_alone_is_not_kept() -> None:
    assert (
        after(*(LESSON._replace(observation=observe("it is for the Anna and 5")) for _ in range(4))).pattern_counts
        == {}
    )


def test_with_patterns_off_no_phrase_is_kept_and_old_ones_go() -> None:
    state = after(LESSON, LESSON, LESSON)
    assert state.common_patterns and state.pattern_counts
    off = after(LESSON, state=state, patterns=False)
    assert (off.common_patterns, off.pattern_counts) == ((), {})


def test_formal_and_informal_writing_are_told_apart() -> None:
    formal = after(LESSON._replace(observation=observe("Dear Sir, would you kindly send the report? Sincerely.")))
    informal = after(LESSON._replace(observation=observe("hey, gonna need that stuff asap!! thx")))
    assert formal.writing_style_profile["formality"] > 0.65
    assert informal.writing_style_profile["formality"] < 0.35


def test_only_the_first_4000_characters_are_read() -> None:
    long = "word " * 800
    assert after(LESSON._replace(observation=observe(long + "hey!!! gonna?"))) == after(
        LESSON._replace(observation=observe(long))
    )


LESSONS = st.builds(
    Lesson,
    day=st.sampled_from(["2026-11-01", "2026-11-02", "2026-11-20", "2027-03-01"]),
    hour=st.integers(0, 23),
    observation=(
        st.text(max_size=80)
        | st.lists(st.sampled_from("write the plan for Anna 12 today . about price".split()), max_size=30).map(" ".join)  # noqa: SIM905
    ).map(observe),
    model=st.sampled_from(["a", "b", "c"]),
    input_tokens=st.integers(0, 10**6),
    output_tokens=st.integers(0, 10**6),
    predicted_tokens=st.integers(0, 10**6),
    cached=st.booleans(),
    tokens_saved=st.integers(0, 1000),
    outcome=st.sampled_from([0.0, 0.5, 1.0]),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(LESSONS, max_size=12))
def test_whatever_is_learned_stays_in_its_bounds(lessons: list[Lesson]) -> None:
    state = after(*lessons)
    assert state.total_requests == len(lessons) == sum(state.peak_usage_hours)
    assert 0 <= state.efficiency_rating <= 1 and 0 <= state.cache_hit_rate <= 1
    assert state.predicted_daily_usage >= state.usage_day_tokens >= 0
    assert len(state.common_patterns) <= 20 and len(state.pattern_counts) <= 200
    assert all(0 <= score <= 1 for score in state.model_preference_score.values())
    assert 0 <= state.writing_style_profile.get("formality", 0) <= 1
