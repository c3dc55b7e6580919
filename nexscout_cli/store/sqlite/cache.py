"""Answers worth keeping: looking them up, keeping them, and what they come to."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping

from nexscout_cli.engine.request import Json
from nexscout_cli.errors import UsageError
from nexscout_cli.store.sqlite.store import OWN_OR_ADMIN, Store, stamp

PART = 20_000
"""Answers that one read looks at, where all are looked at."""


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
