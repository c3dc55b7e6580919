"""Step 1: what an idempotency key that was seen before means for a new request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.engine.response import AIResponse
from nexscout_cli.errors import InProgress, UsageError

if TYPE_CHECKING:
    from nexscout_cli.engine.recalled import Recalled


def answered_before(earlier: Recalled | None, key: str, fingerprint: str) -> AIResponse | None:
    """The first answer under the key again; None for a key that is new, or whose call was voided.

    Raises UsageError where the key stands for a request with other content, InProgress while the first one is live or its
    outcome is unknown.
    """
    if earlier is None or earlier.state == "voided":
        return None
    if earlier.fingerprint != fingerprint:
        raise UsageError(
            f"idempotency key {key!r} was used for another request", "use a new key", code="idempotency_conflict"
        )
    if earlier.state == "open":
        raise InProgress(f"the request under key {key!r} is in progress", "wait for it, then ask again")
    if earlier.state == "unknown":
        raise InProgress(
            f"the outcome of the request under key {key!r} is unknown",
            f"`nexscout db resolve {earlier.request_id} --post COST` or `--void` settles it",
            code="unknown",
        )
    assert earlier.answer is not None
    return AIResponse.from_json(earlier.answer)
