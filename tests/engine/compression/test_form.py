"""Pairs of requests that differ in form alone: what is sent differs too, but for the pairs that are listed with a reason."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator

import pytest

from nexscout_cli.config import Settings
from nexscout_cli.engine.compression.choice import compress_texts
from nexscout_cli.engine.compression.form import asks_about_form
from nexscout_cli.engine.planning.texts import originals
from nexscout_cli.engine.request import AIRequest
from tests.support.values import count, request, snapshot

LINES = [
    "The harbour was built by the town, and the pilots paid for the lamp above it.",
    "é is a letter of the café beside the river, where old Zoë sells her naïve pictures.",
    "Nobody came, so the keeper shut the door and went to bed before nine.",
]
VERSE = ["Over the hills and away", "  we went with the tide,", "    and never a word", "  came back to the side."]
CODE = ["def main():", "    for name in names:", "        print(name)", "", "    return None"]
SETTINGS = ["server:", "  host: localhost", "  ports:", "    - 80", "    - 81", "  name: harbour"]
TABLE = ["name      mills   mayor", "Oakham    3       Ann", "Lindmouth 12      Bob", "Stoneham  7       Cleo"]
HUNK = ["@@ -1,3 +1,3 @@", " keep this", "-hello world", "+hello there", " and this"]
MARKDOWN = ["# Harbour", "", "A line that ends", "and goes on.", "", "## Mills", "", "- one", "- two"]
TEXTS = {
    "prose": LINES,
    "verse": VERSE,
    "code": CODE,
    "settings": SETTINGS,
    "table": TABLE,
    "hunk": HUNK,
    "markdown": MARKDOWN,
}
CHANGES = {
    "trailing blanks": lambda line: line + "   ",
    "a hard break": lambda line: line + "  ",
    "a blank doubled": lambda line: line.replace(" ", "  ", 1) if " " in line else line + " ",
    "a tab for a blank": lambda line: line.replace(" ", "\t", 1) if " " in line else line + "\t",
    "a fixed blank": lambda line: line.replace(" ", "\u00a0", 1) if " " in line else line + "\u00a0",
    "other indentation": lambda line: " " + line,
    "CRLF": lambda line: line + "\r",
    "an empty line more": lambda line: line + "\n",
    "two empty lines more": lambda line: line + "\n\n",
    "please": lambda line: "Please " + line,
}
BULK = "\n\n" + "\n".join(f"Remark {n}: the keeper wrote the weather down and went home again." for n in range(120))
VALUE = {"name": "Oakham", "mills": [1, 2, 3], "mayor": {"name": "Ann", "since": 1911}}
ASKING = [
    "Is this JSON indented with 2 or 4 spaces?",
    "Which line has the mayor?",
    "How many characters are these?",
    "Is it pretty-printed?",
    "Wie ist das eingerückt?",
    "Wie viele Zeilen sind das?",
    "Stehen da Tabulatoren?",
    "Combien d'espaces y a-t-il ?",
    "Comment est la mise en page ?",
    "¿Cuántas líneas tiene?",
    "¿Hay sangría?",
    "Keep it as is and add a town.",
]


def pairs() -> Iterator[tuple[str, str, str]]:
    """What the pair is, and two prompts."""
    for name, lines in TEXTS.items():
        for change, made in CHANGES.items():
            for at, line in enumerate(lines):
                for bulk in ("", BULK) if at == 1 else ("",):
                    texts = ["\n".join([*lines[:at], one, *lines[at + 1 :]]) + bulk for one in (line, made(line))]
                    what = f"{change} in {name}, line {at}{', long' * bool(bulk)}"
                    yield what, f"See:\n\n{texts[0]}", f"See:\n\n{texts[1]}"
    for at, line in enumerate(LINES):
        yield f"NFD, line {at}", f"{line} é", unicodedata.normalize("NFD", f"{line} é")
    for question in ASKING:
        for indent in (2, 4):
            texts = [f"{question}\n\n{json.dumps(VALUE, indent=one)}" for one in (indent, indent + 1)]
            yield f"{question} {indent}", texts[0], texts[1]
    for old, new in (
        ("1911", "1911.0"),
        ("1911", "1.911e3"),
        ('"name"', '"Name"'),
        ("Ann", "A\\u006en"),
        ("[1", "[1.0"),
    ):
        for question in ("Who is mayor?", "Since when?"):
            text = json.dumps(VALUE)
            yield f"{old} as {new}, {question}", f"{question}\n\n{text}", f"{question}\n\n{text.replace(old, new, 1)}"
    for one in ('{"a":1,"a":2}', '{"a":1,"b":2}'):
        yield "names in another order", f"What is a?\n\n{one}", 'What is a?\n\n{"b":2,"a":1}'


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
    "text", ["Who is the mayor of Oakham?", "Write a commit message.", "What is the country of Ann?"]
)
def test_a_question_about_what_a_text_says_asks_about_no_form(text: str) -> None:
    assert not asks_about_form(text)
