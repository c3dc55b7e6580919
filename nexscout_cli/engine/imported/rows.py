"""Rows of a file that is read piece by piece: JSON lines, one JSON document, a JSON list, or CSV; told apart by themselves."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from decimal import Decimal
from io import TextIOWrapper
from typing import Any, BinaryIO

from nexscout_cli.engine.imported.record import Left, Row
from nexscout_cli.errors import UsageError

MAX_LINE = 16 * 2**20
"""Bytes of a line or of an element of a list."""
MAX_DOCUMENT = 64 * 2**20
"""Bytes of a document that is one object over many lines; it is read whole."""
_CHUNK = 2**16
_NOT_JSON = Left("a line is not valid JSON")
_LONG = Left(f"a line is longer than {MAX_LINE // 2**20} MiB")
_NO_OBJECT = Left("a value is not a JSON object")
_ANY = (b"",)
"""A mark that each line has."""
_DECODER = json.JSONDecoder(parse_float=Decimal, parse_int=int)


def rows(file: BinaryIO, file_name: str, marks: tuple[bytes, ...] = _ANY) -> Iterator[Row | Left]:
    """The rows of a file; what is wrong with a part of it comes as Left, in its place.

    ``file`` must be able to seek. A line of JSON that has none of ``marks`` in it is passed over without being read. Raises
    UsageError for what is no such file.
    """
    head = file.read(_CHUNK)
    file.seek(0)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if b"\0" in head:
        raise UsageError(
            f"{file_name} is not a text file", "give JSON, JSON lines or CSV, unpacked, or a database for llm"
        )
    if start == b"[":
        return _unwrapped(_elements(TextIOWrapper(file, "utf-8-sig", "replace"), file_name))
    if start == b"{":
        return _unwrapped(_lines(file, file_name, marks))
    return _csv(TextIOWrapper(file, "utf-8-sig", "replace", newline=""))


def _unwrapped(values: Iterator[Any]) -> Iterator[Row | Left]:
    """Objects; of a page as interfaces answer, ``{"data": [...]}``, what is in it."""
    for value in values:
        if isinstance(value, Left):
            yield value
            continue
        page = value.get("data") if isinstance(value, dict) else None
        for row in page if isinstance(page, list) else (value,):
            yield row if isinstance(row, dict) else _NO_OBJECT


def _lines(file: BinaryIO, file_name: str, marks: tuple[bytes, ...]) -> Iterator[Any]:
    first = True
    while line := file.readline(MAX_LINE + 1):
        if len(line) > MAX_LINE:
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_LINE)
            yield _LONG
        elif (marks == _ANY or any(mark in line for mark in marks)) and (text := line.strip()):
            try:
                yield _value(text.decode("utf-8-sig" if first else "utf-8"))
            except (ValueError, RecursionError):
                if first:
                    file.seek(0)
                    yield from _document(file, file_name)
                    return
                yield _NOT_JSON
        first = first and not line.strip()


def _value(text: str) -> Any:
    """The one value of a text without space around it. Raises ValueError."""
    value, end = _DECODER.raw_decode(text)
    if end != len(text):
        raise ValueError
    return value


def _document(file: BinaryIO, file_name: str) -> Iterator[Any]:
    """One object over many lines; where it is none, lines again."""
    data = file.read(MAX_DOCUMENT + 1)
    if len(data) > MAX_DOCUMENT:
        raise UsageError(
            f"{file_name} is one JSON document of more than {MAX_DOCUMENT // 2**20} MiB",
            "give it as JSON lines: `jq -c '.data[]' FILE > FILE.jsonl`",
        )
    try:
        yield _DECODER.decode(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        for line in data.splitlines():
            if line.strip():
                try:
                    yield _DECODER.decode(line.decode("utf-8-sig"))
                except (ValueError, RecursionError):
                    yield _NOT_JSON


def _elements(text: TextIOWrapper, file_name: str) -> Iterator[Any]:
    """The elements of a list, one at a time; the file is never whole in memory."""
    buffer = text.read(_CHUNK).lstrip()[1:]
    at, ended = 0, False
    while True:
        while at < len(buffer) and buffer[at] in " \t\r\n,":
            at += 1
        if at < len(buffer) and buffer[at] == "]":
            return
        try:
            value, end = _DECODER.raw_decode(buffer, at)
            # A number at the buffer's end may go on in the next piece.
            if end == len(buffer) and not ended:
                raise ValueError
        except (ValueError, RecursionError):
            more = text.read(max(_CHUNK, len(buffer) - at))
            ended = not more
            if ended or len(buffer) - at > MAX_LINE:
                yield Left("the file ends, or is damaged, within a list")
                return
            buffer, at = buffer[at:] + more, 0
            continue
        yield value
        at = end


def _csv(text: TextIOWrapper) -> Iterator[Row | Left]:
    csv.field_size_limit(MAX_LINE)
    reader = csv.reader(text)
    header: list[str] | None = None
    while True:
        try:
            cells = next(reader, None)
        except csv.Error:
            yield Left("a line is not valid CSV")
            continue
        if cells is None:
            return
        if header is None:
            header = cells or None  # blank lines may come first
        elif len(cells) == len(header):
            yield dict(zip(header, cells, strict=True))
        elif cells:
            yield Left("a line has more or fewer cells than the header")
