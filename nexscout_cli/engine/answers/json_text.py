"""JSON in a model's answer: alone, in a fence, or behind prose that has braces of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

TRIES = 6
"""Fences, and lines that an object begins on, that are tried, the last first."""

_FENCE = re.compile(r"```\w*[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_BEGINS = re.compile(r"^[ \t]*+([{\[])", re.MULTILINE)
_BACKSLASH = re.compile(r"\\([\"\\/bfnrt]|u[0-9a-fA-F]{4})?")


class Found(NamedTuple):
    """A value of JSON, and where in the text it begins; ``mended``: it could be read only when its stray backslashes (of
    formulas) were let pass.
    """

    value: Any
    at: int
    mended: bool


def find(text: str) -> Found | None:
    """The JSON object in ``text``, the last of several, else another value; None where there is neither. Line breaks inside
    strings are let pass.
    """
    found: Found | None = None
    for at, part in _parts(text):
        read = _read(at, part)
        if read is not None and isinstance(read.value, dict):
            return read
        found = found or read
    return found


def _parts(text: str) -> Iterator[tuple[int, str]]:
    """Where JSON may stand: all there is, a fence, from the first brace on, from a line that begins with one, the first pair."""
    yield 0, text
    for fence in [*_FENCE.finditer(text)][: -TRIES - 1 : -1]:
        yield fence.start(), fence[1]
    first = text.find("{")
    starts = [first, *[match.start(1) for match in _BEGINS.finditer(text)][: -TRIES - 1 : -1]]
    for start in dict.fromkeys(starts):
        end = text.rfind("]" if text[start : start + 1] == "[" else "}")
        if 0 <= start < end:
            yield start, text[start : end + 1]
    if 0 <= first < (end := text.find("}", first)):
        yield first, text[first : end + 1]


def _read(at: int, part: str) -> Found | None:
    for mended in (False, True):
        try:
            return Found(json.loads(_BACKSLASH.sub(_kept, part) if mended else part, strict=False), at, mended)
        except (ValueError, RecursionError):
            continue
    return None


def _kept(match: re.Match[str]) -> str:
    return match[0] if match[1] else "\\\\"
