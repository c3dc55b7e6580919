"""Users: tier, role, monthly energy, and forgetting."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from nexscout_cli.config import Settings
from nexscout_cli.engine.names import check_user
from nexscout_cli.errors import UsageError
from nexscout_cli.store.sqlite import accounts
from nexscout_cli.store.sqlite.store import OWN_OR_ADMIN, Store, month_of, stamp

FIRST_TIER = "free"


def grant_due(settings: Settings, row: sqlite3.Row | None, now: datetime) -> int:
    """Energy that this month's grant would add: the tier's, where it has not been granted yet."""
    if row is not None and row["granted_period"] >= month_of(now):
        return 0
    return int(settings[f"tiers.{row['tier'] if row else FIRST_TIER}.energy"])


def ensure(store: Store, c: sqlite3.Connection, user_id: str, now: datetime) -> sqlite3.Row:
    """The user's row, made when new, with this month's energy granted. Raises NotPermitted, UsageError as access does."""
    row = store.require_access(c, user_id)
    settings = store.settings
    budget = settings[f"tiers.{row['tier'] if row else FIRST_TIER}.daily_tokens"]
    month, due = month_of(now), grant_due(settings, row, now)
    if row is None:
        c.execute(
            "INSERT INTO users (user_id, tier, daily_token_budget, created_at) VALUES (?, ?, ?, ?)",
            (user_id, FIRST_TIER, budget, stamp(now)),
        )
    elif row["daily_token_budget"] != budget:
        c.execute("UPDATE users SET daily_token_budget = ? WHERE user_id = ?", (budget, user_id))
    elif row["granted_period"] >= month:
        return row
    if row is None or row["granted_period"] < month:
        _grant(store, c, user_id, due, f"month {month}", now)
        c.execute("UPDATE users SET granted_period = ?, granted_energy = ? WHERE user_id = ?", (month, due, user_id))
    fresh: sqlite3.Row = c.execute("SELECT * FROM users WHERE user_id = ?", (user_id,)).fetchone()
    return fresh


def _grant(store: Store, c: sqlite3.Connection, user_id: str, amount: int, reason: str, now: datetime) -> None:
    account = accounts.account(c, user_id, "energy", accounts.PREPAID)
    accounts.grant(c, account, amount, kind="grant", reason=reason, actor=store.actor, now=now)


def set_tier(store: Store, user_id: str, tier: str) -> None:
    """Give a user a tier; what its monthly energy is above what was granted this month is granted on top. Admins only."""
    with store.db.write() as c:
        store.require_admin(c, "set a tier")
        now = store.touch(c)
        check_user(user_id)
        exists = c.execute("SELECT 1 FROM users WHERE user_id = ?", (user_id,)).fetchone()
        if not exists:
            c.execute(
                "INSERT INTO users (user_id, tier, daily_token_budget, created_at) VALUES (?, ?, ?, ?)",
                (user_id, FIRST_TIER, store.settings[f"tiers.{FIRST_TIER}.daily_tokens"], stamp(now)),
            )
        granted = ensure(store, c, user_id, now)["granted_energy"]
        energy = store.settings[f"tiers.{tier}.energy"]
        if energy > granted:
            _grant(store, c, user_id, energy - granted, f"tier {tier}", now)
            c.execute("UPDATE users SET granted_energy = ? WHERE user_id = ?", (energy, user_id))
        c.execute(
            "UPDATE users SET tier = ?, daily_token_budget = ? WHERE user_id = ?",
            (tier, store.settings[f"tiers.{tier}.daily_tokens"], user_id),
        )
        modes = store.settings[f"tiers.{tier}.modes"]
        c.execute(
            f"UPDATE user_efficiency_profiles SET preferred_mode = 'auto' WHERE user_id = ? "
            f"AND preferred_mode NOT IN ({', '.join('?' * len(modes))})",
            (user_id, *modes),
        )


def listing(store: Store) -> list[dict[str, object]]:
    """The users the actor may see, with tier, balance and what was learned in short."""
    with store.db.read() as c:
        rows = c.execute(f"SELECT * FROM user_energy WHERE {OWN_OR_ADMIN} ORDER BY user_id", {"actor": store.actor})
        return [dict(row) for row in rows]


def forget(store: Store, user_id: str) -> dict[str, int]:
    """Remove a person's text everywhere: cached and kept answers, learned style and patterns, what providers said of failures.

    Money stays in the books. Returns how many rows lost text. Every connection has ``secure_delete``, so that no page keeps it.
    """
    mine = "request_id IN (SELECT request_id FROM requests WHERE user_id = :user)"
    statements = {
        "cached_answers": "DELETE FROM cached_ai_responses WHERE user_id = :user",
        "kept_answers": "UPDATE requests SET answer = NULL, key = NULL WHERE user_id = :user AND answer IS NOT NULL",
        "failures": f"UPDATE attempts SET reason = NULL WHERE reason IS NOT NULL AND {mine}",
        "messages": "UPDATE ai_model_usage SET metadata = json_remove(metadata, '$.message') WHERE user_id = :user "
        "AND json_type(metadata, '$.message') IS NOT NULL",
        "verdicts": "DELETE FROM feedback WHERE user_id = :user",
        "decisions": "UPDATE ai_cost_predictions SET decision = json_remove(decision, '$.weighed') WHERE user_id = :user "
        "AND json_type(decision, '$.weighed') IS NOT NULL",
        "doubts": "UPDATE ai_model_usage SET metadata = json_remove(metadata, '$.doubt') WHERE user_id = :user "
        "AND json_type(metadata, '$.doubt') IS NOT NULL",
        "profiles": "UPDATE user_efficiency_profiles SET writing_style_profile = '{}', common_patterns = '[]', "
        "pattern_counts = '{}', peak_usage_hours = '[]' WHERE user_id = :user",
    }
    with store.db.write() as c:
        if store.require_access(c, user_id) is None:
            raise UsageError(f"there is no user {user_id!r}", "`nexscout user list` shows them")
        store.touch(c)
        gone = {name: c.execute(sql, {"user": user_id}).rowcount for name, sql in statements.items()}
    store.db.flush_log()
    return gone
