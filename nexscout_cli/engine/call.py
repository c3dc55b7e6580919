"""One call to a provider, and what it says in return."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from nexscout_cli.engine.model import Model
from nexscout_cli.engine.plan_types import Message
from nexscout_cli.engine.request import Json


class Call(NamedTuple):
    """One call to one provider, as the provider sees it. ``timeout`` and ``total_timeout`` in seconds."""

    model: Model
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float | None
    timeout: float
    total_timeout: float
    stream: bool


class Usage(NamedTuple):
    """What the provider says was used; None where it said nothing, and whatever it said otherwise, unchecked."""

    input_tokens: Json
    output_tokens: Json


class Completion(NamedTuple):
    """A provider's answer. ``finish_reason`` as in the OpenAI API: stop, length, content_filter; ``model`` says who answered."""

    text: str
    finish_reason: str
    usage: Usage | None
    provider_id: str | None
    model: str | None


OnText = Callable[[str], None]
