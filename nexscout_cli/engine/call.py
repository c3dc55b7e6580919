"""One call to a provider, and what it says in return."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from nexscout_cli.engine.model import Model
from nexscout_cli.engine.plan_types import Message
from nexscout_cli.engine.request import Json


class Call(NamedTuple):
    """One call to one provider, as the provider sees it. ``timeout`` and ``total_timeout`` in seconds.

    ``max_tokens`` bounds answer and thinking together; ``thinking_room`` is the part that is meant for thinking. ``effort`` is
    how much the model is asked to think, None where nothing is said of it.
    """

    model: Model
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float | None
    timeout: float
    total_timeout: float
    stream: bool
    effort: str | None = None
    thinking_room: int = 0


class Usage(NamedTuple):
    """What the provider says was used, unchecked: whatever it said, and None where it said nothing of a count.

    ``input_tokens`` and ``output_tokens`` are all that is billed on each side; the classes are parts of them. ``searches``
    are counted apart. ``cost`` is the provider's own figure in dollars, ``service_tier`` the tier it says it served.
    """

    input_tokens: Json
    output_tokens: Json
    cached: Json = 0
    cache_write: Json = 0
    cache_write_1h: Json = 0
    reasoning: Json = 0
    audio_in: Json = 0
    audio_out: Json = 0
    image_in: Json = 0
    image_out: Json = 0
    searches: Json = 0
    cost: Json = None
    service_tier: Json = None


class Completion(NamedTuple):
    """A provider's answer. ``finish_reason`` as in the OpenAI API: stop, length, content_filter; ``model`` says who answered."""

    text: str
    finish_reason: str
    usage: Usage | None
    provider_id: str | None
    model: str | None


OnText = Callable[[str], None]
