"""Step 0: what the store knows that a plan depends on, from one consistent state."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from nexscout_cli.engine.budgets import Budget
from nexscout_cli.engine.snapshot import Experience, Subject, World
from nexscout_cli.store.sqlite import accounts, lengths, models, profiles
from nexscout_cli.store.sqlite.transaction import Transaction, stamp

DOUBTS_SEEN = 200
"""Rows of usage that are looked through for how often first answers were doubted."""


def read(t: Transaction, user_id: str, feature: str, budgets: Sequence[Budget]) -> World:
    """The world for a user's request. Raises NotPermitted, UsageError where the actor may not act for the user."""
    row = t.require_access(user_id)
    energy = accounts.find(t, user_id, "energy", accounts.PREPAID)
    meta = dict(t.execute("SELECT key, value FROM meta WHERE key IN ('panic', 'world_version')").fetchall())
    return World(
        now=t.now,
        subject=Subject(row["tier"], row["granted_period"]) if row else None,
        is_admin=t.is_admin(),
        profile=profiles.for_plan(t, user_id),
        energy=energy["granted"] - energy["held"] - energy["spent"] if energy else 0,
        used=accounts.used(t, user_id, budgets),
        models=models.read(t),
        panic=meta["panic"] == "1",
        load=_load(t),
        input_factors=lengths.factors(t),
        output_lengths=lengths.levels(t, user_id, feature),
        version=int(meta["world_version"]),
    )


def _load(t: Transaction) -> int:
    """Calls of the last minute, and older ones that are still in flight."""
    row = t.execute(
        """SELECT (SELECT count(*) FROM ai_cost_predictions WHERE created_at > ? AND approved = 1)
                + (SELECT count(*) FROM attempts WHERE claim IS NOT NULL AND state IN ('held', 'sent')
                   AND created_at <= ?)""",
        (stamp(t.now - timedelta(minutes=1)),) * 2,
    ).fetchone()
    return int(row[0])


# One user's many verdicts must not choose everybody's models: of every other user the majority counts, as one.
_VERDICTS = """
SELECT model, bucket, sum(good) AS good, sum(bad) AS bad FROM (
  SELECT model, bucket, sum(good) AS good, sum(1 - good) AS bad
  FROM feedback WHERE feature = :feature AND user_id = :user GROUP BY model, bucket
  UNION ALL
  SELECT model, bucket, sum(good) > sum(1 - good), sum(good) < sum(1 - good)
  FROM feedback WHERE feature = :feature AND user_id <> :user GROUP BY user_id, model, bucket)
GROUP BY model, bucket HAVING sum(good) + sum(bad) > 0"""


def experience(t: Transaction, user_id: str, feature: str) -> Experience:
    """Verdicts on a feature's answers, by model and difficulty bucket, and the doubts of the user's first answers.

    The user's own verdicts all count. Every other user has one vote on a model and bucket, good or bad as most of their
    verdicts are; who is undecided has none.
    """
    t.require_access(user_id)
    verdicts = t.execute(_VERDICTS, {"user": user_id, "feature": feature})
    doubts = t.execute(
        """SELECT json_extract(metadata, '$.doubt.score') FROM
           (SELECT feature, routing_reason, metadata FROM ai_model_usage WHERE user_id = ? ORDER BY created_at DESC LIMIT ?)
           WHERE feature = ? AND routing_reason = 'cascade_first' AND json_type(metadata, '$.doubt') IS NOT NULL""",
        (user_id, DOUBTS_SEEN, feature),
    )
    return Experience(
        {(model, bucket): (good, bad) for model, bucket, good, bad in verdicts}, tuple(row[0] for row in doubts)
    )
