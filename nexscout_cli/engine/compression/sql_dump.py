"""A database's dump: what defines tables stays, the rows that bear on the question, and how many others each table has."""

from __future__ import annotations

import re
from typing import NamedTuple

from nexscout_cli.engine.compression.cuts import MARK_SIZE, fill, mark, number
from nexscout_cli.engine.compression.relevance import NEEDS_ALL, relevance

_COPY = re.compile(r"COPY ([\w.\"]{1,200}) ?\([^()\n]{0,900}\) FROM stdin;\s*\Z")
_INSERT = re.compile(r"\s*INSERT (?:IGNORE )?INTO ([\w.\"`\[\]]{1,200})", re.IGNORECASE)
_TUPLE = re.compile(r"\((?:'(?:[^'\\]|\\.|'')*+'|[^'()]|\([^'()]*\))*+\)")
_MIN_ROWS = 5


class Row(NamedTuple):
    """A line of a dump; of a row the table that it is of, empty for what is none. ``joined``: it goes on with the line before."""

    text: str
    table: str
    joined: bool = False


def is_dump(lines: list[str]) -> bool:
    """True for lines of which several put rows into tables."""
    inserts = [line for line in lines if line.lstrip()[:6].upper() == "INSERT" and _INSERT.match(line[:300])]
    if len(inserts) >= _MIN_ROWS or any(line.count("),(") >= _MIN_ROWS for line in inserts):
        return True
    return any(line.startswith("COPY ") and _COPY.match(line[:1_000]) for line in lines)


def shorten(text: str, question: str, keep: float) -> str:
    """The dump with at most about ``keep`` (0..1) of its characters; as it is where no row bears on the question."""
    if NEEDS_ALL.search(question):
        return text
    found = _rows(text.split("\n"))
    rows = [at for at, row in enumerate(found) if row.table]
    scores = dict(zip(rows, relevance([found[at].text for at in rows], question), strict=True))
    if len(rows) < _MIN_ROWS or not max(scores.values()):
        return text
    always = {at for at, row in enumerate(found) if not row.table}
    sizes = [len(row.text) + 1 + MARK_SIZE // 2 for row in found]
    room = keep * len(text) - sum(len(found[at].text) + 1 for at in always)
    kept = fill(sorted(rows, key=lambda at: (-scores[at], at)), sizes, room, always)
    short = _joined(found, kept)
    return short if len(short) < len(text) else text


def _rows(lines: list[str]) -> list[Row]:
    found: list[Row] = []
    table = ""
    for line in lines:
        if table:
            table = "" if line.rstrip() == "\\." else table
            found.append(Row(line, table))
        elif copy := _COPY.match(line[:1_000]):
            table = copy.group(1).strip('"`')
            found.append(Row(line, ""))
        elif insert := _INSERT.match(line[:300]):
            found += _inserted(line, insert.group(1).strip('"`'))
        else:
            found.append(Row(line, ""))
    return found


def _inserted(line: str, table: str) -> list[Row]:
    """The rows that a statement inserts: several in one line are parted, with what stands before them on a line of its own."""
    start = re.search(r"\bVALUES\s*(?=\()", line, re.IGNORECASE)
    tuples = list(_TUPLE.finditer(line, start.end())) if start else []
    if not start or len(tuples) < 2:
        return [Row(line, table)]
    rows = [Row(line[: start.end()], "")]
    for at, one in enumerate(tuples):
        until = tuples[at + 1].start() if at + 1 < len(tuples) else len(line)
        rows.append(Row(line[one.start() : until], table, True))
    return rows


def _joined(found: list[Row], kept: set[int]) -> str:
    pieces: list[str] = []
    gone = 0
    for at, row in enumerate([*found, None]):
        if gone and (row is None or at in kept or row.table != found[at - 1].table):
            pieces.append(f"\n{mark(number(gone, 'row') + ' of ' + found[at - 1].table)}")
            gone = 0
        if row is not None and at in kept:
            pieces.append(row.text if row.joined and at - 1 in kept else f"\n{row.text}")
        elif row is not None:
            gone += 1
    return "".join(pieces).removeprefix("\n")
