"""What leaves the books with a month: requests all of whose rows are from before its end, and what speaks against it.

A request leaves whole, with its attempts, their entries, its usage and its prediction, or stays whole. So one that went on
over a month's end leaves with the next month, and one of a kept conversation or of a job that is under way stays.
Grants and corrections stay, and verdicts, kept answers, jobs and accounts.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nexscout_cli.engine.book_types import Leaving
from nexscout_cli.errors import UsageError
from nexscout_cli.store.parquet import Column
from nexscout_cli.store.sqlite import archives, seals
from nexscout_cli.store.sqlite.archives import Spent
from nexscout_cli.store.sqlite.folding import folded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nexscout_cli.store.sqlite.seals import Upto
    from nexscout_cli.store.sqlite.transaction import Transaction

GOING = """WITH going AS MATERIALIZED (SELECT request_id FROM (
    SELECT request_id FROM requests WHERE created_at < :until
    UNION SELECT request_id FROM ai_model_usage WHERE created_at < :until
    UNION SELECT request_id FROM ai_cost_predictions WHERE created_at < :until) began
  WHERE NOT EXISTS (SELECT 1 FROM requests r WHERE r.request_id = began.request_id
    AND (r.created_at >= :until OR r.state IN ('open', 'unknown') OR r.key IS NOT NULL))
  AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.request_id = began.request_id
    AND (a.created_at >= :until OR a.settled_at >= :until OR a.claim IS NOT NULL))
  AND NOT EXISTS (SELECT 1 FROM attempts a JOIN ledger_entries e ON e.attempt = a.id
    WHERE a.request_id = began.request_id AND (e.created_at >= :until OR e.id > :entry))
  AND NOT EXISTS (SELECT 1 FROM ai_model_usage u WHERE u.request_id = began.request_id
    AND (u.created_at >= :until OR u.id > :usage))
  AND NOT EXISTS (SELECT 1 FROM ai_cost_predictions p WHERE p.request_id = began.request_id
    AND (p.created_at >= :until OR p.id > :prediction))
  AND request_id NOT IN (SELECT request_id FROM conversation_turns)
  AND request_id NOT IN (SELECT w.request_id FROM job_rows w JOIN jobs j ON j.id = w.job
    WHERE j.state <> 'ended' AND w.request_id IS NOT NULL))
"""
"""The names of the requests that leave; see ``values``."""
_OF = "WHERE request_id IN (SELECT request_id FROM going)"
_OF_ATTEMPT = f"WHERE attempt IN (SELECT id FROM attempts {_OF})"
TABLES = {
    "ledger_entries": _OF_ATTEMPT,
    "ai_model_usage": _OF,
    "ai_cost_predictions": _OF,
    "attempts": _OF,
    "requests": _OF,
}
"""The tables that rows leave, in the order in which they do, and which rows those are."""
_BESIDE = (
    Column("account_owner", "text"),
    Column("account_kind", "text"),
    Column("account_period", "text"),
    Column("request_id", "text"),
    Column("n", "int"),
)
"""What an entry's file says beside its columns: whose account it was, and of which attempt."""
_KINDS = {"integer": "int", "bigint": "int", "smallint": "int", "real": "float", "double precision": "float"}
_LINE = json.JSONEncoder(separators=(",", ":")).encode
_NO_END = 2**62


class Measured:
    """Rows of one table that are counted and hashed as they pass, and what those of the ledger come to by account."""

    def __init__(self) -> None:
        self.rows = 0
        self._digest = hashlib.sha256()
        self.spent: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])

    def over(self, rows: Iterable[Sequence[Any]], columns: Sequence[Column]) -> Iterator[tuple[Any, ...]]:
        """The rows as they come."""
        names = [column.name for column in columns]
        at = [names.index(name) for name in ("account", "kind", "amount")] if "account" in names else None
        for one in rows:
            row = tuple(one)
            self.rows += 1
            self._digest.update(_LINE(row).encode() + b"\n")
            if at is not None:
                account, kind, amount = (row[n] for n in at)
                of = self.spent[account]
                of[0] += 1
                of[1] += amount if kind == "post" else 0
            yield row

    def result(self) -> tuple[int, str, dict[int, Spent]]:
        """How many rows, their hash, and the accounts."""
        return self.rows, self._digest.hexdigest(), {account: Spent(*sums) for account, sums in self.spent.items()}


def columns(t: Transaction, table: str) -> list[Column]:
    """The columns of a table's file: all that the table has, but for computed ones."""
    if t.sql.is_postgres:
        found = t.execute(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'nexscout' "
            "AND table_name = ? AND is_generated = 'NEVER' AND (table_name, column_name) <> ('ledger_entries', 'of_request') "
            "ORDER BY ordinal_position",
            (table,),
        ).fetchall()
    else:
        found = t.execute(f"SELECT name, type FROM pragma_table_info('{table}')").fetchall()
    listed = [Column(name, _KINDS.get(kind.lower(), "text")) for name, kind in found]
    return [*listed, *_BESIDE] if table == "ledger_entries" else listed


def rows(t: Transaction, table: str, listed: Sequence[Column], until: str, upto: Upto) -> Iterator[Any]:
    """The rows of a table that leave with what ends before that day, in order."""
    names, source, order = ", ".join(f"x.{c.name}" for c in listed), f"{table} x", "request_id"
    if table == "ledger_entries":
        own = ", ".join(f"x.{c.name}" for c in listed[: -len(_BESIDE)])
        names = f"{own}, c.owner, c.kind, c.period, a.request_id, a.n"
        source += " JOIN accounts c ON c.id = x.account JOIN attempts a ON a.id = x.attempt"
    if table != "requests":
        order = "id"
    where = TABLES[table].replace("WHERE ", "WHERE x.", 1)
    return t.stream(f"{GOING} SELECT {names} FROM {source} {where} ORDER BY x.{order}", values(until, upto))


def run(t: Transaction, sql: str, until: str, upto: Upto, **more: Any) -> Any:
    """Run a statement that begins with ``going``, the names of the requests that leave."""
    return t.execute(f"{GOING} {sql}", values(until, upto) | more)


def _remove(t: Transaction, table: str, until: str, upto: Upto) -> int:
    where = TABLES[table].replace("SELECT request_id FROM going", f"{GOING} SELECT request_id FROM going")
    return t.execute(f"DELETE FROM {table} {where}", values(until, upto)).rowcount


class ByRow:
    """How rows leave the books: one by one."""

    def begin(self, until: str) -> None:
        """What leaves with what ends before that day will be read next."""

    def remove(self, t: Transaction, until: str, upto: Upto) -> dict[str, int]:
        """Remove it; returns how many rows of each table."""
        return {table: _remove(t, table, until, upto) for table in TABLES}

    @contextmanager
    def removed(self, t: Transaction) -> Iterator[None]:
        """The ledger as it is afterwards."""
        yield

    def end(self, t: Transaction) -> None:
        """Everything was looked at; what comes next is the commit."""


def values(until: str, upto: Upto) -> dict[str, Any]:
    """What ``GOING`` is asked with."""
    return {"until": until, "entry": upto.entry, "usage": upto.usage, "prediction": upto.prediction}


def sealed(t: Transaction, until: str) -> Upto:
    """How far the seals of the days before that one reach."""
    found = seals.NOTHING.upto
    for day in seals.days(t):
        if day.day < until:
            found = day.upto
    return found


def months(t: Transaction, before: str) -> list[str]:
    """The months that can be archived: over, before that day, and with rows. Raises UsageError for a day to come."""
    if before[:7] > t.month:
        raise UsageError(f"{before} has not been yet: only whole months that are over are archived", "give another day")
    oldest = [
        t.execute(f"SELECT min(created_at) FROM {table}").fetchone()[0]
        for table in ("requests", "ai_model_usage", "ai_cost_predictions")
    ]
    first = archives.rows_from(t.execute)
    month = max(min((str(at) for at in oldest if at), default=before), first)[:7]
    found = []
    while (after := archives.month_after(month)) <= before:
        found.append(month)
        month = after[:7]
    return found


def counted(t: Transaction, month: str) -> Leaving:
    """What would leave up to a month's end, and what speaks against it, "" for nothing; seals and folds come before."""
    until, upto = archives.month_after(month), seals.Upto(_NO_END, _NO_END, _NO_END)
    counts = [
        run(t, f"SELECT count(*) FROM {table} {where}", until, upto).fetchone()[0] for table, where in TABLES.items()
    ]
    entries, usage, predictions, attempts, requests = counts
    return Leaving(month, requests, attempts, entries, usage, predictions, cost(t, until, upto), _against(t, until))


def cost(t: Transaction, until: str, upto: Upto) -> int:
    """What the usage that leaves cost, in nano-dollars."""
    return int(run(t, f"SELECT coalesce(sum(cost_usd), 0) FROM ai_model_usage {_OF}", until, upto).fetchone()[0])


def refuse(t: Transaction, month: str) -> None:
    """Raises UsageError where something of a month is not settled, or not folded yet."""
    until = archives.month_after(month)
    if reason := _against(t, until):
        raise UsageError(f"{month} cannot be archived: {reason}", "then run this again", code="not_settled")
    books = folded(t)
    if books.end < f"{until}T00" or any(hour < until for hour in books.changed):
        raise UsageError(
            f"{month} cannot be archived: its sums for reports are not made yet",
            "run any command that writes, then this again; within minutes of a month's end it is too early",
            code="not_settled",
        )


def _against(t: Transaction, until: str) -> str:
    live, one = t.execute(
        "SELECT count(*), min(request_id) FROM attempts WHERE claim IS NOT NULL AND created_at < ?", (until,)
    ).fetchone()
    if live:
        return (
            f"{live:,} of its attempts {'is' if live == 1 else 'are'} not settled (for instance of {one}): "
            "`nexscout db resolve` lists and decides those whose outcome is unknown, `nexscout jobs` shows those of batches"
        )
    open_, one = t.execute(
        "SELECT count(*), min(request_id) FROM requests WHERE state IN ('open', 'unknown') AND created_at < ?", (until,)
    ).fetchone()
    if open_:
        return f"{open_:,} of its requests are not ended (for instance {one}): see `nexscout db resolve`"
    keys = t.execute("SELECT count(*) FROM requests WHERE key IS NOT NULL AND created_at < ?", (until,)).fetchone()[0]
    if keys:
        return f"{keys:,} of its requests still answer for an idempotency key, which is kept for a day: wait until then"
    return ""
