"""The schema, as numbered files, and bringing a database to the newest one. Imported only where that is needed."""

from __future__ import annotations

from contextlib import suppress
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from psycopg import errors

from nexscout_cli.errors import StoreError
from nexscout_cli.store.postgres.connections import SCHEMA_VERSION, foreign, schema_version
from nexscout_cli.store.postgres.records import whole
from nexscout_cli.store.sqlite.folding import fold_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg import Connection

_LOCK = 0x6E78_0001
"""The advisory lock under which one program at a time migrates."""
_FOLDS = 15
"""The last migration that empties what hours are folded into."""
_START = """
CREATE SCHEMA IF NOT EXISTS nexscout;
SET LOCAL search_path = nexscout, pg_temp;
CREATE TABLE IF NOT EXISTS migrations (number integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());
"""
_OTHERS = """SELECT string_agg(name, ', ') FROM (
    SELECT relname AS name FROM pg_class WHERE relnamespace = 'nexscout'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')
    AND relname <> 'migrations'
    UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'nexscout'::regnamespace ORDER BY 1 LIMIT 3) s"""
"""What is there before the first migration."""


def migrations() -> list[tuple[int, str]]:
    """The number and SQL of each migration, in order."""
    found = [item for item in files(__package__).joinpath("migrations").iterdir() if item.name.endswith(".sql")]
    return sorted((int(item.name.partition("_")[0]), item.read_text(encoding="utf-8")) for item in found)


def migrate(connection: Connection[Any], fill: Callable[[], None]) -> None:
    """Bring the database to the newest schema in one transaction: all of it, or nothing changes.

    ``fill`` writes what new books start with. Raises StoreError where the login may not do that.
    """
    before = 0
    try:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            connection.execute(_START)
            row = connection.execute("SELECT coalesce(max(number), 0) FROM migrations").fetchone()
            before = int(row[0]) if row else 0
            if not before and (found := connection.execute(_OTHERS).fetchone()) is not None and found[0]:
                raise foreign(found[0])
            for number, sql in migrations():
                if before < number <= SCHEMA_VERSION:
                    connection.execute(sql.encode())
                    connection.execute("INSERT INTO migrations (number) VALUES (%s)", (number,))
            if not before:
                fill()
            elif before < _FOLDS:
                fold_all(whole(connection))
    except errors.InsufficientPrivilege as error:
        with suppress(errors.InsufficientPrivilege):
            before = schema_version(connection)
        is_older = f"these books have schema {before}, this nexscout needs {SCHEMA_VERSION}: " if before else ""
        raise StoreError(
            f"{is_older}this login may not make or change the schema: {error.diag.message_primary}",
            "run `nexscout db migrate` once as the database's owner, who may make roles (docs/postgres.md)",
            code="not_owner",
        ) from error
