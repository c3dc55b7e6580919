"""The two ends of a copy in PostgreSQL: books that are read, books that are made."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from nexscout_cli.errors import UsageError
from nexscout_cli.store.copying import TABLES, Totals
from nexscout_cli.store.postgres.connections import (
    SCHEMA_VERSION,
    UNFINISHED,
    Connection,
    Connections,
    schema_version,
    unusable,
)
from nexscout_cli.store.postgres.records import storable, whole, without_nul
from nexscout_cli.store.postgres.schema import migrate
from nexscout_cli.store.sqlite import archives
from nexscout_cli.store.sqlite.folding import fold_all
from nexscout_cli.store.sqlite.folds import FOLDS
from nexscout_cli.store.sqlite.rollups import ROLLUPS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nexscout_cli.store.copying import Sums

_COLUMNS = """SELECT column_name FROM information_schema.columns
    WHERE table_schema = 'nexscout' AND table_name = %s AND is_generated = 'NEVER'
    AND (table_name, column_name) <> ('ledger_entries', 'of_request') ORDER BY ordinal_position"""
_MONTHS = "SELECT nexscout.make_months_of('requests', 'request_id')"
_COPIED_ENTRIES = "CREATE TEMP TABLE copied_entries ON COMMIT DROP AS SELECT * FROM ledger_entries WITH NO DATA"
_ENTRIES = """INSERT INTO ledger_entries ({names}, of_request)
    SELECT {of_each}, coalesce(t.request_id, CASE WHEN e.attempt IS NULL THEN '' ELSE '?' END)
    FROM copied_entries e LEFT JOIN attempts t ON t.id = e.attempt ORDER BY e.id"""
"""An entry lies where its attempt does; '?' for one that is not there, which `db check` tells of."""
_CLAIMS = "INSERT INTO claims SELECT claim, request_id, n FROM attempts WHERE claim <> request_id || '/' || n"
_SUMS = """INSERT INTO usage_by_user_day SELECT user_id, substr(created_at, 1, 10), {sums} FROM numbered
    WHERE created_at >= {day} GROUP BY 1, 2;
    INSERT INTO usage_by_model_day SELECT substr(created_at, 1, 10), model_used, feature, 0, {sums} FROM numbered
    WHERE created_at >= {day} GROUP BY 1, 2, 3"""
_JSON = frozenset({"plan", "decision", "metadata"})
"""Columns of type jsonb."""
_PATIENT = "SET LOCAL idle_in_transaction_session_timeout = 0"
"""One end waits while the other one works."""
_AT_A_TIME = 2_000
"""Rows that are asked for at a time."""

_NAMED = ("api_keys", "conversations", "jobs", "job_parts")
"""Tables whose ids are names, not numbers that the database counts up."""


class _Books:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def state(self) -> str:
        """Another text whenever something was written: the time last seen, and the catalog's version."""
        rows = self._connection.execute("SELECT key, value FROM meta ORDER BY key").fetchall()
        return " ".join(f"{name} {value}" for name, value in rows)

    def columns(self, table: str) -> list[str]:
        """The names of a table's columns, without computed ones."""
        return [row[0] for row in self._connection.execute(_COLUMNS, (table,))]

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[Sequence[Any]]:
        """Its rows, in the order of their ids where they have some."""
        order = sql.SQL("ORDER BY id" if "id" in columns and table != "api_keys" else "")
        with self._connection.cursor("copied") as cursor:
            cursor.itersize = _AT_A_TIME
            cursor.execute(sql.SQL("SELECT {} FROM {} {}").format(_named(columns), sql.Identifier(table), order))
            for row in cursor:
                yield tuple(row)

    def rows_from(self) -> str:
        """The first day whose rows are here, "" where all are."""
        return archives.rows_from(whole(self._connection).execute)

    def sums(self, of: Sums, before: str) -> Iterator[Sequence[Any]]:
        """The sums of what is from before that day, the slices of a day put together."""
        keys = _named(of.keys)
        values = [
            sql.Identifier(name)
            if name == "counts"
            else sql.SQL("CAST(sum({}) AS bigint)").format(sql.Identifier(name))
            for name in of.values
        ]
        grouped = sql.SQL("" if "counts" in of.values else "GROUP BY {}").format(keys)
        query = sql.SQL("SELECT {}, {} FROM {} WHERE {} < %s {}").format(
            keys, sql.SQL(", ").join(values), sql.Identifier(of.table), sql.Identifier(of.at), grouped
        )
        with self._connection.cursor("copied") as cursor:
            cursor.itersize = _AT_A_TIME
            cursor.execute(query, (before,))
            for row in cursor:
                yield tuple(row)

    def write(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Write rows, with no trigger looking on."""
        name = sql.Identifier(table)
        self._connection.execute(sql.SQL("DELETE FROM {}").format(name))  # the three rows of a new `meta`
        if table == "ledger_entries":
            self._connection.execute(_COPIED_ENTRIES)
            self._copy("copied_entries", columns, rows)
            of_each = sql.SQL(", ").join(sql.Identifier("e", one) for one in columns)
            self._connection.execute(sql.SQL(_ENTRIES).format(names=_named(columns), of_each=of_each))
        else:
            self._copy(table, columns, rows)
        if table == "requests":
            self._connection.execute(_MONTHS)
        if "id" in columns and table not in _NAMED:
            self._connection.execute(
                sql.SQL(
                    "SELECT setval(pg_get_serial_sequence({}, 'id'), coalesce(max(id), 0) + 1, false) FROM {}"
                ).format(sql.Literal(f"nexscout.{table}"), name)
            )

    def _copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        query = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), _named(columns))
        with self._connection.cursor() as cursor, cursor.copy(query) as copy:
            into_json = [name in _JSON for name in columns]
            for row in rows:
                copy.write_row(
                    [
                        without_nul(value) if is_json else value
                        for value, is_json in zip(storable(row), into_json, strict=True)
                    ]
                )

    def write_sums(self, of: Sums, rows: Iterable[Sequence[Any]], before: str) -> Totals:
        """Write sums of what is from before that day; none are here yet."""
        sliced = ("slice",) if of.table == "usage_by_model_day" else ()
        columns = (*of.columns, *sliced)
        self.write(of.table, columns, ((*row, *(0 for _ in sliced)) for row in rows))
        return self.totals(of.table, [name for name in of.values if name != "counts"])

    def fold_from(self, day: str) -> None:
        """All before that day is folded."""
        self._connection.execute("DELETE FROM fold_marks")
        self._connection.execute("INSERT INTO fold_marks (hour, is_end) VALUES (%s, 1)", (f"{day}T00",))

    def totals(self, table: str, columns: Sequence[str]) -> Totals:
        """What a table has now, with the sums of the columns that are named."""
        sums = [sql.SQL("coalesce(sum({}), 0)").format(sql.Identifier(name)) for name in columns]
        query = sql.SQL("SELECT {} FROM {}").format(
            sql.SQL(", ").join([sql.SQL("count(*)"), *sums]), sql.Identifier(table)
        )
        row = self._connection.execute(query).fetchone()
        assert row is not None
        count, *found = row
        return Totals(count, dict(zip(columns, found, strict=True)))


class _NewBooks(_Books):
    """Books that are being made. Each table is committed when it is whole, with its mark in ``copied``."""

    def begin(self, state: str) -> dict[str, int]:
        """The tables that are here from a copy that was cut short, and how many rows they have."""
        rows = self._connection.execute("SELECT name, rows FROM copied WHERE state = %s", (state,)).fetchall()
        return {row[0]: row[1] for row in rows}

    def write(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Write rows, with no trigger looking on; all of a table or nothing."""
        with self._connection.transaction():
            self._connection.execute(_PATIENT)
            super().write(table, columns, rows)

    def keep(self, table: str, rows: int, state: str) -> None:
        """A table is whole."""
        self._connection.execute(
            "INSERT INTO copied VALUES (%s, %s, %s) "
            "ON CONFLICT (name) DO UPDATE SET rows = excluded.rows, state = excluded.state",
            (table, rows, state),
        )


def _named(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


@contextmanager
def reading(connections: Connections) -> Iterator[_Books]:
    """The books as they are now."""
    with connections.one() as connection:
        try:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            connection.execute(_PATIENT)
            yield _Books(connection)
            connection.execute("COMMIT")
        except psycopg.Error as error:
            raise unusable(error) from error


@contextmanager
def making(url: str, timeout: float) -> Iterator[_NewBooks]:
    """New books, which nobody can use before all of them are there. Raises UsageError where there are some.

    A copy that is cut short leaves the tables that are whole, for the next one to go on with.
    """
    connections = Connections(url, timeout)
    try:
        with connections.one() as connection:
            begun = schema_version(connection) == UNFINISHED
            with connection.transaction():
                _go_on(connection) if begun else _begin(connection)
            yield _NewBooks(connection)
            with connection.transaction():
                connection.execute(_PATIENT)
                _add_up(connection)
                _looked_on(connection, on=True)
                connection.execute("DROP TABLE copied")
                connection.execute("DELETE FROM migrations WHERE number = %s", (UNFINISHED,))
    except psycopg.Error as error:
        raise unusable(error) from error
    finally:
        connections.close()


def _go_on(connection: Connection) -> None:
    row = connection.execute("SELECT max(number) FROM migrations WHERE number < %s", (UNFINISHED,)).fetchone()
    if row is None or row[0] != SCHEMA_VERSION:
        raise UsageError(
            "another version of nexscout has begun a copy there", "end it with that one, or give an empty database"
        )


def _begin(connection: Connection) -> None:
    migrate(connection, lambda: None)
    if connection.execute("SELECT 1 FROM users LIMIT 1").fetchone():
        raise UsageError("there are books in that database", "give one that is empty")
    _looked_on(connection, on=False)
    connection.execute("CREATE TABLE copied (name text PRIMARY KEY, rows bigint NOT NULL, state text NOT NULL)")
    connection.execute("INSERT INTO migrations (number) VALUES (%s)", (UNFINISHED,))


def _looked_on(connection: Connection, *, on: bool) -> None:
    """Turn triggers and policies off, or on again; other transactions never see them off."""
    for table in (*TABLES, *ROLLUPS, "fold_marks", "folding", *(fold.table for fold in FOLDS)):
        words = ("ENABLE", "FORCE") if on else ("DISABLE", "NO FORCE")
        for change in (f"{words[0]} TRIGGER USER", f"{words[1]} ROW LEVEL SECURITY"):
            connection.execute(sql.SQL("ALTER TABLE {} ").format(sql.Identifier(table)) + sql.SQL(change))


def _add_up(connection: Connection) -> None:
    from nexscout_cli.engine.sums import SUMS

    counted = ("sum(first)", *(f"count(*) FILTER (WHERE outcome = '{name}')" for name in ("posted", "hit", "failed")))
    sums = ", ".join((*counted, *(f"sum({name})" for name in SUMS[4:])))
    connection.execute(
        "CREATE TEMP VIEW numbered AS SELECT *, CASE WHEN id = min(id) OVER (PARTITION BY request_id) THEN 1 ELSE 0 END "
        "AS first FROM nexscout.ai_model_usage"
    )
    day = "coalesce((SELECT max(until) FROM archives), '')"
    connection.execute(_SUMS.format(sums=sums, day=day).encode())
    connection.execute("DROP VIEW numbered")
    connection.execute(_CLAIMS)
    connection.execute("SELECT nexscout.make_months_of(name || '_rest', key) FROM nexscout.tables_by_month()")
    fold_all(whole(connection))
