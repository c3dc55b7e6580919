"""A batch's file: JSON lines or CSV, read into rows."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

from nexscout_cli import files
from nexscout_cli.engine import batch_rows, option_names, options
from nexscout_cli.errors import UsageError

MAX_BYTES = 200_000_000
_JSON_OR_TEXT = {"context": ("{", "["), "attachments": ("[",), "images": ("[",)}
"""Columns that hold JSON where they begin so."""
_BETWEEN = re.compile(";(?!base64,)")  # a data URL has a semicolon of its own
COLUMNS = (*batch_rows.FIELDS, *options.OPTIONS)
"""The columns a CSV file may have."""


def read_lines(file: Path) -> list[tuple[str, Any]]:
    """Each row's id and content; a row that cannot be read has its error as content. Raises UsageError for the file itself."""
    suffix = file.suffix.lower()
    if suffix not in (".jsonl", ".ndjson", ".csv"):
        raise UsageError(f"{file} is neither .jsonl nor .csv", "one JSON object a line, or columns named id, prompt, …")
    text = files.read_text(file, MAX_BYTES)
    lines = _csv_rows(text, file) if suffix == ".csv" else _json_rows(text)
    if not lines:
        raise UsageError(f"{file} has no rows", 'for instance {"id": "1", "prompt": "…"}')
    return lines


def _json_rows(text: str) -> list[tuple[str, Any]]:
    lines: list[tuple[str, Any]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        content: Any
        try:
            content = files.parse_json(line, f"line {number}")
        except UsageError as error:
            content = error
        given = content.get("id") if isinstance(content, dict) else None
        lines.append((str(number) if given is None else str(given), content))
    return lines


def _csv_rows(text: str, file: Path) -> list[tuple[str, Any]]:
    csv.field_size_limit(MAX_BYTES)
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        names = reader.fieldnames or ()
    except csv.Error as error:
        raise UsageError(f"{file} is not valid CSV in line 1: {error}", "check its quotes") from error
    if not {"prompt", "messages"} & set(names):
        raise UsageError(
            f"{file} has no column named prompt, and none named messages", f"columns: {', '.join(COLUMNS)}"
        )
    for name in names:
        if name and option_names.named(name) is None and name not in batch_rows.FIELDS:
            near = option_names.nearest(name)
            raise UsageError(
                f"{file} has a column {name!r:.80} that is not known",
                f"did you mean {near}?" if near else f"columns: {', '.join(COLUMNS)}",
            )
    lines: list[tuple[str, Any]] = []
    try:
        for number, row in enumerate(reader, 2):
            content: Any
            try:
                content = _csv_row(row, f"line {reader.line_num}")
            except UsageError as error:
                content = error
            lines.append((row.get("id") or str(number), content))
    except csv.Error as error:
        raise UsageError(
            f"{file} is not valid CSV after line {reader.line_num}: {error}", "check its quotes"
        ) from error
    return lines


def _csv_row(row: dict[Any, Any], line: str) -> dict[str, Any]:
    """A CSV row as the JSON object it stands for; empty cells are left out. Raises UsageError with the line and the column."""
    if None in row:
        raise UsageError(f"{line} has more cells than there are columns", "put cells with commas in quotes")
    cells = {name: text for name, text in row.items() if text}
    content: dict[str, Any] = {}
    of_columns: dict[str, Any] = {}
    for name, text in cells.items():
        if (option := option_names.named(name)) is None:
            content[name] = _field(name, text, f"{line}, column {name}")
        elif option in of_columns:
            raise UsageError(f"{line}: {option} is in two columns", "leave it in one of them")
        else:
            of_columns[option] = options.from_cell(options.OPTIONS[option], text, f"{line}, column {name}")
    if of_columns:
        content["options"] = _merged(content.get("options") or {}, of_columns, line)
    return content


def _field(name: str, text: str, label: str) -> Any:
    """A cell's value: options are JSON, a context is JSON or text, attachments and images JSON lists or names with semicolons."""
    if name in ("options", "messages") or (name in _JSON_OR_TEXT and text.lstrip()[:1] in _JSON_OR_TEXT[name]):
        return files.parse_json(text, label)
    if name in ("attachments", "images"):
        return [part.strip() for part in _BETWEEN.split(text) if part.strip()]
    return text


def _merged(given: Any, of_columns: dict[str, Any], line: str) -> dict[str, Any]:
    """The options of a row's ``options`` cell and of its own columns; each option may stand in one of them only."""
    if not isinstance(given, dict):
        raise UsageError(f"{line}, column options is not a JSON object", 'for instance {"max_tokens": 200}')
    if twice := sorted(given.keys() & of_columns.keys()):
        raise UsageError(f"{line}: {twice[0]} is in column {twice[0]} and in column options", "leave it in one of them")
    return given | of_columns
