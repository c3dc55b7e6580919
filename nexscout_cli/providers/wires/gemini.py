"""Gemini's generateContent. Source: Gemini API reference, "Generating content" and "Error codes"."""

from __future__ import annotations

import json
from typing import Any

from nexscout_cli.engine.call import Call
from nexscout_cli.providers.wires.reader import Damaged, Reader, a_text, an_object, fail, objects
from nexscout_cli.providers.wires.request import HttpRequest
from nexscout_cli.providers.wires.targets import Target

_REASONS = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "LANGUAGE": "content_filter",
}
_ROLES = {"user": "user", "assistant": "model"}


def request(call: Call, target: Target, key: str | None) -> HttpRequest:
    """The call as this wire sends it: the model stands in the address, system text beside the contents."""
    bounds: dict[str, Any] = {"maxOutputTokens": call.max_tokens}
    if call.temperature is not None:
        bounds["temperature"] = call.temperature
    if call.effort is not None:
        bounds["thinkingConfig"] = {"thinkingBudget": call.thinking_room}
    body: dict[str, Any] = {
        "contents": [
            {"role": _ROLES[m.role], "parts": [{"text": m.content}]} for m in call.messages if m.role != "system"
        ],
        "generationConfig": target.params | bounds,
    }
    system = [{"text": m.content} for m in call.messages if m.role == "system"]
    if system:
        body["systemInstruction"] = {"parts": system}
    url = target.url + (":streamGenerateContent?alt=sse" if call.stream else ":generateContent")
    headers = () if key is None else (("x-goog-api-key", key),)
    return HttpRequest(url, headers, json.dumps(body).encode())


class ContentReader(Reader):
    """Reads generated content; each event has the shape of a whole answer."""

    counts = ("promptTokenCount", "candidatesTokenCount")

    def _whole(self, document: dict[str, Any]) -> str:
        text = self._read(document)
        if text is None and not self.ended:
            raise Damaged("the answer is damaged")
        return text or ""

    def _event(self, document: dict[str, Any]) -> str | None:
        return self._read(document)

    def _read(self, document: dict[str, Any]) -> str | None:
        usage = document.get("usageMetadata")
        self._note(id=document.get("responseId"), model=document.get("modelVersion"), usage=usage)
        if document.get("error"):
            fail(document["error"])
        if an_object(document.get("promptFeedback")).get("blockReason"):
            self.ended, self.finish_reason = True, "content_filter"
        text: str | None = None
        for candidate in objects(document.get("candidates"))[:1]:
            reason = candidate.get("finishReason")
            if isinstance(reason, str) and reason and reason != "FINISH_REASON_UNSPECIFIED":
                self.ended = True
                self.finish_reason = _REASONS.get(reason, reason.lower())
            parts = objects(an_object(candidate.get("content")).get("parts"))
            if parts:
                text = "".join(a_text(part.get("text")) for part in parts if part.get("thought") is not True)
        return text
