"""How much a model will think before it answers, and how much room its bound must leave for it. Pure.

Providers bill thinking as output, and count it against the bound on the answer: without room for it the answer is cut, or
empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from nexscout_cli.engine.model import Model

ROOM = {"none": 0, "low": 1_024, "medium": 4_096, "high": 16_384}
"""Tokens that are left for thinking, by effort, until a model has shown how much it needs. Anthropic's least budget is
1,024; OpenAI's guide on reasoning asks for some thousands at first."""
_EXPECTED_SHARE = 4
"""A model of which nothing is known is taken to need a quarter of its room."""
_SAMPLES = 5
"""Answers after which a model's own mean is expected."""
_MARGIN = 1.5
"""The room is at least this times the most that a model was seen to think."""
MOST_ROOM = 65_536
_ASKED_FOR = ("anthropic/", "bedrock/", "vertex_ai/claude")
"""Targets that think only where the call asks for it."""


class Seen(NamedTuple):
    """What a model's answers took for thinking, in tokens: how many answers, their mean and the most."""

    n: int
    mean: float
    most: float


class Thinking(NamedTuple):
    """Tokens of thinking: expected, and the room that the bound leaves."""

    expected: int = 0
    room: int = 0


def thinking(model: Model, effort: str | None, seen: Seen | None, answer: int) -> Thinking:
    """What a model will think for an answer of at most ``answer`` tokens.

    ``effort`` None: nothing is said of it, and the provider takes its own, which is medium where it thinks unasked.
    """
    if not model.reasons:
        return Thinking()
    asked = effort or ("none" if model.litellm_model.startswith(_ASKED_FOR) else "medium")
    room = ROOM[asked]
    if not room:
        return Thinking()
    expected = room // _EXPECTED_SHARE
    if seen is not None:
        room = max(room, round(seen.most * _MARGIN))
        expected = round(seen.mean) if seen.n >= _SAMPLES else max(expected, round(seen.mean))
    if model.max_output is not None:
        room = min(room, max(0, model.max_output - answer))
    room = min(room, MOST_ROOM)
    return Thinking(min(expected, room), room)
