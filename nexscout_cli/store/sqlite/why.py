"""What is on record of how a request's model was chosen, and of what came of it."""

from __future__ import annotations

import json
from typing import Any

from nexscout_cli.engine.money import usd
from nexscout_cli.store.sqlite import log
from nexscout_cli.store.sqlite.store import Store


def facts(store: Store, name: str) -> dict[str, Any]:
    """One request by its id or the beginning of it: its summary, the decision as it was made, and its attempts.

    The decision is None for a cached answer, for which none was made, and for requests older than the record of decisions.
    Raises UsageError when there is none that the actor may see, or more than one that begins so.
    """
    with store.db.read() as c:
        request_id = log.find(store, c, name)
        prediction = c.execute(
            "SELECT decision FROM ai_cost_predictions WHERE request_id = ?", (request_id,)
        ).fetchone()
        attempts = c.execute(
            """SELECT a.n, a.model, a.state, a.reason, a.actual, json_extract(a.plan, '$.routing_reason') AS routing_reason,
               json_extract(u.metadata, '$.delivered') AS delivered, json_extract(u.metadata, '$.doubt') AS doubt
               FROM attempts a LEFT JOIN ai_model_usage u USING (request_id, n) WHERE a.request_id = ? ORDER BY a.n""",
            (request_id,),
        ).fetchall()
        said = c.execute(
            "SELECT good, note, actor, created_at FROM feedback WHERE request_id = ?", (request_id,)
        ).fetchone()
        return {
            "request": log.summary(c, request_id),
            "decision": json.loads(prediction[0]) if prediction and prediction[0] else None,
            "attempts": [
                {
                    "n": row["n"],
                    "model": row["model"],
                    "routing_reason": row["routing_reason"],
                    "state": row["state"],
                    "reason": row["reason"],
                    "cost_usd": None if row["actual"] is None else usd(row["actual"]),
                    "delivered": bool(row["delivered"]),
                    "doubt": row["doubt"] and json.loads(row["doubt"]),
                }
                for row in attempts
            ],
            "feedback": said and dict(said) | {"good": bool(said["good"])},
        }
