"""How long a text of each structure takes to be told and cut, by its length."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

import _piped
from _programs import LANGUAGES, OPENINGS, program

TOKENS = (1_000, 4_000, 20_000)
_CHARACTERS = 4  # of a token, about


def texts(tokens: int) -> Iterator[tuple[str, str, str]]:
    """The name of a structure, a text of it of about so many tokens, and a question."""
    chance = random.Random(19)
    most = tokens * _CHARACTERS

    def grown(piece: Callable[[], str]) -> str:
        text = ""
        while len(text) < most:
            text += piece()
        return text[: text.rfind("\n", 0, most) + 1] or text

    def sentence() -> str:
        return " ".join(["The", *chance.choices(_piped.WORDS, k=9), f"costs {chance.randrange(999)} euros."]) + " "

    def paragraph() -> str:
        return "".join(sentence() for _ in range(5)) + "\n\n"

    names = iter(_piped.MODULES * 9)
    yield "diff", grown(lambda: next(_piped.diff(chance))["context"]), "Write a commit message"
    yield "log", grown(lambda: str(_piped.log(chance)["context"]) + "\n"), "Why did the worker fail?"
    yield "python", grown(lambda: _piped.text_of(next(names)) + "\n"), "Where is a file opened for reading?"
    for language in LANGUAGES[1:]:
        made = grown(lambda: "\n\n".join(text for text, _, _ in program(language, chance)))  # noqa: B023
        yield language, OPENINGS[language] + made, "Where is a call tried again after the network failed?"
    rows = "id,name,town,mills\n" + grown(
        lambda: (
            f"{chance.randrange(10**6)},{chance.choice(_piped.NAMES)},{chance.choice(_piped.WORDS)},{chance.random()}\n"
        )
    )
    yield "csv", rows, "How many mills has Ann in the harbour?"
    yield "mail", grown(lambda: str(_piped.mail(chance)["context"])), "What will the anchor cost?"
    yield "prose", grown(paragraph), "What does the anchor cost?"
    yield (
        "markdown",
        "# Costs\n\n" + grown(lambda: f"## {chance.choice(_piped.WORDS)}\n\n{paragraph()}"),
        "What of the mill?",
    )
    page = grown(lambda: f"<p>{paragraph().strip()}</p>\n<ul><li>{sentence()}</li></ul>\n")
    yield "html", f"<html><body><article>\n{page}</article></body></html>\n", "What does the anchor cost?"


def table(cut: Callable[[str, str], object], count: Callable[[str], int]) -> Iterator[str]:
    """A line for each structure: milliseconds of CPU for 1,000 tokens at each length, the least of five runs."""
    yield f"{'ms for 1,000 tokens':22}" + "".join(f"{tokens:>10,}" for tokens in TOKENS)
    by_name: dict[str, list[float]] = {}
    for tokens in TOKENS:
        for name, text, question in texts(tokens):
            count(text)
            cut(text, question)  # what is loaded at first use is not timed
            times = []
            for _ in range(5):
                started = time.process_time()
                cut(text, question)
                times.append(time.process_time() - started)
            by_name.setdefault(name, []).append(min(times) * 1e6 / count(text))
    for name, its in by_name.items():
        yield f"{name:22}" + "".join(f"{each:>10.2f}" for each in its)
