"""Rows for people: a Rich table on a terminal, plainly aligned columns anywhere else. Text is never read as markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nexscout_cli.cli import output

_LEAST = 10
"""Characters that a column of words keeps when a terminal is narrow."""


def show(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[int] = (), title: str = ""
) -> None:
    """Print rows under ``columns`` on stdout; the columns at ``right`` (from 0) are numbers and stand at the right."""
    cells = [[" ".join(output.harmless(str(cell)).split()) for cell in row] for row in rows]
    at_right = set(right)
    numbers = [at in at_right for at in range(len(columns))]
    if output.stdout_is_terminal():
        _rich(columns, cells, numbers, title)
    else:
        _plain(columns, cells, numbers, title)


def pairs(values: Iterable[tuple[str, object]]) -> None:
    """Print names and values, one pair a line; needs no Rich."""
    listed = [(name, str(value)) for name, value in values]
    width = max((len(name) for name, _ in listed), default=0)
    for name, value in listed:
        output.out(f"{name:<{width}}  {value}".rstrip())


def _rich(columns: Sequence[str], cells: list[list[str]], numbers: list[bool], title: str) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    console = output.console()
    # Names and numbers are of no use when cut: in a narrow terminal the other columns wrap.
    widths = _widths(columns, cells)
    least = [width if at == 0 or numbers[at] else min(width, _LEAST) for at, width in enumerate(widths)]
    if sum(least) + 3 * len(least) > console.width:
        _plain(columns, cells, numbers, title)
        return
    table = Table(
        box=box.SIMPLE_HEAD, show_edge=False, title=Text(title) if title else None, title_justify="left", pad_edge=False
    )
    for column, is_number, width in zip(columns, numbers, least, strict=True):
        table.add_column(Text(column), justify="right" if is_number else "left", min_width=width, overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    with console.capture() as captured:
        console.print(table)
    output.rendered(captured.get())


def _widths(columns: Sequence[str], cells: list[list[str]]) -> list[int]:
    return [max(len(line[at]) for line in [list(columns), *cells]) for at in range(len(columns))]


def _plain(columns: Sequence[str], cells: list[list[str]], numbers: list[bool], title: str) -> None:
    """No width to fit: every cell whole, so that grep and awk find it."""
    lines = [list(columns), *cells]
    widths = _widths(columns, cells)
    if title:
        output.out(title)
    for line in lines:
        padded = (
            f"{cell:>{w}}" if is_number else f"{cell:<{w}}"
            for cell, w, is_number in zip(line, widths, numbers, strict=True)
        )
        output.out("  ".join(padded).rstrip())
