"""OpenAI's chat completions. Source: OpenAI API reference, "Create chat completion" and "Streaming"."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from nexscout_cli.engine import options as table
from nexscout_cli.engine.chat import conversation
from nexscout_cli.errors import UsageError
from nexscout_cli.jsontext import quoted
from nexscout_cli.server import asking
from nexscout_cli.server.protocol import HERE, Ask, Document, about, around, classes, event, known_only, model_of, taken
from nexscout_cli.terms import EFFORTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nexscout_cli.config import Settings
    from nexscout_cli.engine.book_types import ApiKey
    from nexscout_cli.engine.call import Choice
    from nexscout_cli.engine.response import AIResponse, Metadata

name = "openai"
_SENT = {known: option for option, known in table.SENT.items()}
"""Options by the names that chat completions have for them."""
_KNOWN = (
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "reasoning_effort",
    "metadata",
    "store",
    "logit_bias",
    *_SENT,
)


_NOTHING: Document = {}


def read(body: Document, key: ApiKey, headers: Mapping[str, str], settings: Settings) -> Ask:
    """The request in a body. Raises UsageError, NotPermitted."""
    given = known_only(body, _KNOWN)
    for field, harmless in (("store", (False,)), ("logit_bias", ({},))):
        if field in given and given[field] not in harmless:
            raise UsageError(f"{field} {given[field]!r:.40} is not taken", "leave it out")
    options = {_SENT[known]: value for known, value in given.items() if known in _SENT}
    if options.get("service_tier") == "auto":
        del options["service_tier"]
    bounds = [given[bound] for bound in ("max_completion_tokens", "max_tokens") if bound in given]
    if bounds:
        options["max_tokens"] = bounds[0]
    if "temperature" in given:
        options["temperature"] = given["temperature"]
    if "reasoning_effort" in given:
        options["effort"] = effort(given["reasoning_effort"])
    if options.get("response_format") == {"type": "text"}:
        del options["response_format"]
    streams = taken(given, "stream", bool, "true or false") or False
    extra = taken(given, "stream_options", dict, "a JSON object") or {}
    messages = conversation(given.get("messages"))
    beside = asking.said(headers, given.get("metadata"))
    request = asking.build(key, model_of(given), beside, settings, options, messages=messages)
    return Ask(request, streams, extra.get("include_usage") is True)


def effort(word: Any) -> str:
    """An effort in our words: minimal is low, xhigh is high. Raises UsageError."""
    known = {"minimal": "low", "xhigh": "high"}.get(word, word) if isinstance(word, str) else word
    if known not in EFFORTS:
        raise UsageError(f"reasoning_effort cannot be {word!r:.40}", f"one of: {', '.join(EFFORTS)}")
    return str(known)


def teller(ask: Ask, request_id: str, model: str) -> ChatTeller:
    """Who tells an answer."""
    return ChatTeller(request_id, model, ask.usage)


class ChatTeller:
    """Tells one answer as a chat completion."""

    def __init__(self, request_id: str, model: str, usage: bool) -> None:
        self._head = {"id": f"chatcmpl-{request_id}", "object": "chat.completion", "created": int(time.time())}
        self._model, self._usage = model, usage
        self._around: list[bytes] | None = None

    def whole(self, response: AIResponse) -> Document:
        """The answer as one document."""
        known = response.metadata
        assert known is not None
        return {
            **self._head,
            "model": known.model_used,
            "choices": [
                {
                    "index": number,
                    "message": _message(choice),
                    "logprobs": choice.logprobs,
                    "finish_reason": choice.finish_reason,
                }
                for number, choice in enumerate(response.answers)
            ],
            "usage": usage_of(known),
            "nexscout": about(response),
        }

    def begin(self) -> Iterator[bytes]:
        """The role."""
        yield self._chunk({"role": "assistant", "content": ""})

    def piece(self, text: str) -> Iterator[bytes]:
        """A piece of text: all but it is the same in each."""
        if self._around is None:
            self._around = around(self._chunk({"content": HERE}))
        before, after = self._around
        yield b"%s%s%s" % (before, quoted(text).encode(), after)

    def end(self, response: AIResponse) -> Iterator[bytes]:
        """Tool calls and further answers, why each ended, and what was used."""
        assert response.metadata is not None
        self._model = response.metadata.model_used or self._model
        for number, choice in enumerate(response.answers):
            if number:
                yield self._chunk({"role": "assistant", "content": choice.text}, number)
            for place, call in enumerate(choice.tool_calls):
                yield self._chunk({"tool_calls": [{"index": place, **call.as_json()}]}, number)
            last = number == len(response.answers) - 1 and not self._usage
            beside = {"nexscout": about(response)} if last else {}
            yield self._chunk({}, number, choice.finish_reason, choice.logprobs, beside)
        if self._usage:
            more = {"choices": [], "usage": usage_of(response.metadata), "nexscout": about(response)}
            yield event({**self._head, "object": "chat.completion.chunk", "model": self._model, **more})
        yield b"data: [DONE]\n\n"

    def failure(self, document: Document) -> Iterator[bytes]:
        """An error after the first piece."""
        yield event(document)
        yield b"data: [DONE]\n\n"

    def _chunk(
        self,
        delta: Document,
        number: int = 0,
        reason: str | None = None,
        logprobs: Any = None,
        beside: Document = _NOTHING,
    ) -> bytes:
        choice = {"index": number, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        about = {"object": "chat.completion.chunk", "model": self._model, "choices": [choice]}
        return event({**self._head, **about, **beside})


def usage_of(known: Metadata) -> Document:
    """What was used, in OpenAI's words, and what it cost in dollars."""
    return {
        "prompt_tokens": known.input_tokens,
        "completion_tokens": known.output_tokens,
        "total_tokens": known.tokens_used,
        "prompt_tokens_details": {"cached_tokens": classes(known, "cached")},
        "completion_tokens_details": {"reasoning_tokens": classes(known, "reasoning")},
        "cost": known.cost_usd,
    }


def _message(choice: Choice) -> Document:
    message: Document = {"role": "assistant", "content": choice.text, "refusal": None}
    if choice.tool_calls:
        message["content"] = choice.text or None
        message["tool_calls"] = [call.as_json() for call in choice.tool_calls]
    return message
