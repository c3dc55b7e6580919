"""A log by the templates of its lines: errors with their neighbours, what the question is about, rare lines, one example each.

An entry is a line with those that go on with it
(a stack trace). Of what recurs the first stands, with how often it does and when the last time was.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from nexscout_cli.engine.compression.cuts import MARK_SIZE, fill, join, mark, number
from nexscout_cli.engine.compression.log_lines import ERROR, WARNING, read
from nexscout_cli.engine.compression.relevance import relevance
from nexscout_cli.engine.compression.structure import FRAME, TIME

NEAR = 3
"""Entries before and after an error that tell how it came about and what followed."""

_MAX_FRAMES = 30
"""Lines of an entry that its template goes by."""


class Entry(NamedTuple):
    """Lines that belong together, and what is told by them (:mod:`nexscout_cli.engine.compression.log_lines`)."""

    text: str
    template: str
    time: str
    severity: int


def shorten(log: str, question: str, keep: float) -> str:
    """The log with at most about ``keep`` (0..1) of its characters; the first entry of every kind of error stays whatever."""
    entries = _entries(log.split("\n"))
    groups: dict[str, list[int]] = {}
    for at, entry in enumerate(entries):
        groups.setdefault(entry.template, []).append(at)
    marks = {its[0]: _repeats(entries, its) for its in groups.values() if len(its) > 1}
    pieces = [f"{entry.text} {marks[at]}" if at in marks else entry.text for at, entry in enumerate(entries)]
    sizes = [len(piece) + 1 + MARK_SIZE for piece in pieces]
    order = _order(entries, groups, question)
    must = {its[0] for its in groups.values() if entries[its[0]].severity == ERROR}
    room = keep * len(log)
    if sum(sizes[at] for at in must) > room:
        must = fill(sorted(must, key=lambda at: (len(groups[entries[at].template]), at)), sizes, room)
    kept = fill(order, sizes, room - sum(sizes[at] for at in must), must)
    if not kept:
        return log
    short = "\n".join(
        join(pieces, kept, *(("entry", "entries") if any("\n" in one.text for one in entries) else ("line",)))
    )
    return short if len(short) < len(log) else log


def _order(entries: list[Entry], groups: dict[str, list[int]], question: str) -> list[int]:
    """The entries by what they are worth: around errors, on the question, warnings, rare ones, one of each, both ends."""
    count = len(entries)
    errors = [at for its in groups.values() for at in (its[0], its[-1]) if entries[at].severity == ERROR]
    errors.sort(key=lambda at: (len(groups[entries[at].template]), at))
    near = [at + step for step in (-1, 1, -2, 2, -3, 3) for at in errors if 0 <= at + step < count]
    firsts = [its[0] for its in groups.values()]
    scores = relevance([entries[at].template for at in firsts], question)
    asked = [at for score, at in sorted(zip(scores, firsts, strict=True), key=lambda one: (-one[0], one[1])) if score]
    exact = relevance([entry.text for entry in entries], question) if re.search(r"\d|_", question) else []
    most = max(exact, default=0.0)
    named = sorted((at for at, score in enumerate(exact) if score > most / 2), key=lambda at: -exact[at])
    warnings = [at for at in firsts if entries[at].severity == WARNING]
    rare = sorted(firsts, key=lambda at: (len(groups[entries[at].template]), at))
    return [*errors, *near, *asked, *named, *warnings, 0, count - 1, *rare]


def _repeats(entries: list[Entry], its: list[int]) -> str:
    last = entries[its[-1]].time
    return mark(f"{number(len(its), 'time')} in all" + (f", last at {last}" if last else ""))


def _entries(lines: list[str]) -> list[Entry]:
    """The log's entries: a line that is indented, or goes on with a stack trace, belongs to the line before it."""
    timed = sum(TIME.match(line) is not None for line in lines) > 0.5 * len(lines)
    runs: list[list[str]] = []
    in_trace = False
    for line in lines:
        begins = not line[:1].isspace() and line != "" and not FRAME.match(line[:400])
        if timed:
            begins = TIME.match(line) is not None or (begins and not in_trace)
            in_trace = not TIME.match(line) and (in_trace or bool(FRAME.match(line[:400])))
        elif FRAME.match(line[:400]):
            begins = line.startswith("Traceback") and not (runs and runs[-1][-1].rstrip().endswith(":"))
            in_trace = True
        elif in_trace and begins:  # the error itself ends a Python trace
            begins, in_trace = False, False
        if begins or not runs:
            runs.append([line])
        else:
            runs[-1].append(line)
    return [_entry(run) for run in runs]


def _entry(lines: list[str]) -> Entry:
    return Entry("\n".join(lines), *read("\n".join(lines[:_MAX_FRAMES])))
