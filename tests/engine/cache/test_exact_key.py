"""The default key: what differs in one character is another request, whatever the character."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.engine.cache.key import cache_key, identity
from nexscout_cli.engine.plan_types import Shape
from nexscout_cli.engine.request import AIRequest, Attachment
from tests.support.values import request

SHAPE = Shape(500, 350, "concise", "brief", "Be concise.")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
NEAR = [
    ("-two  spaces\n+two spaces", "-two spaces\n+two  spaces"),
    ("Is there a non-breaking space? a b", "Is there a non-breaking space? a\u00a0b"),
    ("Is this text NFC? cafe\u0301", "Is this text NFC? caf\u00e9"),
    ("Does the file have CRLF?\r\nyes", "Does the file have CRLF?\nyes"),
    ("hello world   ", "hello world"),
    (" hello", "hello"),
    ("a\n\n\nb", "a\n\nb"),
    ("a\tb", "a    b"),
    ("\ufeffhello", "hello"),
    ("a\u200bb", "ab"),
    ("\u212a", "K"),
]


def key(asked: AIRequest) -> str:
    return cache_key(asked, SHAPE, "auto", None)


@pytest.mark.parametrize(("one", "other"), NEAR)
def test_texts_that_differ_in_form_alone_are_two(one: str, other: str) -> None:
    assert key(request(one)) != key(request(other)) and identity(request(one)) != identity(request(other))
    for field in ("goal", "tone", "context", "system"):
        assert key(request("x", **{field: one})) != key(request("x", **{field: other}))
    attached = [request("x", attachments=(Attachment("a.txt", text),)) for text in (one, other)]
    assert key(attached[0]) != key(attached[1])


def test_of_300_pairs_that_differ_in_form_none_shares_a_key() -> None:
    chance = random.Random(19)
    words = [
        "def",
        "main():",
        "return",
        "value",
        "",
        "#",
        "a",
        "diff,",
        "a",
        "table",
        "and",
        "a",
        "poem",
        "|",
        "1.0",
        "|",
        "x",
    ]
    changes = [
        (" ", "  "),
        (" ", "\t"),
        (" ", "\u00a0"),
        (" ", "\n"),
        ("a", "a\u0301"),
        ("e", "\u00e9"),
        ("1.0", "1.00"),
        ("(", " ("),
    ]
    for _ in range(300):
        text = " ".join(chance.choices(words, k=12)) + "x a e 1.0 ("
        old, new = chance.choice(changes)
        places = [n for n in range(len(text)) if text.startswith(old, n)]
        place = chance.choice(places)
        other = text[:place] + new + text[place + len(old) :]
        assert key(request(text)) != key(request(other))


@given(TEXT, TEXT)
def test_two_prompts_share_a_key_only_when_they_are_the_same_but_for_line_ends_at_their_end(one: str, two: str) -> None:
    same = one.rstrip("\r\n") == two.rstrip("\r\n")
    assert (key(request(one)) == key(request(two))) == same


@pytest.mark.parametrize("pair", [({"n": 1}, {"n": 1.0}), ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ([0.0], [-0.0])])
def test_a_context_is_taken_as_it_is_sent(pair: tuple[Any, Any]) -> None:
    assert key(request("x", context=pair[0])) != key(request("x", context=pair[1]))


def test_a_context_of_text_and_json_that_reads_the_same_are_two() -> None:
    assert key(request("x", context='{"a":1}')) != key(request("x", context={"a": 1}))
    assert identity(request("x", context="[]")) != identity(request("x", context=[]))


def test_what_a_pipe_leaves_at_the_end_does_not_count() -> None:
    assert key(request("hello")) == key(request("hello\n")) == key(request("hello\r\n"))
