"""SQLite's own view: pages, indexes, constraints, types, and rows that refer to rows."""

from __future__ import annotations

import re
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nexscout_cli.store.sqlite.transaction import Transaction

_A_VALUE = re.compile(r"CHECK constraint failed|NULL value in|non-\w+ value in|(NUMERIC|TEXT) value in|refers to a row")


def faults(t: Transaction) -> Iterator[str]:
    """What SQLite says is wrong with the file."""
    try:
        for (line,) in t.execute("PRAGMA integrity_check"):
            if line != "ok":
                yield str(line)
        for row in t.execute("PRAGMA foreign_key_check"):
            named = f"row {row[1]}" if row[1] is not None else "a row"
            yield f"{named} of {row[0]} refers to a row of {row[2]} that is not there"
    except sqlite3.DatabaseError as error:
        yield str(error)


def is_of_a_value(message: str) -> bool:
    """Whether the finding is about what a row holds: then what the rows say can still be examined."""
    return bool(_A_VALUE.search(message))
