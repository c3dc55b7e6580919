"""Accounts and their entries: the only code that moves energy, dollars and tokens.

An account is the sum of its entries: granted = grants + adjustments, held = holds neither posted nor voided, spent = posts.
What a user uses in a day is always entered. Months and the installation have accounts only while they have a cap; ``base``
is what the users' days had in that window when the account was opened.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from nexscout_cli.config import Settings
from nexscout_cli.engine.names import EVERYONE
from nexscout_cli.errors import StalePlan
from nexscout_cli.store.sqlite.store import day_of, stamp

PREPAID = "prepaid"
"""The period of energy accounts: what is granted and not used stays."""


class Budget(NamedTuple):
    """A dollar or token budget of a call; ``cap`` None: no limit."""

    unit: str
    scope: str
    window: str
    owner: str
    period: str
    cap: int | None

    @property
    def entered(self) -> bool:
        """Whether a call's use of it is entered: of a user's day always, of what else there is while it has a cap."""
        return self.cap is not None or (self.scope, self.window) == ("user", "day")


def budgets(settings: Settings, user_id: str, tier: str, now: datetime) -> tuple[Budget, ...]:
    """Every budget of a user's call at that time: dollars and tokens, of the user and in total, by day and by month."""
    return _budgets(settings, user_id, tier, day_of(now))


@lru_cache(maxsize=64)
def _budgets(settings: Settings, user_id: str, tier: str, today: str) -> tuple[Budget, ...]:
    found = []
    periods = {"day": today, "month": today[:7]}
    for unit in ("usd", "tokens"):
        for scope, owner in (("user", user_id), ("total", EVERYONE)):
            for window, period in periods.items():
                if (unit, scope, window) == ("tokens", "user", "day"):
                    cap = settings[f"tiers.{tier}.daily_tokens"]
                else:
                    cap = settings[f"caps.{unit}.{scope}_{window}"]
                if cap is not None and unit == "usd":
                    cap = round(cap * 1e9)
                found.append(Budget(unit, scope, window, owner, period, cap))
    return tuple(found)


def find(c: sqlite3.Connection, owner: str, kind: str, period: str) -> sqlite3.Row | None:
    """The account, or None before it was first drawn on."""
    row: sqlite3.Row | None = c.execute(
        "SELECT * FROM accounts WHERE owner = ? AND kind = ? AND period = ?", (owner, kind, period)
    ).fetchone()
    return row


def account(c: sqlite3.Connection, owner: str, kind: str, period: str) -> int:
    """The account's id; opened when it is new."""
    row = c.execute(
        "SELECT id FROM accounts WHERE owner = ? AND kind = ? AND period = ?", (owner, kind, period)
    ).fetchone()
    if row:
        return int(row[0])
    cursor = c.execute("INSERT INTO accounts (owner, kind, period) VALUES (?, ?, ?)", (owner, kind, period))
    return int(cursor.lastrowid or 0)


def grant(
    c: sqlite3.Connection, account_id: int, amount: int, *, kind: str, reason: str, actor: str, now: datetime
) -> None:
    """Grant (``kind`` grant, amount ≥ 0) or adjust (either sign)."""
    c.execute("UPDATE accounts SET granted = coalesce(granted, 0) + ? WHERE id = ?", (amount, account_id))
    c.execute(
        "INSERT INTO ledger_entries (account, kind, amount, reason, actor, created_at) VALUES (?, ?, ?, ?, ?, ?)",
        (account_id, kind, amount, reason, actor, stamp(now)),
    )


def standing(c: sqlite3.Connection, drawn_on: Sequence[Budget]) -> dict[Budget, sqlite3.Row]:
    """The accounts of budgets that were drawn on before, all in one query."""
    owners, periods = (sorted({getattr(b, name) for b in drawn_on}) for name in ("owner", "period"))
    rows = c.execute(
        f"SELECT * FROM accounts WHERE owner IN ({_marks(owners)}) AND kind IN ('usd', 'tokens') "
        f"AND period IN ({_marks(periods)})",
        (*owners, *periods),
    )
    found = {(row["owner"], row["kind"], row["period"]): row for row in rows}
    return {b: row for b in drawn_on if (row := found.get((b.owner, b.unit, b.period))) is not None}


def used(c: sqlite3.Connection, budget: Budget, row: sqlite3.Row | None) -> int:
    """What is held and spent of a budget, whose account is ``row``, or None where it was not opened yet."""
    own: int = row["held"] + row["spent"] if row else 0
    if (budget.scope, budget.window) == ("user", "day"):
        return own
    if row is not None and row["granted"] is not None:
        return int(row["base"]) + own
    days = c.execute(
        f"SELECT coalesce(sum(held + spent), 0) FROM accounts WHERE period BETWEEN :period AND :period || '-99' "
        f"AND length(period) = 10 AND kind = :unit AND owner {'<>' if budget.owner == EVERYONE else '='} :owner",
        {"period": budget.period, "unit": budget.unit, "owner": budget.owner},
    ).fetchone()[0]
    return max(own, int(days))


def open_budgets(c: sqlite3.Connection, drawn_on: Sequence[Budget], actor: str, now: datetime) -> dict[Budget, int]:
    """The accounts of what is entered, each with its cap as what is granted."""
    found = standing(c, drawn_on)
    opened = {}
    for b in drawn_on:
        row = found.get(b)
        if (row["granted"] != b.cap) if row else b.entered:
            opened[b] = _open_budget(c, b, row, actor, now)
        elif row:
            opened[b] = row["id"]
    return {b: account_id for b, account_id in opened.items() if b.entered}


def _open_budget(c: sqlite3.Connection, budget: Budget, row: sqlite3.Row | None, actor: str, now: datetime) -> int:
    """The budget's account with its cap as what is granted; a cap that changed is adjusted, one that was taken away is null."""
    before = used(c, budget, row) - (row["held"] + row["spent"] if row else 0)
    account_id = row["id"] if row else account(c, budget.owner, budget.unit, budget.period)
    granted: int | None = row["granted"] if row else None
    c.execute("UPDATE accounts SET base = ? WHERE id = ?", (before, account_id))
    if budget.cap is None and granted is not None:
        grant(c, account_id, -granted, kind="adjust", reason="cap removed", actor=actor, now=now)
        c.execute("UPDATE accounts SET granted = NULL WHERE id = ?", (account_id,))
    elif budget.cap is not None and granted is None:
        grant(c, account_id, budget.cap, kind="grant", reason="cap", actor=actor, now=now)
    elif budget.cap is not None and granted is not None and granted != budget.cap:
        grant(c, account_id, budget.cap - granted, kind="adjust", reason="cap changed", actor=actor, now=now)
    return int(account_id)


def hold(c: sqlite3.Connection, attempt: int, amounts: dict[int, int], actor: str, now: datetime) -> None:
    """Reserve an amount on each account. Raises StalePlan when one does not cover it: a conditional update, never
    read-then-write.
    """
    cursor = c.executemany(
        "UPDATE accounts SET held = held + :amount WHERE id = :id "
        "AND (granted IS NULL OR granted - base - held - spent >= :amount)",
        [{"id": account_id, "amount": amount} for account_id, amount in amounts.items()],
    )
    if cursor.rowcount != len(amounts):
        raise StalePlan
    _enter(c, attempt, [(account_id, "hold", amount) for account_id, amount in amounts.items()], None, actor, now)


def release(
    c: sqlite3.Connection,
    attempt: int,
    spend: dict[str, int | None],
    *,
    reason: str,
    actor: str,
    now: datetime,
) -> None:
    """End an attempt's holds on accounts of the kinds in ``spend``: posted with that amount, voided where it is None."""
    rows = c.execute(
        f"""SELECT e.account, e.amount, a.kind FROM ledger_entries e JOIN accounts a ON a.id = e.account
            WHERE e.attempt = ? AND e.kind = 'hold' AND a.kind IN ({_marks([*spend])})
            AND NOT EXISTS (SELECT 1 FROM ledger_entries s
                            WHERE s.attempt = e.attempt AND s.account = e.account AND s.kind IN ('post', 'void'))""",
        (attempt, *spend),
    ).fetchall()
    c.executemany(
        "UPDATE accounts SET held = held - ?, spent = spent + ? WHERE id = ?",
        [(held, spend[kind] or 0, account_id) for account_id, held, kind in rows],
    )
    entries = [
        (account_id, "void", held) if (amount := spend[kind]) is None else (account_id, "post", amount)
        for account_id, held, kind in rows
    ]
    _enter(c, attempt, entries, reason, actor, now)


def _enter(
    c: sqlite3.Connection,
    attempt: int,
    entries: list[tuple[int, str, int]],
    reason: str | None,
    actor: str,
    now: datetime,
) -> None:
    """Write entries of (account, kind, amount)."""
    when = stamp(now)
    c.executemany(
        "INSERT INTO ledger_entries (attempt, account, kind, amount, reason, actor, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(attempt, account_id, kind, amount, reason, actor, when) for account_id, kind, amount in entries],
    )


def _marks(values: list[str]) -> str:
    return ", ".join("?" * len(values))
