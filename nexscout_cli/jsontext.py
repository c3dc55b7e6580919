"""JSON as the agreed shapes want it: money in fixed decimals, text as it is, no NaN."""

from __future__ import annotations

import json
import os
import re
from decimal import Decimal
from functools import cache
from json import encoder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def writer(*, default: Callable[[Any], Any] | None = None, **how: Any) -> Callable[[Any], str]:
    """A function that writes JSON on one line, as ``json.dumps`` does with these options, which refuses a circle by
    RecursionError. ``json.dumps`` makes its encoder anew for each value, which takes several times as long as a small value.
    """
    kind = json.JSONEncoder(default=default, **how)
    make: Any = encoder.c_make_encoder
    if make is None:  # an interpreter without the fast encoder
        return kind.encode
    text = encoder.encode_basestring_ascii if kind.ensure_ascii else encoder.encode_basestring
    separators = kind.key_separator, kind.item_separator
    write = make(None, kind.default, text, None, *separators, kind.sort_keys, kind.skipkeys, kind.allow_nan)
    return lambda value: "".join(write(value, 0))


plain = writer(ensure_ascii=False)
"""JSON text of a value that holds no Decimal, on one line."""
quoted: Callable[[str], str] = encoder.encode_basestring
"""JSON text of a string."""
usual = writer()
"""The same in ASCII, as ``json.dumps`` writes it."""


def dumps(value: Any, indent: int | None = None) -> str:
    """JSON text; a Decimal becomes a number with all its decimals (``0.000000150``, never ``1.5e-07``)."""
    mark, marked, decimal, write = _marked()
    if indent is None:
        text = write(value)
    else:
        text = json.dumps(value, default=decimal, indent=indent, ensure_ascii=False, allow_nan=False)
    return marked.sub(r"\1", text) if mark in text else text


@cache
def _marked() -> tuple[str, re.Pattern[str], Callable[[object], str], Callable[[Any], str]]:
    """What stands before a number while it is text, by chance so that no text of anybody's has it; what finds it; what puts
    it there; what writes a value on one line.
    """
    mark = os.urandom(8).hex()

    def decimal(item: object) -> str:
        if isinstance(item, Decimal):
            return f"{mark}{item:f}"
        raise TypeError(f"{type(item).__name__} has no JSON form")

    return (
        mark,
        re.compile(f'"{mark}([-0-9.]+)"'),
        decimal,
        writer(default=decimal, ensure_ascii=False, allow_nan=False),
    )


def loads(text: str | bytes) -> Any:
    """The value of JSON text, decimals exact."""
    return _exact.decode(text) if isinstance(text, str) else json.loads(text, parse_float=Decimal)


_exact = json.JSONDecoder(parse_float=Decimal)
