"""How months leave a database whose tables lie by month: whole tables go at once, and only what lies elsewhere row by row."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.store.sqlite import leaving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from nexscout_cli.store.postgres.transactions import PostgresTransactions
    from nexscout_cli.store.sqlite.seals import Upto
    from nexscout_cli.store.sqlite.transaction import Transaction

FEW = 10_000
"""Rows of a table that may stay of a month whose tables go: they are moved elsewhere, while all others wait."""
_KEYS = {name: "of_request" if name == "ledger_entries" else "request_id" for name in leaving.TABLES}
_NAMES = f"INSERT INTO leaving {leaving.GOING} SELECT request_id FROM going"
_AS_IT_WILL_BE = """CREATE TEMP VIEW ledger_entries AS SELECT * FROM nexscout.ledger_entries e
    WHERE NOT EXISTS (SELECT 1 FROM leaving g WHERE g.request_id = e.of_request)"""


class _Month(NamedTuple):
    """A month that goes: its first day, its first name and the next month's, and the rows of each table that leave with it."""

    day: date
    low: str
    high: str
    rows: dict[str, int]


class ByMonth(leaving.ByRow):
    """Tables of months of which all leaves, or all but a few rows, are dropped; from the others rows leave one by one."""

    def __init__(self, store: PostgresTransactions) -> None:
        self._store = store
        self._going: list[_Month] = []

    def begin(self, until: str) -> None:
        """From here on it is told where somebody changes a row of those months."""
        with self._store.db.one() as connection:
            connection.execute("SELECT nexscout.watch_months(%s)", (until,))

    def remove(self, t: Transaction, until: str, upto: Upto) -> dict[str, int]:
        """Remove what lies elsewhere; the rest goes in the end."""
        t.execute('CREATE TEMP TABLE leaving (request_id text COLLATE "C" PRIMARY KEY) ON COMMIT DROP')
        t.execute(_NAMES, leaving.values(until, upto))
        t.execute("ANALYZE leaving")
        months = t.execute(
            "SELECT * FROM (SELECT months_before(?) AS day) m, LATERAL first_name(day) low, "
            "LATERAL first_name((day + interval '1 month')::date) high ORDER BY day",
            (until,),
        ).fetchall()
        self._going = [month for row in months if (month := _goes(t, *row))]
        for month in self._going:
            t.execute("SELECT keep_aside(?)", (month.day,))
        gone = {}
        for table, key in _KEYS.items():
            of = self._going if table != "requests" else []
            elsewhere = "".join(f" AND NOT ({key} >= '{month.low}' AND {key} < '{month.high}')" for month in of)
            removed = t.execute(f"DELETE FROM {table} WHERE {key} IN (SELECT request_id FROM leaving){elsewhere}")
            gone[table] = removed.rowcount + sum(month.rows[table] for month in of)
        return gone

    @contextmanager
    def removed(self, t: Transaction) -> Iterator[None]:
        """The ledger as it will be."""
        t.execute(_AS_IT_WILL_BE)
        t.execute("SET LOCAL search_path = pg_temp, nexscout")
        yield
        t.execute("SET LOCAL search_path = nexscout, pg_temp")
        t.execute("DROP VIEW pg_temp.ledger_entries")

    def end(self, t: Transaction) -> None:
        """Drop the tables of months: others wait from here to the commit. Fails where somebody has changed a row there."""
        if self._going:
            t.execute("SELECT drop_months(?)", ([month.day for month in self._going],))


def _goes(t: Transaction, day: date, low: str, high: str) -> _Month | None:
    """A month, if its tables may go: all that it has leaves, or all but a few rows."""
    rows, stay = {}, []
    for table, key in _KEYS.items():
        if table != "requests":
            rows[table], stays = t.execute(
                f"SELECT count(g.request_id), count(*) - count(g.request_id) FROM {table}_{day:%Y_%m} p "
                f"LEFT JOIN leaving g ON g.request_id = p.{key}"
            ).fetchone()
            stay.append(stays)
    return _Month(day, low, high, rows) if not any(stay) or (any(rows.values()) and max(stay) <= FEW) else None
