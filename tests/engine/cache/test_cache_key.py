from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.engine.cache import key as key_module
from nexscout_cli.engine.cache.key import cache_key, fingerprint, form_key, normalized
from nexscout_cli.engine.options import OPTIONS, Option
from nexscout_cli.engine.pipeline import Engine
from nexscout_cli.engine.plan_types import Shape
from nexscout_cli.engine.request import AIRequest, Attachment, Options
from tests.support.bench import Bench, EveryoneAvailable, count
from tests.support.values import request

SHAPE = Shape(500, 350, "concise", "brief", "Be concise.")
HEAD = "Write a follow-up message to Sarah about our meeting of last Tuesday in which we spoke about the price and "


def key(asked: AIRequest, shape: Shape = SHAPE, mode: str = "auto", how: Any = None) -> str:
    """A key that leaves out whitespace that means nothing."""
    return cache_key(asked, shape, mode, how, "whitespace")


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


EVERYTHING = AIRequest(
    "ada",
    "ai_message",
    "Write to Sarah",
    "a call",
    "warm",
    {"n": 1},
    (Attachment("a.txt", "one"),),
    Options(False, "gpt-4o", "fast", False, 200, 5, "Be kind", 0.5, "k", "learned", "extract", 0.4),
)


def test_keys_are_those_of_the_first_release_so_that_kept_answers_are_found() -> None:
    bare = AIRequest("ada", "ai_message", "Write to Sarah")
    assert keys(bare) == (
        "443a61ffedc84ae47acf3ab24e77aeed468c92c7c60852c753bd60850a5f4844",
        "2769ea8fe33d7803fb580222dd37821ebb970dbe8b76645c028617754e26e82b",
        "887f4c67d109f75ec2366d67cec743a45b369d89117ac28a7759c970629f284a",
    )
    assert keys(EVERYTHING) == (
        "d5079906053ffe7fdcd5ce7f33cc34bbdba18a63846c528654029fb0db503754",
        "e02b1073030602faee36d964c8142ba82d503e95f61190341d6036c9cc95e5aa",
        "57a79a7c2c72055f1e80ac75c492e9a52364f07c177b3c5b17ce858bda54208e",
    )


def keys(asked: AIRequest) -> tuple[str, str, str]:
    return (key(asked, how=["rules"]), form_key(asked, SHAPE, "auto", ["rules"], "form"), fingerprint(asked))


VALUES: dict[str, Any] = {
    "allow_cache": False,
    "force_model": "gpt-4o",
    "mode": "fast",
    "skip_energy_charge": True,
    "max_tokens": 9,
    "max_cost": 5,
    "system": "s",
    "temperature": 0.3,
    "idempotency_key": "k",
    "policy": "learned",
    "compress": "off",
    "keep": 0.4,
    "allow_fallback": True,
    "effort": "low",
    "tools": [{"type": "function", "function": {"name": "f"}}],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "response_format": {"type": "json_object"},
    "stop": "END",
    "top_p": 0.5,
    "seed": 7,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "n": 2,
    "logprobs": True,
    "top_logprobs": 3,
    "end_user": "u",
    "service_tier": "flex",
    "shape": False,
}


@pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
def test_the_table_says_which_options_are_in_the_key_and_in_the_fingerprint(option: Option) -> None:
    with_it = request(**{option.name: VALUES[option.name]})
    assert (key(with_it) != key(request())) == (option.in_key in ("always", "given"))
    assert (fingerprint(with_it) != fingerprint(request())) == (option.in_key != "never")


def test_a_new_option_leaves_the_keys_of_requests_without_it_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    new = OPTIONS["skip_energy_charge"]._replace(in_key="given")
    before, changed = key(request()), key(request(skip_energy_charge=True))
    monkeypatch.setitem(OPTIONS, new.name, new)
    monkeypatch.setattr(key_module, "_of_sorts", key_module._of_sorts.__wrapped__)  # what it read of the table at first
    assert key(request()) == before and key(request(skip_energy_charge=True)) != changed


@pytest.mark.parametrize(
    "option", [option for option in OPTIONS.values() if option.in_key == "in force"], ids=lambda option: option.name
)
def test_what_is_in_force_by_an_option_is_in_the_key_by_way_of_the_engine(option: Option, tmp_path: Path) -> None:
    bench = Bench(tmp_path / "nexscout.db")
    engine = Engine(bench.ledger, EveryoneAvailable(), bench.settings, bench.clock, count, "ada")
    plain, with_it = bench.request(model=None), bench.request(model=None, **{option.name: VALUES[option.name]})
    world = bench.snapshot(plain)
    assert engine.cache_keys(plain, world) != engine.cache_keys(with_it, world)
    bench.store.close()
