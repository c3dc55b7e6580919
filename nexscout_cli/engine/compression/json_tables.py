"""A JSON list of records as a table, ``{"columns":[…],"rows":[[…],…]}``: each name once, equal values."""

from __future__ import annotations

import json
from typing import Any

MIN_RECORDS = 3


class _Literal(str):
    """A number as it was written."""


class _Record(list[tuple[str, Any]]):
    """An object's names and values in their order, duplicates included."""


_DECODER = json.JSONDecoder(
    object_pairs_hook=_Record, parse_int=_Literal, parse_float=_Literal, parse_constant=_Literal
)


def tabled(text: str) -> str | None:
    """The JSON text as a table; None where it is not a list of three or more flat records of the same names in the same order."""
    try:
        records = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(records, list) or len(records) < MIN_RECORDS or not isinstance(records[0], _Record):
        return None
    names = [name for name, _ in records[0]]
    if not names or len(set(names)) < len(names):
        return None
    for record in records:
        if not isinstance(record, _Record) or [name for name, _ in record] != names:
            return None
        if any(isinstance(value, list) for _, value in record):
            return None
    rows = ",".join("[" + ",".join(_dump(value) for _, value in record) + "]" for record in records)
    short = f'{{"columns":[{",".join(map(_dump, names))}],"rows":[{rows}]}}'
    return short if len(short) < len(text) and _restored(short) == records else None


def _dump(value: Any) -> str:
    if isinstance(value, _Literal):
        return value
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)


def _restored(table: str) -> list[_Record]:
    """The records that a table stands for."""
    (_, names), (_, rows) = _DECODER.decode(table)
    return [_Record(zip(names, row, strict=True)) for row in rows]
