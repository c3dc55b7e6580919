"""What a rule is, and how what it finds is told. No rule can end the check: what cannot be read is a finding itself."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.engine.book_types import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from nexscout_cli.store.sqlite.transaction import Transaction

RESTORE = "keep a copy (`nexscout db backup`), then restore the newest backup that passes `nexscout db check`"
SHOWN = 10
"""Findings of one kind that are named one by one; the rest is counted."""
_LONGEST = 400
"""Characters of a finding that are shown."""


class Rule(NamedTuple):
    """A query that finds nothing in a sound database; each row that it finds is one message."""

    name: str
    sql: str
    fix: str = RESTORE


def examined(t: Transaction, rule: Rule) -> list[Problem]:
    """What a rule finds."""
    return told(rule.name, (str(row[0]) for row in t.execute(rule.sql)), rule.fix)


def told(name: str, messages: Iterable[str], fix: str = RESTORE) -> list[Problem]:
    """The messages as problems: the first ones, and how many more there are. What ends their making is one of them."""
    found: list[str] = []
    count = 0
    try:
        for message in messages:
            count += 1
            if count <= SHOWN:
                found.append(readable(message))
    except Exception as error:  # noqa: BLE001 - a check that ends halfway tells nobody what is wrong
        found.append(unread(name, error).message)
    problems = [Problem(name, message, fix) for message in found]
    if count > SHOWN:
        problems.append(Problem(name, f"and {count - SHOWN:,} more like these", fix))
    return problems


def each(
    rows: Iterable[sqlite3.Row], label: Callable[[sqlite3.Row], str], faults: Callable[[sqlite3.Row], Iterable[str]]
) -> Iterator[str]:
    """What is wrong with each row, after its label; a row that cannot be read has that as its fault."""
    for row in rows:
        try:
            found = list(faults(row))
        except Exception as error:  # noqa: BLE001 - whatever is in it, it is this row's fault
            found = [f"cannot be read: {_what(error)}"]
        for fault in found:
            yield f"{label(row)} {fault}"


def unread(name: str, error: Exception) -> Problem:
    """What to say of a rule that came to no end."""
    return Problem(name, readable(f"cannot be examined: {_what(error)}"), RESTORE)


def readable(text: str) -> str:
    """A message as one line of text that can be printed, whatever the database holds."""
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} …"


def _what(error: Exception) -> str:
    return f"{error}" if isinstance(error, sqlite3.Error) else f"{type(error).__name__} ({error})"
