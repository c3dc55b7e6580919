"""A request's row, and the idempotency key that it may have for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.errors import InProgress

if TYPE_CHECKING:
    from nexscout_cli.store.sqlite.transaction import Transaction


def take_key(t: Transaction, user_id: str, key: str | None, request_id: str) -> None:
    """Let a request have an idempotency key whose earlier call was voided.

    Raises InProgress where another request has it that was not.
    """
    if key is None:
        return
    names = (user_id, key, request_id)
    if t.by_function("free_key", *names) is None:
        t.execute(
            "UPDATE requests SET key = NULL WHERE user_id = ? AND key = ? AND state = 'voided' AND request_id <> ?",
            names,
        )
    if t.execute("SELECT 1 FROM requests WHERE user_id = ? AND key = ? AND request_id <> ?", names).fetchone():
        raise InProgress(f"the request under key {key!r} is in progress", "wait for it, then ask again")


def keep_answer(t: Transaction, request_id: str, answer: str) -> None:
    """Keep what a request under an idempotency key was answered, as JSON text."""
    if t.by_function("keep_kept_answer", request_id, answer) is None:
        t.execute("UPDATE requests SET answer = ? WHERE request_id = ?", (answer, request_id))


def enter_request(
    t: Transaction, request_id: str, user_id: str, feature: str, key: str | None, fingerprint: str
) -> bool:
    """Enter an open request; False when it is there already."""
    values = (request_id, user_id, feature, key, fingerprint, t.stamp)
    if (made := t.by_function("enter_request", *values)) is not None:
        return bool(made.fetchone()[0])
    entered = t.execute(
        "INSERT INTO requests (request_id, user_id, feature, key, fingerprint, state, created_at) "
        "VALUES (?, ?, ?, ?, ?, 'open', ?) ON CONFLICT (request_id) DO NOTHING",
        values,
    )
    return bool(entered.rowcount)
