"""Answers that are kept, as people see them: what there is, what it saved, and letting go of them."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from nexscout_cli.errors import UsageError
from nexscout_cli.store.sqlite import cleaning, parts
from nexscout_cli.store.sqlite.transaction import OWN_OR_ADMIN, Transaction

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nexscout_cli.engine.request import Json
    from nexscout_cli.store.sqlite.records import Record
    from nexscout_cli.store.sqlite.work import Work

Row = dict[str, Any]

_COUNTED = ("answers", "expired", "bytes", "requests", "hits", "tokens_saved", "saved_usd")

# From a request to the one whose answer it was given, and on to where that came from. UNION: a circle ends.
# Answers are looked for among those of the request's user, which an index finds.
_FORGET = f"""DELETE FROM cached_ai_responses WHERE user_id = :user AND {OWN_OR_ADMIN} AND request_id IN (
  WITH RECURSIVE sources (id) AS (
    SELECT CAST(:request AS text) UNION
    SELECT {{cached_from}} FROM sources JOIN ai_model_usage u ON u.request_id = sources.id
    WHERE u.outcome = 'hit')
  SELECT id FROM sources WHERE id IS NOT NULL)"""


def forget_answer(t: Transaction, request_id: str) -> int:
    """Remove the answer that a request left in the cache, or was given from it, by whatever match; returns how many.

    Raises UsageError when the actor may see no such request.
    """
    values = {"actor": t.actor, "request": request_id}
    row = t.execute(
        f"SELECT user_id FROM ai_model_usage WHERE request_id = :request AND {OWN_OR_ADMIN} LIMIT 1", values
    ).fetchone()
    if row is None:
        raise UsageError(f"there is no request {request_id!r}", "`nexscout log` lists them", code="request_not_found")
    forget = _FORGET.format(cached_from=t.sql.field("u.metadata", "cached_from"))
    return t.execute(forget, values | {"user": row["user_id"]}).rowcount


class SqliteCache:
    """Answers that are kept. What removes many does so in short transactions, so that writers get their turn in between."""

    def __init__(self, store: Work) -> None:
        self._store = store

    def stats(self, actor: str) -> Row:
        """What is kept, what hits have saved, and what the cache takes on disk, over what the actor may see.

        ``rows``: by feature; ``matches``: by feature and kind of match; ``near_misses``: answers that were paid for though one
        to the same question in other words was kept; ``totals``. Tokens, nano-dollars, bytes of text;
        ``disk_bytes`` is the whole cache's, with its indexes, None where SQLite was built without ``dbstat``.
        """
        from nexscout_cli.store.sqlite.hit_sums import by_match  # what reads folds is not needed to clean

        with self._store.read(actor) as t:
            values = {"actor": actor, "now": t.stamp}
            requests, matches = by_match(t)
            apart = t.execute(
                f"""SELECT feature, sum(many - 1) AS answers FROM (
                    SELECT feature, user_id, form_hash, count(*) AS many FROM cached_ai_responses
                    WHERE form_hash IS NOT NULL AND expires_at > :now AND {OWN_OR_ADMIN}
                    GROUP BY feature, user_id, form_hash HAVING count(*) > 1) AS same GROUP BY feature ORDER BY feature""",
                values,
            ).fetchall()
        with self._store.read(actor) as t:  # on its own, as writers may have to wait for it
            disk = _disk_bytes(t)
        features: dict[str, dict[str, int]] = {}
        for row in (*map(dict, self._kept(values)), *requests, *matches):
            counted = features.setdefault(row["feature"], dict.fromkeys(_COUNTED, 0))
            for name in set(_COUNTED) & set(row.keys()):
                counted[name] += row[name]
        totals: dict[str, Json] = {name: sum(f[name] for f in features.values()) for name in _COUNTED}
        return {
            "rows": [{"feature": name, **counted} for name, counted in sorted(features.items())],
            "matches": matches,
            "near_misses": [dict(row) for row in apart],
            "totals": totals | {"disk_bytes": disk},
        }

    def _kept(self, values: Mapping[str, str]) -> Iterator[Record]:
        """Answers, expired ones among them, and bytes of text, by feature; a feature may come in several rows."""
        return parts.of_kept_answers(
            self._store,
            f"""SELECT feature, count(*) AS answers, count(CASE WHEN expires_at <= :now THEN 1 END) AS expired,
                sum({self._store.sql.bytes_of.format("response_text")}) AS bytes FROM cached_ai_responses
                WHERE id > :first AND id <= :last AND {OWN_OR_ADMIN} GROUP BY feature""",
            values,
        )

    def listing(self, actor: str, user_id: str | None, limit: int) -> list[Row]:
        """The latest answers the actor may see, without their text; of one user where one is named.

        Raises NotPermitted, UsageError.
        """
        with self._store.read(actor) as t:
            if user_id is not None:
                t.require_access(user_id)
            rows = t.execute(
                f"""SELECT id, user_id, feature, model_used, tokens_saved, hit_count, created_at, last_used_at, expires_at
                    FROM cached_ai_responses WHERE {OWN_OR_ADMIN} AND (CAST(:user AS text) IS NULL OR user_id = :user)
                    ORDER BY last_used_at DESC, id DESC LIMIT :limit""",
                {"actor": actor, "user": user_id, "limit": limit},
            )
            return [dict(row) for row in rows]

    def show(self, actor: str, cached_id: int) -> Row:
        """One answer with its text. Raises UsageError when there is none that the actor may see."""
        with self._store.read(actor) as t:
            row = t.execute(
                f"SELECT * FROM cached_ai_responses WHERE id = :id AND {OWN_OR_ADMIN}",
                {"id": cached_id, "actor": actor},
            ).fetchone()
        if row is None:
            raise UsageError(f"there is no cached answer {cached_id}", "`nexscout cache list` shows them")
        return dict(row)

    def clean(self, *, dry_run: bool = False) -> int:
        """Remove what has expired, everyone's; returns how many answers that were (or would be)."""
        return cleaning.expired(self._store, dry_run=dry_run)

    def evict(self, *, dry_run: bool = False) -> int:
        """Remove the least recently used answers until their texts fit; returns how many that were (or would be)."""
        return cleaning.evict(self._store, dry_run=dry_run)

    def clear(self, actor: str, user_id: str | None, feature: str | None, *, dry_run: bool = False) -> int:
        """Remove answers the actor may see, of one user or feature or all; returns how many that were (or would be).

        Raises NotPermitted, UsageError.
        """
        return cleaning.clear(self._store, actor, user_id, feature, dry_run=dry_run)

    def forget(self, actor: str, request_id: str) -> int:
        """Remove the answer that a request left in the cache, or was given from it; returns how many that were.

        Raises UsageError when the actor may see no such request.
        """
        with self._store.write(actor) as t:
            return forget_answer(t, request_id)


def _disk_bytes(t: Transaction) -> int | None:
    if t.sql.is_postgres:
        return int(t.execute("SELECT pg_total_relation_size('cached_ai_responses')").fetchone()[0])
    try:
        row = t.execute(
            """SELECT sum(pgsize) FROM sqlite_schema s JOIN dbstat d ON d.name = s.name AND d.aggregate = TRUE
               WHERE s.tbl_name = 'cached_ai_responses'"""
        ).fetchone()
        return int(row[0])
    except sqlite3.OperationalError:
        return None
