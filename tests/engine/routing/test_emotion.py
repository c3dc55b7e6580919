from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexscout_cli.engine.routing.emotion import emotional_complexity

FIXTURES = Path(__file__).parents[3] / "fixtures" / "emotion.jsonl"
ROWS: list[dict[str, Any]] = [json.loads(line) for line in FIXTURES.read_text("utf-8").splitlines()]
KINDS = sorted({row["kind"] for row in ROWS})


def agrees(row: dict[str, Any]) -> bool:
    score = emotional_complexity(row["text"])
    return score > 0.7 if row["label"] == "high" else score < 0.5


def test_there_are_enough_labelled_texts_of_both_labels() -> None:
    assert len(ROWS) >= 80
    assert min(sum(row["label"] == label for row in ROWS) for label in ("high", "low")) >= 30


def test_it_agrees_with_at_least_85_percent_of_the_labels() -> None:
    assert sum(map(agrees, ROWS)) >= 0.85 * len(ROWS)


@pytest.mark.parametrize("kind", KINDS)
def test_it_agrees_with_at_least_three_quarters_of_every_kind(kind: str) -> None:
    rows = [row for row in ROWS if row["kind"] == kind]
    assert sum(map(agrees, rows)) >= 0.75 * len(rows)


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
