"""Step 0: the world a plan is made from, read in one transaction."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from nexscout_cli.engine.model import Model
from nexscout_cli.engine.names import EVERYONE
from nexscout_cli.engine.ports import Provider
from nexscout_cli.engine.request import AIRequest
from nexscout_cli.engine.routing.policy import effective_policy
from nexscout_cli.engine.snapshot import Limit, Snapshot
from nexscout_cli.store.sqlite import accounts, feedback, lengths, models, profiles, users
from nexscout_cli.store.sqlite.store import Store, stamp

SURGE_STEPS = ((2.0, 2000), (1.5, 1500), (1.0, 1250))
"""(load ÷ capacity from which it holds, surge in thousandths); below the last, 1.0."""
PANIC_SHARE = 0.95

DOUBTS_SEEN = 200
"""Rows of usage that are looked through for how often first answers were sent up."""


def read(store: Store, provider: Provider, request: AIRequest) -> Snapshot:
    """The snapshot for a request. Raises NotPermitted, UsageError where the actor may not act for its user."""
    with store.db.read() as c:
        row = store.require_access(c, request.user_id)
        now = store.now(c)
        tier = row["tier"] if row else users.FIRST_TIER
        energy = accounts.find(c, request.user_id, "energy", accounts.PREPAID)
        balance = energy["granted"] - energy["held"] - energy["spent"] if energy else 0
        catalog = models.read(c)
        available, missing = availability(catalog, provider)
        meta = dict(c.execute("SELECT key, value FROM meta WHERE key IN ('panic', 'world_version')").fetchall())
        limits, tokens_today, pressed = budgets_left(store, c, request.user_id, tier, now)
        profile = profiles.for_plan(c, request.user_id)
        policy = effective_policy(request, profile, store.settings)
        return Snapshot(
            now=now,
            actor=store.actor,
            user_id=request.user_id,
            tier=tier,
            is_admin=store.is_admin(c),
            profile=profile,
            energy=balance + users.grant_due(store.settings, row, now),
            limits=limits,
            panic=meta["panic"] == "1" or pressed,
            surge_milli=_surge(store, c, now),
            models=catalog,
            available=available,
            missing=missing,
            input_factors=lengths.factors(c),
            output_lengths=lengths.levels(c, request.user_id, request.feature),
            tokens_today=tokens_today,
            version=int(meta["world_version"]),
            verdicts=feedback.by_case(c, request.feature) if policy != "rules" else {},
            doubts=_doubts(c, request.user_id, request.feature) if policy == "cascade" else (),
        )


def availability(catalog: tuple[Model, ...], provider: Provider) -> tuple[frozenset[str], dict[str, str]]:
    """The names that can be called now, and what is missing for the others; a retired name is neither."""
    missing = {}
    for model in catalog:
        if not model.enabled:
            missing[model.name] = f"it is disabled; `nexscout models enable {model.name}` brings it back"
        elif reason := provider.available(model.name, model.litellm_model, model.api_key_env):
            missing[model.name] = reason
    return frozenset(m.name for m in catalog if m.name not in missing and not m.retired), missing


def budgets_left(
    store: Store, c: sqlite3.Connection, user_id: str, tier: str, now: datetime
) -> tuple[tuple[Limit, ...], int, bool]:
    """Caps with what is left of them, tokens of today, and whether the installation's daily dollars are nearly gone."""
    limits, tokens_today, pressed = [], 0, False
    budgets = accounts.budgets(store.settings, user_id, tier, now)
    standing = accounts.standing(c, budgets)
    for budget in budgets:
        row = standing.get(budget)
        if budget.cap is not None:
            used = accounts.used(c, budget, row)
            limits.append(Limit(budget.unit, budget.scope, budget.window, budget.cap, budget.cap - used))
            if (budget.unit, budget.owner, budget.window) == ("usd", EVERYONE, "day"):
                pressed = used >= PANIC_SHARE * budget.cap
        if (budget.unit, budget.scope, budget.window) == ("tokens", "user", "day"):
            tokens_today = row["spent"] if row else 0
    return tuple(limits), tokens_today, pressed


def _surge(store: Store, c: sqlite3.Connection, now: datetime) -> int:
    load = c.execute(
        """SELECT (SELECT count(*) FROM ai_cost_predictions WHERE created_at > ? AND approved = 1)
                + (SELECT count(*) FROM attempts WHERE claim IS NOT NULL AND state IN ('held', 'sent')
                   AND created_at <= ?)""",
        (stamp(now - timedelta(minutes=1)),) * 2,
    ).fetchone()[0]
    share = load / store.settings["surge.capacity"]
    return next((surge for start, surge in SURGE_STEPS if share >= start), 1000)


def _doubts(c: sqlite3.Connection, user_id: str, feature: str) -> tuple[float, ...]:
    """How doubtful the first answers of cascades were, among the user's latest rows of usage."""
    rows = c.execute(
        """SELECT json_extract(metadata, '$.doubt.score') FROM
           (SELECT feature, routing_reason, metadata FROM ai_model_usage WHERE user_id = ? ORDER BY created_at DESC LIMIT ?)
           WHERE feature = ? AND routing_reason = 'cascade_first' AND json_type(metadata, '$.doubt') IS NOT NULL""",
        (user_id, DOUBTS_SEEN, feature),
    )
    return tuple(row[0] for row in rows)
