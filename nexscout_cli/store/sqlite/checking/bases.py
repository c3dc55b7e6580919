"""``accounts.base``: what the users' days had in a window when its account was opened, worked out from the entries anew."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from nexscout_cli.engine.names import EVERYONE
from nexscout_cli.store.sqlite import archives

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nexscout_cli.store.sqlite.records import Record
    from nexscout_cli.store.sqlite.transaction import Transaction

_ENTRIES = """SELECT e.id, e.attempt, e.account, e.kind, e.amount, e.reason, a.owner, a.kind AS unit, a.period
    FROM ledger_entries e JOIN accounts a ON a.id = e.account WHERE a.kind <> 'energy' ORDER BY e.id"""
_DAY, _MONTH = len("2026-11-10"), len("2026-11")


def faults(t: Transaction) -> Iterator[str]:
    """Accounts that began with another sum than the entries before them come to."""
    first = archives.rows_from(t.execute)[:_MONTH]
    bases = {
        row["id"]: row
        for row in t.execute("SELECT id, owner, kind, period, base FROM accounts")
        if row["period"] >= first or not _sums_days(row)  # the entries of the others are archived
    }
    opened = _opened(t) if any(_sums_days(row) or row["base"] for row in bases.values()) else {}
    for number, row in bases.items():
        expected = opened.get(number, 0) if _sums_days(row) else 0
        if row["base"] != expected:
            yield (
                f"{row['kind']} of {row['owner']} ({row['period']}): base is {row['base']}, "
                f"the entries before it come to {expected}"
            )


def _sums_days(row: Record) -> bool:
    """Whether an account's window is made of users' days: a month, or what all users have together."""
    if row["kind"] == "energy" or (row["owner"] != EVERYONE and row["owner"].startswith(EVERYONE)):
        return False
    return row["owner"] == EVERYONE or len(row["period"]) == _MONTH


def _opened(t: Transaction) -> dict[int, int]:
    """What the days of each account's window had beyond its own use when it last got a cap."""
    held: dict[tuple[int, int], int] = {}
    own: Counter[int] = Counter()
    days: Counter[tuple[str, str, str]] = Counter()
    found: dict[int, int] = {}
    for row in t.stream(_ENTRIES):
        number, owner, unit, period = row["account"], row["owner"], row["unit"], row["period"]
        if row["attempt"] is None:
            if row["kind"] == "grant" and row["reason"] == "cap":
                found[number] = max(own[number], days[owner, unit, period]) - own[number]
            continue
        amount = row["amount"]
        if row["kind"] == "hold":
            held[row["attempt"], number] = amount
        else:
            freed = held.pop((row["attempt"], number), 0)
            amount = (amount if row["kind"] == "post" else 0) - freed
        own[number] += amount
        if len(period) == _DAY and not owner.startswith(EVERYONE):
            for whose in (owner, EVERYONE):
                days[whose, unit, period[:_MONTH]] += amount
            days[EVERYONE, unit, period] += amount
    return found
