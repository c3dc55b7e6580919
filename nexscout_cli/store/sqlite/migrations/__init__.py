"""The schema, as migrations: every one there has been, in order. A migration is never rewritten.

Amounts are nano-dollars, prices pico-dollars per token, times UTC text of fixed width, JSON columns text.
"""

from __future__ import annotations

import sqlite3

from sqlite_utils import Migrations

MIGRATIONS = Migrations("nexscout")
ROLLED_UP_AT = {
    "usage_by_user_day": "user_id = new.user_id AND day = substr(new.created_at, 1, 10)",
    "usage_by_model_day": "day = substr(new.created_at, 1, 10) AND model = new.model_used AND feature = new.feature",
}
"""Which row of a roll-up a row of usage is in."""


def script(connection: sqlite3.Connection, sql: str) -> None:
    """Run statements one by one: ``executescript`` would commit the migration's transaction."""
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""


def moves_the_world(table: str, *verbs: str) -> str:
    """Triggers after which plans that were made before are stale."""
    return "".join(
        f"CREATE TRIGGER {table}_{verb.lower().replace(' ', '_')}_moves_the_world AFTER {verb} ON {table} BEGIN\n"
        "  UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'world_version';\nEND;\n"
        for verb in verbs
    )
