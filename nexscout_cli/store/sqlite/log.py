"""The log: the latest requests, one with all that the books say of it, and how its model was chosen.

Dollars exact, times as stamps.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nexscout_cli.engine.money import usd
from nexscout_cli.errors import UsageError
from nexscout_cli.store.sqlite import archives
from nexscout_cli.store.sqlite.live import live
from nexscout_cli.store.sqlite.transaction import OWN_OR_ADMIN, Transaction, stamp

if TYPE_CHECKING:
    from datetime import datetime

    from nexscout_cli.engine.book_types import Live
    from nexscout_cli.store.sqlite.records import Record
    from nexscout_cli.store.sqlite.work import Work

Row = dict[str, Any]

MIN_PREFIX = 6
"""Characters of a request's id that are enough to name it, where they name only one."""

_LAST = chr(0x10FFFF)
_ONLY = {False: "", True: "AND user_id = :user"}

# Each source is read newest first and stops at :limit. The second, which no index serves alone, looks back no further
# than the oldest row that the first one gave: refused requests, and those that nothing has come of yet.
_USED = """SELECT request_id, created_at FROM ai_model_usage a WHERE created_at < :before AND {mine} {only}
  AND NOT EXISTS (SELECT 1 FROM ai_model_usage e WHERE e.request_id = a.request_id AND e.id < a.id)
  ORDER BY created_at DESC, id DESC LIMIT :limit"""
_UNUSED = """SELECT request_id, created_at FROM ai_cost_predictions p WHERE created_at >= :since AND created_at < :before
  AND {mine} {only}
  AND NOT EXISTS (SELECT 1 FROM ai_model_usage e WHERE e.request_id = p.request_id)
  ORDER BY created_at DESC, id DESC LIMIT :limit"""


class SqliteLog:
    """What became of requests, and why. Requests are named by their id or the beginning of it."""

    def __init__(self, store: Work) -> None:
        self._store = store

    def latest(self, actor: str, user: str | None = None, limit: int = 20, before: datetime | None = None) -> list[Row]:
        """The latest requests that the actor may see, newest first: answered, cached, failed, refused, live and unknown.
        ``before``: of those before a time.

        Raises NotPermitted for another user's, UsageError for a user there is not.
        """
        with self._store.read(actor) as t:
            user = t.readable_user(user)
            end = _LAST if before is None else stamp(before)
            values = {"actor": actor, "user": user, "limit": limit, "since": "", "before": end}
            names = {"mine": OWN_OR_ADMIN, "only": _ONLY[user is not None]}
            found = t.execute(_USED.format(**names), values).fetchall()
            if len(found) == limit:
                values["since"] = found[-1]["created_at"]
            found += t.execute(_UNUSED.format(**names), values).fetchall()
            newest = sorted(found, key=lambda row: str(row["created_at"]), reverse=True)[:limit]
            return [summary(t, row["request_id"]) for row in newest]

    def show(self, actor: str, request: str) -> Row:
        """One request: summary, prediction, attempts, entries, usage rows.

        Raises UsageError when there is none that the actor may see, or more than one that begins so.
        """
        with self._store.read(actor) as t:
            return _record(t, find(t, request))

    def why(self, actor: str, request: str) -> Row:
        """One request: its summary, the decision as it was made, its attempts, and the verdict on it.

        The decision is None for a cached answer, for which none was made, and for requests older than the record of
        decisions. Raises UsageError as :meth:`show` does.
        """
        with self._store.read(actor) as t:
            return _reasons(t, find(t, request))

    def full_id(self, actor: str, request: str) -> str:
        """The one request id that begins so. Raises UsageError for none or several."""
        with self._store.read(actor) as t:
            return find(t, request)

    def live(self, actor: str, minutes: int) -> Live:
        """What goes on now, over what the actor may see, and what went on in as many of the latest minutes."""
        with self._store.read(actor) as t:
            return live(t, minutes)


def past(request: str) -> str:
    """What comes after all ids that begin with ``request``."""
    return request + _LAST


def find(t: Transaction, request: str) -> str:
    """The one request id that begins with ``request``, of those the actor may see. Raises UsageError for none or several."""
    values = {"actor": t.actor, "name": request, "past": past(request)}
    where = f"request_id >= :name AND request_id < :past AND {OWN_OR_ADMIN}"
    found = [
        str(row[0])
        for row in t.execute(
            f"""SELECT request_id FROM ai_model_usage WHERE {where} UNION SELECT request_id FROM requests WHERE {where}
            UNION SELECT request_id FROM ai_cost_predictions WHERE {where} ORDER BY 1 LIMIT 4""",
            values,
        )
    ]
    if request in found:
        return request
    if len(request) < MIN_PREFIX:
        raise UsageError(
            f"there is no request {request!r}",
            f"give its id, or {MIN_PREFIX} characters of its beginning",
            code="request_not_found",
        )
    if not found:
        if (archive := archives.of_request(t.execute, request)) is not None:
            raise UsageError(
                f"there is no request {request!r} here: those from before {archive.until} are archived in {archive.folder}",
                f"read the files of {archive.month} there",
                code="archived",
            )
        raise UsageError(
            f"there is no request {request!r}", "`nexscout log` lists the latest ones", code="request_not_found"
        )
    if len(found) > 1:
        raise UsageError(f"more than one request begins with {request!r}", f"for instance {', '.join(found[:3])}")
    return found[0]


def _record(t: Transaction, request_id: str) -> Row:
    prediction = t.execute("SELECT * FROM ai_cost_predictions WHERE request_id = ?", (request_id,)).fetchone()
    attempts = t.execute(
        """SELECT n, model, deployment, state, estimate, hold, hold_tokens, actual, reason, provider_id, created_at, settled_at
           FROM attempts WHERE request_id = ? ORDER BY n""",
        (request_id,),
    ).fetchall()
    entries = t.execute(
        """SELECT t.n AS attempt, a.kind AS account, a.owner, a.period, e.kind, e.amount, e.reason, e.actor,
           e.created_at
           FROM attempts t JOIN ledger_entries e ON e.attempt = t.id JOIN accounts a ON a.id = e.account
           WHERE t.request_id = ? ORDER BY e.id""",
        (request_id,),
    ).fetchall()
    rows = t.execute("SELECT * FROM ai_model_usage WHERE request_id = ? ORDER BY id", (request_id,)).fetchall()
    return {
        "request": summary(t, request_id),
        "prediction": prediction and _predicted(prediction),
        "attempts": [_dollars(row, "estimate", "hold", "actual") for row in attempts],
        "entries": [_dollars(row, *(("amount",) if row["account"] == "usd" else ())) for row in entries],
        "usage": [
            _dollars(row, "cost_usd", "baseline_usd", "avoided_usd", "compression_saved_usd", "provider_cost_usd")
            | {"metadata": json.loads(row["metadata"]), "token_classes": json.loads(row["token_classes"])}
            for row in rows
        ],
    }


def _predicted(row: Record) -> Row:
    values = _dollars(row, "predicted_cost_usd", "max_cost_usd", "actual_cost_usd")
    del values["decision"]  # `nexscout why` tells that
    return values


def _dollars(row: Record, *names: str) -> Row:
    """The row with those columns, nano-dollars or null, in dollars; its own id left out."""
    values = dict(row)
    values.pop("id", None)
    return values | {name: usd(values[name]) for name in names if values[name] is not None}


def _reasons(t: Transaction, request_id: str) -> Row:
    prediction = t.execute("SELECT decision FROM ai_cost_predictions WHERE request_id = ?", (request_id,)).fetchone()
    attempts = t.execute(
        f"""SELECT a.n, a.model, a.state, a.reason, a.actual, {t.sql.field("a.plan", "routing_reason")} AS routing_reason,
           {t.sql.is_true("u.metadata", "delivered")} AS delivered, {t.sql.field("u.metadata", "doubt")} AS doubt
           FROM attempts a LEFT JOIN ai_model_usage u USING (request_id, n) WHERE a.request_id = ? ORDER BY a.n""",
        (request_id,),
    ).fetchall()
    verdict = t.execute(
        "SELECT good, note, actor, created_at FROM feedback WHERE request_id = ?", (request_id,)
    ).fetchone()
    return {
        "request": summary(t, request_id),
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
        "feedback": verdict and dict(verdict) | {"good": bool(verdict["good"])},
    }


def summary(t: Transaction, request_id: str) -> Row:
    """What became of a request, in one line. Sums are over its rows; the model is that of the answer, else the last one."""
    rows = t.execute("SELECT * FROM ai_model_usage WHERE request_id = ? ORDER BY id", (request_id,)).fetchall()
    request = t.execute("SELECT * FROM requests WHERE request_id = ?", (request_id,)).fetchone()
    prediction = t.execute("SELECT * FROM ai_cost_predictions WHERE request_id = ?", (request_id,)).fetchone()
    attempt = t.execute(
        "SELECT model, reason FROM attempts WHERE request_id = ? ORDER BY n DESC LIMIT 1", (request_id,)
    ).fetchone()
    about = rows[0] if rows else request or prediction
    outcome, reason = _outcome(rows, request, prediction, attempt)
    answered = next((row for row in rows if row["energy"] or json.loads(row["metadata"]).get("delivered")), None)
    if rows:
        model = (answered or rows[-1])["model_used"]
    else:
        model = attempt["model"] if attempt else prediction["recommended_model"]
    sums = {
        name: sum(row[name] for row in rows)
        for name in ("input_tokens", "output_tokens", "total_tokens", "cost_usd", "energy")
    }
    return {
        "request_id": request_id,
        "created_at": about["created_at"],
        "user_id": about["user_id"],
        "feature": about["feature"],
        "outcome": outcome,
        "reason": reason,
        "model_used": model,
        **sums,
        "cost_usd": usd(sums["cost_usd"]),
    }


def _outcome(
    rows: list[Record], request: Record | None, prediction: Record | None, attempt: Record | None
) -> tuple[str, str | None]:
    """answered, cached, failed, refused, in progress, unknown or voided, and why where there is something to say."""
    state = request["state"] if request else None
    if rows and rows[0]["outcome"] == "hit":
        return "cached", None
    last = attempt["reason"] if attempt else None
    if state == "unknown":
        return "unknown", last
    failed = next((row for row in rows if row["outcome"] == "failed"), None)
    if failed:
        about = json.loads(failed["metadata"])
        return "failed", about.get("message") or about.get("error")
    if state == "open":
        return "in progress", None
    if prediction and not prediction["approved"]:
        return "refused", prediction["rejected_reason"]
    return ("voided", last) if state == "voided" else ("answered", None)
