"""Months whose rows lie in archives: which there are, from which day on the rows are here, and what to say of the others."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.errors import UsageError
from nexscout_cli.months import next_month

if TYPE_CHECKING:
    from nexscout_cli.engine.book_types import Archive, Filed
    from nexscout_cli.engine.report_window import Window
    from nexscout_cli.store.sqlite.records import Execute

_COLUMNS = "month, until, folder, requests, attempts, entries, usage, predictions, cost_usd, archived_at"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS = 11
"""Characters of a request's name that say when it began, in milliseconds."""


class Spent(NamedTuple):
    """How many entries of an account leave, and how much of them was posted."""

    entries: int
    spent: int


def rows_from(execute: Execute) -> str:
    """The first day whose rows are here (YYYY-MM-DD), "" where all are."""
    row = execute("SELECT max(until) FROM archives").fetchone()
    return str(row[0] or "")


def known(execute: Execute) -> list[Archive]:
    """The archives there are, oldest first."""
    rows = execute(f"SELECT {_COLUMNS} FROM archives ORDER BY month").fetchall()
    if not rows:
        return []
    from nexscout_cli.engine.book_types import Archive  # commands that run often have none

    return [Archive(*row) for row in rows]


def filed(execute: Execute) -> list[Filed]:
    """The same, as everybody may know of them."""
    rows = execute("SELECT month, until, folder FROM archives ORDER BY month").fetchall()
    if not rows:
        return []
    from nexscout_cli.engine.book_types import Filed

    return [Filed(*row) for row in rows]


def first_name(day: str) -> str:
    """The least name that a request of that day can have."""
    return f"{int(datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC).timestamp() * 1000):0{_DIGITS}x}"


def of_request(execute: Execute, name: str) -> Filed | None:
    """The archive in which a request is by its name, or the beginning of it; None where it would be here."""
    try:
        began = datetime.fromtimestamp(int(f"{name:0<{_DIGITS}}"[:_DIGITS], 16) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    day = f"{began:%Y-%m-%d}"
    # A request that ended in the next month is in that month's.
    return next((one for one in filed(execute) if day < one.until), None)


def where(execute: Execute) -> str:
    """The folders of all archives, as a text."""
    return ", ".join(dict.fromkeys(one.folder for one in filed(execute)))


def need_rows(execute: Execute, since: datetime, what: str) -> None:
    """Raises UsageError where rows from ``since`` on are archived; ``what`` needs them: the beginning of a sentence."""
    day = rows_from(execute)
    if day and f"{since.astimezone(UTC):%Y-%m-%d}" < day:
        raise UsageError(
            f"{what} single rows, and those from before {day} are archived in {where(execute)}",
            f"ask from {day} on, or read the files there",
            code="archived",
        )


def widened(execute: Execute, window: Window, unit: timedelta) -> Window:
    """A window that begins and ends at whole units of UTC (an hour, a day) where rows are archived, of which sums are known."""
    first = rows_from(execute)
    if not first:
        return window
    start = datetime.combine(date.fromisoformat(first), datetime.min.time(), UTC)
    since, until = window.since, window.until
    if since < start:
        since -= (since - _EPOCH) % unit
    if until < start:
        until += -(until - _EPOCH) % unit
    return window._replace(since=since, until=until)


def month_after(month: str) -> str:
    """The first day of the next month: 2026-11-01 for 2026-10."""
    return next_month(date.fromisoformat(f"{month}-01")).isoformat()


def closings(execute: Execute, month: str) -> dict[int, Spent]:
    """What took the place of a month's entries, by account."""
    rows = execute("SELECT account, entries, spent FROM closings WHERE month = ?", (month,)).fetchall()
    return {row[0]: Spent(row[1], row[2]) for row in rows}


def closings_hash(execute: Execute, spent: dict[int, Spent]) -> str:
    """The hash of that: a line for each account, by what it is called."""
    import hashlib  # commands that only ask which months are archived need neither
    import json

    names = execute("SELECT id, owner, kind, period FROM accounts").fetchall()
    digest = hashlib.sha256()
    for line in sorted(
        [owner, kind, period, *spent[number]] for number, owner, kind, period in names if number in spent
    ):
        digest.update(json.dumps(line).encode() + b"\n")
    return digest.hexdigest()
