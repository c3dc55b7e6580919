"""A report as text for other programs: CSV of its rows, Markdown of its tables."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from nexscout_cli.cli.report_parts import HEADS, TEXT, Section, column

_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")


def as_csv(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> str:
    """Rows with a header. Text that a spreadsheet would take for a formula gets a leading apostrophe."""
    import csv
    import io

    def line(cells: Iterable[str]) -> str:
        # With \n alone as its line's end the writer would leave a cell's \r unquoted.
        file = io.StringIO()
        csv.writer(file, lineterminator="\r\n").writerow(cells)
        return file.getvalue().removesuffix("\r\n") + "\n"

    return line(columns) + "".join(line(_csv_cell(row[column]) for column in columns) for row in rows)


def _csv_cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return str(value)


def as_markdown(part: Section) -> str:
    """A Markdown table, totals as its last row."""
    heads = [HEADS.get(name, name) for name in part.columns]
    text = TEXT | {"figure", "value"}
    rows = [list(map(_escaped, row)) for row in zip(*(column(part, name) for name in part.columns), strict=True)]
    if part.totals is not None:
        rows[-1] = [f"**{value}**" if value else "" for value in rows[-1]]
    lines = [heads, [":--" if name in text else "--:" for name in part.columns], *rows]
    title = f"### {part.title}\n\n" if part.title else ""
    return title + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
