from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.engine.length import told
from nexscout_cli.engine.length.derivation import TRAITS, Derivations, Kind, traits
from nexscout_cli.engine.length.features import KINDS, kind
from nexscout_cli.engine.length.model import shipped

NOTHING = (0.0,) * len(TRAITS)
LONG = Kind((4.0, 2.0, 1.0, 2.0, 0.0, 0.0), 0.8)
WAY = Derivations(4.0, (0.1, 0.5, 0.3), (LONG,), (0.5,) * len(TRAITS), 0.1)
CHOICE = "Which planet is the largest?\nA) Mars\nB) Jupiter\nC) Venus\n"


def expected(prompt: str) -> float:
    return math.exp(shipped(prompt, len(prompt) // 4 + 1, "", "", "", None).mean)


def named(text: str) -> dict[str, float]:
    return dict(zip(TRAITS, traits(text), strict=True))


def test_a_prompt_in_the_middle_of_a_known_kind_has_most_of_its_level_and_one_far_from_all_has_none() -> None:
    assert WAY.level(LONG.centre) == pytest.approx(0.8 / 1.1)
    assert WAY.level(NOTHING) == pytest.approx(0.0, abs=1e-6)
    assert WAY.mean(NOTHING) == pytest.approx(4.0)


@given(st.lists(st.floats(0, 12), min_size=len(TRAITS), max_size=len(TRAITS)))
def test_no_prompt_has_more_than_the_level_of_the_kind_it_is_most_like(seen: list[float]) -> None:
    assert 0 <= WAY.level(seen) <= LONG.level


def test_mathematics_is_counted_outside_of_options_fences_and_code() -> None:
    sums = "Find $x$ where $x^2 + 3x = 4$."
    assert named(sums)["mathematics"] > 1
    assert named(f"Which is right?\nA. {sums}\nB. {sums}\nC. {sums}")["mathematics"] == 0
    assert named(f"What comes out?\n```\n{sums}\n```")["mathematics"] == 0
    assert named("What comes out?\ndef f(a):\n    return a + 1 == 2")["mathematics"] == 0


def test_more_mathematics_and_a_way_that_is_asked_for_make_a_derivation_longer() -> None:
    plain = "A box holds 12 pens and 30 caps. How many things are in 3 boxes?"
    deep = "Let $f(x) = x^3 - 6x^2 + 11x - 6$ and $g(x) = \\frac{1}{x}$. How many roots has $f(g(x)) = 0$ in $[0, 3]$?"
    assert KINDS[kind(plain)] == KINDS[kind(deep)] == "sum"
    assert expected(plain) < expected(deep)
    assert expected(plain) < expected(f"{plain} Show your work step by step.")


@pytest.mark.parametrize(
    ("prompt", "sort"),
    [
        ("Of the 20 cars, twelve are red. What percentage of the 20 is that?", "sum"),
        ("Tom has twice as many dogs as Ann, who has three. How many dogs have both?", "sum"),
        ("Write a Python function to find the sum of 3 numbers in 2 lists.", "open"),
        ("What is the history of the 2 bridges built in 1950? Write an essay", "open"),
        (CHOICE, "choice"),
        ("The largest planet is ____.", "form"),
    ],
)
def test_a_question_with_one_right_answer_is_known(prompt: str, sort: str) -> None:
    assert KINDS[kind(prompt)] == sort


def test_worked_examples_tell_how_long_an_answer_is() -> None:
    short = f"{CHOICE}Answer:\nB\n\n" * 3 + f"{CHOICE}Answer:"
    assert told.told(short, False) == (told.BARE_TOKENS, told.EXAMPLES_SURE)
    assert expected(short) < 10 < 30 < expected(CHOICE)
    way = "It is a gas giant, " * 30
    long = f"{CHOICE}Answer:\n{way}so B\n\n" * 3 + f"{CHOICE}Answer:"
    assert expected(long) > 100
    assert told.shown_length(f"{CHOICE}Answer:") is None


@pytest.mark.parametrize(
    "asked", ["Answer with only the letter.", "Print a single choice without explanation.", "Letter only."]
)
def test_a_question_that_wants_no_more_than_the_answer_gets_a_short_one(asked: str) -> None:
    assert expected(f"{CHOICE}{asked}") < 15


def test_a_word_like_only_in_the_question_itself_asks_for_nothing() -> None:
    assert told.told("The only number that don't fit is 3. How many of the 5 are left?", False) is None
