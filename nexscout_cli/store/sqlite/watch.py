"""What commits have changed of the books, as far as calls read what seldom changes: who a user is, the catalog, what was learned,
which accounts there are.

A paid call is two commits that change none of it, only accounts and rows of calls. Who knows that need not read it again.
"""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

_WATCHED = {
    "users": "",
    "user_efficiency_profiles": "",
    "meta": "WHEN {row}.key <> 'last_seen'",
    "ai_model_configs": "",
    "deployments": "",
    "budgets": "",
    "alerts": "",
    "accounts": "",
    "input_factors": "",
    "output_lengths": "",
    "thinking": "",
}
"""The tables that are meant, and which of their rows."""
_COLUMNS = {"accounts": "OF owner, kind, period, granted, base"}
"""Of a table, the columns whose updates alone are meant. What is held and spent of an account changes with each call."""


def looked_at(files: Sequence[str]) -> list[int]:
    """When each of these files was changed last, in nanoseconds, and its bytes; of those that are there."""
    found: list[int] = []
    for name in files:
        try:
            about = os.stat(name)  # noqa: PTH116 - asked for with each request
        except FileNotFoundError:
            continue
        found += (about.st_mtime_ns, about.st_size)
    return found


class Watch:
    """Counts the commits that changed any of it: our own by triggers that the writing connection alone has, other processes'
    by their effect on the files and on that connection. ``files``: those of which each commit changes one.
    """

    def __init__(self, connection: sqlite3.Connection, files: Sequence[str]) -> None:
        self._connection, self._files = connection, files
        self._numbers = itertools.count()
        self._all = self._few = next(self._numbers)
        self._is_open = self._changes = False
        self._version = self._data_version()
        self._about: list[int] = []
        connection.create_function("nexscout_changed", 0, self._changed)
        for table, which in _WATCHED.items():
            for event, row in (("INSERT", "new"), ("UPDATE", "new"), ("DELETE", "old")):
                columns = _COLUMNS.get(table, "") if event == "UPDATE" else ""
                connection.execute(
                    f"CREATE TEMP TRIGGER watched_{table}_{event} AFTER {event} {columns} ON main.{table} "
                    f"{which.format(row=row)} BEGIN SELECT nexscout_changed(); END"
                )

    def of_all(self) -> int:
        """Another number after each commit, whoever's it is."""
        self._look_out()
        return self._all

    def of_few(self) -> int | None:
        """Another number after each commit that changed any of what is watched; now and then after another one, too. None while
        a transaction that changed any of it is open: what is read now may be from before it, or be taken back.
        """
        self._look_out()
        return None if self._is_open and self._changes else self._few

    def begun(self) -> None:
        """A transaction of ours has begun: until it ends nobody else commits."""
        self._is_open, self._changes = True, False
        if (version := self._data_version()) != self._version:
            self._version = version
            self._few = self._all = next(self._numbers)

    def ended(self) -> None:
        """It was committed, or taken back; nobody else has had a turn since."""
        self._all = next(self._numbers)
        if self._changes:  # what was read meanwhile may be from before it
            self._few = self._all
        self._about = self._look()
        self._is_open = False

    def _changed(self) -> None:
        self._changes, self._few = True, next(self._numbers)

    def _look_out(self) -> None:
        if not self._is_open and (about := self._look()) != self._about:
            self._about = about
            self._few = self._all = next(self._numbers)

    def _data_version(self) -> int:
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def _look(self) -> list[int]:
        return looked_at(self._files)
