from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.engine.plan_types import Shape
from nexscout_cli.engine.planning.shape import Manner, Reader, Wish, make_shape


def shape(**changes: Any) -> Shape:
    base: dict[str, Any] = {
        "bound": 500, "verbosity": "concise", "style": "brief", "efficiency": 0.8, "preferred_length": "medium",
        "writing_style": {}, "max_tokens": None, "tone": None, "goal": None, "as_written": False,
    }  # fmt: skip
    assert changes.keys() <= base.keys()
    values = base | changes
    return make_shape(*(kind(**{name: values[name] for name in kind._fields}) for kind in (Manner, Reader, Wish)))


def test_the_model_is_told_verbosity_style_and_a_length_in_words() -> None:
    assert shape() == Shape(
        500, 350, "concise", "brief", "Be concise, in a brief style. Answer in at most about 350 words."
    )


@pytest.mark.parametrize(("efficiency", "bound"), [(0.69, 400), (0.7, 500), (1.0, 500)])
def test_an_efficiency_below_seven_tenths_takes_a_fifth_off(efficiency: float, bound: int) -> None:
    assert shape(efficiency=efficiency).max_tokens == bound


@pytest.mark.parametrize(("asked", "bound"), [(100, 100), (9000, 500)])
def test_what_was_asked_for_lowers_the_bound_and_never_raises_it(asked: int, bound: int) -> None:
    assert shape(max_tokens=asked).max_tokens == bound


def test_a_user_of_short_answers_is_told_half_the_length_under_the_same_bound() -> None:
    short = shape(preferred_length="short")
    assert (short.max_tokens, short.words) == (500, 170)
    assert "they usually prefer short answers" in short.instructions


@pytest.mark.parametrize(
    ("formality", "n", "hint"), [(0.9, 5, "formally"), (0.1, 5, "informally"), (0.5, 50, ""), (0.9, 4, "")]
)
def test_a_pronounced_writing_style_is_hinted_at_once_it_is_known(formality: float, n: int, hint: str) -> None:
    text = shape(writing_style={"formality": formality, "n": n}).instructions
    assert f"They write {hint}." in text if hint else "They write" not in text


def test_tone_and_goal_are_given_on_one_line_and_a_tone_replaces_the_hint() -> None:
    text = shape(tone="warm,\n calm", goal="win them back.", writing_style={"formality": 0.9, "n": 9}).instructions
    assert text.endswith("Tone: warm, calm. Goal: win them back.")
    assert "They write" not in text


@given(
    st.integers(1, 20_000),
    st.floats(0, 1),
    st.sampled_from(["short", "medium", "long"]),
    st.none() | st.integers(1, 20_000),
)
def test_the_words_always_fit_the_bound_and_the_bound_the_tier(
    tier: int, efficiency: float, length: str, asked: int | None
) -> None:
    made = shape(bound=tier, efficiency=efficiency, preferred_length=length, max_tokens=asked)
    assert 1 <= made.max_tokens <= tier
    assert 1 <= made.words <= max(1, made.max_tokens * 0.7)
    assert f" {made.words} word" in made.instructions
