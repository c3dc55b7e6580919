from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.engine.cache.key import cache_key, fingerprint, form_key, normalized
from nexscout_cli.engine.plan_types import Shape
from nexscout_cli.engine.request import AIRequest, Attachment
from tests.support.values import request

SHAPE = Shape(500, 350, "concise", "brief", "Be concise.")
HEAD = "Write a follow-up message to Sarah about our meeting of last Tuesday in which we spoke about the price and "


def key(asked: AIRequest, shape: Shape = SHAPE, mode: str = "auto", how: Any = None) -> str:
    return cache_key(asked, shape, mode, how)


BASE: dict[str, Any] = {
    "prompt": HEAD + "the date",
    "goal": "a call",
    "tone": "warm",
    "context": {"company": "TechCo", "n": 1},
    "attachments": (Attachment("a.txt", "one"),),
    "system": "Be kind",
    "temperature": 0.5,
    "max_tokens": 100,
}
CHANGES: list[dict[str, Any]] = [
    {"user_id": "bob"},
    {"feature": "ai_objection"},
    {"prompt": HEAD + "the place"},
    {"prompt": "x" + HEAD + "the date"},
    {"goal": "a mail"},
    {"goal": None},
    {"tone": "cold"},
    {"tone": None},
    {"context": {"company": "TechCo", "n": 2}},
    {"context": None},
    {"context": {"company": "TechCo", "n": "1"}},
    {"context": {"company": "TechCo", "n": True}},
    {"context": [{"company": "TechCo", "n": 1}]},
    {"attachments": (Attachment("a.txt", "two"),)},
    {"attachments": (Attachment("b.txt", "one"),)},
    {"attachments": ()},
    {"system": "Be brief"},
    {"temperature": 0.6},
    {"temperature": None},
    {"max_tokens": 101},
    {"force_model": "gpt-4o"},
    {"mode": "fast"},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_whatever_shapes_the_answer_changes_the_key(change: dict[str, Any]) -> None:
    assert key(request(**BASE)) != key(request(**(BASE | change)))
    assert fingerprint(request(**BASE)) != fingerprint(request(**(BASE | change)))


@pytest.mark.parametrize(
    "other",
    [{"shape": SHAPE._replace(max_tokens=400)}, {"mode": "panic"}, {"how": ["openai/gpt-4o", "http://x"]}],
    ids=str,
)
def test_shape_mode_and_all_else_that_decides_the_answer_are_in_the_key(other: dict[str, Any]) -> None:
    assert key(request(**BASE)) != key(request(**BASE), **other)


@pytest.mark.parametrize(
    "same",
    [
        {"prompt": HEAD + "the date\r\n"},
        {"prompt": HEAD + "the date  "},
        {"context": {"n": 1, "company": "TechCo"}},
        {"context": {"n": 1.0, "company": "TechCo"}},
        {"idempotency_key": "k"},
        {"max_cost": 5},
        {"allow_cache": True},
    ],
    ids=str,
)
def test_what_does_not_shape_the_answer_leaves_the_key_alone(same: dict[str, Any]) -> None:
    assert key(request(**BASE)) == key(request(**(BASE | same)))


def test_line_ends_trailing_blanks_and_composed_letters_are_one() -> None:
    assert normalized("a \r\nb\rcafe\u0301\n\n") == normalized("a\nb\ncaf\u00e9")
    assert key(request("cafe\u0301")) == key(request("caf\u00e9"))


@pytest.mark.parametrize("asked", ["What is the Unicode name of \u212a?", "How many code points has cafe\u0301?"])
def test_characters_that_a_prompt_asks_about_are_not_composed_in_the_key(asked: str) -> None:
    assert key(request(asked)) != key(request(normalize("NFC", asked)))


def test_indentation_is_kept_for_it_means_something_in_code() -> None:
    assert key(request("if x:\n    y")) != key(request("if x:\n  y"))


def test_an_idempotency_key_stands_for_the_exact_prompt() -> None:
    assert fingerprint(request("hello")) != fingerprint(request("hello "))
    assert fingerprint(request("hello")) == fingerprint(
        request("hello")._replace(options=request(idempotency_key="k").options)
    )


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(TEXT, TEXT)
def test_prompts_with_the_same_beginning_share_a_key_only_when_they_are_the_same(one: str, two: str) -> None:
    same = normalized(HEAD + one) == normalized(HEAD + two)
    assert (key(request(HEAD + one)) == key(request(HEAD + two))) == same


@given(TEXT, TEXT, TEXT, TEXT)
def test_text_never_slips_from_one_field_into_another(goal: str, tone: str, goal2: str, tone2: str) -> None:
    import unicodedata

    same = [unicodedata.normalize("NFC", t) for t in (goal, tone)] == [
        unicodedata.normalize("NFC", t) for t in (goal2, tone2)
    ]
    assert (key(request(goal=goal, tone=tone)) == key(request(goal=goal2, tone=tone2))) == same


def test_the_key_of_a_form_is_never_the_key_of_a_prompt() -> None:
    asked = request("What is new?")
    assert form_key(asked, SHAPE, "auto", None, "What is new?") != key(asked)
    assert form_key(asked, SHAPE, "auto", None, "a") != form_key(asked, SHAPE, "auto", None, "b")
    assert form_key(asked, SHAPE, "auto", None, "a") != form_key(request(tone="warm"), SHAPE, "auto", None, "a")


BESIDE = [
    row
    for line in (Path(__file__).parents[3] / "fixtures" / "near_misses.jsonl").read_text().splitlines()
    if isinstance((row := json.loads(line))["a"], dict)
]


def of_fields(fields: dict[str, Any]) -> AIRequest:
    fields = dict(fields)
    attachments = tuple(Attachment(**each) for each in fields.pop("attachments", ()))
    return request(**(fields.pop("options", {}) | fields), attachments=attachments)


@pytest.mark.parametrize("row", BESIDE, ids=lambda row: f"{row['kind']} {row['a']}")
def test_what_stands_beside_the_prompt_counts_by_its_value(row: dict[str, Any]) -> None:
    assert (key(of_fields(row["a"])) == key(of_fields(row["b"]))) == bool(row["label"])
