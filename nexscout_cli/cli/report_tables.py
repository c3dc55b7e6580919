"""A report's tables on a terminal, by Rich: they fit its width, and what they leave out for it is said."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from nexscout_cli.cli import output
from nexscout_cli.cli.report_parts import BARRED, HEADS, TEXT, Section, bar, column

WIDE = 160
"""Characters of a line where nobody's terminal sets the limit."""
_BAR = 8
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
    console = output.console(width=None if output.stdout_is_terminal() else WIDE)
    left_out: list[str] = []
    with console.capture() as captured:
        console.print(caption)
        for number, part in enumerate(parts):
            table, spared = _fitted(console, part)
            left_out += [name for name in spared if name not in left_out]
            # Figures are never cut short: where not even the least fits, the terminal wraps the line.
            width = max(console.width, _least_width(console, table))
            if number or part.columns == ("figure", "value"):
                console.print()
            console.print(table, width=width)
        if remarks or left_out:
            console.print()
        for remark in remarks:
            console.print(remark)
        if left_out:
            names = ", ".join(HEADS.get(name, name) for name in left_out)
            console.print(f"left out in {console.width} columns: {names}")
    output.rendered("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def _fitted(console: Any, part: Section) -> tuple[Any, list[str]]:
    """The table as wide as the terminal at most: without its bars, without what can be spared, with names folded at last."""
    spared: list[str] = []
    table = _table(part, part.columns, bars=True, name=_NAME)
    if _least_width(console, table) > console.width:
        table = _table(part, part.columns, bars=False, name=_NAME)
    for name in [name for name in _SPARED if name in part.columns[1:]]:
        if _least_width(console, table) <= console.width:
            break
        spared.append(name)
        table = _table(part, [each for each in part.columns if each not in spared], bars=False, name=_NAME)
    if _least_width(console, table) > console.width:
        table = _table(part, [each for each in part.columns if each not in spared], bars=False, name=_LEAST)
    return table, spared


def _least_width(console: Any, table: Any) -> int:
    return int(console.measure(table, options=console.options.update_width(10_000)).minimum)


def _table(part: Section, columns: Sequence[str], *, bars: bool, name: int) -> Any:
    from rich import box
    from rich.table import Table

    listing = part.columns != ("figure", "value")
    table = Table(
        title=part.title or None,
        title_justify="left",
        title_style="bold",
        show_header=listing,
        show_footer=part.totals is not None,
        box=box.SIMPLE_HEAD if listing else None,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    cells = [column(part, each) for each in columns]
    for each, texts in zip(columns, cells, strict=True):
        text = each in TEXT or not listing
        words = max((len(word) for cell in texts for word in cell.split()), default=0)
        table.add_column(
            HEADS.get(each, each),
            texts.pop() if part.totals is not None else "",
            justify="left" if text else "right",
            overflow="fold",
            no_wrap=not text,
            min_width=min(max(words, _LEAST), name) if text else None,
        )
    barred = next((each for each in columns if each in BARRED), None) if bars else None
    if barred:
        table.add_column("", min_width=_BAR)
    unicode = "utf" in (sys.stdout.encoding or "").lower()
    for row, *texts in zip(part.rows, *cells, strict=True):
        table.add_row(*texts, *([bar(row[barred], unicode)] if barred else []))
    return table
