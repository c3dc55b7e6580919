"""A report's tables in plain text, as Rich draws them where no terminal sets the width: without Rich, which takes a fifth
of a report's time to import. What is not plain (a wide letter, a line that must wrap in a cell) is left to Rich.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from nexscout_cli.cli.report_parts import BARRED, HEADS, Section, bar, column
from nexscout_cli.engine.reports.figures import TEXT

LISTING = ("figure", "value")
"""Columns of a table that is lines of words: a name, and what is said of it."""
BAR = 8
LONGEST = 500
"""Rows of a table that Rich draws; longer ones have a form of their own."""
_PLAIN = frozenset(map(chr, range(32, 127))) | frozenset("─–÷█▏▎▍▌▋▊▉")
_RICH_ANYHOW = ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "JUPYTER_COLUMNS")


def text(caption: str, parts: Sequence[Section], remarks: Sequence[str], width: int) -> str | None:
    """The report in lines of at most ``width`` characters; None where it is not plain."""
    if "utf" not in (sys.stdout.encoding or "").lower() or any(os.environ.get(name) for name in _RICH_ANYHOW):
        return None
    blocks = [[caption]]
    for part in parts:
        drawn = _drawn(part, width)
        if drawn is None:
            return None
        blocks.append(drawn)
    if remarks:
        wrapped = [_wrapped(remark, width) for remark in remarks]
        blocks.append([line for lines in wrapped for line in lines])
    if parts[0].title:
        blocks[:2] = [[caption, *blocks[1]]]  # a title stands close to the caption
    lines = [line for block in blocks for line in (*block, "")]
    plain = all(_PLAIN.issuperset(line) and len(line) <= width for line in lines)
    return set_down(lines) if plain else None


def set_down(lines: Sequence[str]) -> str:
    """Lines as they are printed: no spaces at their ends, no two empty ones, and none at the end."""
    bare = [line.rstrip() for line in lines]
    kept = [line for at, line in enumerate(bare) if line or (at and bare[at - 1])]
    return "\n".join(kept).rstrip("\n") + "\n"


def _drawn(part: Section, width: int) -> list[str] | None:
    """A table's lines; None for one that Rich has to fit, and for what has a form of its own."""
    if not part.rows or len(part.rows) > LONGEST or not part.columns:
        return None
    cells = [[HEADS.get(each, each), *column(part, each)] for each in part.columns]
    if part.columns == LISTING:
        wide = max(map(len, cells[0]))
        return [f"{name:<{wide}} {value}" for name, value in zip(*cells, strict=True)][1:]
    padded = [
        [f"{cell:<{wide}}" if each in TEXT else f"{cell:>{wide}}" for cell in lines]
        for each, lines in zip(part.columns, cells, strict=True)
        for wide in [max(map(len, lines))]
    ]
    barred = next((each for each in part.columns if each in BARRED), None)
    if barred:
        bars = ["", *(bar(row[barred]) for row in part.rows), *([""] if part.totals is not None else [])]
        padded.append([f"{each:<{BAR}}" for each in bars])
    head, *rows = ("  ".join(line) for line in zip(*padded, strict=True))
    if len(head) + 2 > width or len(part.title) > len(head):
        return None
    if part.totals is not None:
        rows.insert(-1, "")
    lines = [f" {line}" for line in (head, "─" * len(head), *rows)]
    return [part.title, "", *lines] if part.title else lines


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of whole words; spaces stay with the word before them."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if len(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
