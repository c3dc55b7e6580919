"""Rows as CSV that a spreadsheet can open without running anything."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")


def as_csv(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> str:
    """Rows with a header. Text that a spreadsheet would take for a formula gets a leading apostrophe."""
    return _line(columns) + "".join(_line(_cell(row[column]) for column in columns) for row in rows)


def _line(cells: Iterable[str]) -> str:
    import csv
    import io

    # With \n alone as its line's end the writer would leave a cell's \r unquoted.
    file = io.StringIO()
    csv.writer(file, lineterminator="\r\n").writerow(cells)
    return file.getvalue().removesuffix("\r\n") + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return str(value)
