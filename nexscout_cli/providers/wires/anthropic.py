"""Anthropic's messages. Source: Anthropic API reference, "Messages", "Streaming messages" and "Tool use"."""

from __future__ import annotations

import json
from typing import Any

from nexscout_cli import jsontext
from nexscout_cli.engine.call import Call
from nexscout_cli.engine.chat import SYSTEM, Image, Message
from nexscout_cli.engine.prompt_cache import Mark
from nexscout_cli.providers.wires.more import place_of, unsigned
from nexscout_cli.providers.wires.reader import Damaged, Reader, a_text, an_object, fail, objects
from nexscout_cli.providers.wires.request import HttpRequest
from nexscout_cli.providers.wires.targets import Target

VERSION = "2023-06-01"
LEAST_BUDGET = 1_024
"""The least tokens that thinking may be given."""
ANSWER_TOOL = "answer_as_json"
"""The tool that stands for an answer by a schema: every model with tools can be made to call it."""
_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_TAKES = {"tools", "tool_choice", "parallel_tool_calls", "response_format", "stop", "top_p", "user"}
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}


def request(call: Call, target: Target, key: str | None) -> HttpRequest:
    """The call as this wire sends it: system text stands beside the messages."""
    system = _system(call)
    body: dict[str, Any] = {"model": target.model, "messages": _turns(call), "max_tokens": call.max_tokens}
    if system:
        body["system"] = system
    body |= _options(call)
    if _thinks(call):
        body["thinking"] = {"type": "enabled", "budget_tokens": call.thinking_room}  # takes no temperature but its own
        body.pop("top_p", None)
    elif call.temperature is not None:
        body["temperature"] = min(1.0, call.temperature)
    if call.stream:
        body["stream"] = True
    headers = (("anthropic-version", VERSION), *([] if key is None else [("x-api-key", key)]))
    return HttpRequest(target.url, headers, jsontext.usual(target.params | body).encode())


def not_sent(call: Call, target: Target) -> tuple[str, ...]:
    """The options that Anthropic does not take."""
    left = [name for name in call.options if name not in _TAKES]
    if _thinks(call) and "top_p" in call.options:
        left.append("top_p")
    if call.effort not in (None, "none") and _forced_tool(call):
        left.append("effort")  # a model that must call a tool cannot think
    return tuple(left)


def _thinks(call: Call) -> bool:
    return call.effort not in (None, "none") and call.thinking_room >= LEAST_BUDGET and not _forced_tool(call)


def _forced_tool(call: Call) -> bool:
    choice = call.options.get("tool_choice")
    return _by_schema(call) or choice == "required" or isinstance(choice, dict)


def _by_schema(call: Call) -> bool:
    """Whether the answer is asked for as a tool call; with tools of the caller's own it is asked for in words."""
    format = call.options.get("response_format")
    return format is not None and format.get("type") != "text" and "tools" not in call.options


def _system(call: Call) -> str | list[dict[str, Any]]:
    """The system text: blocks, where a part of it is to stay in the cache."""
    system = [(number, message) for number, message in enumerate(call.messages) if message.role in SYSTEM]
    mark = call.mark
    if mark is None or all(number != mark.message for number, _ in system):
        return "\n\n".join(message.content for _, message in system)
    before = "".join(f"{message.content}\n\n" for number, message in system if number < mark.message)
    own = call.messages[mark.message].content
    after = "".join(f"\n\n{message.content}" for number, message in system if number > mark.message)
    cut = len(own) if mark.chars is None else mark.chars
    rest = own[cut:] + after
    return [_kept(_text(before + own[:cut]), mark), *([_text(rest)] if rest.strip() else [])]


def _kept(block: dict[str, Any], mark: Mark) -> dict[str, Any]:
    return block | {"cache_control": {"type": "ephemeral", **({"ttl": "1h"} if mark.hour else {})}}


def _marked(blocks: list[dict[str, Any]], message: Message, mark: Mark) -> list[dict[str, Any]]:
    """A message's blocks with the mark in them."""
    if mark.chars is None or not message.plain or message.role == "tool":
        return [*blocks[:-1], _kept(blocks[-1], mark)]
    return [_kept(_text(message.content[: mark.chars]), mark), _text(message.content[mark.chars :])]


def _turns(call: Call) -> list[dict[str, Any]]:
    """The messages, those of one role that follow each other as one: results of tools are a user's."""
    turns: list[dict[str, Any]] = []
    for number, message in enumerate(call.messages):
        if message.role in SYSTEM:
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _blocks(message)
        if not blocks:
            continue
        marked = call.mark is not None and call.mark.message == number
        if marked:
            assert call.mark is not None
            blocks = _marked(blocks, message, call.mark)
        if message.plain and not marked and not (turns and turns[-1]["role"] == role):
            turns.append({"role": role, "content": message.content})
        elif turns and turns[-1]["role"] == role:
            before = turns[-1]["content"]
            turns[-1]["content"] = ([_text(before)] if isinstance(before, str) else before) + blocks
        else:
            turns.append({"role": role, "content": blocks})
    return turns


def _blocks(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        return [
            {"type": "tool_result", "tool_use_id": unsigned(message.tool_call_id or ""), "content": message.content}
        ]
    blocks = [_picture(part) if isinstance(part, Image) else _text(part) for part in message.pieces if part]
    for call in message.tool_calls:
        blocks.append(
            {"type": "tool_use", "id": unsigned(call.id), "name": call.name, "input": _arguments(call.arguments)}
        )
    return blocks


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _picture(image: Image) -> dict[str, Any]:
    data = image.embedded
    if data is None:
        return {"type": "image", "source": {"type": "url", "url": image.url}}
    return {"type": "image", "source": {"type": "base64", "media_type": data[0], "data": data[1]}}


def _arguments(text: str) -> dict[str, Any]:
    """A call's arguments as the object that they were; what is none is passed on as text."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        value = text
    return value if isinstance(value, dict) else {"arguments": value}


def _options(call: Call) -> dict[str, Any]:
    given, body = call.options, {}
    if "top_p" in given:
        body["top_p"] = given["top_p"]
    if "stop" in given:
        body["stop_sequences"] = [given["stop"]] if isinstance(given["stop"], str) else given["stop"]
    if "user" in given:
        body["metadata"] = {"user_id": given["user"]}
    if "tools" in given:
        body["tools"] = [_tool(tool["function"]) for tool in given["tools"]]
    choice = _choice(given)
    if choice is not None:
        body["tool_choice"] = choice
    if _by_schema(call):
        format = given["response_format"]
        schema = format["json_schema"]["schema"] if format["type"] == "json_schema" else {"type": "object"}
        body["tools"] = [{"name": ANSWER_TOOL, "description": "Gives the answer.", "input_schema": schema}]
        body["tool_choice"] = {"type": "tool", "name": ANSWER_TOOL}
    return body


def _tool(function: dict[str, Any]) -> dict[str, Any]:
    about = {"description": function["description"]} if function.get("description") else {}
    return {"name": function["name"], **about, "input_schema": function.get("parameters") or {"type": "object"}}


def _choice(given: dict[str, Any]) -> dict[str, Any] | None:
    asked, one_only = given.get("tool_choice"), given.get("parallel_tool_calls") is False
    if asked is None and not one_only:
        return None
    if isinstance(asked, dict):
        choice: dict[str, Any] = {"type": "tool", "name": asked["function"]["name"]}
    else:
        choice = {"type": _CHOICES[asked or "auto"]}
    if one_only and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True
    return choice


class MessagesReader(Reader):
    """Reads a message, whole or as events."""

    counts = ("input_tokens", "output_tokens")

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self._answers_by_tool = _by_schema(call)
        self._kinds: dict[int, str] = {}

    def _whole(self, document: dict[str, Any]) -> str:
        self._said(document)
        content = document.get("content")
        if not isinstance(content, list):
            raise Damaged("the answer is damaged")
        text, beside = "", ""
        for place, block in enumerate(objects(content)):
            text += self._block(place, block)
            if block.get("type") == "tool_use":
                text += self._input(place, json.dumps(block.get("input", {}), ensure_ascii=False))
            elif block.get("type") == "text":
                beside += a_text(block.get("text"))
        # A server that makes no model call the tool is answered in text: that is billed, and may be what was asked for.
        return text or (beside if self._answers_by_tool else "")

    def _event(self, document: dict[str, Any]) -> str | None:
        kind = document.get("type")
        self._said(an_object(document.get("message")) if kind == "message_start" else document)
        if kind == "message_delta":
            self._finish(an_object(document.get("delta")))
        place = place_of(document.get("index"), 0)
        if kind == "content_block_start":
            return self._block(place, an_object(document.get("content_block")))
        if kind == "content_block_delta":
            delta = an_object(document.get("delta"))
            if delta.get("type") == "input_json_delta":
                return self._input(place, a_text(delta.get("partial_json")))
            return a_text(delta.get("text")) if delta.get("type") == "text_delta" else ""
        return None

    def _block(self, place: int, block: dict[str, Any]) -> str:
        """A block begins: its text, where it has one."""
        kind = block.get("type")
        if kind == "tool_use" and not self._is_answer(block.get("name")):
            self._kinds[place] = "call"
            self.more.call(0, place, block.get("id"), block.get("name"), "")
        elif kind == "tool_use":
            self._kinds[place] = "answer"
        return a_text(block.get("text")) if kind == "text" and not self._answers_by_tool else ""

    def _input(self, place: int, piece: str) -> str:
        """A piece of a tool's input: of the tool that stands for the answer it is the answer's text."""
        if self._kinds.get(place) == "answer":
            return piece
        self.more.call(0, place, "", "", piece)
        return ""

    def _is_answer(self, name: Any) -> bool:
        return self._answers_by_tool and name == ANSWER_TOOL

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
            if self._answers_by_tool and self.finish_reason == "tool_calls":
                self.finish_reason = "stop"
