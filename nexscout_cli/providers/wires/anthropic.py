"""Anthropic's messages. Source: Anthropic API reference, "Messages" and "Streaming messages"."""

from __future__ import annotations

import json
from typing import Any

from nexscout_cli.engine.call import Call
from nexscout_cli.providers.wires.reader import Damaged, Reader, a_text, an_object, fail, objects
from nexscout_cli.providers.wires.request import HttpRequest
from nexscout_cli.providers.wires.targets import Target

VERSION = "2023-06-01"
LEAST_BUDGET = 1_024
"""The least tokens that thinking may be given."""
_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def request(call: Call, target: Target, key: str | None) -> HttpRequest:
    """The call as this wire sends it: system text stands beside the messages."""
    system = "\n\n".join(m.content for m in call.messages if m.role == "system")
    body: dict[str, Any] = {
        "model": target.model,
        "messages": [{"role": m.role, "content": m.content} for m in call.messages if m.role != "system"],
        "max_tokens": call.max_tokens,
    }
    if system:
        body["system"] = system
    if call.effort not in (None, "none") and call.thinking_room >= LEAST_BUDGET:
        body["thinking"] = {"type": "enabled", "budget_tokens": call.thinking_room}  # takes no temperature but its own
    elif call.temperature is not None:
        body["temperature"] = call.temperature
    if call.stream:
        body["stream"] = True
    headers = (("anthropic-version", VERSION), *([] if key is None else [("x-api-key", key)]))
    return HttpRequest(target.url, headers, json.dumps(target.params | body).encode())


class MessagesReader(Reader):
    """Reads a message, whole or as events."""

    counts = ("input_tokens", "output_tokens")

    def _whole(self, document: dict[str, Any]) -> str:
        self._said(document)
        content = document.get("content")
        if not isinstance(content, list):
            raise Damaged("the answer is damaged")
        return "".join(a_text(block.get("text")) for block in objects(content) if block.get("type") == "text")

    def _event(self, document: dict[str, Any]) -> str | None:
        kind = document.get("type")
        self._said(an_object(document.get("message")) if kind == "message_start" else document)
        if kind == "message_delta":
            self._finish(an_object(document.get("delta")))
        block = an_object(document.get("delta" if kind == "content_block_delta" else "content_block"))
        if kind in ("content_block_start", "content_block_delta"):
            return a_text(block.get("text")) if block.get("type") in ("text", "text_delta") else ""
        return None

    def _said(self, document: dict[str, Any]) -> None:
        self._note(id=document.get("id"), model=document.get("model"), usage=document.get("usage"))
        if document.get("type") == "error" or document.get("error"):
            fail(document.get("error"))
        self._finish(document)

    def _finish(self, part: dict[str, Any]) -> None:
        reason = part.get("stop_reason")
        if isinstance(reason, str) and reason:
            self.ended = True
            self.finish_reason = _REASONS.get(reason, reason)
