"""One call to a provider, and what it says in return."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from nexscout_cli.engine.chat import Message, ToolCall
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.prompt_cache import Mark
from nexscout_cli.engine.request import Json


class Call(NamedTuple):
    """One call to one provider, as the provider sees it. ``timeout`` and ``total_timeout`` in seconds.

    ``max_tokens`` bounds answer and thinking together; ``thinking_room`` is the part that is meant for thinking. ``effort`` is
    how much the model is asked to think, None where nothing is said of it. ``options`` are those of chat completions that
    were given, by their names there (:data:`~nexscout_cli.engine.options.SENT`). ``max_tokens`` bounds each of
    ``options["n"]`` answers. ``mark``: what stands before it is to be kept in the provider's cache; only Anthropic is told.
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
    options: dict[str, Json] = {}  # noqa: RUF012 - never changed
    mark: Mark | None = None

    def without_refused(self) -> Call:
        """The call without the options that the model's provider has refused before."""
        refused = self.model.refused_options
        if not refused:
            return self
        return self._replace(
            temperature=None if "temperature" in refused else self.temperature,
            effort=None if "reasoning_effort" in refused else self.effort,
            options={name: value for name, value in self.options.items() if name not in refused},
        )


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


class Choice(NamedTuple):
    """One of several answers to one call, with why it ended, the tools it calls, and how likely its tokens were."""

    text: str
    finish_reason: str = "stop"
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: Json = None

    def as_json(self) -> dict[str, Json]:
        """As responses keep it."""
        return self._asdict() | {"tool_calls": [call.as_json() for call in self.tool_calls]}

    @classmethod
    def from_json(cls, kept: dict[str, Json]) -> Choice:
        """The choice that :meth:`as_json` made."""
        return cls(**kept | {"tool_calls": tuple(ToolCall.from_json(call) for call in kept["tool_calls"])})


class Completion(NamedTuple):
    """A provider's answer. ``finish_reason`` as in the OpenAI API: stop, length, content_filter, tool_calls; ``model`` says
    who answered.

    ``others`` are the further answers where several were asked for. ``not_sent`` names the options that this provider does
    not take, ``refused`` those that it refused only now: the call was made again without them.
    ``stopped_after`` is the time limit, in s, at which the answer was cut; None where it was not.
    """

    text: str
    finish_reason: str
    usage: Usage | None
    provider_id: str | None
    model: str | None
    tool_calls: tuple[ToolCall, ...] = ()
    others: tuple[Choice, ...] = ()
    logprobs: Json = None
    not_sent: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    stopped_after: float | None = None

    @property
    def first(self) -> Choice:
        """The answer itself."""
        return Choice(self.text, self.finish_reason, self.tool_calls, self.logprobs)

    @property
    def all_text(self) -> str:
        """All that was written, for counting: texts and the arguments of tool calls."""
        texts = []
        for choice in (self.first, *self.others):
            texts += [choice.text, *(call.name + call.arguments for call in choice.tool_calls)]
        return "\n".join(text for text in texts if text)


OnText = Callable[[str], None]
