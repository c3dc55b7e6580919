"""Answers worth keeping: looking them up, keeping them, and what they come to."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from nexscout_cli.engine.request import Json
from nexscout_cli.engine.settlement import Attempt, CachedAnswer, Charge, Delivery
from nexscout_cli.errors import UsageError
from nexscout_cli.store import owner
from nexscout_cli.store.sqlite import claims
from nexscout_cli.store.sqlite.store import OWN_OR_ADMIN, Store, stamp

PART = 20_000
"""Answers that one read looks at, where all are looked at."""
_LOOK_UP = """SELECT id, response_text, model_used, quality, input_tokens, output_tokens, cost_usd, {match}, request_id
    FROM cached_ai_responses WHERE user_id = ? AND {column} = ? AND expires_at > ? ORDER BY id DESC LIMIT 1"""
_BY_REQUEST = _LOOK_UP.format(match="'exact'", column="prompt_hash")
_BY_FORM = _LOOK_UP.format(match="'canonical'", column="form_hash")


def find(
    c: sqlite3.Connection, user_id: str, prompt_hash: str, form_hash: str | None, now: datetime
) -> CachedAnswer | None:
    """The user's answer under that key, else the latest under that of a canonical form; none that has expired."""
    row = c.execute(_BY_REQUEST, (user_id, prompt_hash, stamp(now))).fetchone()
    if row is None and form_hash is not None:
        row = c.execute(_BY_FORM, (user_id, form_hash, stamp(now))).fetchone()
    return CachedAnswer(*row) if row else None


def in_flight(c: sqlite3.Connection, user_id: str, prompt_hash: str) -> bool:
    """Whether a request under that key is open and the process of its last attempt lives."""
    row = c.execute("SELECT owner FROM attempts WHERE claim = ?", (claims.on_key(user_id, prompt_hash),)).fetchone()
    return row is not None and owner.alive(row[0])


def used(c: sqlite3.Connection, cached_id: int, now: datetime) -> None:
    """Count a hit."""
    c.execute(
        "UPDATE cached_ai_responses SET hit_count = hit_count + 1, last_used_at = ? WHERE id = ?",
        (stamp(now), cached_id),
    )


def save(
    store: Store, c: sqlite3.Connection, attempt: Attempt, delivery: Delivery, charge: Charge, now: datetime
) -> None:
    """Keep an answer for ``cache.days``; a newer one for the same key takes its place."""
    request, model = attempt.plan.request, attempt.plan.model
    expires = now + timedelta(days=store.settings["cache.days"])
    c.execute(
        """INSERT INTO cached_ai_responses (prompt_hash, form_hash, request_id, user_id, feature, model_used, quality,
           response_text, input_tokens, output_tokens, cost_usd, tokens_saved, created_at, last_used_at, expires_at)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
           ON CONFLICT (user_id, prompt_hash) DO UPDATE SET form_hash = excluded.form_hash, request_id = excluded.request_id,
           model_used = excluded.model_used, quality = excluded.quality,
           response_text = excluded.response_text, input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens,
           cost_usd = excluded.cost_usd, tokens_saved = excluded.tokens_saved, created_at = excluded.created_at,
           last_used_at = excluded.last_used_at, expires_at = excluded.expires_at""",
        (
            delivery.cache_key,
            delivery.form_key,
            attempt.request_id,
            request.user_id,
            request.feature,
            model.name,
            model.quality,
            delivery.text,
            charge.input_tokens,
            charge.output_tokens,
            charge.cost,
            charge.input_tokens + charge.output_tokens,
            stamp(now),
            stamp(now),
            stamp(expires),
        ),
    )


def stats(store: Store) -> dict[str, Json]:
    """What is kept, what hits have saved, and what the cache takes on disk, over what the actor may see.

    ``rows``: by feature; ``matches``: by feature and kind of match; ``totals``. Tokens, nano-dollars, bytes of text;
    ``disk_bytes`` is the whole cache's, with its indexes, None where SQLite was built without ``dbstat``.
    """
    with store.db.read() as c:
        actor = {"actor": store.actor, "now": stamp(store.now(c))}
        matches = c.execute(
            f"""SELECT feature, cache_match AS match, count(*) AS hits, sum(tokens_saved) AS tokens_saved,
                sum(avoided_usd) AS saved_usd
                FROM ai_model_usage WHERE outcome = 'hit' AND {OWN_OR_ADMIN} GROUP BY feature, cache_match""",
            actor,
        ).fetchall()
        requests = c.execute(_REQUESTS_OF_ALL if store.is_admin(c) else _REQUESTS_OF_ONE, actor).fetchall()
    with store.db.read() as c:  # on its own, as writers may have to wait for it
        disk = _disk_bytes(c)
    empty = {"answers": 0, "expired": 0, "bytes": 0, "requests": 0, "hits": 0, "tokens_saved": 0, "saved_usd": 0}
    features: dict[str, dict[str, int]] = {}
    for row in (*_kept(store, actor), *requests, *matches):
        counted = features.setdefault(row["feature"], dict(empty))
        for name in empty.keys() & set(row.keys()):
            counted[name] += row[name]
    totals: dict[str, Json] = {name: sum(f[name] for f in features.values()) for name in empty}
    return {
        "rows": [{"feature": name, **values} for name, values in sorted(features.items())],
        "matches": [dict(row) for row in matches],
        "totals": totals | {"disk_bytes": disk},
    }


def _kept(store: Store, actor: dict[str, str]) -> Iterator[sqlite3.Row]:
    """Answers, expired ones among them, and bytes of text, by feature; a feature may come in several rows."""
    return in_parts(
        store,
        f"""SELECT feature, count(*) AS answers, sum(expires_at <= :now) AS expired,
            sum(length(CAST(response_text AS BLOB))) AS bytes FROM cached_ai_responses
            WHERE id > :first AND id <= :last AND {OWN_OR_ADMIN} GROUP BY feature""",
        actor,
    )


def in_parts(store: Store, sql: str, values: Mapping[str, Json]) -> Iterator[sqlite3.Row]:
    """Rows of a query over kept answers with id > :first and ≤ :last: a bounded part in each read, so that writers get
    their turn in between.
    """
    with store.db.read() as c:
        most = c.execute("SELECT coalesce(max(id), 0) FROM cached_ai_responses").fetchone()[0]
    for first in range(0, most, PART):
        with store.db.read() as c:
            rows = c.execute(sql, {**values, "first": first, "last": first + PART}).fetchall()
        yield from rows


_REQUESTS_OF_ALL = "SELECT feature, sum(requests) AS requests FROM usage_by_model_day GROUP BY feature"
_REQUESTS_OF_ONE = """SELECT feature, count(DISTINCT request_id) AS requests FROM ai_model_usage
    WHERE user_id = :actor GROUP BY feature"""


def _disk_bytes(c: sqlite3.Connection) -> int | None:
    try:
        row = c.execute(
            """SELECT sum(pgsize) FROM sqlite_schema s JOIN dbstat d ON d.name = s.name AND d.aggregate = TRUE
               WHERE s.tbl_name = 'cached_ai_responses'"""
        ).fetchone()
        return int(row[0])
    except sqlite3.OperationalError:
        return None


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
