from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nexscout_cli.engine.compression.lossless import STEPS, compress
from nexscout_cli.engine.compression.protected_spans import blocks, mask, unmask

PARAGRAPH = "The committee met on the second floor and went through the list of open points, one after the other."
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


@pytest.mark.parametrize(
    "span",
    [
        "```python\nif x:  \n        return  1\n\n\n\n```",
        "~~~\na   b  \n~~~",
        "    def f():  \n\n\n\n        return   1",
        "`a   b`",
        "https://example.com/please?a=1&b=%20%20",
        "jane.doe@example.com",
        "{customer  name}",
        "{{ first  name }}",
        "<INSERT  TEXT>",
        "${Position:Software  Developer}",
        '"please  keep   this"',
        "'please  keep   this'",
        "“please  keep   this”",
        "«please  keep   this»",
        "> please  keep   this  ",
        "| a   | b  |\n|-----|----|\n| please  x | 2  |",
        "name    age   city\nAda     36    London",
        "12 kg and 3.50 € and 99 %",
        "do not, never, at most 5",
    ],
)
def test_a_protected_span_stays_byte_identical(span: str) -> None:
    text = f"Please  look at this.   \n\n\n\n\n{span}\n\n\n\n\nKindly  name  three points."
    short, steps = compress(text)
    assert span in short
    assert "whitespace" in steps


def test_spaces_and_blank_lines_collapse_in_prose_and_indentation_stays() -> None:
    assert compress("One  two   three.  \n  - four    five\n\n\n\n\nSix. ") == (
        "One two three.\n  - four five\n\nSix.",
        {"whitespace": 12},
    )


def test_json_keeps_every_literal_and_every_duplicate_key() -> None:
    text = '{\n  "a": 1.10,\n  "b": 1e400,\n  "a": 123456789012345678901234567890,\n  "s": "x  y \\" {  }"\n}'
    short = '{"a":1.10,"b":1e400,"a":123456789012345678901234567890,"s":"x  y \\" {  }"}'
    assert compress(text) == (short, {"json": len(text) - len(short)})


def test_a_standalone_json_block_is_compacted_and_one_that_is_not_json_is_left() -> None:
    assert compress("Rows:\n[\n  1,\n  2\n]\nSum them.")[0] == "Rows:\n[1,2]\nSum them."
    broken = '{\n  "a": 1,\n  b: 2\n}'
    assert compress(broken) == (broken, {})


def test_json_inside_a_fence_is_code() -> None:
    text = '```json\n{\n  "a": 1\n}\n```'
    assert compress(text) == (text, {})


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


def test_a_repeated_long_paragraph_is_kept_once_and_a_short_one_as_often_as_it_stands() -> None:
    assert compress(f"{PARAGRAPH}\n\nNext.\n\n{PARAGRAPH}\n\nNext.") == (
        f"{PARAGRAPH}\n\nNext.\n\nNext.",
        {"repeats": len(PARAGRAPH) + 2},
    )


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("Please summarise the report.", "Summarise the report."),
        ("Could you kindly list three cities?", "List three cities."),
        ("I would like you to write a plan and please keep it short.", "Write a plan and keep it short."),
        ("I was wondering if you could check the plan.", "Check the plan."),
        ("It would be great if you could draft a plan for {name}.", "Draft a plan for {name}."),
        ("Summarise the report. Thank you in advance!", "Summarise the report."),
    ],
)
def test_a_filler_goes_and_an_instruction_stays(text: str, short: str) -> None:
    assert compress(text) == (short, {"fillers": len(text) - len(short)})


@pytest.mark.parametrize(
    "text",
    [
        "How do I please the customer?",
        "Translate into French: Could you please send me the invoice?",
        'Improve the line "Please kindly wait".',
        "I would like you to not use tables.",
        "Thank you in advance.",
        "Please?",
        "Kindly Bank has which fees?",
        "Name the band behind Please.",
    ],
)
def test_what_is_no_filler_or_may_be_payload_stays(text: str) -> None:
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
def test_blocks_and_masks_lose_nothing(text: str) -> None:
    assert "\n".join(block.text for block in blocks(text)) == text
    masked = mask(text)
    assert masked is None or unmask(*masked) == text


@pytest.mark.parametrize("piece", ["a  b. ", "[", '["a\n', "'a ", "please ", "{ ", "a@", "\n", " ", "<a ", '{"a":\n'])
def test_a_hostile_text_takes_linear_time(piece: str) -> None:
    started = time.process_time()
    short, _ = compress(piece * (200_000 // len(piece)))
    assert len(short) <= 200_000
    assert time.process_time() - started < 2


SPANS = [
    "`a  b`",
    "https://x.io/a?b=1&c=please",
    "jo.do@x.io",
    "{first  name}",
    "{{ x }}",
    "<YOUR  NAME>",
    "$HOME",
    '"please  wait"',
    "“thank you in advance”",
    "5.50 kg",
    "10 %",
    "3/4 cup",
    "not",
    "only",
    "at most",
    "no more than",
    "nicht",
    "höchstens",
    "jamais",
    "nunca",
    "не",
    "不要",
    "```\nx  =  1  \n\n\n\ny\n```",
]
FILLERS = [
    "Please ",
    "Could you kindly ",
    "thanks ",
    "write  ",
    "the  plan ",
    ".  ",
    "\n\n\n\n",
    "  \n",
    " and please ",
    ": ",
]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(FILLERS), st.sampled_from(SPANS), st.sampled_from([" ", "\n\n"])), max_size=12)
)
def test_every_protected_span_of_a_text_survives_byte_for_byte_and_as_often(pieces: list[tuple[str, str, str]]) -> None:
    text = "".join(
        filler + ("\n\n" + span + "\n\n" if span.startswith("```") else span) + after for filler, span, after in pieces
    )
    short, _ = compress(text)
    for span in SPANS:
        assert short.count(span) >= text.count(span), (span, text, short)
