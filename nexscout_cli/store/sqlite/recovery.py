"""What becomes of attempts whose process died, of unknown ones that grow old, and of those a person decides."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime, timedelta
from typing import NamedTuple

from nexscout_cli.engine.money import dollars
from nexscout_cli.errors import UsageError
from nexscout_cli.store import owner
from nexscout_cli.store.sqlite import accounts, claims, states, usage
from nexscout_cli.store.sqlite.store import Store, parse_stamp, stamp

GRACE = timedelta(hours=1)
"""How far past its deadline an attempt is given up on though its owner seems to live."""
POST_AFTER = timedelta(hours=24)

_ATTEMPTS = """SELECT a.*, r.user_id, r.feature, r.state = 'open' AS goes_on
    FROM attempts a JOIN requests r USING (request_id)"""


class Recovered(NamedTuple):
    """How many attempts were voided, became unknown, and were posted by age."""

    voided: int = 0
    unknown: int = 0
    posted: int = 0


def recover(store: Store) -> Recovered:
    """Settle what dead processes left behind; runs at the start of every writing command, over all users.

    Never sent: voided. Sent: unknown. Unknown for 24 hours: posted at its hold, marked estimated. Age never voids.
    """
    with store.db.read() as c:
        now = store.now(c)
        if not (_left_behind(c, now) or _abandoned(c) or claims.stale(c) or states.keys_to_expire(c, now)):
            return Recovered()
    voided = unknown = posted = 0
    with store.db.write() as c:
        now = store.touch(c)
        for row in _left_behind(c, now):
            if row["state"] == "unknown":
                _post(store, c, row, row["hold"], "aged", now)
                posted += 1
            elif row["state"] == "held" or row["hold"] == 0:
                # What was never sent, or costs nothing, cannot be owed.
                _void(store, c, row, "its process died", now)
                voided += 1
            else:
                states.set_state(c, row["id"], "unknown", now, reason="its process died while it was in flight")
                if row["goes_on"]:
                    states.close_request(c, row["request_id"], "unknown")
                unknown += 1
        _close_abandoned(store, c, now)
        claims.end_stale(c)
        states.expire_keys(c, now)
    return Recovered(voided, unknown, posted)


def _left_behind(c: sqlite3.Connection, now: datetime) -> list[sqlite3.Row]:
    rows = c.execute(
        f"{_ATTEMPTS} WHERE a.claim IS NOT NULL AND a.state IN ('held', 'sent', 'unknown') ORDER BY +a.id"
    ).fetchall()
    return [row for row in rows if _is_left(row, now)]


def _is_left(row: sqlite3.Row, now: datetime) -> bool:
    if row["state"] == "unknown":
        return parse_stamp(row["settled_at"]) + POST_AFTER <= now
    return parse_stamp(row["deadline"]) + GRACE <= now or not owner.alive(row["owner"])


def _abandoned(c: sqlite3.Connection) -> list[sqlite3.Row]:
    """Requests left open between two attempts by a process that died."""
    rows = c.execute(
        """SELECT r.request_id,
           (SELECT a.owner FROM attempts a WHERE a.request_id = r.request_id ORDER BY n DESC LIMIT 1) AS owner,
           EXISTS (SELECT 1 FROM attempts a WHERE a.request_id = r.request_id AND a.state = 'unknown') AS unknown
           FROM requests r WHERE r.state = 'open'
           AND r.request_id IN (SELECT request_id FROM attempts WHERE claim IS NOT NULL)
           AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.request_id = r.request_id AND a.state IN ('held', 'sent'))"""
    ).fetchall()
    return [row for row in rows if not owner.alive(row["owner"])]


def _close_abandoned(store: Store, c: sqlite3.Connection, now: datetime) -> None:
    """Nothing of theirs is in flight, so nothing was delivered; energy stays held while an attempt is unknown."""
    for row in _abandoned(c):
        if row["unknown"]:
            states.close_request(c, row["request_id"], "unknown")
        else:
            states.end_request(store, c, row["request_id"], "voided", now, energy=0)


def resolve(store: Store, request_id: str, cost: int | None, *, beyond_hold: bool = False) -> int:
    """Decide a request's unknown attempts: post them at ``cost`` nano-dollars in all, or void them when it is None.

    Returns how many there were. Raises UsageError when there is none, or when the cost is beyond what they hold and
    ``beyond_hold`` does not say that this is meant: entries stay for ever. Admins only: to void is to give budget back.
    """
    with store.db.write() as c:
        store.require_admin(c, "resolve an attempt")
        now = store.touch(c)
        rows = c.execute(
            f"{_ATTEMPTS} WHERE a.request_id = ? AND a.state = 'unknown' ORDER BY a.n",
            (request_id,),
        ).fetchall()
        if not rows:
            raise UsageError(
                f"request {request_id} has no attempt with an unknown outcome",
                "`nexscout db resolve` lists those that have",
            )
        held = sum(row["hold"] for row in rows)
        if cost is not None and cost > held and not beyond_hold:
            raise UsageError(
                f"${dollars(cost)} is more than the ${dollars(held)} that the request holds, and cannot be taken back",
                "add --yes if the provider really billed that",
            )
        for row in rows:
            if cost is None:
                _void(store, c, row, f"resolved by {store.actor}", now)
            else:
                _post(store, c, row, cost, "resolved", now)
                cost = 0
    return len(rows)


def unresolved(store: Store) -> list[dict[str, object]]:
    """The unknown attempts the actor may see."""
    with store.db.read() as c:
        rows = c.execute(
            """SELECT a.request_id, a.n, r.user_id, a.model, a.hold, a.reason, a.settled_at FROM attempts a
               JOIN requests r USING (request_id) WHERE a.claim IS NOT NULL AND a.state = 'unknown'
               AND (r.user_id = :actor OR EXISTS (SELECT 1 FROM users WHERE user_id = :actor AND role = 'admin'))
               ORDER BY +a.id""",
            {"actor": store.actor},
        )
        return [dict(row) for row in rows]


def reset_clock(store: Store) -> None:
    """Set the last-seen time back to the clock's, after the clock stood in the future for a while. Admins only."""
    with store.db.write() as c:
        store.require_admin(c, "reset the last-seen time")
        c.execute("UPDATE meta SET value = ? WHERE key = 'last_seen'", (stamp(store.clock.now()),))


def _void(store: Store, c: sqlite3.Connection, row: sqlite3.Row, reason: str, now: datetime) -> None:
    states.set_state(c, row["id"], "voided", now, reason=reason, ended=not row["goes_on"])
    accounts.release(c, row["id"], {"usd": None, "tokens": None}, reason=reason, actor=store.actor, now=now)
    _end_if_settled(store, c, row["request_id"], "voided", now)


def _post(store: Store, c: sqlite3.Connection, row: sqlite3.Row, cost: int, how: str, now: datetime) -> None:
    """Post an unknown attempt; its tokens are what the hold allowed, since nobody reported any."""
    known = json.loads(row["plan"])
    states.set_state(c, row["id"], "posted", now, actual=cost, ended=not row["goes_on"])
    accounts.release(
        c,
        row["id"],
        {"usd": cost, "tokens": row["hold_tokens"]},
        reason=how,
        actor=store.actor,
        now=now,
    )
    usage.record(
        store,
        c,
        now,
        {
            "request_id": row["request_id"],
            "n": row["n"],
            "user_id": row["user_id"],
            "feature": row["feature"],
            "model_used": row["model"],
            "outcome": "posted",
            "input_tokens": known["max_input_tokens"],
            "output_tokens": known["max_output_tokens"],
            "cost_usd": cost,
            "mode": known["mode"],
            "routing_reason": known["routing_reason"],
            "compression_applied": int(known["compressed"]),
            "baseline_usd": cost,
            "metadata": {
                "flags": ["estimated", how, *(["provider_excess"] if cost > row["hold"] else [])],
                "delivered": False,
            },
        },
    )
    # What it cost is known now; how long it was is not, so nothing is learned of the prediction.
    c.execute(
        "UPDATE ai_cost_predictions SET actual_cost_usd = coalesce(actual_cost_usd, 0) + ? WHERE request_id = ?",
        (cost, row["request_id"]),
    )
    _end_if_settled(store, c, row["request_id"], "voided", now)


def _end_if_settled(store: Store, c: sqlite3.Connection, request_id: str, state: str, now: datetime) -> None:
    """Close the request once none of its attempts is live or unknown; one that was answered stays posted."""
    live = c.execute(
        "SELECT 1 FROM attempts WHERE request_id = ? AND state IN ('held', 'sent', 'unknown')", (request_id,)
    ).fetchone()
    row = c.execute("SELECT state FROM requests WHERE request_id = ?", (request_id,)).fetchone()
    if not live and row["state"] != "posted":
        states.end_request(store, c, request_id, state, now, energy=0)
