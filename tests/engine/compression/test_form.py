"""Pairs of requests that differ in form alone: what is sent differs too, but for the pairs that are listed with a reason."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nexscout_cli.config import Settings
from nexscout_cli.engine.compression.choice import compress_texts
from nexscout_cli.engine.compression.form import asks_about_form
from nexscout_cli.engine.planning.texts import originals
from nexscout_cli.engine.request import AIRequest
from tests.support.form_pairs import ASKING, BULK, LINES, TEXTS, VALUE, pairs
from tests.support.values import count, request, snapshot

PAIRS = list(pairs())
SAME = {
    "JSON laid out otherwise, and nobody asks": (
        f"Who is mayor?\n\n{json.dumps(VALUE, indent=2)}",
        f"Who is mayor?\n\n{json.dumps(VALUE, indent=4)}",
    ),
    "JSON alone: nothing is asked of it": (json.dumps(VALUE, indent=2), json.dumps(VALUE)),
}
"""Why a pair is sent as one and the same: a value's layout has no meaning in JSON's grammar."""


def sent(asked: AIRequest) -> tuple[str, ...]:
    return compress_texts(asked, originals(asked), snapshot(), Settings(), count)[0]


def test_there_are_300_pairs() -> None:
    assert len({(one, other) for _, one, other in PAIRS}) >= 300


@pytest.mark.parametrize("mode", ["auto", "lossless"])
def test_of_two_prompts_that_differ_in_form_two_are_sent(mode: str) -> None:
    alike = [name for name, a, b in PAIRS if sent(request(a, compress=mode)) == sent(request(b, compress=mode))]
    assert alike == []


@pytest.mark.parametrize("mode", ["auto", "lossless"])
def test_of_two_contexts_that_differ_in_form_two_are_sent(mode: str) -> None:
    def of(prompt: str) -> tuple[str, ...]:
        question, _, text = prompt.partition("\n\n")
        return sent(request(question, context=text, compress=mode))

    assert [name for name, a, b in PAIRS if of(a) == of(b) and "\n\n" in a] == []


@pytest.mark.parametrize("reason", SAME)
def test_the_pairs_that_are_sent_as_one_are_these(reason: str) -> None:
    one, other = SAME[reason]
    assert sent(request(one, compress="lossless")) == sent(request(other, compress="lossless"))


@pytest.mark.parametrize("where", ["goal", "tone", "system"])
def test_form_may_be_asked_about_anywhere_in_the_request(where: str) -> None:
    asked = request(
        "Who is mayor?", context=json.dumps(VALUE, indent=2), compress="lossless", **{where: "Keep it as is."}
    )
    assert sent(asked) == originals(asked)


@pytest.mark.parametrize(
    "text",
    [
        "Who is the mayor of Oakham?",
        "Write a commit message.",
        "What is the country of Ann?",
        "What did they do in order to win three times in a row?",
        "What are the main characters of the novel, and which characteristics do they share?",
        "What is the capital of the country where it was originally built?",
        "Which different towns are in the key findings about life in the field of conservation?",
        "Who exactly took part, and how many times have they won?",
    ],
)
def test_a_question_about_what_a_text_says_asks_about_no_form(text: str) -> None:
    assert not asks_about_form(text)


@pytest.mark.parametrize(
    "text",
    [
        "Are the rows in order?",
        "Are the two texts different?",
        "Is a different from b?",
        "How many characters are in the key?",
        "Is it all in capitals?",
        "Is the original kept, in order to compare it?",
        "In a row of the table, is there a space?",
        "Is each of the main characters' names in capitals or capital letters?",
        "Is it exactly as I wrote it?",
        "How many times does it say so?",
        "Sort the list.",
        "Sind sie genau gleich?",
    ],
)
def test_words_of_form_beside_others_are_still_heard(text: str) -> None:
    assert asks_about_form(text)


INVISIBLE = (
    "\u200b",
    "\u200d",
    "\u00ad",
    "\ufeff",
    "\u2060",
    "\u202f",
    "\u00a0",
    "\u2009",
    "\x0b",
    "\x0c",
    "\u2028",
    "\x85",
)
REPLACED = (
    ("'", "\u2019"), ('"', "\u201c"), ("-", "\u2013"), ("...", "\u2026"), ("ss", "\u00df"), ("fi", "\ufb01"),
    ("1", "\u0661"), ("A", "\u0391"), (" ", "  "), (" ", "\t"), ("\n", "\r\n"), ("\n", "\n\n"), ("1", "1.0"), ("1", "01"),
    (".", ","), ("a", "\uff41"),
)  # fmt: skip


def another_form(text: str, draw: st.DrawFn) -> str:
    """The text in a form that is not the same: other bytes for what may be said the same way."""
    kind = draw(st.sampled_from(["invisible", "replaced", "normal", "line end", "blanks", "indent"]))
    at = draw(st.integers(0, len(text)))
    if kind == "invisible":
        return text[:at] + draw(st.sampled_from(INVISIBLE)) + text[at:]
    if kind == "replaced":
        old, new = draw(st.sampled_from(REPLACED))
        return text.replace(old, new, 1) if old in text[at:] else text.replace(old, new)
    if kind == "normal":
        return unicodedata.normalize(draw(st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"])), text)
    lines = text.split("\n")
    line = draw(st.integers(0, len(lines) - 1))
    blanks = draw(st.sampled_from([" ", "  ", "\t"]))
    lines[line] = {"line end": lines[line] + blanks, "indent": blanks + lines[line]}.get(
        kind, lines[line].replace(" ", " " + blanks, 1)
    )
    return "\n".join(lines)


@st.composite
def two_forms(draw: st.DrawFn) -> tuple[str, str]:
    """A question with a text in one form, and with it in another. JSON is asked about its form or has other values."""
    name = draw(st.sampled_from([*TEXTS, "json"]))
    if name == "json":
        text = json.dumps(VALUE, indent=draw(st.sampled_from([None, 2, 4])))
        question = draw(st.sampled_from(ASKING))
    else:
        text = "\n".join(draw(st.permutations(TEXTS[name])) if draw(st.booleans()) else TEXTS[name])
        question = draw(st.sampled_from(["See:", "Who is mayor?", "Summarise it.", "Write a commit message", *ASKING]))
    copies = draw(st.sampled_from(["", BULK, f"\n\n{LINES[0] * 3}\n\n{LINES[0] * 3}"]))
    return f"{question}\n\n{text}{copies}", f"{question}\n\n{another_form(text, draw)}{copies}"


@pytest.mark.parametrize("mode", [None, "auto", "lossless"])
@given(pair=two_forms())
@settings(max_examples=120, deadline=None)
def test_two_requests_that_differ_in_any_form_are_sent_as_two(mode: str | None, pair: tuple[str, str]) -> None:
    one, other = pair
    assume(one != other)
    assert sent(request(one, compress=mode)) != sent(request(other, compress=mode))
    asked, _, text = one.partition("\n\n")
    again, _, changed = other.partition("\n\n")
    assume(asked == again)
    assert sent(request(asked, context=text, compress=mode)) != sent(request(again, context=changed, compress=mode))


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["1", "1.0", "1e0", "10", '"1"', "null"])), max_size=5),
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["1", "1.0", "1e0", "10", '"1"', "null"])), max_size=5),
    st.integers(1, 4),
)
@settings(max_examples=120, deadline=None)
def test_two_json_values_that_are_written_otherwise_than_by_their_layout_are_sent_as_two(
    first: list[tuple[str, str]], second: list[tuple[str, str]], times: int
) -> None:
    """Order and duplicates of keys, and how numbers are written, stay."""
    assume(first != second)

    def of(pairs: list[tuple[str, str]]) -> str:
        one = "{" + ", ".join(f'"{key}": {value}' for key, value in pairs) + "}"
        return f"Who is mayor?\n\n[{', '.join([one] * times)}]"

    assert sent(request(of(first), compress="lossless")) != sent(request(of(second), compress="lossless"))
