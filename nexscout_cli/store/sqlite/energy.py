"""Energy as people see it: what an account has, where it went, and an admin's grants and corrections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.engine.book_types import MAX_ENERGY, Energy
from nexscout_cli.engine.tiers import FIRST_TIER
from nexscout_cli.errors import UsageError
from nexscout_cli.store.sqlite import accounts, users

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nexscout_cli.engine.budgets import Budget, Used
    from nexscout_cli.store.sqlite.records import Record
    from nexscout_cli.store.sqlite.transaction import Transaction
    from nexscout_cli.store.sqlite.work import Work


def _of(t: Transaction, user_id: str, row: Record | None) -> Energy:
    tier = row["tier"] if row else FIRST_TIER
    account = accounts.find(t, user_id, "energy", accounts.PREPAID)
    granted, held, spent = ((account["granted"] or 0), account["held"], account["spent"]) if account else (0, 0, 0)
    granted += users.due(t, row)
    today = accounts.find(t, user_id, "tokens", t.day)
    return Energy(
        user_id,
        tier,
        granted,
        held,
        spent,
        granted - held - spent,
        today["spent"] if today else 0,
        t.rules.tiers[tier].daily_tokens,
    )


class SqliteEnergy:
    """Energy accounts of users."""

    def __init__(self, store: Work) -> None:
        self._store = store

    def show(self, actor: str, user_id: str) -> Energy:
        """A user's energy; a monthly grant that is due and not written yet counts. Raises NotPermitted, UsageError."""
        with self._store.read(actor) as t:
            return _of(t, user_id, t.require_access(user_id))

    def history(self, actor: str, user_id: str, limit: int) -> list[dict[str, object]]:
        """The latest entries of a user's energy account, newest first. Raises NotPermitted, UsageError."""
        with self._store.read(actor) as t:
            t.require_access(user_id)
            # Entries have no index by account: grants are found by theirs, holds and what ended them by the user's requests.
            rows = t.execute(
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

    def grant(self, actor: str, user_id: str, amount: int, reason: str) -> Energy:
        """Give a user energy on top, 1 to 10^12 units. Admins only; raises NotPermitted, UsageError."""
        if not 0 < amount <= MAX_ENERGY:
            raise UsageError(
                f"a grant is a whole number from 1 to {MAX_ENERGY:,}, not {amount:,}",
                f"`nexscout energy set {user_id} AMOUNT --reason …` lowers a balance",
            )
        with self._store.write(actor) as t:
            t.require_admin("grant energy")
            row = users.ensure(t, user_id)
            accounts.grant_energy(t, user_id, amount, "grant", reason)
            return _of(t, user_id, row)

    def set_balance(self, actor: str, user_id: str, amount: int, reason: str) -> Energy:
        """Write the entry after which a user's balance is ``amount``, 0 to 10^12 units.

        Admins only; raises NotPermitted, UsageError.
        """
        if not 0 <= amount <= MAX_ENERGY:
            raise UsageError(
                f"a balance is a whole number from 0 to {MAX_ENERGY:,}, not {amount:,}",
                f"for instance `nexscout energy set {user_id} 100 --reason correction`",
            )
        with self._store.write(actor) as t:
            t.require_admin("set a balance")
            row = users.ensure(t, user_id)
            difference = amount - _of(t, user_id, row).balance
            if difference:
                accounts.grant_energy(t, user_id, difference, "adjust", reason)
            return _of(t, user_id, row)

    def used(self, actor: str, user_id: str, budgets: Sequence[Budget]) -> dict[Budget, Used]:
        """What is gone of those budgets that have a cap, in their present windows."""
        with self._store.read(actor) as t:
            t.require_access(user_id)
            return accounts.used(t, user_id, budgets)
