from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexscout_cli.engine.routing.emotion import emotional_complexity
from nexscout_cli.engine.routing.emotion_words import odds

FIXTURES = Path(__file__).parents[3] / "fixtures" / "emotion.jsonl"
ROWS: list[dict[str, Any]] = [json.loads(line) for line in FIXTURES.read_text("utf-8").splitlines()]
UNTUNED = ("fourth", "sixth")
"""Texts that nothing was trained on: hard ones, by two authors, written before the training texts were."""
KINDS = sorted({row["kind"] for row in ROWS if row["set"] not in UNTUNED})
TAUGHT = Path(__file__).parents[3] / "scripts" / "train" / "feelings"
LANGUAGES = ("en", "de", "es", "zh", "hi", "ar")


def agrees(row: dict[str, Any]) -> bool:
    score = emotional_complexity(row["text"])
    return score > 0.7 if row["label"] == "high" else score < 0.5


def share(rows: list[dict[str, Any]]) -> float:
    return sum(map(agrees, rows)) / len(rows)


def test_there_are_enough_labelled_texts_of_both_labels_and_in_each_language() -> None:
    assert len(ROWS) >= 400
    assert min(sum(row["label"] == label for row in ROWS) for label in ("high", "low")) >= 180
    assert min(sum(row["lang"] == language for row in ROWS) for language in LANGUAGES) >= 40


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_agrees_with_at_least_88_percent_of_the_texts_it_was_made_with(language: str) -> None:
    rows = [row for row in ROWS if row["lang"] == language and row["set"] not in UNTUNED]
    assert share(rows) >= 0.88
    assert share([row for row in rows if row["label"] == "high"]) >= 0.82


def test_of_hard_texts_that_nothing_was_trained_on_it_agrees_with_86_percent_and_sees_most_of_the_high_ones() -> None:
    rows = [row for row in ROWS if row["set"] in UNTUNED]
    assert share(rows) >= 0.86
    assert share([row for row in rows if row["label"] == "high"]) >= 0.8
    assert share([row for row in rows if row["label"] == "low"]) >= 0.9


def test_no_text_that_was_kept_out_is_among_those_it_was_trained_on() -> None:
    taught = "\n".join(path.read_text("utf-8") for path in TAUGHT.glob("*.tsv"))
    assert not [row["text"] for row in ROWS if row["set"] in UNTUNED and row["text"] in taught]


@pytest.mark.parametrize(
    "text",
    [
        "Kill the process on port 8080.",
        "The database died under load; write a postmortem.",
        "Explain the stages of grief in psychology.",
        "How is a divorce filed in Texas?",
        "Write a ghost story for children.",
    ],
)
def test_words_of_death_and_hurt_in_a_request_about_something_else_are_light(text: str) -> None:
    assert emotional_complexity(text) < 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_it_agrees_with_at_least_three_quarters_of_every_kind(kind: str) -> None:
    rows = [row for row in ROWS if row["kind"] == kind and row["set"] not in UNTUNED]
    assert share(rows) >= 0.75


@pytest.mark.parametrize(
    ("felt", "asked"),
    [
        ("Ich habe große Angst vor morgen.", "Erkläre den Begriff der Angst bei Kierkegaard."),
        ("Tengo mucho miedo de perder a mi hijo.", "Explica el miedo en la literatura gótica."),
        ("我非常害怕失去我的女儿。", "解释恐惧的进化意义。"),
        ("मुझे बहुत डर लगता है।", "डर का मनोविज्ञान समझाइए।"),
        ("أنا خائفة جدا من الغد.", "اشرح مفهوم الخوف في علم النفس."),
    ],
)
def test_a_feeling_that_is_felt_counts_and_one_that_is_asked_about_does_not(felt: str, asked: str) -> None:
    assert emotional_complexity(asked) < 0.5 < 0.7 < emotional_complexity(felt)


@pytest.mark.parametrize("text", [row["text"] for row in ROWS if row["kind"] == "told"][:5])
def test_a_day_told_without_any_trouble_is_not_heavy(text: str) -> None:
    assert emotional_complexity(text) < 0.5


@pytest.mark.parametrize("text", ["Ich habe keine Angst.", "No tengo miedo.", "我不害怕。"])
def test_a_negated_feeling_is_none_in_other_languages_either(text: str) -> None:
    assert emotional_complexity(text) < 0.5


@pytest.mark.parametrize("text", ["", "   \n", "Ecris un mail a Paul", "zxqv 12 34", '{"status": 200, "rows": [1, 2]}'])
def test_a_text_without_english_words_of_feeling_is_zero(text: str) -> None:
    assert emotional_complexity(text) == 0.0


def test_code_in_a_text_is_not_read() -> None:
    assert emotional_complexity("Explain this:\n```\nraise Hate('I hate you, I am furious')\n```") == 0.0


def test_a_negated_feeling_is_not_a_feeling() -> None:
    assert emotional_complexity("I'm not angry.") < 0.5 < emotional_complexity("I'm angry.")


def test_what_lies_beyond_the_cap_changes_nothing() -> None:
    calm = "The train leaves at noon. " * 300
    assert emotional_complexity(calm + "I hate you and I am furious.") == emotional_complexity(calm)


@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=400)
    | st.lists(st.sampled_from([w for r in ROWS for w in r["text"].split()]), max_size=60).map(" ".join)
)
def test_every_text_scores_between_0_and_1_to_three_decimals_and_always_the_same(text: str) -> None:
    score = emotional_complexity(text)
    assert 0.0 <= score <= 1.0
    assert score == round(score, 3) == emotional_complexity(text)


@given(st.text(max_size=300))
def test_the_words_odds_are_a_number_for_any_text_and_the_same_for_any_case(text: str) -> None:
    assert math.isfinite(odds(text))
    assert odds(text.lower()) == odds(text)
