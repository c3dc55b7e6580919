from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nexscout_cli.engine.compression.blocks import blocks
from nexscout_cli.engine.compression.lossless import STEPS, compress

PARAGRAPH = (
    "The committee met on the second floor and went through the open points, one after the other, until the caretaker "
    "came to shut the house and asked everybody to leave by the door to the yard."
)
PIECES = [
    "Please ",
    "please",
    "could you kindly ",
    "I would like you to ",
    "list ",
    "Thank you in advance.",
    "do not ",
    "a  b",
    " ",
    "  ",
    "\n",
    "\n\n",
    "\n\n\n\n",
    "```",
    "```\n",
    "`x  y`",
    '"',
    "'",
    "“a  b”",
    "> quoted  text\n",
    "    code  \n",
    "\t",
    "|",
    "{",
    "}",
    '{"a":  1}',
    '{\n  "a": 1.10\n}',
    "[1,  2]\n",
    "{name}",
    "<X>",
    "$VAR",
    "https://x.io/a?b=1 ",
    "5  kg",
    "10 %",
    "not",
    "?",
    ". ",
    PARAGRAPH,
    "\n\n" + PARAGRAPH + "\n\n",
    "\r\n",
    "\ue000",
    "it's",
    "- ",
    "1. ",
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=30).map("".join) | st.text(max_size=200)


def test_json_keeps_every_literal_and_every_duplicate_key() -> None:
    text = '{\n  "a": 1.10,\n  "b": 1e400,\n  "a": 123456789012345678901234567890,\n  "s": "x  y \\" {  }"\n}'
    short = '{"a":1.10,"b":1e400,"a":123456789012345678901234567890,"s":"x  y \\" {  }"}'
    assert compress(text) == (short, {"json": len(text) - len(short)})


def test_a_standalone_json_block_is_compacted_and_one_that_is_not_json_is_left() -> None:
    assert compress("Values:\n[\n  1,\n  2\n]\nSum them.")[0] == "Values:\n[1,2]\nSum them."
    broken = '{\n  "a": 1,\n  b: 2\n}'
    assert compress(broken) == (broken, {})


@pytest.mark.parametrize(
    "text",
    [
        '```json\n{\n  "a": 1\n}\n```',
        "numbers =\n[\n  1,\n  2\n]",
        "run(\n[\n  1,\n  2\n]\n)",
        "def numbers():\n    return it\n[\n  1,\n  2\n]",
        "--- a/x.json\n+++ b/x.json\n@@ -1,2 +1,2 @@\n-[1, 2]\n+[1,  2]\n[3,  4]",
        "# Title\n\nText.\n\n## More\n\n[1,  2]",
    ],
)
def test_json_within_a_program_a_diff_or_markdown_is_left(text: str) -> None:
    assert compress(text) == (text, {})


@pytest.mark.parametrize(
    "question",
    [
        "Is this JSON indented with 2 or 4 spaces?",
        "How many lines has it?",
        "Return it as it is.",
        "Are the two identical?",
        "Ist das richtig eingerückt?",
        "Wie viele Zeichen sind es?",
        "Combien de lignes y a-t-il ?",
        "Garde la mise en page.",
        "¿Cuántos espacios hay?",
        "Conserva las líneas tal cual.",
    ],
)
def test_nothing_is_done_where_somebody_asks_about_form(question: str) -> None:
    text = '{\n  "a": 1\n}'
    assert compress(f"{question}\n\n{text}") == (f"{question}\n\n{text}", {})
    assert compress(text, question) == (text, {})
    assert compress(text, "What is a?")[0] == '{"a":1}'


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(VALUES, min_size=1, max_size=4), st.integers(0, 4))
@example([{"0": None, "": None}] * 3, 0)
def test_compacted_json_has_equal_values(value: list[Any], indent: int) -> None:
    found = json.loads(compress(json.dumps(value, indent=indent))[0])
    if isinstance(found, dict):  # a list of records that became a table
        found = [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]
    assert found == value


def test_a_copy_of_a_long_paragraph_becomes_a_line_that_says_so() -> None:
    mark = "[The paragraph above that begins “The committee met on the second floor an” stands here again.]"
    assert compress(f"{PARAGRAPH}\n\nNext.\n\n{PARAGRAPH}\n\nNext.") == (
        f"{PARAGRAPH}\n\nNext.\n\n{mark}\n\nNext.",
        {"repeats": len(PARAGRAPH) - len(mark)},
    )


def test_paragraphs_that_only_begin_alike_are_not_folded_into_one_another() -> None:
    other = PARAGRAPH + " Nobody did."
    text = f"{PARAGRAPH}\n\n{other}\n\n{PARAGRAPH}\n\n{other}"
    assert compress(text) == (text, {})


def test_a_refrain_is_left_as_often_as_it_stands() -> None:
    verse = "\n".join(["Over the hills and the valleys we wandered", "Never to come to the end of the road"] * 3)
    text = f"{verse}\n\nAnd then there was rain.\n\n{verse}"
    assert compress(text) == (text, {})


@pytest.mark.parametrize("text", ["", "Hello.", "Write a plan.\n"])
def test_a_text_with_nothing_to_gain_comes_back_as_it_is(text: str) -> None:
    assert compress(text) == (text, {})


@settings(max_examples=400, deadline=None)
@given(TEXTS)
def test_compressing_never_lengthens_and_compressing_again_changes_nothing(text: str) -> None:
    short, steps = compress(text)
    assert len(short) <= len(text)
    assert (short == text) == (steps == {})
    assert set(steps) <= set(STEPS) and sum(steps.values()) == len(text) - len(short)
    assert compress(short) == (short, {})


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_blocks_lose_nothing(text: str) -> None:
    assert "\n".join(block.text for block in blocks(text)) == text


@settings(max_examples=400, deadline=None)
@given(TEXTS)
def test_outside_of_json_and_folded_paragraphs_every_byte_stays(text: str) -> None:
    short, _ = compress(text)
    given, sent = ([part.text for part in blocks(one) if part.kind != "json"] for one in (text, short))
    assert [part for part in sent if not part.startswith("[The paragraph above")] == [
        part for part, left in zip(given, sent, strict=True) if not left.startswith("[The paragraph above")
    ]


@pytest.mark.parametrize("piece", ["a  b. ", "[", '["a\n', "'a ", "please ", "{ ", "a@", "\n", " ", "<a ", '{"a":\n'])
def test_a_hostile_text_takes_linear_time(piece: str) -> None:
    started = time.process_time()
    short, _ = compress(piece * (200_000 // len(piece)))
    assert len(short) <= 200_000
    assert time.process_time() - started < 2
