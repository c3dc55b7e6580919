"""The states of attempts and requests, and what moving from one to the next means."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from nexscout_cli.engine.settlement import Attempt
from nexscout_cli.errors import StoreError
from nexscout_cli.store.sqlite import accounts, claims
from nexscout_cli.store.sqlite.store import Store, stamp

KEYS_KEPT = timedelta(hours=24)
_MOVE = """UPDATE attempts SET state = ?, actual = ?, reason = coalesce(?, reason), provider_id = coalesce(?, provider_id),
    settled_at = ?{} WHERE id = ?"""
_STAYS, _ENDS = _MOVE.format(""), _MOVE.format(", claim = NULL")


def set_state(
    c: sqlite3.Connection,
    attempt_id: int,
    state: str,
    now: datetime | None,
    *,
    actual: int | None = None,
    reason: str | None = None,
    provider_id: str | None = None,
    ended: bool = False,
) -> None:
    """Move an attempt forward; a trigger refuses any step the table of states does not have.

    ``now`` is when it was settled, None for one that goes on; ``ended``: its request ends with it.
    """
    settled = now and stamp(now)
    try:
        c.execute(_ENDS if ended else _STAYS, (state, actual, reason, provider_id, settled, attempt_id))
    except sqlite3.IntegrityError as error:
        raise elsewhere(f"attempt {attempt_id}") from error


def elsewhere(what: str) -> StoreError:
    """What to say when another process was faster."""
    return StoreError(
        f"{what} was settled by another process meanwhile",
        "`nexscout log` shows what became of it",
        code="settled_elsewhere",
    )


def end_request(
    store: Store, c: sqlite3.Connection, request_id: str, state: str, now: datetime, *, energy: int
) -> None:
    """Close a request and its energy hold: posted with ``energy`` units, given back when that is 0."""
    close_request(c, request_id, state)
    row = c.execute("SELECT id FROM attempts WHERE request_id = ? AND n = 1", (request_id,)).fetchone()
    if row:
        accounts.release(c, row[0], {"energy": energy or None}, reason=state, actor=store.actor, now=now)


def close_request(c: sqlite3.Connection, request_id: str, state: str) -> None:
    """End a request's claims with it; its energy stays held."""
    c.execute("UPDATE requests SET state = ? WHERE request_id = ?", (state, request_id))
    claims.let_go(c, request_id)


_EXPIRED = "key IS NOT NULL AND created_at < ? AND state IN ('posted', 'voided')"


def keys_to_expire(c: sqlite3.Connection, now: datetime) -> bool:
    """Whether :func:`expire_keys` would find any."""
    return (
        c.execute(f"SELECT 1 FROM requests WHERE {_EXPIRED} LIMIT 1", (stamp(now - KEYS_KEPT),)).fetchone() is not None
    )


def expire_keys(c: sqlite3.Connection, now: datetime) -> None:
    """Let go of idempotency keys and their answers after 24 hours."""
    c.execute(f"UPDATE requests SET key = NULL, answer = NULL WHERE {_EXPIRED}", (stamp(now - KEYS_KEPT),))


def require_own(store: Store, c: sqlite3.Connection, attempt: Attempt) -> None:
    """Raises NotPermitted for an attempt of someone the actor may not act for."""
    row = c.execute(
        "SELECT r.user_id, u.user_id AS known FROM attempts a JOIN requests r USING (request_id) "
        "LEFT JOIN users u USING (user_id) WHERE a.id = ? AND a.request_id = ?",
        (attempt.id, attempt.request_id),
    ).fetchone()
    if row is None or row["known"] != store.actor:
        store.require_access(c, row["user_id"] if row else "")
