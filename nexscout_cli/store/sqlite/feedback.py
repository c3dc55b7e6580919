"""What users said of answers: one verdict a request, and its counts by model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from nexscout_cli.engine.book_types import Feedback
from nexscout_cli.errors import UsageError
from nexscout_cli.store.sqlite import cache, log

if TYPE_CHECKING:
    from nexscout_cli.store.sqlite.transaction import Transaction
    from nexscout_cli.store.sqlite.work import Work

NOTE_CHARS = 2_000
"""Characters of a note that are kept."""
_VERDICTS = ("good", "bad")


class SqliteFeedback:
    """What users said of answers."""

    def __init__(self, store: Work) -> None:
        self._store = store

    def record(self, actor: str, request: str, verdict: str, note: str | None = None) -> Feedback:
        """Enter a verdict, good or bad, on a request's answer, by its id or the beginning of it; a second one replaces the
        first.

        An answer that was bad is removed from the cache, whether the request made it or was given it from there.
        Raises UsageError for another verdict, a request there is not (or of someone the actor may not act for), and one
        that was not answered.
        """
        if verdict not in _VERDICTS:
            raise UsageError(f"a verdict is good or bad, not {verdict!r:.80}", "nexscout feedback REQUEST_ID good")
        if note is not None and len(note) > NOTE_CHARS:
            raise UsageError(f"the note has {len(note):,} characters; {NOTE_CHARS:,} are kept", "make it shorter")
        with self._store.write(actor) as t:
            request_id = log.find(t, request)
            answered = t.execute(
                "SELECT user_id, feature, model_used FROM ai_model_usage WHERE request_id = ? "
                f"AND (outcome = 'hit' OR {t.sql.is_true('metadata', 'delivered')}) LIMIT 1",
                (request_id,),
            ).fetchone()
            if answered is None:
                raise UsageError(
                    f"request {request_id} was not answered", f"`nexscout log {request_id}` says what it came to"
                )
            user_id, feature, model = answered
            t.require_access(user_id)
            bucket = _bucket(t, request_id)
            before = t.execute("SELECT 1 FROM feedback WHERE request_id = ?", (request_id,)).fetchone()
            t.execute(
                "INSERT INTO feedback VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (request_id) DO UPDATE "
                "SET good = excluded.good, note = excluded.note, actor = excluded.actor, created_at = excluded.created_at",
                (request_id, user_id, feature, bucket, model, int(verdict == "good"), note, actor, t.stamp),
            )
            if verdict == "bad":
                cache.forget_answer(t, request_id)
        return Feedback(request_id, user_id, feature, bucket, model, verdict, note, before is not None)

    def by_model(self, actor: str, user_id: str | None) -> dict[str, tuple[int, int]]:
        """One user's good and bad verdicts by model; None: everyone's for an admin, else the actor's own.

        Raises NotPermitted, UsageError.
        """
        with self._store.read(actor) as t:
            if user_id is None:
                subject = t.readable_user(None)
            else:
                t.require_access(subject := user_id)
            whose, values = ("", ()) if subject is None else ("WHERE user_id = ?", (subject,))
            rows = t.execute(f"SELECT model, sum(good), sum(1 - good) FROM feedback {whose} GROUP BY model", values)
            return {model: (good, bad) for model, good, bad in rows}


def _bucket(t: Transaction, request_id: str) -> int | None:
    row = t.execute("SELECT decision FROM ai_cost_predictions WHERE request_id = ?", (request_id,)).fetchone()
    found = json.loads(row[0]).get("bucket") if row and row[0] else None
    return None if found is None else int(found)
