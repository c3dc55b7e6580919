from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.engine.length import features, told
from nexscout_cli.engine.length import model as lengths


def expected(prompt: str, model: str = "gpt-4o", feature: str = "ai_chatbot", words: int | None = None) -> float:
    return math.exp(lengths.shipped(prompt, len(prompt) // 4 + 1, feature, "", model, words).mean)


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [
        ("Tell me about roses in 50 words", 68),
        ("Háblame de las rosas en 50 palabras", 68),
        ("Erzähle mir etwas über Rosen in 50 Wörtern", 68),
        ("Parle-moi des roses en 50 mots", 68),
        ("Parlami delle rose in 50 parole", 68),
        ("Fale sobre rosas em 50 palavras", 68),
        ("用80字介绍玫瑰", 64),
        ("Give me three bullet points on rain", 84),
        ("Write a 2-paragraph reply", 200),
        ("Write a two paragraph reply", 200),
        ("Write one sentence about rain", 24),
        ("Résume ce livre en deux phrases", 48),
        ("Write a 200-word email to Sarah", 270),
        ("Write a 1,000 word essay about rain", 1_350),
    ],
)
def test_a_length_named_in_the_prompt_decides_in_many_languages(prompt: str, tokens: int) -> None:
    assert expected(prompt) == pytest.approx(tokens, rel=0.45)
    named = told.named_length(prompt)
    assert named is not None and named[0] == pytest.approx(tokens, rel=0.05)


@pytest.mark.parametrize("prompt", ["Make one point clear", "Take a step back", "I am 30, what now?", "", "10" * 50])
def test_a_number_that_names_no_length_is_left_alone(prompt: str) -> None:
    assert told.named_length(prompt) is None


def test_the_numbers_of_a_question_are_no_length() -> None:
    asked = "Anna reads 120 pages in 4 days and 30 pages on the fifth. How many pages does she read on average per day?"
    assert expected(asked) < 400


def test_kinds_of_prompts_are_told_apart() -> None:
    order = [
        "What is the capital of Sweden?",
        "Summarize the plot of Hamlet.",
        "Write an email to a customer whose order is late.",
        "Explain how a heat pump works.",
        "Write an essay on the history of the bicycle.",
    ]
    found = [expected(prompt) for prompt in order]
    assert found == sorted(found)
    assert found[0] < 80 and found[-1] > 400


@pytest.mark.parametrize(
    ("name", "like"),
    [
        ("gpt-4o-mini-2024-07-18", "openai/gpt-4o-mini"),
        ("anthropic/claude-3-haiku-20240307", "claude-3-haiku"),
        ("Meta-Llama-3-8B-Instruct", "llama-3-8b"),
    ],
)
def test_a_model_is_known_by_any_of_its_names(name: str, like: str) -> None:
    assert lengths.bare(name) == lengths.bare(like)
    assert expected("Explain inflation.", name) == expected("Explain inflation.", like)


def test_a_model_nobody_has_measured_answers_like_its_family_and_one_of_no_family_like_the_average() -> None:
    models = {"gpt-4": [-0.2, 0.0, 0.1, 0.0], "gpt": [0.1, 0.0, 0.0, 0.0]}
    assert lengths.offset(models, "openai/gpt-4-1106-preview") == [-0.2, 0.0, 0.1, 0.0]
    assert lengths.offset(models, "gpt-9-giga") == [0.1, 0.0, 0.0, 0.0]
    assert lengths.offset(models, "zephyr-7b") == lengths.offset(models, "") == [0.0] * len(features.KINDS)


@given(st.text(max_size=400), st.integers(0, 200_000), st.text(max_size=40), st.text(max_size=40))
def test_any_text_has_a_finite_length(prompt: str, tokens: int, manner: str, model: str) -> None:
    found = lengths.shipped(prompt, tokens, "ai_new", manner, model, 50)
    assert 0 <= found.mean <= lengths.MAX_LN_TOKENS and found.sd > 0 and found.edge > 0
    assert len(features.features(prompt, tokens, manner)) == len(features.NAMES)


def test_the_weights_are_small_and_say_where_they_come_from() -> None:
    assert lengths.WEIGHTS.stat().st_size < 100_000
    shipped = json.loads(lengths.WEIGHTS.read_text(encoding="utf-8"))
    assert shipped["licence"] == "Apache-2.0" and "scripts/train/lengths" in shipped["origin"]
    assert tuple(shipped["weights"]) == features.NAMES
