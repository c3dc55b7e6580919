"""A report's tables, by Rich: they fit a terminal's width, and what they leave out for it is said."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from nexscout_cli.cli import output, plain_tables
from nexscout_cli.cli.plain_tables import BAR, LISTING, LONGEST
from nexscout_cli.cli.report_parts import BARRED, HEADS, Section, bar, column
from nexscout_cli.engine.reports.figures import TEXT

WIDE = 160
"""Characters of a line where nobody's terminal sets the limit."""
_NAME = 32
"""Characters of a name that stand in one line as long as figures can be left out for it."""
_LEAST = 8
_SPARED = (
    "by_day",
    *("formula_bias", "formula_mdape", "formula_mape", "prediction_accuracy", "other", "latency_p50_ms", "unreached"),
    *("too_long", "rejected", "limited", "server", "unknown", "tier", "token_share", "cost_share", "hits", "failures"),
    *("energy", "bias", "tokens_saved", "answers", "retries", "fallbacks", "refused_key", "provider", "latency_p95_ms"),
    *("compression_saved_usd", "routing_saved_usd", "caching_saved_usd", "baseline_usd", "ratio", "mdape", "hit_rate"),
    *("total_tokens", "saved_share", "error_rate", "revenue_usd", "requests", "p90_coverage", "calls", "avoided_usd"),
)
"""What a narrow terminal can do without, first of all."""


def show(caption: str, parts: Sequence[Section], remarks: Sequence[str]) -> None:
    """Print a report: rendered first and written once, so that a reader who goes away ends the command quietly."""
    if not output.stdout_is_terminal() and (plain := plain_tables.text(caption, parts, remarks, WIDE)) is not None:
        output.rendered(plain)
        return
    output.rendered(_by_rich(caption, parts, remarks))


def _by_rich(caption: str, parts: Sequence[Section], remarks: Sequence[str]) -> str:
    console = output.console(width=None if output.stdout_is_terminal() else WIDE)
    left_out: list[str] = []
    with console.capture() as captured:
        console.print(caption)
        for number, part in enumerate(parts):
            table, spared = _fitted(console, part)
            left_out += [name for name in spared if name not in left_out]
            if number or part.columns == LISTING:
                console.print()
            if len(part.rows) > LONGEST:  # Rich takes a millisecond for each
                console.out(_lines(part, [name for name in part.columns if name not in spared]), highlight=False)
                continue
            # Figures are never cut short: where not even the least fits, the terminal wraps the line.
            console.print(table, width=max(console.width, _width(part, part.columns, _LEAST)))
        if remarks or left_out:
            console.print()
        for remark in remarks:
            console.print(remark)
        if left_out:
            names = ", ".join(HEADS.get(name, name) for name in left_out)
            console.print(f"left out in {console.width} columns: {names}")
    return plain_tables.set_down(captured.get().splitlines())


def _fitted(console: Any, part: Section) -> tuple[Any, list[str]]:
    """The table as wide as the terminal at most: without its bars, without what can be spared, with names folded at last."""
    spared: list[str] = []
    columns: Sequence[str] = part.columns
    if _width(part, columns, _NAME) + 2 + BAR <= console.width:
        return _table(part, columns, bars=True, name=_NAME), spared
    for name in [name for name in _SPARED if name in part.columns[1:]]:
        if _width(part, columns, _NAME) <= console.width:
            break
        spared.append(name)
        columns = [each for each in columns if each != name]
    least = _NAME if _width(part, columns, _NAME) <= console.width else _LEAST
    return _table(part, columns, bars=False, name=least), spared


def _lines(part: Section, columns: Sequence[str]) -> str:
    """A long table: the same columns, every cell whole, and no bars."""
    from rich.cells import cell_len

    made: list[list[str]] = []
    for each in columns:
        cells = [HEADS.get(each, each), *column(part, each)]
        wide = max(map(cell_len, cells))
        room = [" " * (wide - cell_len(cell)) for cell in cells]
        made.append([cell + space if each in TEXT else space + cell for cell, space in zip(cells, room, strict=True)])
    rows = [" " + "  ".join(row) for row in zip(*made, strict=True)]
    rule = " " + ("─" if _draws_lines() else "-") * len(rows[0])
    rows.insert(1, rule)
    if part.totals is not None:
        rows.insert(len(rows) - 1, rule)
    return "\n".join([part.title, *rows] if part.title else rows)


def _draws_lines() -> bool:
    return "utf" in (sys.stdout.encoding or "").lower()


def _width(part: Section, columns: Sequence[str], name: int) -> int:
    """Characters of a line: each column as wide as its widest cell, names at least as wide as ``name`` where they are."""
    if part.columns == LISTING:
        return 0  # words, which wrap
    return sum(_least(part, each, column(part, each), name) for each in columns) + 2 * len(columns)


def _least(part: Section, each: str, cells: Sequence[str], name: int) -> int:
    head = HEADS.get(each, each)
    if each in TEXT or part.columns == LISTING:
        return min(max((len(cell) for cell in [head, *cells]), default=0), name)
    return max(len(cell) for cell in [head, *cells])


def _table(part: Section, columns: Sequence[str], *, bars: bool, name: int) -> Any:
    from rich import box
    from rich.table import Table

    listing = part.columns == LISTING
    table = Table(
        title=part.title or None,
        title_justify="left",
        title_style="bold",
        show_header=not listing,
        show_footer=part.totals is not None,
        box=None if listing else box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    cells = [column(part, each) for each in columns]
    for each, texts in zip(columns, cells, strict=True):
        text = each in TEXT or listing
        least = _least(part, each, texts, _LEAST if listing else name)
        table.add_column(
            HEADS.get(each, each),
            texts.pop() if part.totals is not None else "",
            justify="left" if text else "right",
            overflow="fold",
            no_wrap=not text,
            min_width=least,
        )
    barred = next((each for each in columns if each in BARRED), None) if bars else None
    if barred:
        table.add_column("", min_width=BAR)
    unicode = _draws_lines()
    for row, *texts in zip(part.rows, *cells, strict=True):
        table.add_row(*texts, *([bar(row[barred], unicode)] if barred else []))
    return table
