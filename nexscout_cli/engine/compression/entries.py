"""A text of many entries of several lines, each whole or not at all: subtitles, translations, a history of commits, XML, YAML's
documents, a plan of Terraform.

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
_NAMES = 0.5
"""Share of the room that the names of entries may take; where they are more, none is said."""
_CUE = re.compile(r"(?:\d{1,3}:)?\d\d:\d\d[.,]\d{3} --> ")
_COMMIT = re.compile(r"commit [0-9a-f]{7,64}\b")
_ELEMENT = re.compile(r"([ \t]{0,40})<([\w:.-]{1,100})[\s/>]")
_KEY = re.compile(r"[\w.\"'/-]{1,100}:(?:\s|\Z)")
_FIELD = re.compile(r"(?:  )?(kind|name): *([^\s#]{1,100})")
_PLAN = re.compile(r" {2,4}# \S{1,200} (?:will|must) be ")


def starts_of(lines: Sequence[str]) -> list[int]:
    """The lines with which the entries of a text begin; none where it is no such text."""
    for find in (_cues, _translations, _commits, _elements, _documents, _plans):
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
    names = [_name(entry) for entry in entries]
    for_names = sum(len(name) + 2 for name in names if name)
    if for_names > _NAMES * room:
        names, for_names = [""] * len(entries), 0
    sizes = [len(entry) + 1 + MARK_SIZE - len(name) for entry, name in zip(entries, names, strict=True)]
    kept = fill(order, sizes, room - for_names)
    if not kept:
        kept = {order[0]}
    body: list[str] = []
    gone: list[str] = []
    for at, entry in enumerate(entries):
        if at in kept:
            body += [*_gone(gone), entry]
            gone = []
        else:
            gone.append(names[at])
    short = "\n".join([*first, *body, *_gone(gone), *last])
    return short if len(short) < len(text) else text


def _gone(names: list[str]) -> list[str]:
    """The mark for entries that are left out, with their names."""
    said = ", ".join(filter(None, names))
    return [mark(number(len(names), "entry", "entries") + (f": {said}" if said else ""))] if names else []


def _name(entry: str) -> str:
    """What an entry is called: a commit by its subject, a document of YAML by its kind and name; empty for others."""
    lines = entry.split("\n")
    if _COMMIT.match(entry):
        return next((line.strip() for line in lines if line.startswith("    ")), "")
    if _PLAN.match(entry):
        return lines[0].strip(" #")
    return _named(lines, 0, len(lines)) if lines[0].rstrip() == "---" or _KEY.match(lines[0]) else ""


def _end(lines: Sequence[str], start: int) -> int:
    """Where the last entry ends: one of XML with the line that closes it, a plan's before its sum, any other with the text."""
    if _PLAN.match(lines[start]):
        return next((at for at in range(start, len(lines)) if lines[at].startswith("Plan: ")), len(lines))
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
    return [
        at - bool(at and lines[at - 1].strip()) for at, line in enumerate(lines) if " --> " in line and _CUE.match(line)
    ]


def _translations(lines: Sequence[str]) -> list[int]:
    """A PO file: what a blank line parts. The first has the headers and is none."""
    if not any(line.startswith("msgstr ") for line in lines[:200]):
        return []
    starts = [at for at, line in enumerate(lines) if line.strip() and not (at and lines[at - 1].strip())]
    return starts[1:] if sum(line.startswith("msgid ") for line in lines) > len(starts) // 2 else []


def _commits(lines: Sequence[str]) -> list[int]:
    """What ``git log`` prints, without the changes themselves."""
    if any(line.startswith("@@ -") for line in lines):
        return []
    return [at for at, line in enumerate(lines) if line.startswith("commit ") and _COMMIT.match(line)]


def _documents(lines: Sequence[str]) -> list[int]:
    """YAML of several documents, as Kubernetes has them: each begins with a line of three hyphens, the first may do without."""
    parts = [at for at, line in enumerate(lines) if line.startswith("---") and line.rstrip() == "---"]
    first = next((at for at, line in enumerate(lines) if line.strip()), 0)
    starts = parts if first in parts else [first, *parts]
    if len(parts) < MIN_ENTRIES - 1:
        return []
    return starts if all(_named(lines, start, end) for start, end in pairwise([*starts, len(lines)])) else []


def _named(lines: Sequence[str], start: int, end: int) -> str:
    """``Deployment mill``, or what a document of YAML begins with; empty for what is none."""
    own = [line for line in lines[start:end] if line.strip() and line[0] not in "#-"]
    if not own or not all(_KEY.match(line) or line[0] in " -" for line in own):
        return "" if own or end < len(lines) else "empty"
    fields: dict[str, str] = {}
    for line in own:
        if match := _FIELD.match(line):
            fields[match.group(1)] = match.group(2)
    return " ".join(filter(None, (fields.get("kind"), fields.get("name")))) or own[0]


def _plans(lines: Sequence[str]) -> list[int]:
    """What ``terraform plan`` says of each resource."""
    return [at for at, line in enumerate(lines) if line.startswith("  ") and _PLAN.match(line)]


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
