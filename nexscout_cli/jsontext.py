"""JSON as the agreed shapes want it: money in fixed decimals, text as it is, no NaN."""

from __future__ import annotations

import json
import os
import re
from decimal import Decimal
from functools import cache
from typing import Any

plain = json.JSONEncoder(ensure_ascii=False).encode
"""JSON text of a value that holds no Decimal, on one line."""


def dumps(value: Any, indent: int | None = None) -> str:
    """JSON text; a Decimal becomes a number with all its decimals (``0.000000150``, never ``1.5e-07``)."""
    mark, marked = _mark()

    def decimal(item: object) -> str:
        if isinstance(item, Decimal):
            return f"{mark}{item:f}"
        raise TypeError(f"{type(item).__name__} has no JSON form")

    text = json.dumps(value, default=decimal, indent=indent, ensure_ascii=False, allow_nan=False)
    return marked.sub(r"\1", text)


@cache
def _mark() -> tuple[str, re.Pattern[str]]:
    """What stands before a number while it is text, by chance so that no text of anybody's has it; and what finds it."""
    mark = os.urandom(8).hex()
    return mark, re.compile(f'"{mark}([-0-9.]+)"')


def loads(text: str | bytes) -> Any:
    """The value of JSON text, decimals exact."""
    return json.loads(text, parse_float=Decimal)
