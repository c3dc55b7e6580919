"""A text made shorter in the way of its kind. Each way is a module with one function, imported when it is needed."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re

WAYS = {
    "diff": "diffs",
    "log": "logs",
    "code": "code",
    "table": "tables",
    "columns": "tables",
    "records": "tables",
    "mail": "mail",
    "html": "html_text",
    "markdown": "markdown",
    "entries": "entries",
    "sql": "sql_dump",
    "notebook": "notebooks",
    "prose": "extract",
}
"""Kinds of text that can be shortened, and the module that does it. Configuration and other JSON stay whole."""


def shorten(text: str, kind: str, question: str, keep: float, pinned: re.Pattern[str] | None = None) -> str:
    """The text of that kind with at most about ``keep`` (0..1) of its characters; as it is where nothing can be cut safely.

    ``pinned``: what of prose stays whatever it weighs.
    """
    if kind not in WAYS or keep >= 1:
        return text
    way = import_module(f"nexscout_cli.engine.compression.{WAYS[kind]}")
    short: str = way.extract(text, question, keep, pinned) if kind == "prose" else way.shorten(text, question, keep)
    return short
