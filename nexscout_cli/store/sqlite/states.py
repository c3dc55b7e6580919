"""The states of attempts and requests, and what moving from one to the next means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.errors import StoreError
from nexscout_cli.store.sqlite import accounts, claims
from nexscout_cli.store.sqlite.transaction import Transaction, stamp

if TYPE_CHECKING:
    from nexscout_cli.engine.settlement import Attempt

_MOVE = """UPDATE attempts SET state = ?, actual = ?, reason = coalesce(?, reason), failure = coalesce(?, failure),
    provider_id = coalesce(?, provider_id), settled_at = ?{} WHERE id = ?"""
_STAYS, _ENDS = _MOVE.format(""), _MOVE.format(", claim = NULL")


def set_state(
    t: Transaction,
    attempt_id: int,
    state: str,
    *,
    actual: int | None = None,
    reason: str | None = None,
    provider_id: str | None = None,
    failure: str | None = None,
    ended: bool = False,
) -> None:
    """Move an attempt forward; a trigger refuses any step the table of states does not have.

    ``ended``: its request ends with it. ``failure``: what reports count it as, where it gave no answer.
    """
    settled = None if state in ("sent", "submitted") else t.stamp
    values = (state, actual, reason, failure, provider_id, settled)
    try:
        if t.by_function("move_attempt", attempt_id, *values, ended) is None:
            t.execute(_ENDS if ended else _STAYS, (*values, attempt_id))
    except t.broken as error:
        raise elsewhere(f"attempt {attempt_id}") from error


def elsewhere(what: str) -> StoreError:
    """What to say when another process was faster."""
    return StoreError(
        f"{what} was settled by another process meanwhile",
        "`nexscout log` shows what became of it",
        code="settled_elsewhere",
    )


def end_request(t: Transaction, request_id: str, state: str, energy: int) -> None:
    """Close a request and its energy hold: posted with ``energy`` units, given back when that is 0."""
    close_request(t, request_id, state)
    row = t.execute("SELECT id FROM attempts WHERE request_id = ? AND n = 1", (request_id,)).fetchone()
    if row:
        accounts.release(t, row[0], {"energy": energy or None}, state)


def close_request(t: Transaction, request_id: str, state: str) -> None:
    """End a request's claims with it; its energy stays held."""
    move_request(t, request_id, state)
    claims.let_go(t, request_id)


def move_request(t: Transaction, request_id: str, state: str) -> None:
    """Move a request; one that is posted stays so."""
    if t.by_function("move_request", request_id, state) is None:
        t.execute("UPDATE requests SET state = ? WHERE request_id = ?", (state, request_id))


_EXPIRED = "key IS NOT NULL AND created_at < ? AND state IN ('posted', 'voided')"


def keys_to_expire(t: Transaction) -> bool:
    """Whether :func:`expire_keys` would find any."""
    oldest = stamp(t.now - t.rules.ageing.keys_kept)
    return t.execute(f"SELECT 1 FROM requests WHERE {_EXPIRED} LIMIT 1", (oldest,)).fetchone() is not None


def expire_keys(t: Transaction) -> None:
    """Let go of idempotency keys that are older than they are kept, and of their answers."""
    oldest = stamp(t.now - t.rules.ageing.keys_kept)
    t.execute(f"UPDATE requests SET key = NULL, answer = NULL WHERE {_EXPIRED}", (oldest,))


def require_own(t: Transaction, attempt: Attempt) -> None:
    """Raises NotPermitted for an attempt of someone the actor may not act for."""
    row = t.execute(
        "SELECT r.user_id, u.user_id AS known FROM attempts a JOIN requests r USING (request_id) "
        "LEFT JOIN users u USING (user_id) WHERE a.id = ? AND a.request_id = ?",
        (attempt.id, attempt.request_id),
    ).fetchone()
    if row is None or row["known"] != t.actor:
        t.require_access(row["user_id"] if row else "")
