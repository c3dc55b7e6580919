"""What a rule is, and how what it finds is told. No rule can end the check: what cannot be read is a finding itself."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.engine.book_types import Problem
from nexscout_cli.store.sqlite.dialect import POSTGRES, Dialect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from nexscout_cli.store.sqlite.records import Record
    from nexscout_cli.store.sqlite.transaction import Transaction

RESTORE = "keep a copy (`nexscout db backup`), then restore the newest backup that passes `nexscout db check`"
ROWS_FROM = "coalesce((SELECT max(until) FROM archives), '')"
"""The first day whose rows are all here: what is from before it is in archives, but for a few rows."""
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
    return told(rule.name, (str(row[0]) for row in t.execute(_worded(rule.sql, t.sql))), rule.fix)


_WORDS = {
    "{is_not}": ("IS NOT", "IS DISTINCT FROM"),
    "{least}": ("min", "least"),
    "{greatest}": ("max", "greatest"),
    "{costs}": (  # JSON that is none is a finding of another rule
        "CASE WHEN json_valid(t.price) THEN json_extract(t.price, '$.input') + json_extract(t.price, '$.output') > 0 END",
        f"{POSTGRES.whole('t.price', 'input')} + {POSTGRES.whole('t.price', 'output')} > 0",
    ),
    "{metadata}": ("CASE WHEN json_valid(metadata) THEN metadata END", "CAST(metadata AS text)"),
    "{is_here}": (  # by its name, which says when it began
        "f.request_id >= coalesce((SELECT printf('%011x', 1000 * strftime('%s', max(until))) FROM archives), '')",
        "f.request_id >= coalesce((SELECT lpad(to_hex(CAST(1000 * extract(epoch FROM "
        "CAST(max(until) || 'T00:00:00Z' AS timestamptz)) AS bigint)), 11, '0') FROM archives), '')",
    ),
    "{is_monthly}": (
        "e.reason GLOB 'month [0-9][0-9][0-9][0-9]-[0-9][0-9]'",
        "e.reason ~ '^month [0-9]{4}-[0-9]{2}$'",
    ),
}
"""What a rule's SQL leaves open, in SQLite's words and in PostgreSQL's."""


def _worded(sql: str, dialect: Dialect) -> str:
    for name, words in _WORDS.items():
        sql = sql.replace(name, words[dialect.is_postgres])
    return sql


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
    rows: Iterable[Record], label: Callable[[Record], str], faults: Callable[[Record], Iterable[str]]
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
