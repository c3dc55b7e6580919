"""Gemini's generateContent. Source: Gemini API reference, "Generating content", "Function calling" and "Error codes"."""

from __future__ import annotations

import json
import re
from typing import Any

from nexscout_cli import jsontext
from nexscout_cli.engine.call import Call
from nexscout_cli.engine.chat import SYSTEM, Image, Message
from nexscout_cli.providers.wires.more import SIGNED, place_of
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
_NAMES = {
    "top_p": "topP",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "n": "candidateCount",
}
_TAKES = {*_NAMES, "stop", "tools", "tool_choice", "response_format"}
_CHOICES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


def request(call: Call, target: Target, key: str | None) -> HttpRequest:
    """The call as this wire sends it: the model stands in the address, system text beside the contents."""
    bounds: dict[str, Any] = {"maxOutputTokens": call.max_tokens}
    if call.temperature is not None:
        bounds["temperature"] = call.temperature
    if call.effort is not None:
        bounds["thinkingConfig"] = {"thinkingBudget": call.thinking_room}
    bounds |= _bounds(call.options)
    body: dict[str, Any] = {"contents": _contents(call.messages), "generationConfig": target.params | bounds}
    system = [{"text": m.content} for m in call.messages if m.role in SYSTEM]
    if system:
        body["systemInstruction"] = {"parts": system}
    body |= _tools(call.options)
    url = target.url + (":streamGenerateContent?alt=sse" if call.stream else ":generateContent")
    headers = () if key is None else (("x-goog-api-key", key),)
    return HttpRequest(url, headers, jsontext.usual(body).encode())


def not_sent(call: Call, target: Target) -> tuple[str, ...]:
    """The options that Gemini does not take."""
    return tuple(name for name in call.options if name not in _TAKES)


def _bounds(given: dict[str, Any]) -> dict[str, Any]:
    found = {_NAMES[name]: value for name, value in given.items() if name in _NAMES}
    if "stop" in given:
        found["stopSequences"] = [given["stop"]] if isinstance(given["stop"], str) else given["stop"]
    format = given.get("response_format", {})
    if format.get("type") in ("json_object", "json_schema"):
        found["responseMimeType"] = "application/json"
    if format.get("type") == "json_schema":
        found["responseJsonSchema"] = format["json_schema"]["schema"]
    return found


def _tools(given: dict[str, Any]) -> dict[str, Any]:
    if "tools" not in given:
        return {}
    functions = []
    for tool in given["tools"]:
        function = tool["function"]
        declared = {"name": function["name"]}
        if function.get("description"):
            declared["description"] = function["description"]
        if function.get("parameters"):
            declared["parametersJsonSchema"] = function["parameters"]
        functions.append(declared)
    body: dict[str, Any] = {"tools": [{"functionDeclarations": functions}]}
    choice = given.get("tool_choice")
    if isinstance(choice, dict):
        name = choice["function"]["name"]
        body["toolConfig"] = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": [name]}}
    elif choice is not None:
        body["toolConfig"] = {"functionCallingConfig": {"mode": _CHOICES[choice]}}
    return body


def _contents(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    """The messages, those of one role that follow each other as one: results of tools are a user's."""
    names: dict[str, str] = {}
    found: list[dict[str, Any]] = []
    for message in messages:
        if message.role in SYSTEM:
            continue
        names |= {
            call.id: call.name for call in message.tool_calls
        }  # the latest call of an id is the one that is answered
        role, parts = ("model" if message.role == "assistant" else "user"), _parts(message, names)
        if not parts:
            continue
        if found and found[-1]["role"] == role:
            found[-1]["parts"] += parts
        else:
            found.append({"role": role, "parts": parts})
    return found


def _parts(message: Message, names: dict[str, str]) -> list[dict[str, Any]]:
    if message.tool_call_id is not None:
        response = {"name": names.get(message.tool_call_id, ""), "response": _result(message.content)}
        return [{"functionResponse": response}]
    parts = [_picture(part) if isinstance(part, Image) else {"text": part} for part in message.pieces if part]
    for call in message.tool_calls:
        part: dict[str, Any] = {"functionCall": {"name": call.name, "args": _object(call.arguments) or {}}}
        _, signed, signature = call.id.partition(SIGNED)
        if signed:
            part["thoughtSignature"] = signature
        parts.append(part)
    return parts


def _picture(image: Image) -> dict[str, Any]:
    data = image.embedded
    if data is None:
        return {"fileData": {"fileUri": image.url}}
    return {"inlineData": {"mimeType": data[0], "data": data[1]}}


def _plain(id: str | None) -> str:
    """An answer's name as part of a call's, which must be another one in each turn; nothing where that has none."""
    return "_" + re.sub(r"[^A-Za-z0-9]", "", id)[:20] if id else ""


def _result(text: str) -> dict[str, Any]:
    """A tool's result as the object that Gemini wants."""
    found = _object(text)
    return {"result": text} if found is None else found


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


class ContentReader(Reader):
    """Reads generated content; each event has the shape of a whole answer."""

    counts = ("promptTokenCount", "candidatesTokenCount")

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self._calls = 0

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
        for at, candidate in enumerate(objects(document.get("candidates"))):
            number = place_of(candidate.get("index"), at) if at else 0
            said = self._candidate(number, candidate)
            if number == 0:
                text = said
        return text

    def _candidate(self, number: int, candidate: dict[str, Any]) -> str | None:
        parts = objects(an_object(candidate.get("content")).get("parts"))
        text = "".join(a_text(part.get("text")) for part in parts if part.get("thought") is not True)
        for part in parts:
            called = an_object(part.get("functionCall"))
            if called.get("name"):
                signature = part.get("thoughtSignature")
                id = a_text(called.get("id")) or f"call_{self._calls}{_plain(self.id)}"
                id += f"{SIGNED}{signature}" if isinstance(signature, str) else ""
                arguments = json.dumps(an_object(called.get("args")), ensure_ascii=False)
                self.more.call(number, self._calls, id, called["name"], arguments)
                self._calls += 1
        reason = candidate.get("finishReason")
        if isinstance(reason, str) and reason and reason != "FINISH_REASON_UNSPECIFIED":
            self._ends(number, _REASONS.get(reason, reason.lower()))
        if number:
            self.more.text(number, text)
        return text if parts else None

    def _ends(self, number: int, reason: str) -> None:
        if reason == "stop" and self.more.calls(number):
            reason = "tool_calls"
        if number:
            self.more.finish(number, reason)
        else:
            self.ended, self.finish_reason = True, reason
