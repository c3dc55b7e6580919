"""A program by its functions: those that bear on the question stay whole, of the others the signature.

Imports, classes, and what else stands outside of functions stay as they are but for long values and long explanations; no line's
indentation changes. Which parts there are is in :mod:`nexscout_cli.engine.compression.code_parts`, how they are weighed in
:mod:`nexscout_cli.engine.compression.code_relevance`.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from nexscout_cli.engine.compression.code_parts import MIN_DOC, MIN_LINES, MIN_SIZE, Part, parts_of
from nexscout_cli.engine.compression.code_relevance import bearing
from nexscout_cli.engine.compression.cuts import mark, number

_STILL = 2.0
"""What a part's worth loses that does nothing, a value or an explanation: what is asked for is mostly done by a function."""
_CROWDED = 0.7
"""Share of the room from which signatures are too much of it."""
_NAMES = re.compile(r"\w_\w|\w\d|[a-z][A-Z]|\A_")
_ASKED = re.compile(
    r"\bdoes (?:the )?(?:function |method |class )?[`'\"]?(?:[^\W\d]\w*\.)*([^\W\d]\w*)[`'\"]? "
    r"(?:do|return|work|raise|need|take|check)\b"
)
_CALLED = re.compile(r"([^\W\d]\w*)(\()?")


class Cut(NamedTuple):
    """Lines ``start``–``end`` (from 0, the end not included) that are left out, with a mark in their place.

    ``is_body``: the mark stands after the signature, on its line.
    """

    start: int
    end: int
    is_body: bool = False


def shorten(code: str, question: str, keep: float) -> str:
    """The program with at most about ``keep`` (0..1) of its characters, where its signatures are not more than that.

    As it is where no function bears on the question: what a whole program is for, its parts do not tell. The scores are
    logarithms of how likely a part is the one that is asked for; less that of its size, what comes first is likeliest to
    answer for the room it takes.
    """
    lines = code.split("\n")
    parts = parts_of(code, lines)
    if not parts:
        return code
    scores = bearing(parts, lines, question)
    if not max(scores):
        return code
    sizes = [sum(len(line) + 1 for line in lines[part.start : part.end]) for part in parts]
    named = _named(parts, question)
    worth = [
        score - math.log(size) - _STILL * (part.kind != "function")
        for score, size, part in zip(scores, sizes, parts, strict=True)
    ]
    order = sorted(range(len(parts)), key=lambda at: (not named[at], -worth[at], at))
    short = "\n".join(_joined(lines, _fitting(lines, parts, order, keep * len(code))))
    return short if len(short) < len(code) else code


def _fitting(lines: list[str], parts: list[Part], order: list[int], most: float) -> list[Cut]:
    """What is cut so that about ``most`` characters are left: what comes last in the order, and the middle of long docstrings.

    Without the part that bears most the rest is of no use: it stays, and takes what it takes.
    """
    whole = [_gone(part, lines) for part in parts]
    within = [_doc(part, lines) for part in parts]
    saved = [sum(_saves(lines, cut) for cut in cuts) for cuts in whole]
    saved_within = [max(0, sum(_saves(lines, cut) for cut in cuts)) for cuts in within]
    size = sum(len(line) + 1 for line in lines)
    if size - sum(saved) > _CROWDED * most:  # signatures alone nearly fill it: parameters on lines of their own go too
        whole = [[*cuts, *_parameters(part, lines)] for part, cuts in zip(parts, whole, strict=True)]
        saved = [sum(_saves(lines, cut) for cut in cuts) for cuts in whole]
    room = most - (size - sum(saved))
    trimmed: list[int] = []
    for at in order:
        cost = saved[at] - saved_within[at]
        if cost <= room or at == order[0]:
            room -= cost
            trimmed.append(at)
    cuts = [cut for at in set(range(len(parts))) - set(trimmed) for cut in whole[at]]
    for at in trimmed:
        if saved_within[at] and saved_within[at] <= room:
            room -= saved_within[at]
        else:
            cuts += within[at] if saved_within[at] else []
    return sorted(cuts)


def _gone(part: Part, lines: list[str]) -> list[Cut]:
    """What is cut of a part that does not stay: its lines, and a long comment above it."""
    above = Cut(part.lead, part.head)
    return [
        Cut(part.start, part.end, part.kind == "function"),
        *([above] if above.end > above.start and _saves(lines, above) >= MIN_SIZE else []),
    ]


def _parameters(part: Part, lines: list[str]) -> list[Cut]:
    """What is cut of a signature of many lines: all between the one that has the name and the last."""
    first = next((at for at in range(part.head, part.start) if part.name and part.name in lines[at]), part.start)
    return [Cut(first + 1, part.start - 1)] if part.kind == "function" and part.start - first > MIN_LINES + 1 else []


def _doc(part: Part, lines: list[str]) -> list[Cut]:
    """What is cut of a function that stays: of a long docstring all but its first and its last line."""
    begin, end = part.doc
    if end - begin < MIN_DOC:
        return []
    opening = 2 if len(lines[begin].strip().lstrip("rRuU")) <= len('"""') else 1
    return [Cut(begin + opening, end - 1)] if end - 1 - begin - opening >= MIN_DOC - 2 else []


def _mark(lines: list[str], cut: Cut) -> str:
    first = next((line for line in lines[cut.start : cut.end] if line.strip()), "")
    return mark(
        number(cut.end - cut.start, "line"), indent=" " if cut.is_body else first[: len(first) - len(first.lstrip())]
    )


def _saves(lines: list[str], cut: Cut) -> int:
    """Characters that a cut takes away beside what its mark takes."""
    return sum(len(line) + 1 for line in lines[cut.start : cut.end]) - len(_mark(lines, cut)) - (not cut.is_body)


def _named(parts: list[Part], question: str) -> list[bool]:
    """Whether the question names each part as it is written: in a name that is no plain word, or what does something."""
    asked = {name for name, called in _CALLED.findall(question) if called or _NAMES.search(name)}
    asked |= set(_ASKED.findall(question))
    return [part.name.strip() in asked for part in parts]


def _joined(lines: list[str], cuts: list[Cut]) -> list[str]:
    result: list[str] = []
    at = 0
    for cut in cuts:
        result += lines[at : cut.start]
        if cut.is_body:
            result[-1] += _mark(lines, cut)
        else:
            result.append(_mark(lines, cut))
        at = cut.end
    return result + lines[at:]
