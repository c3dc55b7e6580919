"""Accounts and their entries: the only code that moves energy, dollars and tokens.

An account is the sum of its entries: granted = grants + adjustments, held = holds neither posted nor voided, spent = posts.
What a user uses in a day is always entered. Months and the installation have accounts only while they have a cap; ``base``
is what the users' days had in that window when the account was opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.engine.budgets import Budget, Used
from nexscout_cli.engine.names import EVERYONE
from nexscout_cli.errors import StalePlan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nexscout_cli.store.sqlite.records import Record
    from nexscout_cli.store.sqlite.transaction import Transaction

_SHARED = ("total", "key", "tag")
"""Scopes of budgets that several users may draw on."""
PREPAID = "prepaid"
"""The period of energy accounts: what is granted and not used stays."""


class _Place(NamedTuple):
    """Where a budget is kept: the account's owner, kind and period."""

    owner: str
    kind: str
    period: str


def owner_of(budget: Budget, user_id: str) -> str:
    """Who owns the accounts of a budget that a call of that user's draws on."""
    return budget.owner or (user_id if budget.scope == "user" else EVERYONE)


def _place(t: Transaction, budget: Budget, user_id: str) -> _Place:
    return _Place(owner_of(budget, user_id), budget.unit, t.window(budget.window))


def find(t: Transaction, owner: str, kind: str, period: str) -> Record | None:
    """The account, or None before it was first drawn on."""
    row: Record | None = t.execute(
        "SELECT * FROM accounts WHERE owner = ? AND kind = ? AND period = ?", (owner, kind, period)
    ).fetchone()
    return row


def account(t: Transaction, owner: str, kind: str, period: str) -> int:
    """The account's id; opened when it is new."""
    row = t.execute(
        "SELECT id FROM accounts WHERE owner = ? AND kind = ? AND period = ?", (owner, kind, period)
    ).fetchone()
    if row:
        return int(row[0])
    place = (owner, kind, period)
    if (opened := t.by_function("open_account", *place)) is not None:
        return int(opened.fetchone()[0])
    return t.insert("INSERT INTO accounts (owner, kind, period) VALUES (?, ?, ?)", place) or 0


def energy_account(t: Transaction, user_id: str) -> int:
    """The id of a user's energy account; opened when it is new."""
    return account(t, user_id, "energy", PREPAID)


def grant_energy(t: Transaction, user_id: str, amount: int, kind: str, reason: str) -> None:
    """An admin's grant of energy (``kind`` grant, amount ≥ 0) or correction (adjust, either sign)."""
    account_id = energy_account(t, user_id)
    if t.by_function("grant_energy", account_id, kind, amount, reason, t.actor, t.stamp) is None:
        _grant(t, account_id, amount, kind, reason)


def grant_month(t: Transaction, user_id: str, amount: int) -> None:
    """A user's energy for this month, once."""
    account_id, month = energy_account(t, user_id), t.month
    if t.by_function("grant_month", user_id, account_id, amount, month, t.actor, t.stamp) is None:
        _grant(t, account_id, amount, "grant", f"month {month}")
        t.execute("UPDATE users SET granted_period = ?, granted_energy = ? WHERE user_id = ?", (month, amount, user_id))


def _grant(t: Transaction, account_id: int, amount: int, kind: str, reason: str) -> None:
    t.execute("UPDATE accounts SET granted = coalesce(granted, 0) + ? WHERE id = ?", (amount, account_id))
    t.execute(
        "INSERT INTO ledger_entries (account, kind, amount, reason, actor, created_at) VALUES (?, ?, ?, ?, ?, ?)",
        (account_id, kind, amount, reason, t.actor, t.stamp),
    )


def _accounts(t: Transaction, places: Sequence[_Place], *, locked: bool = False) -> dict[_Place, Record]:
    """Those of the accounts that were drawn on before, all in one query; ``locked``: nobody else changes them from here on."""
    owners, periods = sorted({place.owner for place in places}), sorted({place.period for place in places})
    rows = t.by_function("locked_accounts", owners, periods) if locked else None
    if rows is None:
        rows = t.execute(
            f"SELECT * FROM accounts WHERE owner IN ({_placeholders(owners)}) AND kind IN ('usd', 'tokens') "
            f"AND period IN ({_placeholders(periods)})",
            (*owners, *periods),
        )
    return {_Place(row["owner"], row["kind"], row["period"]): row for row in rows}


def used(t: Transaction, user_id: str, budgets: Sequence[Budget]) -> dict[Budget, Used]:
    """What is gone of the budgets of a user's call, of those that have a cap."""
    capped = {budget: _place(t, budget, user_id) for budget in budgets if budget.cap is not None}
    rows = _accounts(t, [*capped.values()]) if capped else {}
    return {
        budget: Used(_used(t, budget, place, rows.get(place)), rows[place]["spent"] if place in rows else 0)
        for budget, place in capped.items()
    }


def _used(t: Transaction, budget: Budget, place: _Place, row: Record | None) -> int:
    """What is held and spent of a budget, whose account is ``row``, or None where it was not opened yet."""
    own: int = row["held"] + row["spent"] if row else 0
    if budget.owner or (budget.scope, budget.window) == ("user", "day"):
        return own
    if row is not None and row["granted"] is not None:
        return int(row["base"]) + own
    # No account keeps this window: it is the sum of the days that lie in it.
    whose = "substr(owner, 1, 1) <> '*'" if budget.scope == "total" else "owner = :owner"
    days = t.execute(
        f"SELECT coalesce(sum(held + spent), 0) FROM accounts WHERE period BETWEEN :period AND :period || '-99' "
        f"AND length(period) = 10 AND kind = :kind AND {whose}",
        place._asdict(),
    ).fetchone()[0]
    return max(own, int(days))


def open_budgets(t: Transaction, user_id: str, budgets: Sequence[Budget]) -> list[tuple[Budget, int]]:
    """The accounts of what is entered, each with its cap as what is granted."""
    places = {budget: _place(t, budget, user_id) for budget in budgets}
    rows = _accounts(t, [*places.values()], locked=True)
    opened = []
    for budget, place in places.items():
        row, entered = rows.get(place), budget.entered
        if (row["granted"] != budget.cap) if row else entered:
            account_id: int = _open_budget(t, budget, place, row)
        elif row and entered:
            account_id = row["id"]
        if entered:
            opened.append((budget, account_id))
    return opened


def _open_budget(t: Transaction, budget: Budget, place: _Place, row: Record | None) -> int:
    """The budget's account with its cap as what is granted; a cap that changed is adjusted, one that was taken away is null."""
    t.alone(budget.scope, shared=budget.scope in _SHARED)
    before = _used(t, budget, place, row) - (row["held"] + row["spent"] if row else 0)
    account_id: int = row["id"] if row else account(t, *place)
    granted: int | None = row["granted"] if row else None
    if t.by_function("set_cap", account_id, before, budget.cap, t.actor, t.stamp) is not None:
        return account_id
    t.execute("UPDATE accounts SET base = ? WHERE id = ?", (before, account_id))
    if budget.cap is None and granted is not None:
        _grant(t, account_id, -granted, "adjust", "cap removed")
        t.execute("UPDATE accounts SET granted = NULL WHERE id = ?", (account_id,))
    elif budget.cap is not None and granted is None:
        _grant(t, account_id, budget.cap, "grant", "cap")
    elif budget.cap is not None and granted is not None and granted != budget.cap:
        _grant(t, account_id, budget.cap - granted, "adjust", "cap changed")
    return account_id


def hold(t: Transaction, attempt: int, amounts: dict[int, int]) -> None:
    """Reserve an amount on each account. Raises StalePlan when one does not cover it: a conditional update, never
    read-then-write.
    """
    if not amounts:
        return
    held = t.by_function("hold_accounts", attempt, [*amounts.items()], t.actor, t.stamp)
    if held is not None:
        if not held.fetchone()[0]:
            raise StalePlan
        return
    cursor = t.executemany(
        "UPDATE accounts SET held = held + :amount WHERE id = :id "
        "AND (granted IS NULL OR granted - base - held - spent >= :amount)",
        [{"id": account_id, "amount": amount} for account_id, amount in amounts.items()],
    )
    if cursor.rowcount != len(amounts):
        raise StalePlan
    _enter(t, attempt, [(account_id, "hold", amount) for account_id, amount in amounts.items()], None)


def release(t: Transaction, attempt: int, spend: dict[str, int | None], reason: str) -> None:
    """End an attempt's holds on accounts of the kinds in ``spend``: posted with that amount, voided where it is None."""
    if t.by_function("settle_accounts", attempt, spend, reason, t.actor, t.stamp) is not None:
        return
    # A hold that was settled before has a post or a void beside it, and is left alone.
    rows = t.execute(
        f"""SELECT e.account, e.amount, a.kind FROM ledger_entries e JOIN accounts a ON a.id = e.account
            WHERE e.attempt = ? AND e.kind = 'hold' AND a.kind IN ({_placeholders([*spend])})
            AND NOT EXISTS (SELECT 1 FROM ledger_entries s
                            WHERE s.attempt = e.attempt AND s.account = e.account AND s.kind IN ('post', 'void'))
            """,
        (attempt, *spend),
    ).fetchall()
    t.executemany(
        "UPDATE accounts SET held = held - ?, spent = spent + ? WHERE id = ?",
        [(held, spend[kind] or 0, account_id) for account_id, held, kind in rows],
    )
    entries = [
        (account_id, "void", held) if (amount := spend[kind]) is None else (account_id, "post", amount)
        for account_id, held, kind in rows
    ]
    _enter(t, attempt, entries, reason)


def _enter(t: Transaction, attempt: int, entries: list[tuple[int, str, int]], reason: str | None) -> None:
    """Write entries of (account, kind, amount)."""
    when = t.stamp
    t.executemany(
        "INSERT INTO ledger_entries (attempt, account, kind, amount, reason, actor, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(attempt, account_id, kind, amount, reason, t.actor, when) for account_id, kind, amount in entries],
    )


def _placeholders(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))
