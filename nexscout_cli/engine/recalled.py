"""What the books hold of earlier requests that a new one can be answered from, and the record that it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from nexscout_cli.engine.learning.observation import Lesson
    from nexscout_cli.engine.request import Json


class CachedAnswer(NamedTuple):
    """An answer kept from before. ``cost`` is what it cost then, in nano-dollars; ``source`` the request it answered first.

    ``match``: exact, or canonical where that request was worded otherwise. ``id`` is 0 for an answer of a moment ago
    that is shared and not kept.
    """

    id: int
    text: str
    model: str
    quality: float
    input_tokens: int
    output_tokens: int
    cost: int
    match: str = "exact"
    source: str | None = None


class Hit(NamedTuple):
    """A cached answer that was given. ``baseline`` is what the baseline model would have billed for it."""

    request_id: str
    user_id: str
    feature: str
    cached: CachedAnswer
    mode: str
    baseline: int
    lesson: Lesson
    answer: dict[str, Json]
    fingerprint: str
    idempotency_key: str | None


class Recalled(NamedTuple):
    """What is on record under an idempotency key. ``state``: open, posted, unknown, voided."""

    request_id: str
    fingerprint: str
    state: str
    answer: dict[str, Any] | None
