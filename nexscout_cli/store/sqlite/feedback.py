"""What users said of answers: one verdict a request, and its counts by feature, difficulty bucket and model."""

from __future__ import annotations

import json
import sqlite3
from typing import NamedTuple

from nexscout_cli.engine.snapshot import Verdicts
from nexscout_cli.errors import UsageError
from nexscout_cli.store.sqlite import log
from nexscout_cli.store.sqlite.store import Store, stamp

NOTE_CHARS = 2_000
"""Characters of a note that are kept."""
_KEYS = ("good", "bad")


class Feedback(NamedTuple):
    """A verdict on record; ``bucket`` 0..4 is the prompt's difficulty, None where no policy estimated it."""

    request_id: str
    user_id: str
    feature: str
    bucket: int | None
    model: str
    verdict: str
    note: str | None
    replaced: bool


def record(store: Store, name: str, verdict: str, note: str | None = None) -> Feedback:
    """Enter a verdict, good or bad, on a request's answer, by its id or the beginning of it; a second one replaces the first.

    An answer that was bad is not given again from the cache.
    Raises UsageError for another verdict, a request there is not (or of someone the actor may not act for), and one that
    was not answered.
    """
    if verdict not in _KEYS:
        raise UsageError(f"a verdict is good or bad, not {verdict!r:.80}", "nexscout feedback REQUEST_ID good")
    if note is not None and len(note) > NOTE_CHARS:
        raise UsageError(f"the note has {len(note):,} characters; {NOTE_CHARS:,} are kept", "make it shorter")
    with store.db.write() as c:
        request_id = log.find(store, c, name)
        answered = c.execute(
            "SELECT user_id, feature, model_used, "
            "json_extract(metadata, '$.cached_id') AS cached_id FROM ai_model_usage WHERE request_id = ? "
            "AND (outcome = 'hit' OR json_extract(metadata, '$.delivered')) LIMIT 1",
            (request_id,),
        ).fetchone()
        if answered is None:
            raise UsageError(
                f"request {request_id} was not answered", f"`nexscout log {request_id}` says what it came to"
            )
        store.require_access(c, answered["user_id"])
        now = store.touch(c)
        bucket = _bucket(c, request_id)
        before = c.execute("SELECT 1 FROM feedback WHERE request_id = ?", (request_id,)).fetchone()
        c.execute(
            "INSERT INTO feedback VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET good = excluded.good, "
            "note = excluded.note, actor = excluded.actor, created_at = excluded.created_at",
            (
                request_id,
                *answered[:2],
                bucket,
                answered["model_used"],
                int(verdict == "good"),
                note,
                store.actor,
                stamp(now),
            ),
        )
        if verdict == "bad":
            c.execute(
                "DELETE FROM cached_ai_responses WHERE id = ? OR request_id = ?", (answered["cached_id"], request_id)
            )
    user_id, feature, model = answered[:3]
    return Feedback(request_id, user_id, feature, bucket, model, verdict, note, before is not None)


def _bucket(c: sqlite3.Connection, request_id: str) -> int | None:
    row = c.execute("SELECT decision FROM ai_cost_predictions WHERE request_id = ?", (request_id,)).fetchone()
    found = json.loads(row[0]).get("bucket") if row and row[0] else None
    return None if found is None else int(found)


def by_case(c: sqlite3.Connection, feature: str) -> Verdicts:
    """Good and bad verdicts on a feature's answers, everyone's, by model and difficulty bucket."""
    rows = c.execute(
        "SELECT model, bucket, sum(good), sum(1 - good) FROM feedback WHERE feature = ? GROUP BY model, bucket",
        (feature,),
    )
    return {(model, bucket): (good, bad) for model, bucket, good, bad in rows}


def by_model(c: sqlite3.Connection, user_id: str) -> dict[str, tuple[int, int]]:
    """One user's good and bad verdicts by model."""
    rows = c.execute(
        "SELECT model, sum(good), sum(1 - good) FROM feedback WHERE user_id = ? GROUP BY model", (user_id,)
    )
    return {model: (good, bad) for model, good, bad in rows}
