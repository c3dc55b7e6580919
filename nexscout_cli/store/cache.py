"""Answers worth keeping."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from nexscout_cli.engine.types import AIRequest, CachedAnswer, Charge, Model
from nexscout_cli.errors import UsageError
from nexscout_cli.store.store import OWN_OR_ADMIN, Store, stamp

_BATCH = 5_000


def find(c: sqlite3.Connection, user_id: str, prompt_hash: str, now: datetime) -> CachedAnswer | None:
    """The user's answer under that key, unless it has expired."""
    row = c.execute(
        """SELECT id, response_text, model_used, quality, input_tokens, output_tokens, cost_usd FROM cached_ai_responses
           WHERE user_id = ? AND prompt_hash = ? AND expires_at > ?""",
        (user_id, prompt_hash, stamp(now)),
    ).fetchone()
    return CachedAnswer(*row) if row else None


def used(c: sqlite3.Connection, cached_id: int, now: datetime) -> None:
    """Count a hit."""
    c.execute(
        "UPDATE cached_ai_responses SET hit_count = hit_count + 1, last_used_at = ? WHERE id = ?",
        (stamp(now), cached_id),
    )


def save(
    store: Store,
    c: sqlite3.Connection,
    request: AIRequest,
    prompt_hash: str,
    model: Model,
    charge: Charge,
    text: str,
    now: datetime,
) -> None:
    """Keep an answer for ``cache.days``; a newer one for the same key takes its place."""
    expires = now + timedelta(days=store.settings["cache.days"])
    c.execute(
        """INSERT INTO cached_ai_responses (prompt_hash, user_id, feature, model_used, quality, response_text, input_tokens,
           output_tokens, cost_usd, tokens_saved, created_at, last_used_at, expires_at)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
           ON CONFLICT (user_id, prompt_hash) DO UPDATE SET model_used = excluded.model_used, quality = excluded.quality,
           response_text = excluded.response_text, input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens,
           cost_usd = excluded.cost_usd, tokens_saved = excluded.tokens_saved, created_at = excluded.created_at,
           last_used_at = excluded.last_used_at, expires_at = excluded.expires_at""",
        (
            prompt_hash,
            request.user_id,
            request.feature,
            model.name,
            model.quality,
            text,
            charge.input_tokens,
            charge.output_tokens,
            charge.cost,
            charge.input_tokens + charge.output_tokens,
            stamp(now),
            stamp(now),
            stamp(expires),
        ),
    )


def clean_expired_cache(store: Store, *, dry_run: bool = False) -> int:
    """Remove what has expired, everyone's, in short transactions; returns how many answers that were (or would be)."""
    with store.db.read() as c:
        cutoff = stamp(store.now(c))
        expired: int = c.execute(
            "SELECT count(*) FROM cached_ai_responses WHERE expires_at <= ?", (cutoff,)
        ).fetchone()[0]
    removed = 0
    while not dry_run and removed < expired:
        with store.db.write() as c:
            store.touch(c)
            done = c.execute(
                "DELETE FROM cached_ai_responses WHERE id IN (SELECT id FROM cached_ai_responses "
                "WHERE expires_at <= ? LIMIT ?)",
                (cutoff, _BATCH),
            ).rowcount
        if not done:
            break
        removed += done
    return expired if dry_run else removed


def stats(store: Store) -> dict[str, object]:
    """Answers kept, hits, tokens and nano-dollars saved, over what the actor may see; by feature."""
    with store.db.read() as c:
        actor = {"actor": store.actor, "now": stamp(store.now(c))}
        kept = c.execute(
            f"""SELECT feature, count(*) AS answers, sum(expires_at <= :now) AS expired, sum(length(response_text)) AS characters
                FROM cached_ai_responses WHERE {OWN_OR_ADMIN} GROUP BY feature""",
            actor,
        ).fetchall()
        hits = c.execute(
            f"""SELECT feature, sum(outcome = 'hit') AS hits, count(DISTINCT request_id) AS requests,
                sum(CASE WHEN outcome = 'hit' THEN tokens_saved ELSE 0 END) AS tokens_saved, sum(avoided_usd) AS saved_usd
                FROM ai_model_usage WHERE {OWN_OR_ADMIN} GROUP BY feature""",
            actor,
        ).fetchall()
    empty = {"answers": 0, "expired": 0, "characters": 0, "hits": 0, "requests": 0, "tokens_saved": 0, "saved_usd": 0}
    features: dict[str, dict[str, int]] = {}
    for row in (*kept, *hits):
        features.setdefault(row["feature"], dict(empty)).update({k: row[k] for k in row.keys() if k != "feature"})  # noqa: SIM118
    totals = {name: sum(f[name] for f in features.values()) for name in empty}
    return {"rows": [{"feature": name, **values} for name, values in sorted(features.items())], "totals": totals}


def listing(store: Store, user_id: str | None, limit: int) -> list[dict[str, object]]:
    """The latest answers the actor may see, without their text."""
    with store.db.read() as c:
        rows = c.execute(
            f"""SELECT id, user_id, feature, model_used, tokens_saved, hit_count, created_at, last_used_at, expires_at
                FROM cached_ai_responses WHERE {OWN_OR_ADMIN} AND (:user IS NULL OR user_id = :user)
                ORDER BY last_used_at DESC, id DESC LIMIT :limit""",
            {"actor": store.actor, "user": user_id, "limit": limit},
        )
        return [dict(row) for row in rows]


def show(store: Store, cached_id: int) -> dict[str, object]:
    """One answer with its text. Raises UsageError when there is none that the actor may see."""
    with store.db.read() as c:
        row = c.execute(
            f"SELECT * FROM cached_ai_responses WHERE id = :id AND {OWN_OR_ADMIN}",
            {"id": cached_id, "actor": store.actor},
        ).fetchone()
    if row is None:
        raise UsageError(f"there is no cached answer {cached_id}", "`nexscout cache list` shows them")
    return dict(row)


def clear(store: Store, user_id: str | None, feature: str | None, *, dry_run: bool = False) -> int:
    """Remove answers the actor may see, of one user or feature or all; returns how many."""
    where = f"{OWN_OR_ADMIN} AND (:user IS NULL OR user_id = :user) AND (:feature IS NULL OR feature = :feature)"
    values = {"actor": store.actor, "user": user_id, "feature": feature}
    if dry_run:
        with store.db.read() as c:
            return int(c.execute(f"SELECT count(*) FROM cached_ai_responses WHERE {where}", values).fetchone()[0])
    with store.db.write() as c:
        store.touch(c)
        return c.execute(f"DELETE FROM cached_ai_responses WHERE {where}", values).rowcount
