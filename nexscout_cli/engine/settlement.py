"""An attempt from its hold to its post: what was reserved, what it truly used, what reached the user."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.engine.plan_types import Plan
from nexscout_cli.engine.request import Json

if TYPE_CHECKING:
    from nexscout_cli.engine.learning.observation import Lesson


class Attempt(NamedTuple):
    """A hold that was taken: which attempt of which request, and what it may cost at most (nano-dollars, tokens)."""

    id: int
    request_id: str
    n: int
    plan: Plan
    hold: int
    hold_tokens: int
    hold_energy: int


class CachedAnswer(NamedTuple):
    """An answer kept from before. ``cost`` is what it cost then, in nano-dollars; ``source`` the request it answered first.

    ``match``: exact, or canonical where that request was worded otherwise.
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


class Charge(NamedTuple):
    """What one posted attempt truly used: nano-dollars and tokens, with ``flags`` that say how sure that is."""

    input_tokens: int
    output_tokens: int
    cost: int
    flags: tuple[str, ...] = ()


class Delivery(NamedTuple):
    """What reached the user with a posted attempt: the energy charged, the lesson learned, and what is kept of the answer."""

    energy: int
    lesson: Lesson
    answer: dict[str, Json]
    text: str
    cache_key: str | None
    form_key: str | None = None
