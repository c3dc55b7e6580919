"""Step 0: what the store knows that a plan depends on, from one consistent state."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.engine.evidence import evidence, with_evidence
from nexscout_cli.engine.snapshot import Experience, Given, Subject, World, pooled
from nexscout_cli.recent import Recent
from nexscout_cli.store.sqlite import accounts, keys, lengths, models, profiles
from nexscout_cli.store.sqlite.transaction import Transaction, stamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nexscout_cli.engine.budgets import Budget
    from nexscout_cli.engine.length.learning import Level
    from nexscout_cli.engine.model import Model
    from nexscout_cli.engine.snapshot import Profile

DOUBTS_SEEN = 200
"""Rows of usage that are looked through for how often first answers were doubted."""
AUDITS_SEEN = 1_000
"""A user's latest rows of usage that are looked through for audits, and for answers that were of no use."""


class Lasting(NamedTuple):
    """What of a world no call changes: who the user is, the catalog, budgets that admins set, what was learned."""

    subject: Subject | None
    is_admin: bool
    profile: Profile
    models: tuple[Model, ...]
    panic: bool
    input_factors: dict[str, tuple[int, float, float]]
    output_lengths: dict[tuple[str, str], Level]
    version: int
    thinking: dict[str, tuple[int, float, float]]
    budgets: list[Budget]


def lasting(t: Transaction, user_id: str, feature: str, owners: Sequence[str]) -> Lasting:
    """What lasts. Raises NotPermitted, UsageError where the actor may not act for the user."""
    row = t.require_access(user_id)
    meta = dict(t.execute("SELECT key, value FROM meta WHERE key IN ('panic', 'world_version')").fetchall())
    return Lasting(
        subject=Subject(row["tier"], row["granted_period"]) if row else None,
        is_admin=t.is_admin(),
        profile=profiles.for_plan(t, user_id),
        models=models.of_version(t, int(meta["world_version"])),
        panic=meta["panic"] == "1",
        input_factors=lengths.factors(t),
        output_lengths=lengths.levels(t, user_id, feature),
        version=int(meta["world_version"]),
        thinking=lengths.thinking(t),
        budgets=keys.drawn_on(t, owners) if owners else [],
    )


def read(t: Transaction, user_id: str, budgets: Sequence[Budget], known: Lasting) -> World:
    """The world for a user's request: what lasts, and what calls change."""
    energy = accounts.find(t, user_id, "energy", accounts.PREPAID)
    return World(
        now=t.now,
        subject=known.subject,
        is_admin=known.is_admin,
        profile=known.profile,
        energy=energy["granted"] - energy["held"] - energy["spent"] if energy else 0,
        used=accounts.used(t, user_id, [*budgets, *known.budgets]),
        models=known.models,
        panic=known.panic,
        load=t.recently("load", _load_of),
        input_factors=known.input_factors,
        output_lengths=known.output_lengths,
        version=known.version,
        thinking=known.thinking,
    )


def _load_of(t: Transaction) -> int:
    """The load: a server's of a second ago at most, for it is counted over all calls of a minute."""
    recent: Recent[int] = t.known.setdefault("load", Recent())
    return recent.get("load", lambda: _load(t))


def _load(t: Transaction) -> int:
    """Calls of the last minute, and older ones that are still in flight."""
    row = t.execute(
        """SELECT (SELECT count(*) FROM ai_cost_predictions WHERE created_at > ? AND approved = 1)
                + (SELECT count(*) FROM attempts WHERE claim IS NOT NULL AND state IN ('held', 'sent')
                   AND created_at <= ?)""",
        (stamp(t.now - timedelta(minutes=1)),) * 2,
    ).fetchone()
    return int(row[0])


def experience(t: Transaction, user_id: str, feature: str) -> Experience:
    """Verdicts on a feature's answers, by model and difficulty bucket, pooled so that no user's many outweigh the others',
    and the doubts of the user's first answers.
    """
    t.require_access(user_id)
    given = t.execute(
        "SELECT user_id, model, bucket, sum(good), sum(1 - good) FROM feedback WHERE feature = ? "
        "GROUP BY user_id, model, bucket",
        (feature,),
    )
    verdicts = pooled(user_id, (Given(*row) for row in given))
    seen = t.execute(
        f"""SELECT model_used, metadata FROM (SELECT * FROM ai_model_usage WHERE user_id = ? ORDER BY created_at DESC LIMIT ?)
            AS latest WHERE feature = ? AND {t.sql.has("metadata", "doubt")}""",
        (user_id, AUDITS_SEEN, feature),
    )
    found = evidence((row[0], json.loads(row[1])["doubt"]) for row in seen.fetchall())
    doubts = t.execute(
        f"""SELECT {t.sql.number("metadata", "doubt.score")} FROM
           (SELECT feature, routing_reason, metadata FROM ai_model_usage WHERE user_id = ? ORDER BY created_at DESC LIMIT ?)
           AS latest WHERE feature = ? AND routing_reason = 'cascade_first' AND {t.sql.has("metadata", "doubt")}""",
        (user_id, DOUBTS_SEEN, feature),
    )
    return Experience(with_evidence(verdicts, found), tuple(row[0] for row in doubts))
