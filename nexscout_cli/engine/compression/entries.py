"""A text of many entries of several lines, each whole or not at all: subtitles, translations, a history of commits, XML.

What stands before the first entry and after the last stays. Where no entry bears on the question nothing is cut.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from nexscout_cli.engine.compression.cuts import MARK_SIZE, fill, mark, number
from nexscout_cli.engine.compression.relevance import relevance

MIN_ENTRIES = 4
_CUE = re.compile(r"(?:\d{1,3}:)?\d\d:\d\d[.,]\d{3} --> ")
_COMMIT = re.compile(r"commit [0-9a-f]{7,64}\b")
_ELEMENT = re.compile(r"([ \t]{0,40})<([\w:.-]{1,100})[\s/>]")
_HUNK = re.compile(r"@@ -\d")


def starts_of(lines: Sequence[str]) -> list[int]:
    """The lines with which the entries of a text begin; none where it is no such text."""
    for find in (_cues, _translations, _commits, _elements):
        starts = find(lines)
        if len(starts) >= MIN_ENTRIES:
            return starts
    return []


def shorten(text: str, question: str, keep: float) -> str:
    """The text with at most about ``keep`` (0..1) of its characters, whole entries by how much they bear on the question."""
    lines = text.split("\n")
    starts = starts_of(lines)
    if not starts:
        return text
    end = _end(lines, starts[-1])
    bounds = [*starts, end]
    entries = ["\n".join(lines[a:b]) for a, b in pairwise(bounds)]
    scores = relevance(entries, question)
    if not max(scores):
        return text
    first, last = lines[: starts[0]], lines[end:]
    room = keep * len(text) - sum(len(line) + 1 for line in [*first, *last])
    order = sorted(range(len(entries)), key=lambda at: (-scores[at], at))
    kept = fill(order, [len(entry) + 1 + MARK_SIZE for entry in entries], room)
    if not kept:
        kept = {order[0]}
    body: list[str] = []
    gone = 0
    for at, entry in enumerate(entries):
        if at in kept:
            body += [*_gone(gone), entry]
        gone = 0 if at in kept else gone + 1
    short = "\n".join([*first, *body, *_gone(gone), *last])
    return short if len(short) < len(text) else text


def _gone(count: int) -> list[str]:
    return [mark(number(count, "entry", "entries"))] if count else []


def _end(lines: Sequence[str], start: int) -> int:
    """Where the last entry ends: an element of XML with the line that closes it, any other with the text."""
    if element := _ELEMENT.match(lines[start]):
        if _is_whole(lines[start]):
            return start + 1
        closing = f"{element.group(1)}</{element.group(2)}>"
        return next((at + 1 for at in range(start, len(lines)) if lines[at].startswith(closing)), len(lines))
    return len(lines)


def _is_whole(line: str) -> bool:
    """Whether an element begins and ends on one line."""
    return line.rstrip().endswith("/>") or "</" in line


def _cues(lines: Sequence[str]) -> list[int]:
    """Subtitles (SRT, WebVTT): the line with the times, or the one above it that numbers or names it."""
    return [at - bool(at and lines[at - 1].strip()) for at, line in enumerate(lines) if _CUE.match(line)]


def _translations(lines: Sequence[str]) -> list[int]:
    """A PO file: what a blank line parts. The first has the headers and is none."""
    if not any(line.startswith("msgstr ") for line in lines[:200]):
        return []
    starts = [at for at, line in enumerate(lines) if line.strip() and not (at and lines[at - 1].strip())]
    return starts[1:] if sum(line.startswith("msgid ") for line in lines) > len(starts) // 2 else []


def _commits(lines: Sequence[str]) -> list[int]:
    """What ``git log`` prints, without the changes themselves."""
    if any(_HUNK.match(line) for line in lines):
        return []
    return [at for at, line in enumerate(lines) if _COMMIT.match(line)]


def _elements(lines: Sequence[str]) -> list[int]:
    """XML in which one kind of element recurs on one level."""
    first = next((line for line in lines if line.strip()), "")
    if not first.startswith("<"):
        return []
    found = [(at, element.groups()) for at, line in enumerate(lines) if (element := _ELEMENT.match(line))]
    counts = Counter(element for _, element in found)
    often = [element for element, times in counts.items() if times >= MIN_ENTRIES]
    outer = min(often, key=lambda element: (len(element[0]), -counts[element]), default=None)
    return [at for at, element in found if element == outer]
