"""A log by the templates of its lines: errors with their neighbours, what the question is about, rare lines, one example each.

An entry is a line with those that go on with it
(a stack trace). Of what recurs the first stands, with how often it does and when the last time was.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from nexscout_cli.engine.compression.cuts import MARK_SIZE, fill, join, mark, number
from nexscout_cli.engine.compression.log_lines import ERROR, WARNING, read
from nexscout_cli.engine.compression.program_output import FRAME, trace_end
from nexscout_cli.engine.compression.relevance import relevance
from nexscout_cli.engine.compression.structure import TIME

NEAR = 3
"""Entries before and after an error that tell how it came about and what followed."""

_MAX_FRAMES, _AT_END = 30, 10
"""Lines of an entry that its template goes by, and how many of them are from its end."""


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
    pieces = [_marked(entry.text, marks[at]) if at in marks else entry.text for at, entry in enumerate(entries)]
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
    again = {at for its in groups.values() for at in its[1:] if _is_trace(entries[at])}
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
    told = [at for at in (*errors, *near, *asked) if at not in again]  # a trace stands once
    return [*told, *named, *warnings, 0, *({count - 1} - again), *rare]


def _is_trace(entry: Entry) -> bool:
    return entry.text.startswith("goroutine ") or (entry.severity == ERROR and "\n" in entry.text.rstrip())


def _marked(text: str, said: str) -> str:
    """An entry with a mark at the end of its last line that is not empty."""
    bare = text.rstrip()
    return f"{bare} {said}{text[len(bare) :]}"


def _repeats(entries: list[Entry], its: list[int]) -> str:
    last = entries[its[-1]].time
    return mark(f"{number(len(its), 'time')} in all" + (f", last at {last}" if last else ""))


def _entries(lines: list[str]) -> list[Entry]:
    """The log's entries: a line that is indented, and a trace, belong to the line before them that says what happened."""
    runs: list[list[str]] = []
    at = 0
    while at < len(lines):
        end = trace_end(lines, at)
        if runs and _goes_on(lines, at, of_trace=end > 0):
            runs[-1] += lines[at : max(end, at + 1)]
        else:
            runs.append(lines[at : max(end, at + 1)])
        at = max(end, at + 1)
    return [_entry(run) for run in runs]


def _goes_on(lines: list[str], at: int, *, of_trace: bool) -> bool:
    """Whether a line goes on with what the line before it said; the first line of a trace, where that was to tell of it."""
    line, before = lines[at][:400], lines[at - 1][:400]
    if of_trace:
        return line.startswith("Traceback") and (before.rstrip().endswith(":") or bool(TIME.match(before)))
    if not line or line[0].isspace() or FRAME.match(line):
        return True
    heads_trace = at + 1 < len(lines) and FRAME.match(lines[at + 1][:400])
    return bool(heads_trace and TIME.match(before) and not TIME.match(line))


def _entry(lines: list[str]) -> Entry:
    """Of a long one its beginning and its end, where the error itself may stand, tell what it is."""
    told = lines if len(lines) <= _MAX_FRAMES else [*lines[: _MAX_FRAMES - _AT_END], *lines[-_AT_END:]]
    return Entry("\n".join(lines), *read("\n".join(told).rstrip()))
