"""Energy as people see it: what an account has, where it went, and an admin's grants and corrections."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import NamedTuple

from nexscout_cli.errors import UsageError
from nexscout_cli.store.sqlite import accounts, users
from nexscout_cli.store.sqlite.snapshot import budgets_left
from nexscout_cli.store.sqlite.store import OWN_OR_ADMIN, Store, day_of

MOST = 10**12
"""Units of energy that one grant may give at the most."""


class Energy(NamedTuple):
    """A user's energy, in units, and today's tokens. ``balance`` is granted − held − spent."""

    user_id: str
    tier: str
    granted: int
    held: int
    spent: int
    balance: int
    daily_tokens_used: int
    daily_token_budget: int


def show(store: Store, user_id: str) -> Energy:
    """A user's energy; a monthly grant that is due and not written yet counts. Raises NotPermitted, UsageError."""
    with store.db.read() as c:
        row = store.require_access(c, user_id)
        return _of(store, c, user_id, row, store.now(c))


def _of(store: Store, c: sqlite3.Connection, user_id: str, row: sqlite3.Row | None, now: datetime) -> Energy:
    tier = row["tier"] if row else users.FIRST_TIER
    account = accounts.find(c, user_id, "energy", accounts.PREPAID)
    granted, held, spent = ((account["granted"] or 0), account["held"], account["spent"]) if account else (0, 0, 0)
    granted += users.grant_due(store.settings, row, now)
    today = accounts.find(c, user_id, "tokens", day_of(now))
    return Energy(
        user_id,
        tier,
        granted,
        held,
        spent,
        granted - held - spent,
        today["spent"] if today else 0,
        store.settings[f"tiers.{tier}.daily_tokens"],
    )


def history(store: Store, user_id: str, limit: int) -> list[dict[str, object]]:
    """The latest entries of a user's energy account, newest first. Raises NotPermitted, UsageError."""
    with store.db.read() as c:
        store.require_access(c, user_id)
        rows = c.execute(
            """SELECT e.id, t.request_id, e.kind, e.amount, e.reason, e.actor, e.created_at FROM ledger_entries e
               JOIN accounts a ON a.id = e.account LEFT JOIN attempts t ON t.id = e.attempt
               WHERE a.owner = :user AND a.kind = 'energy' AND e.id IN (
                 SELECT id FROM ledger_entries WHERE account = a.id AND attempt IS NULL UNION ALL
                 SELECT h.id FROM requests r JOIN attempts f ON f.request_id = r.request_id AND f.n = 1
                 JOIN ledger_entries h ON h.attempt = f.id AND h.account = a.id WHERE r.user_id = :user)
               ORDER BY e.id DESC LIMIT :limit""",
            {"user": user_id, "limit": limit},
        )
        return [dict(row) for row in rows]


def grant(store: Store, user_id: str, amount: int, reason: str) -> Energy:
    """Give a user energy on top, 1 to 10^12 units. Admins only; raises NotPermitted, UsageError."""
    if not 0 < amount <= MOST:
        raise UsageError(
            f"a grant is a whole number from 1 to {MOST:,}, not {amount:,}",
            f"`nexscout energy set {user_id} AMOUNT --reason …` lowers a balance",
        )
    with store.db.write() as c:
        store.require_admin(c, "grant energy")
        now = store.touch(c)
        row = users.ensure(store, c, user_id, now)
        account = accounts.account(c, user_id, "energy", accounts.PREPAID)
        accounts.grant(c, account, amount, kind="grant", reason=reason, actor=store.actor, now=now)
        return _of(store, c, user_id, row, now)


def set_balance(store: Store, user_id: str, amount: int, reason: str) -> Energy:
    """Write the entry after which a user's balance is ``amount``, 0 to 10^12 units.

    Admins only; raises NotPermitted, UsageError.
    """
    if not 0 <= amount <= MOST:
        raise UsageError(
            f"a balance is a whole number from 0 to {MOST:,}, not {amount:,}",
            f"for instance `nexscout energy set {user_id} 100 --reason correction`",
        )
    with store.db.write() as c:
        store.require_admin(c, "set a balance")
        now = store.touch(c)
        row = users.ensure(store, c, user_id, now)
        difference = amount - _of(store, c, user_id, row, now).balance
        if difference:
            account = accounts.account(c, user_id, "energy", accounts.PREPAID)
            accounts.grant(c, account, difference, kind="adjust", reason=reason, actor=store.actor, now=now)
        return _of(store, c, user_id, row, now)


def balances(store: Store) -> dict[str, tuple[str, int]]:
    """Role and balance, due grants included, of every user the actor may see."""
    with store.db.read() as c:
        now = store.now(c)
        rows = c.execute(
            f"""SELECT users.*, coalesce(granted - held - spent, 0) AS balance FROM users
                LEFT JOIN accounts ON owner = users.user_id AND kind = 'energy' WHERE {OWN_OR_ADMIN}""",
            {"actor": store.actor},
        )
        return {
            row["user_id"]: (row["role"], row["balance"] + users.grant_due(store.settings, row, now)) for row in rows
        }


def near_daily_cap(store: Store) -> bool:
    """Whether so much of the installation's daily dollars is spent or held that panic mode has set in by itself."""
    with store.db.read() as c:
        return budgets_left(store, c, store.actor, users.FIRST_TIER, store.now(c))[2]
