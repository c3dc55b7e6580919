"""A program by its functions: those that bear on the question stay whole, of the others the signature.

Imports, classes, and what else stands outside of functions stay as they are but for long values and long explanations; no line's
indentation changes. Which parts there are is in :mod:`nexscout_cli.engine.compression.code_parts`, how they are weighed in
:mod:`nexscout_cli.engine.compression.code_relevance`.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from nexscout_cli.engine.compression.code_parts import MIN_DOC, MIN_SIZE, Part, parts_of
from nexscout_cli.engine.compression.code_relevance import bearing
from nexscout_cli.engine.compression.cuts import mark, number

_STILL = 3.0
"""What a part's worth loses that does nothing, a value or an explanation: what is asked for is mostly done by a function."""
_TESTS = 2.0
"""What a test's worth loses where the question is not about tests: it speaks of what is asked for and does not do it."""
_NAMED = 4.0
"""What a part's worth gains that the question names as it is written. More is too much: what is asked for may be named beside."""
_CROWDED = 0.25
"""Share of the room that signatures may take before those of functions that bear least go too."""
_SMALL = 3_000
"""Characters of a program up to which all signatures stay: their names alone would save little."""
_SURE = 0.9
"""How likely the one that is asked for is among the parts for which signatures make room."""
_PER_NAME = 6
"""Characters that a function without its signature takes beside its name, its share of a mark."""
_FLAT = 1.0
"""How sure the scores are of themselves, beside what they turned out to be worth."""
_FORCED = 3
"""How many of the likeliest parts are tried first, however large they are."""
_CLOSES = re.compile(r"[}\])]+[;,)]*|end")
_NAMES = re.compile(r"\w_\w|\w\d|[a-z][A-Z]|\A_")
_ASKED = re.compile(
    r"\bdoes (?:the )?(?:function |method |class )?[`'\"]?(?:[^\W\d]\w*\.)*([^\W\d]\w*)[`'\"]? "
    r"(?:do|return|work|raise|need|take|check)\b"
)
_CALLED = re.compile(r"([^\W\d]\w*)(\()?")
_TEST = re.compile(r"test(?:_|s?\Z|[A-Z])|Test[A-Z]|Benchmark[A-Z]")
_TEST_MARK = re.compile(r"\s*(?:#\[(?:\w+::)?test|@(?:Parameterized)?Test\b)")
_OF_TESTS = re.compile(r"\btest", re.IGNORECASE)


class Cut(NamedTuple):
    """Lines ``start``–``end`` (from 0, the end not included) that are left out, with a mark in their place.

    ``is_body``: the mark stands after the signature, on its line. ``names``: functions that are gone with their signatures.
    """

    start: int
    end: int
    is_body: bool = False
    names: tuple[str, ...] = ()


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
    named = _named(parts, question)
    less = 0.0 if _OF_TESTS.search(question) else _TESTS
    likely = [
        score + _NAMED * name - _STILL * (part.kind != "function") - less * _is_test(part, lines)
        for score, name, part in zip(scores, named, parts, strict=True)
    ]
    short = "\n".join(_joined(lines, _fitting(lines, parts, likely, keep * len(code))))
    return short if len(short) < len(code) else code


def _fitting(lines: list[str], parts: list[Part], likely: list[float], most: float) -> list[Cut]:
    """What is cut so that about ``most`` characters are left: what is worth least, and the middle of long docstrings.

    Without the part that bears most the rest is of no use: it stays, and takes what it takes. Where the signatures leave
    little room for bodies, those of the functions that bear least go too, and their names are said.
    """
    whole = [_gone(part, lines) for part in parts]
    within = [_doc(part, lines) for part in parts]
    saved = [sum(_saves(lines, cut) for cut in cuts) for cuts in whole]
    saved_within = [max(0, sum(_saves(lines, cut) for cut in cuts)) for cuts in within]
    size = _size(lines)
    room = most - size + sum(saved)
    by_score = sorted(range(len(parts)), key=lambda at: -likely[at])
    wanted = min(_wanted(likely, by_score, saved), (1 - _CROWDED) * most)
    dropped = _dropped(lines, parts, by_score, saved, wanted - room) if size > _SMALL else {}
    for at, gain in dropped.items():
        room += gain
        saved[at] += gain
    costs = [saved[at] - saved_within[at] for at in range(len(parts))]
    trimmed = _likeliest(likely, by_score, costs, room)
    room -= sum(costs[at] for at in trimmed)
    for at in by_score:  # what nothing else needs, signatures get back
        if at in dropped and at not in trimmed and dropped[at] <= room:
            room -= dropped.pop(at)
    rest = [at for at in range(len(parts)) if at not in trimmed]
    cuts = _runs(lines, [parts[at] for at in rest if at in dropped])
    cuts += [cut for at in rest if at not in dropped for cut in whole[at]]
    for at in sorted(trimmed, key=lambda at: -likely[at]):
        if saved_within[at] and saved_within[at] <= room:
            room -= saved_within[at]
        else:
            cuts += within[at] if saved_within[at] else []
    return sorted(cuts)


def _wanted(likely: list[float], by_score: list[int], costs: list[int]) -> float:
    """Characters that the likeliest parts take which together nearly surely have the one that is asked for among them."""
    shares = [math.exp(_FLAT * (likely[at] - likely[by_score[0]])) for at in by_score]
    missing = _SURE * sum(shares)
    wanted = 0
    for at, share in zip(by_score, shares, strict=True):
        if missing <= 0:
            break
        wanted += costs[at]
        missing -= share
    return wanted


def _dropped(
    lines: list[str], parts: list[Part], by_score: list[int], saved: list[int], missing: float
) -> dict[int, int]:
    """The functions that go with their signatures, and the characters that this saves beside what their bodies do."""
    found: dict[int, int] = {}
    for at in reversed(by_score[1:]):
        if missing <= 0:
            break
        if parts[at].kind == "function":
            start, end = _region(parts[at], lines)
            gain = _size(lines[start:end]) - saved[at] - len(parts[at].name) - _PER_NAME
            if gain > 0:
                found[at] = gain
                missing -= gain
    return found


def _likeliest(likely: list[float], by_score: list[int], costs: list[int], room: float) -> set[int]:
    """The parts that fit and most likely have the one that is asked for among them.

    By likelihood for their room, or the likeliest first and then so: whatever comes out likelier.
    """
    top = likely[by_score[0]]
    shares = [math.exp(_FLAT * (score - top)) for score in likely]
    order = sorted(range(len(costs)), key=lambda at: (-shares[at] / max(1, costs[at]), at))
    best: set[int] = set()
    best_sum = -1.0
    for first in range(min(_FORCED, len(by_score)) + 1):
        taken: set[int] = set()
        left = room
        for at in [*by_score[:first], *order]:
            if at not in taken and (costs[at] <= left or not taken):
                taken.add(at)
                left -= costs[at]
        if (total := sum(shares[at] for at in taken)) > best_sum:
            best, best_sum = taken, total
    return best


def _region(part: Part, lines: list[str]) -> tuple[int, int]:
    """All lines of a function: what explains it from above, its signature, its body, and the line that closes it."""
    closes = part.end < len(lines) and _CLOSES.fullmatch(lines[part.end].strip()[:20])
    return part.lead, part.end + bool(closes)


def _runs(lines: list[str], parts: list[Part]) -> list[Cut]:
    """One cut for functions that go with their signatures and follow each other, blank lines between them included."""
    found: list[Cut] = []
    for part in sorted(parts, key=lambda part: part.lead):
        start, end = _region(part, lines)
        last = found[-1] if found else None
        if last and not any(line.strip() for line in lines[last.end : start]):
            found[-1] = Cut(last.start, end, False, (*last.names, part.name))
        else:
            found.append(Cut(start, end, False, (part.name,)))
    return found


def _gone(part: Part, lines: list[str]) -> list[Cut]:
    """What is cut of a part that does not stay: its lines, and a long comment above it."""
    above, body = Cut(part.lead, part.head), Cut(part.start, part.end, part.kind == "function")
    return [
        *([body] if _saves(lines, body) > 0 else []),
        *([above] if above.end > above.start and _saves(lines, above) >= MIN_SIZE else []),
    ]


def _doc(part: Part, lines: list[str]) -> list[Cut]:
    """What is cut of a function that stays: of a long docstring all but its first and its last line."""
    begin, end = part.doc
    if end - begin < MIN_DOC:
        return []
    opening = 2 if len(lines[begin].strip().lstrip("rRuU")) <= len('"""') else 1
    return [Cut(begin + opening, end - 1)] if end - 1 - begin - opening >= MIN_DOC - 2 else []


def _mark(lines: list[str], cut: Cut) -> str:
    first = next((line for line in lines[cut.start : cut.end] if line.strip()), "")
    said = number(cut.end - cut.start, "line")
    if cut.names:
        said += f": {', '.join(filter(None, cut.names))}"
    return mark(said, indent=" " if cut.is_body else first[: len(first) - len(first.lstrip())])


def _size(lines: list[str]) -> int:
    """Characters that lines take, with their ends."""
    return sum(map(len, lines)) + len(lines)


def _saves(lines: list[str], cut: Cut) -> int:
    """Characters that a cut takes away beside what its mark takes."""
    return _size(lines[cut.start : cut.end]) - len(_mark(lines, cut)) - (not cut.is_body)


def _named(parts: list[Part], question: str) -> list[bool]:
    """Whether the question names each part as it is written: in a name that is no plain word, or what does something."""
    asked = {name for name, called in _CALLED.findall(question) if called or _NAMES.search(name)}
    asked |= set(_ASKED.findall(question))
    return [part.name.strip() in asked for part in parts]


def _is_test(part: Part, lines: list[str]) -> bool:
    """Whether a part is a test among the functions that it tries."""
    if _TEST.match(part.name) or any(_TEST.match(owner) for owner in part.owner.split()):
        return True
    return any(_TEST_MARK.match(line[:200]) for line in lines[part.head : part.start])


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
