"""The schema itself: every table, index, trigger and view as a new database of this version has it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from nexscout_cli.engine.book_types import Problem
from nexscout_cli.store.sqlite.checking.findings import RESTORE, readable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nexscout_cli.store.sqlite.transaction import Transaction

_OBJECTS = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite^_stat%' ESCAPE '^'"
_MIGRATIONS = "SELECT name FROM _sqlite_migrations WHERE migration_set = 'nexscout'"
# Indexes that SQLite makes for a table's own constraints have no SQL, and come back with their table alone.
_NO_SQL = ""


def problems(t: Transaction) -> Iterator[Problem]:
    """What is not there, is there in another form, or is there and should not be."""
    from nexscout_cli.store.sqlite import schema

    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        fresh.row_factory = sqlite3.Row
        schema.migrate(fresh)
        wanted = _objects(fresh)
        steps = {row[0] for row in fresh.execute(_MIGRATIONS)}
    found = _objects(t.connection)
    for (kind, name), sql in wanted.items():
        if (kind, name) not in found:
            yield Problem("schema", f"the {kind} {name} is missing", _put_back(kind, sql))
        elif found[kind, name] != sql:
            fix = f"drop it, then {_put_back(kind, sql)}" if kind in ("index", "trigger", "view") else RESTORE
            yield Problem("schema", f"the {kind} {name} is not what this program made: {found[kind, name]:.120}", fix)
    for kind, name in found.keys() - wanted.keys():
        message = readable(f"there is a {kind} {name!r} that this program did not make: {found[kind, name]:.120}")
        yield Problem("schema", message, f"if nobody needs it: DROP {kind.upper()} (with sqlite3)")
    if ("table", "_sqlite_migrations") in found:
        taken = {row[0] for row in t.execute(_MIGRATIONS)}
        if taken != steps:
            names = ", ".join(sorted(map(str, taken ^ steps)))
            yield Problem("schema", f"the record of migrations is not that of this version: {names}", RESTORE)


def _objects(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    """SQL by kind and name, on one line."""
    return {(kind, name): " ".join((sql or _NO_SQL).split()) for kind, name, sql in connection.execute(_OBJECTS)}


def _put_back(kind: str, sql: str) -> str:
    return f"put it back (with sqlite3): {sql};" if sql and kind in ("index", "trigger", "view") else RESTORE
