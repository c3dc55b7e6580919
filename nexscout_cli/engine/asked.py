"""A request under way: what was asked, and what can be said of it before and without a call."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.engine.response import AIResponse, Metadata

if TYPE_CHECKING:
    from nexscout_cli.engine.planning.plan import Plan
    from nexscout_cli.engine.ports import Clock
    from nexscout_cli.engine.request import AIRequest


class Asked(NamedTuple):
    """A request under way: who asks, its name, its keys. ``started`` is on the clock that never goes back, in seconds.

    ``claims``: whether its call stands for all requests under its cache key; one that has waited in vain goes alone.
    ``patient``: whether it waits as long as it takes where every deployment is at its limits.
    """

    request_id: str
    request: AIRequest
    actor: str
    started: float
    fingerprint: str = ""
    cache_key: str | None = None
    form_key: str | None = None
    claims: bool = True
    patient: bool = False


class Moment(NamedTuple):
    """What the outside says when the next action is decided: milliseconds since the start, whether a signal asks to stop,
    and a number from 0 to 1 by chance, for the jitter of pauses.
    """

    elapsed_ms: int
    stopping: bool = False
    chance: float = 1.0


def new_id(clock: Clock) -> str:
    """A request's name: 11 hexadecimal digits of the time in milliseconds and 10 of chance, so that names sort by time."""
    return f"{int(clock.now().timestamp() * 1000):011x}{os.urandom(5).hex()}"


def elapsed_ms(clock: Clock, started: float) -> int:
    """Milliseconds since ``started`` on the clock that never goes back."""
    return round((clock.monotonic() - started) * 1000)


def metadata(asked: Asked, at: Moment, plan: Plan | None = None, quote: Plan | None = None) -> Metadata:
    """What is known of a request before a call: its name, and its plan where it has one; ``quote``: what was quoted instead."""
    known = Metadata(asked.request_id, execution_time_ms=at.elapsed_ms)
    if plan is None:
        return known
    return known._replace(
        model_used=plan.model.name,
        routing_reason=plan.routing_reason,
        compression_applied=plan.compression.applied,
        warnings=plan.warnings,
        quoted=quote or plan,
    )


def refusal(asked: Asked, at: Moment, error: dict[str, str], exit_status: int, plan: Plan | None = None) -> AIResponse:
    """The response that says why nothing was sent."""
    return AIResponse(False, None, error, metadata(asked, at, plan), exit_status)
