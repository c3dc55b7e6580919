"""A table (CSV, Markdown, drawn with blanks) or JSON records: the header, the rows that bear on the question, and what the
others are: how many, and each column's range.

A question for a sum, a mean or a count needs every row; then nothing is cut.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

from nexscout_cli.engine.compression.cuts import MARK_SIZE, fill, join, mark, number
from nexscout_cli.engine.compression.relevance import NEEDS_ALL, relevance
from nexscout_cli.engine.compression.structure import separator, wrapped_list

MAX_COLUMNS = 12
"""Columns whose ranges are said."""

_EXTREME = re.compile(
    r"\b(?:max\w*|min\w*|most|least|highest|lowest|largest|biggest|smallest|longest|shortest|oldest|newest|latest|earliest|first"
    r"|last|best|worst|cheapest|top|\w+ste[rnms]?|plus|moins|mayor|menor|más|menos)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[-+]?\d[\d,]{0,20}(?:\.\d{1,20})?\Z")
_RULE = re.compile(r"[\s|:=+-]+\Z")
_GAP = re.compile(r"(?<=\S)(?: {2,}|\t+)(?=\S)")


class Table(NamedTuple):
    """What stands before the rows, the rows as they are written, what stands after them; names and cells (text).

    ``parts`` is what stands between two rows; ``quoted`` says whether a mark has to be a JSON string.
    """

    before: str
    rows: list[str]
    after: str
    names: list[str]
    cells: list[list[str]]
    parts: str = "\n"
    quoted: bool = False


def shorten(text: str, question: str, keep: float) -> str:
    """The table with at most about ``keep`` (0..1) of its characters; as it is where no row bears on the question."""
    if NEEDS_ALL.search(question):
        return text
    table = _records(text) if text.lstrip()[:1] in ("{", "[") else _lines(text)
    if table is None or len(table.rows) < 3:
        return text
    scores = relevance(table.rows, question)
    extremes = _extremes(table) if _EXTREME.search(question) else []
    most = max(scores)
    if not most and not extremes:
        return text
    sizes = [len(row) + len(table.parts) + MARK_SIZE // 2 for row in table.rows]
    room = keep * len(text) - len(table.before) - len(table.after)
    asked = sorted(range(len(sizes)), key=lambda at: (-scores[at], at))
    best = [at for at in asked if scores[at] > 0.7 * most]
    kept = fill([*best, *extremes, *asked], sizes, room - _summary_size(table))
    if not kept:
        return text
    gone = [at for at in range(len(sizes)) if at not in kept]
    pieces = join(table.rows, kept, "row")
    if gone:
        pieces.append(mark(f"the {number(len(gone), 'row')} left out: {_ranges(table, gone)}"))
    if table.quoted:
        pieces = [json.dumps(piece, ensure_ascii=False) if piece.startswith("[…") else piece for piece in pieces]
    short = table.before + table.parts.join(pieces) + table.after
    return short if len(short) < len(text) else text


def _lines(text: str) -> Table | None:
    """The table of a text whose lines are rows."""
    import csv

    lines = text.rstrip("\n").split("\n")
    end = text[len(text.rstrip("\n")) :]
    first = next((at for at, line in enumerate(lines) if line.strip()), 0)
    mark_ = separator([line for line in lines[:200] if line.strip()])
    start = first + 1
    while start < len(lines) and (not lines[start].strip() or _RULE.match(lines[start][:300])):
        start += 1
    rows = _rows(lines[start:], quoted=bool(mark_) and not lines[first].lstrip().startswith("|"))

    def split(line: str) -> list[str]:
        if line.lstrip().startswith("|"):
            return [cell.strip() for cell in line.strip().strip("|").split("|")]
        if mark_:
            try:
                return next(csv.reader(line.splitlines(keepends=True), delimiter=mark_), [])
            except csv.Error:
                return line.split(mark_)
        return _GAP.split(line.strip())

    return Table("\n".join([*lines[:start], ""]), rows, end, split(lines[first]), [split(row) for row in rows])


def _rows(lines: list[str], *, quoted: bool) -> list[str]:
    """The rows of a table: its lines, but for those that go on with a cell in quotation marks, which belong to the one before."""
    if not quoted or sum(line.count('"') for line in lines) % 2:
        return lines
    rows: list[str] = []
    is_open = False
    for line in lines:
        if is_open:
            rows[-1] += f"\n{line}"
        else:
            rows.append(line)
        is_open ^= line.count('"') % 2 == 1
    return rows


def _records(text: str) -> Table | None:
    """The table of a JSON list of objects, of one that lossless compression made of it, or of an object on each line."""
    decoder = json.JSONDecoder(parse_int=str, parse_float=str)
    start = text.find('"rows":[') + 8 if text.startswith('{"columns":[') else text.find("[") + 1
    wrapped = _wrapped(text)
    if wrapped:
        start = wrapped
    elif text.lstrip().startswith("{") and not text.startswith('{"columns":['):
        lines = text.rstrip("\n").split("\n")
        values = [_value(decoder, line) for line in lines]
        return _table("", lines, text[len(text.rstrip("\n")) :], values, quoted=False)
    rows, values = [], []
    at = start
    while True:
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        if at >= len(text) or text[at] not in "{[":
            break
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return None
        rows.append(text[at:end])
        values.append(value)
        at = end
    names = json.loads(text[11 : text.index("]", 11) + 1]) if text.startswith('{"columns":[') and rows else None
    return _table(text[:start], rows, text[at:], values, names)


def _wrapped(text: str) -> int:
    """Where the first record stands in an object that holds a list of them beside single values; 0 for what is none."""
    if not text.lstrip().startswith("{") or text.startswith('{"columns":['):
        return 0
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return 0
    name = wrapped_list(value) if isinstance(value, dict) else ""
    begins = re.search(re.escape(json.dumps(name)) + r"\s{0,200}:\s{0,200}\[", text) if name else None
    return begins.end() if begins else 0


def _value(decoder: json.JSONDecoder, line: str) -> object:
    try:
        return decoder.decode(line)
    except (ValueError, RecursionError):
        return {}


def _table(
    before: str,
    rows: list[str],
    after: str,
    values: Sequence[object],
    names: list[str] | None = None,
    *,
    quoted: bool = True,
) -> Table:
    if names is None:
        names = list(dict.fromkeys(name for value in values if isinstance(value, dict) for name in value))
        cells = [[str(value.get(name, "")) if isinstance(value, dict) else "" for name in names] for value in values]
    else:
        cells = [[str(cell) for cell in value] if isinstance(value, list) else [] for value in values]
    return Table(before, rows, after, names, cells, ",\n" if quoted else "\n", quoted)


def _column(table: Table, column: int, rows: Sequence[int]) -> list[str]:
    return [table.cells[at][column] for at in rows if column < len(table.cells[at]) and table.cells[at][column]]


def _numeric(values: Sequence[str]) -> list[float] | None:
    """The values as numbers; None where one is none."""
    if not values or not all(_NUMBER.match(value) for value in values):
        return None
    return [float(value.replace(",", "")) for value in values]


def _extremes(table: Table) -> list[int]:
    """The rows with the least and the greatest value of each column of numbers or dates."""
    found: list[int] = []
    for column in range(min(len(table.names), MAX_COLUMNS)):
        rows = [at for at in range(len(table.rows)) if column < len(table.cells[at]) and table.cells[at][column]]
        values: Sequence[float] | Sequence[str] | None = _numeric(_column(table, column, rows))
        if values is None:
            values = _column(table, column, rows)
            if not all(value[:1].isdigit() for value in values):
                continue
        pairs = sorted(zip(values, rows, strict=True))
        found += [row for _, row in (*pairs[:2], *pairs[-2:])]
    return found


def _summary_size(table: Table) -> int:
    return 60 + sum(len(name) + 16 for name in table.names[:MAX_COLUMNS])


def _ranges(table: Table, rows: Sequence[int]) -> str:
    """Of each column the range of its values, or how many different ones there are."""
    said = []
    for column, name in enumerate(table.names[:MAX_COLUMNS]):
        values = _column(table, column, rows)
        numbers = _numeric(values)
        if not values:
            continue
        if numbers:
            by_value = sorted(zip(numbers, values, strict=True))
            low, high = by_value[0][1], by_value[-1][1]
        else:
            low, high = min(values), max(values)
        if numbers or (all(value[:4].isdigit() for value in values) and len(low) <= 20):
            said.append(f"{name} {low}–{high}")
        else:
            said.append(f"{name} {number(len(set(values)), 'value')}")
    return "; ".join(said)
