"""Accounts and their entries: the only code that moves energy, dollars and tokens.

An account is the sum of its entries: granted = grants + adjustments, held = holds neither posted nor voided, spent = posts.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from nexscout_cli.config import Settings
from nexscout_cli.errors import WorldMoved
from nexscout_cli.store.store import EVERYONE, stamp

PREPAID = "prepaid"
"""The period of energy accounts: what is granted and not used stays."""


class Budget(NamedTuple):
    """A dollar or token account a call draws on. ``cap`` None: no limit, but it is counted."""

    unit: str
    scope: str
    window: str
    owner: str
    period: str
    cap: int | None


def budgets(settings: Settings, user_id: str, tier: str, now: datetime) -> Iterator[Budget]:
    """Every budget of a user's call at that time: dollars and tokens, of the user and in total, by day and by month."""
    periods = {"day": now.strftime("%Y-%m-%d"), "month": now.strftime("%Y-%m")}
    for unit in ("usd", "tokens"):
        for scope, owner in (("user", user_id), ("total", EVERYONE)):
            for window, period in periods.items():
                if (unit, scope, window) == ("tokens", "user", "day"):
                    cap = settings[f"tiers.{tier}.daily_tokens"]
                else:
                    cap = settings[f"caps.{unit}.{scope}_{window}"]
                if cap is not None and unit == "usd":
                    cap = round(cap * 1e9)
                yield Budget(unit, scope, window, owner, period, cap)


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


def standing(c: sqlite3.Connection, drawn_on: list[Budget]) -> dict[Budget, sqlite3.Row]:
    """The accounts of budgets that were drawn on before, all in one query."""
    owners, periods = (sorted({getattr(b, name) for b in drawn_on}) for name in ("owner", "period"))
    rows = c.execute(
        f"SELECT * FROM accounts WHERE owner IN ({_marks(owners)}) AND kind IN ('usd', 'tokens') "
        f"AND period IN ({_marks(periods)})",
        (*owners, *periods),
    )
    found = {(row["owner"], row["kind"], row["period"]): row for row in rows}
    return {b: row for b in drawn_on if (row := found.get((b.owner, b.unit, b.period))) is not None}


def open_budgets(c: sqlite3.Connection, drawn_on: list[Budget], actor: str, now: datetime) -> dict[Budget, int]:
    """The budgets' accounts, each with its cap as what is granted."""
    found = standing(c, drawn_on)
    return {
        b: found[b]["id"] if b in found and found[b]["granted"] == b.cap else _open_budget(c, b, actor, now)
        for b in drawn_on
    }


def _open_budget(c: sqlite3.Connection, budget: Budget, actor: str, now: datetime) -> int:
    """The budget's account with its cap as what is granted; a cap that changed is adjusted, one that was taken away is null."""
    row = find(c, budget.owner, budget.unit, budget.period)
    account_id = row["id"] if row else account(c, budget.owner, budget.unit, budget.period)
    granted: int | None = row["granted"] if row else None
    if budget.cap is None and granted is not None:
        grant(c, account_id, -granted, kind="adjust", reason="cap removed", actor=actor, now=now)
        c.execute("UPDATE accounts SET granted = NULL WHERE id = ?", (account_id,))
    elif budget.cap is not None and granted is None:
        grant(c, account_id, budget.cap, kind="grant", reason="cap", actor=actor, now=now)
    elif budget.cap is not None and granted is not None and granted != budget.cap:
        grant(c, account_id, budget.cap - granted, kind="adjust", reason="cap changed", actor=actor, now=now)
    return int(account_id)


def hold(c: sqlite3.Connection, attempt: int, amounts: dict[int, int], actor: str, now: datetime) -> None:
    """Reserve an amount on each account. Raises WorldMoved when one does not cover it: a conditional update, never
    read-then-write.
    """
    cursor = c.executemany(
        "UPDATE accounts SET held = held + :amount WHERE id = :id "
        "AND (granted IS NULL OR granted - held - spent >= :amount)",
        [{"id": account_id, "amount": amount} for account_id, amount in amounts.items()],
    )
    if cursor.rowcount != len(amounts):
        raise WorldMoved
    _enter(c, attempt, [(account_id, "hold", amount) for account_id, amount in amounts.items()], None, actor, now)


def release(
    c: sqlite3.Connection,
    attempt: int,
    kinds: tuple[str, ...],
    spend: dict[str, int],
    *,
    reason: str,
    actor: str,
    now: datetime,
) -> None:
    """End an attempt's holds on accounts of ``kinds``: posted with ``spend[kind]``, voided where that kind is not in it."""
    rows = c.execute(
        f"""SELECT e.account, e.amount, a.kind FROM ledger_entries e JOIN accounts a ON a.id = e.account
            WHERE e.attempt = ? AND e.kind = 'hold' AND a.kind IN ({", ".join("?" * len(kinds))})
            AND NOT EXISTS (SELECT 1 FROM ledger_entries s
                            WHERE s.attempt = e.attempt AND s.account = e.account AND s.kind IN ('post', 'void'))""",
        (attempt, *kinds),
    ).fetchall()
    c.executemany(
        "UPDATE accounts SET held = held - ?, spent = spent + ? WHERE id = ?",
        [(held, spend.get(kind, 0), account_id) for account_id, held, kind in rows],
    )
    entries = [
        (account_id, "post", spend[kind]) if kind in spend else (account_id, "void", held)
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
