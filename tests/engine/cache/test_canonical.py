from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.engine.cache.canonical import MAX_CHARS, canonical_question
from nexscout_cli.engine.cache.key import normalized
from nexscout_cli.word_list import english, together
from tests.engine.compression.test_whitespace import ROWS, prompts


def form(text: str) -> str:
    """What a prompt is kept under: its canonical form, else itself."""
    return canonical_question(normalized(text), english(), together) or normalized(text)


@pytest.mark.parametrize(("a", "b"), prompts(0))
def test_a_near_miss_has_another_form(a: str, b: str) -> None:
    assert form(a) != form(b)


@pytest.mark.parametrize(("a", "b"), prompts(1, "canonical"))
def test_a_question_that_asks_the_same_has_the_same_form(a: str, b: str) -> None:
    assert form(a) == form(b) and normalized(a) != normalized(b)


@pytest.mark.parametrize(
    "text",
    [
        "What's new?\nAnd what's old?",
        "What's new? What's old?",
        "What is in this list: a, b",
        'What is "teh"?',
        "What is `ls`?",
        "How do I translate cat?",
        "Wie geht’s dir, „Anna“?",
        "我可以吃奶酪吗？",
        "How do I sort {items}?",
        "Was ist das – ein Haus?",
        "How do I " + "really " * 30 + "sleep?",
        "",
        " ",
        "?",
    ],
)
def test_what_is_no_single_plain_sentence_has_no_form(text: str) -> None:
    assert canonical_question(normalized(text), english(), together) is None


@pytest.mark.parametrize(
    ("slip", "kept"),
    [
        ("How do I write to Maira?", "Maira"),
        ("What does Afircan mean to Brian?", "Afircan"),
        ("How do I use aws?", "aws"),
        ("What is dna?", "dna"),
        ("Who is Teh?", "Teh"),
        ("Where is the 5ht floor?", "5ht"),
        ("Wo ist die Bnak bei dir?", "Bnak"),
        ("How do I fill in a from?", "from"),
    ],
)
def test_names_abbreviations_numbers_known_words_and_other_languages_are_not_mended(slip: str, kept: str) -> None:
    assert kept in form(slip)


def test_two_slips_are_one_too_many_to_be_sure() -> None:
    assert "teh" in form("What is teh capital fo Peru?") and "fo" in form("What is teh capital fo Peru?")


@given(st.text(st.sampled_from("abehiostw '?.,IHT"), max_size=60))
def test_a_form_is_its_own_form(text: str) -> None:
    first = canonical_question(normalized(text), english(), together)
    if first is not None:
        assert canonical_question(normalized(first), english(), together) in (first, None)


@given(st.text(max_size=250))
def test_any_text_has_a_form_or_none(text: str) -> None:
    found = canonical_question(normalized(text), english(), together)
    assert found is None or len(text) <= 4 * MAX_CHARS


def test_no_generated_near_miss_of_12000_has_the_form_of_the_other() -> None:
    """With 12,000 tries and no hit, fewer than 3 in 12,000 (0.025%) are hits, with 95% confidence."""
    near = runpy.run_path(str(Path(__file__).parents[3] / "scripts" / "_near_misses.py"))
    pairs = [*near["generated"](8_500), *near["neighbours"](english(), 3_500)]
    assert len(pairs) >= 12_000
    assert [(kind, a, b) for kind, a, b in pairs if form(a) == form(b)] == []


@pytest.mark.parametrize("kind", ["word order", "one and many", "number written", "similar_word"])
def test_each_rule_has_near_misses_that_it_must_not_meet(kind: str) -> None:
    assert any(row["kind"] == kind for row in ROWS)


@pytest.mark.parametrize("word", ["memoize", "uint", "param", "aws", "redis", "kubctl", "numpy", "memcpy"])
def test_a_word_of_computing_that_no_list_knows_is_left(word: str) -> None:
    assert word in form(f"How do I use {word} in a project?") and word in form(f"What is {word}?")


def test_a_letter_left_out_is_put_back_only_in_company_unless_the_word_is_long() -> None:
    assert "capital" in form("What is the captal of Peru?") and "captal" in form("Zorg captal Blim?")
    assert "chocolate" in form("How do I bake choclate cookies?")


def test_of_a_kind_of_thing_one_and_many_are_one_but_not_of_any_noun() -> None:
    assert form("What is a cat?") == form("What are cats?")
    assert form("What is a glass?") != form("What are glasses?")
