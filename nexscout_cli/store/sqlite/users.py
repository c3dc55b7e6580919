"""Users: tier, role, monthly energy, and forgetting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.engine.names import check_user
from nexscout_cli.engine.tiers import FIRST_TIER
from nexscout_cli.errors import UsageError
from nexscout_cli.store.sqlite import accounts, texts
from nexscout_cli.store.sqlite.transaction import OWN_OR_ADMIN, Transaction

if TYPE_CHECKING:
    from nexscout_cli.engine.book_types import UserRow
    from nexscout_cli.store.sqlite.records import Record
    from nexscout_cli.store.sqlite.work import Work


def due(t: Transaction, row: Record | None) -> int:
    """Energy that this month's grant would add to a user's."""
    tier, period = (row["tier"], row["granted_period"]) if row else (FIRST_TIER, "")
    return t.rules.tiers[tier].due(period, t.month)


def _role(row: Record) -> str:
    return "reader" if row["reads_only"] else str(row["role"])


def _add(t: Transaction, user_id: str) -> None:
    daily = t.rules.tiers[FIRST_TIER].daily_tokens
    if t.by_function("add_user", user_id, daily, t.stamp) is not None:
        return
    t.execute(
        "INSERT INTO users (user_id, tier, daily_token_budget, created_at) VALUES (?, ?, ?, ?)",
        (user_id, FIRST_TIER, daily, t.stamp),
    )
    note_tier(t, user_id, FIRST_TIER)


def note_tier(t: Transaction, user_id: str, tier: str) -> None:
    """Remember which tier a user has from now on: what it pays is counted by it."""
    t.execute(
        "INSERT INTO tier_history VALUES (?, ?, ?) ON CONFLICT (user_id, since) DO UPDATE SET tier = excluded.tier",
        (user_id, t.stamp, tier),
    )


def ensure(t: Transaction, user_id: str) -> Record:
    """The user's row, made when new, with this month's energy granted. Raises NotPermitted, UsageError as access does."""
    row = t.require_access(user_id)
    grants = due(t, row)
    if row is None:
        _add(t, user_id)
    else:
        budget = t.rules.tiers[row["tier"]].daily_tokens
        if row["daily_token_budget"] != budget:
            _set_daily_tokens(t, user_id, budget)
        elif row["granted_period"] >= t.month:
            return row
    if row is None or row["granted_period"] < t.month:
        accounts.grant_month(t, user_id, grants)
    fresh: Record = t.execute("SELECT * FROM users WHERE user_id = ?", (user_id,)).fetchone()
    return fresh


def _set_daily_tokens(t: Transaction, user_id: str, budget: int) -> None:
    if t.by_function("set_daily_tokens", user_id, budget) is None:
        t.execute("UPDATE users SET daily_token_budget = ? WHERE user_id = ?", (budget, user_id))


def _set_tier(t: Transaction, row: Record, tier: str) -> None:
    user_id, terms = row["user_id"], t.rules.tiers[tier]
    if t.by_function("set_tier", user_id, tier, terms.daily_tokens, terms.energy, t.actor, t.stamp) is not None:
        return
    if row["tier"] != tier:
        note_tier(t, user_id, tier)
    t.execute(
        "UPDATE users SET tier = ?, daily_token_budget = ?, granted_energy = max(granted_energy, ?) WHERE user_id = ?",
        (tier, terms.daily_tokens, terms.energy, user_id),
    )


class SqliteUsers:
    """Who there is."""

    def __init__(self, store: Work) -> None:
        self._store = store

    def listing(self, actor: str) -> list[UserRow]:
        """The users the actor may see, with role, tier, balance and what was learned in short."""
        from nexscout_cli.engine.book_types import UserRow

        with self._store.read(actor) as t:
            rows = t.execute(
                f"""SELECT users.*, coalesce(a.granted - a.held - a.spent, 0) AS balance, p.efficiency_rating,
                    p.preferred_mode, p.avg_token_per_request, p.predicted_daily_usage, e.model_mode
                    FROM users JOIN user_efficiency_profiles p USING (user_id) JOIN user_energy e USING (user_id)
                    LEFT JOIN accounts a ON a.owner = users.user_id AND a.kind = 'energy'
                    WHERE {OWN_OR_ADMIN} ORDER BY user_id""",
                {"actor": actor},
            ).fetchall()
            return [
                UserRow(
                    user_id=row["user_id"],
                    tier=row["tier"],
                    balance=row["balance"] + due(t, row),
                    daily_token_budget=row["daily_token_budget"],
                    efficiency_rating=row["efficiency_rating"],
                    preferred_mode=row["preferred_mode"],
                    avg_token_per_request=row["avg_token_per_request"],
                    predicted_daily_usage=row["predicted_daily_usage"],
                    model_mode=row["model_mode"],
                    role=_role(row),
                )
                for row in rows
            ]

    def find(self, actor: str, user_id: str) -> tuple[str, str] | None:
        """Role and tier of a user the actor may see; None for one there is not."""
        with self._store.read(actor) as t:
            row = t.require_access(user_id)
            return (_role(row), row["tier"]) if row else None

    def is_admin(self, actor: str) -> bool:
        """Whether the actor is an admin."""
        with self._store.read(actor) as t:
            return t.is_admin()

    def set_tier(self, actor: str, user_id: str, tier: str) -> None:
        """Give a user a tier; what its monthly energy is above what was granted this month is granted on top. Admins only."""
        with self._store.write(actor) as t:
            t.require_admin("set a tier")
            check_user(user_id)
            if not t.execute("SELECT 1 FROM users WHERE user_id = ?", (user_id,)).fetchone():
                _add(t, user_id)
            row, terms = ensure(t, user_id), t.rules.tiers[tier]
            granted = row["granted_energy"]
            if terms.energy > granted:
                accounts.grant_energy(t, user_id, terms.energy - granted, "grant", f"tier {tier}")
            _set_tier(t, row, tier)
            t.execute(
                f"UPDATE user_efficiency_profiles SET preferred_mode = 'auto' WHERE user_id = ? "
                f"AND preferred_mode NOT IN ({', '.join('?' * len(terms.modes))})",
                (user_id, *terms.modes),
            )

    def set_role(self, actor: str, user_id: str, role: str) -> None:
        """Make a user admin, member or reader. Admins only; the last admin stays one. Raises UsageError."""
        with self._store.write(actor) as t:
            t.require_admin("set a role")
            if ensure(t, user_id)["role"] == "admin" and role != "admin":
                others = t.execute("SELECT count(*) FROM users WHERE role = 'admin' AND user_id <> ?", (user_id,))
                if not others.fetchone()[0]:
                    raise UsageError(f"{user_id} is the only admin", "make somebody else an admin first")
            kind, reads_only = "admin" if role == "admin" else "user", role == "reader"
            if t.by_function("set_role", user_id, kind, reads_only, t.actor) is None:
                t.execute(
                    "UPDATE users SET role = ?, reads_only = ? WHERE user_id = ?", (kind, int(reads_only), user_id)
                )

    def forget(self, actor: str, user_id: str) -> dict[str, int]:
        """Remove a person's text everywhere: cached and kept answers, learned style and patterns, hashes of prompts' heads,
        what providers said of failures. Money stays in the books. Returns how many rows lost text, by kind.

        Every connection has ``secure_delete``, so that no page keeps it.
        """
        with self._store.write(actor) as t:
            t.require_user(user_id)
            gone = texts.forget(t, user_id)
        self._store.flush()
        return gone
