"""OpenAI's chat completions, which most providers and local servers speak.

Source: OpenAI API reference, "Create chat completion" and "Streaming"; for others, their own pages on compatibility.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from nexscout_cli.engine.call import Call
from nexscout_cli.providers.wires.reader import Damaged, Reader, a_text, an_object, fail, objects
from nexscout_cli.providers.wires.request import HttpRequest
from nexscout_cli.providers.wires.targets import Target


def request(call: Call, target: Target, key: str | None) -> HttpRequest:
    """The call as this wire sends it."""
    body: dict[str, Any] = {
        "model": target.model,
        "messages": [{"role": message.role, "content": message.content} for message in call.messages],
        "max_completion_tokens" if call.model.openai_thinker else "max_tokens": call.max_tokens,
    }
    if call.temperature is not None and call.model.takes_temperature(call.temperature, thinking=False):
        body["temperature"] = call.temperature
    if call.effort is not None:
        body["reasoning_effort"] = _effort(call.effort, target.model)
    if call.stream:
        body["stream"] = True
        if target.provider != "mistral":  # which reports usage unasked, and refuses what it does not know
            body["stream_options"] = {"include_usage": True}
    if target.provider == "openrouter":
        body["usage"] = {"include": True}
    headers = () if key is None else ((target.key_header, f"{target.key_prefix}{key}"),)
    return HttpRequest(target.url, headers, json.dumps(target.params | body).encode())


def _effort(effort: str, model: str) -> str:
    """The effort in the words that a model knows: the first GPT-5 says minimal for none, the o series has low at least."""
    if effort != "none":
        return effort
    if re.match(r"gpt-5(?:-|$)", model):
        return "minimal"
    return "low" if re.match(r"o\d", model) else effort


class ChatReader(Reader):
    """Reads a chat completion, whole or as events."""

    def _whole(self, document: dict[str, Any]) -> str:
        self._said(document)
        choices = document.get("choices")
        if not isinstance(choices, list):
            _not_an_answer(document)
        for choice in objects(choices)[:1]:
            self._finish(choice)
            message = an_object(choice.get("message"))
            return a_text(message.get("content"))
        return ""

    def _event(self, document: dict[str, Any]) -> str | None:
        self._said(document)
        piece: str | None = None
        for choice in objects(document.get("choices"))[:1]:
            self._finish(choice)
            delta = an_object(choice.get("delta")) or an_object(choice.get("message"))
            piece = a_text(delta.get("content")) or None
            if piece is None and (delta.get("reasoning_content") or delta.get("reasoning")):
                piece = ""
        return piece

    def _said(self, document: dict[str, Any]) -> None:
        self._note(
            id=document.get("id"),
            model=document.get("model"),
            usage=document.get("usage"),
            tier=document.get("service_tier"),
        )
        if document.get("error"):
            fail(document["error"], document.get("code"))

    def _finish(self, choice: dict[str, Any]) -> None:
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason:
            self.ended = True
            self.finish_reason = reason
            if reason == "error":
                fail(choice.get("error") or "the provider ended the answer with an error")


def _not_an_answer(document: dict[str, Any]) -> NoReturn:
    """A body without choices is an error in some other form, or nothing at all."""
    if document.get("message") or document.get("detail"):
        fail(document)
    raise Damaged("the answer is damaged")
