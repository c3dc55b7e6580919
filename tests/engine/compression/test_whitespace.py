from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.engine.cache.key import normalized
from nexscout_cli.engine.compression import whitespace

ROWS = [
    json.loads(line) for line in (Path(__file__).parents[3] / "fixtures" / "near_misses.jsonl").read_text().splitlines()
]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
PROSE = st.text(st.sampled_from("ab c.,\n \t\xa0-#'\"`|{}:1é"), max_size=80)


def prompts(label: int, match: str | None = None) -> list[Any]:
    rows = [row for row in ROWS if row["label"] == label and row.get("match") == match and isinstance(row["a"], str)]
    return [pytest.param(row["a"], row["b"], id=f"{row['kind']}: {row['b']!r:.60}") for row in rows]


def test_there_are_at_least_500_near_misses() -> None:
    assert sum(not row["label"] for row in ROWS) >= 500


@pytest.mark.parametrize(("a", "b"), prompts(0))
def test_a_near_miss_is_another_prompt(a: str, b: str) -> None:
    assert normalized(a) != normalized(b)


@pytest.mark.parametrize(("a", "b"), prompts(1, "exact"))
def test_a_repeat_is_the_same_prompt_whatever_its_whitespace(a: str, b: str) -> None:
    assert normalized(a) == normalized(b)


@given(st.one_of(TEXT, PROSE))
def test_what_is_normalized_stays_as_it_is(text: str) -> None:
    assert normalized(normalized(text)) == normalized(text)


@given(st.one_of(TEXT, PROSE))
def test_nothing_but_whitespace_is_ever_lost(text: str) -> None:
    assert "".join(normalized(text).split()) == "".join(unicodedata.normalize("NFC", text).split()) or (
        "".join(normalized(text).split()) == "".join(text.split())
    )


@given(PROSE)
def test_the_short_way_comes_to_what_the_long_one_comes_to(text: str) -> None:
    assert normalized(text) == whitespace.settled(text)


@given(st.lists(st.sampled_from(["if x:", "    y()", "\tz", "", "a = 'p  q'"]), min_size=1, max_size=8))
def test_fenced_code_keeps_every_blank_within_its_lines(code: list[str]) -> None:
    text = "\n".join(["Explain:", "```", *code, "```"])
    assert [line for line in normalized(text).split("\n") if line] == [line for line in text.split("\n") if line]


@pytest.mark.parametrize(
    "text",
    [
        "“" * 200_000,
        "`" * 200_000,
        "'a " * 100_000,
        "a  " * 200_000,
        "\n" * 300_000,
        " " * 300_000 + "x",
        "| " * 200_000,
    ],
)
def test_a_hostile_text_is_normalized_all_the_same(text: str) -> None:
    assert len(normalized(text)) <= len(text)
