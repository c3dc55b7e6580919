"""Anthropic's messages. Source: Anthropic API reference, "Messages" and "Streaming messages"."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nexscout_cli.engine.chat import conversation
from nexscout_cli.errors import UsageError
from nexscout_cli.jsontext import quoted
from nexscout_cli.server import asking
from nexscout_cli.server.protocol import HERE, Ask, Document, about, around, classes, event, known_only, model_of, taken

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nexscout_cli.config import Settings
    from nexscout_cli.engine.book_types import ApiKey
    from nexscout_cli.engine.call import Choice
    from nexscout_cli.engine.response import AIResponse, Metadata

name = "anthropic"
_KNOWN = (
    "model",
    "messages",
    "max_tokens",
    "system",
    "temperature",
    "top_p",
    "stop_sequences",
    "stream",
    "tools",
    "tool_choice",
    "metadata",
    "thinking",
    "service_tier",
)
_REASONS = {"length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_EFFORTS = ((2_048, "low"), (8_192, "medium"))
"""Budgets for thinking, in tokens, up to which an effort stands for them; above all it is high."""
NOT_CACHED = "cache_control is not passed on"


def read(body: Document, key: ApiKey, headers: Mapping[str, str], settings: Settings) -> Ask:
    """The request in a body. Raises UsageError, NotPermitted."""
    given = known_only(body, _KNOWN)
    if given.get("service_tier", "auto") not in ("auto", "standard_only"):
        raise UsageError("service_tier is not taken", "leave it out")
    notes: list[str] = []
    options = _options(given, notes)
    metadata = taken(given, "metadata", dict, "a JSON object") or {}
    if isinstance(metadata.get("user_id"), str) and metadata["user_id"]:
        options["end_user"] = metadata["user_id"][:200]
    messages = conversation([*_system(given.get("system"), notes), *_turns(given.get("messages"), notes)])
    beside = asking.said(headers, {k: v for k, v in metadata.items() if k != "user_id"})
    request = asking.build(key, model_of(given), beside, settings, options, messages=messages)
    return Ask(request, taken(given, "stream", bool, "true or false") or False, notes=tuple(dict.fromkeys(notes)))


def _options(given: Document, notes: list[str]) -> Document:
    if taken(given, "max_tokens", int, "a whole number") is None:
        raise UsageError("max_tokens is missing", "the most tokens that the answer may have")
    options: Document = {"max_tokens": given["max_tokens"]}
    for known, option in (("temperature", "temperature"), ("top_p", "top_p"), ("stop_sequences", "stop")):
        if given.get(known) not in (None, []):
            options[option] = given[known]
    if given.get("tools"):
        options["tools"] = [_tool(tool, number, notes) for number, tool in enumerate(_list(given, "tools"))]
    choice = taken(given, "tool_choice", dict, "a JSON object")
    if choice is not None:
        named = {"type": "function", "function": {"name": choice.get("name")}}
        options["tool_choice"] = (
            named if choice.get("type") == "tool" else _CHOICES.get(str(choice.get("type")), choice)
        )
        if choice.get("disable_parallel_tool_use"):
            options["parallel_tool_calls"] = False
    thinking = taken(given, "thinking", dict, "a JSON object") or {"type": "disabled"}
    if thinking.get("type") == "enabled":
        budget = thinking.get("budget_tokens")
        if not isinstance(budget, int) or isinstance(budget, bool) or budget < 1:
            raise UsageError("thinking.budget_tokens is not a whole number", "for instance 2048")
        options["effort"] = next((effort for most, effort in _EFFORTS if budget <= most), "high")
        # The bound of this protocol is on thinking and answer together; ours is on the answer.
        options["max_tokens"] = max(1, options["max_tokens"] - budget)
    elif thinking.get("type") not in ("disabled", "adaptive"):
        raise UsageError(f"thinking.type cannot be {thinking.get('type')!r:.40}", "enabled, adaptive or disabled")
    return options


def _list(given: Document, name: str) -> list[Any]:
    value = given.get(name)
    if not isinstance(value, list):
        raise UsageError(f"{name} is not a list", "give a list")
    return value


def _tool(tool: Any, number: int, notes: list[str]) -> Document:
    if not isinstance(tool, dict) or tool.get("type", "custom") != "custom":
        raise UsageError(
            f"tools[{number}]: only tools of your own are taken", "tools that a provider runs may cost more"
        )
    if "cache_control" in tool:
        notes.append(NOT_CACHED)
    unknown = sorted(tool.keys() - {"type", "name", "description", "input_schema", "cache_control", "strict"})
    if unknown:
        raise UsageError(f"tools[{number}].{unknown[0]:.40} is not known", "leave it out")
    about = {"description": tool["description"]} if tool.get("description") else {}
    return {
        "type": "function",
        "function": {"name": tool.get("name"), **about, "parameters": tool.get("input_schema", {})},
    }


def _system(system: Any, notes: list[str]) -> list[Document]:
    if system in (None, "", []):
        return []
    return [{"role": "system", "content": system if isinstance(system, str) else _texts(system, "system", notes)}]


def _texts(blocks: Any, where: str, notes: list[str]) -> str:
    """The text of blocks of text."""
    if isinstance(blocks, str):
        return blocks
    if not isinstance(blocks, list):
        raise UsageError(f"{where} is neither text nor a list of blocks", "give text")
    parts = []
    for number, block in enumerate(blocks):
        if not isinstance(block, dict) or block.get("type") != "text" or not isinstance(block.get("text"), str):
            raise UsageError(f"{where}[{number}] is not a block of text", '{"type": "text", "text": "…"}')
        if "cache_control" in block:
            notes.append(NOT_CACHED)
        parts.append(block["text"])
    return "\n\n".join(parts)


def _turns(messages: Any, notes: list[str]) -> list[Document]:
    if not isinstance(messages, list) or not messages:
        raise UsageError("messages is a list of messages", 'for instance [{"role": "user", "content": "Hello"}]')
    turns: list[Document] = []
    for number, message in enumerate(messages):
        where = f"messages[{number}]"
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ("user", "assistant"):
            raise UsageError(f"{where}.role cannot be {role!r:.40}", "user or assistant")
        content = message.get("content")
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not isinstance(blocks, list) or not blocks:
            raise UsageError(f"{where}.content is neither text nor a list of blocks", "give text")
        turns += _user(blocks, where, notes) if role == "user" else _assistant(blocks, where, notes)
    return turns


def _user(blocks: list[Any], where: str, notes: list[str]) -> list[Document]:
    results: list[Document] = []
    parts: list[Document] = []
    for number, block in enumerate(blocks):
        at = f"{where}.content[{number}]"
        kind = block.get("type") if isinstance(block, dict) else None
        if kind == "tool_result":
            text = _texts(block.get("content", ""), f"{at}.content", notes)
            results.append({"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": text})
        elif kind == "text":
            parts.append({"type": "text", "text": block.get("text")})
        elif kind == "image":
            parts.append({"type": "image_url", "image_url": {"url": _picture(block.get("source"), at)}})
        else:
            raise UsageError(f"{at}.type cannot be {kind!r:.40}", "text, image or tool_result")
        if "cache_control" in block:
            notes.append(NOT_CACHED)
    content: Any = parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts
    return [*results, *([{"role": "user", "content": content}] if parts else [])]


def _picture(source: Any, at: str) -> str:
    if isinstance(source, dict) and source.get("type") == "base64":
        return f"data:{source.get('media_type')};base64,{source.get('data')}"
    if isinstance(source, dict) and source.get("type") == "url":
        return str(source.get("url"))
    raise UsageError(f"{at}.source is neither base64 nor a url", '{"type": "url", "url": "https://…"}')


def _assistant(blocks: list[Any], where: str, notes: list[str]) -> list[Document]:
    texts: list[str] = []
    calls: list[Document] = []
    for number, block in enumerate(blocks):
        at = f"{where}.content[{number}]"
        kind = block.get("type") if isinstance(block, dict) else None
        if kind == "text":
            texts.append(_texts([block], at, notes))
        elif kind == "tool_use":
            function = {"name": block.get("name"), "arguments": json.dumps(block.get("input", {}), ensure_ascii=False)}
            calls.append({"id": block.get("id"), "type": "function", "function": function})
        elif kind in ("thinking", "redacted_thinking"):
            notes.append("earlier thinking is not passed on")
        else:
            raise UsageError(f"{at}.type cannot be {kind!r:.40}", "text, tool_use or thinking")
    message: Document = {"role": "assistant", "content": "\n".join(texts) or None}
    return [message | ({"tool_calls": calls} if calls else {})] if texts or calls else []


def teller(ask: Ask, request_id: str, model: str) -> MessagesTeller:
    """Who tells an answer."""
    return MessagesTeller(request_id, model)


class MessagesTeller:
    """Tells one answer as a message."""

    def __init__(self, request_id: str, model: str) -> None:
        self._head: Document = {"id": f"msg_{request_id}", "type": "message", "role": "assistant", "model": model}
        self._open = False

    def whole(self, response: AIResponse) -> Document:
        """The answer as one document."""
        known, first = response.metadata, response.answers[0]
        assert known is not None
        return {
            **self._head,
            "model": known.model_used,
            "content": _blocks(first),
            "stop_reason": _REASONS.get(first.finish_reason, "end_turn"),
            "stop_sequence": None,
            "usage": usage_of(known),
            "nexscout": about(response),
        }

    def begin(self) -> Iterator[bytes]:
        """The message begins; its input is counted at the end."""
        usage = {"input_tokens": 0, "output_tokens": 0}
        message = {**self._head, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
        yield _named({"type": "message_start", "message": message})

    def piece(self, text: str) -> Iterator[bytes]:
        """A piece of text, in a block that begins with the first one."""
        if not self._open:
            self._open = True
            yield _named({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
        before, after = _AROUND
        yield b"%s%s%s" % (before, quoted(text).encode(), after)

    def end(self, response: AIResponse) -> Iterator[bytes]:
        """Tool calls, why it ended, and what was used."""
        first, place = response.answers[0], int(self._open)
        assert response.metadata is not None
        if self._open:
            yield _named({"type": "content_block_stop", "index": 0})
        for number, call in enumerate(first.tool_calls, place):
            block = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
            yield _named({"type": "content_block_start", "index": number, "content_block": block})
            delta = {"type": "input_json_delta", "partial_json": call.arguments}
            yield _named({"type": "content_block_delta", "index": number, "delta": delta})
            yield _named({"type": "content_block_stop", "index": number})
        reason = _REASONS.get(first.finish_reason, "end_turn")
        yield _named(
            {
                "type": "message_delta",
                "delta": {"stop_reason": reason, "stop_sequence": None},
                "usage": usage_of(response.metadata),
                "nexscout": about(response),
            }
        )
        yield _named({"type": "message_stop"})

    def failure(self, document: Document) -> Iterator[bytes]:
        """An error after the first piece."""
        yield _named(document)


def usage_of(known: Metadata) -> Document:
    """What was used, in Anthropic's words: what its cache held or took stands beside the input."""
    cached, written = classes(known, "cached"), classes(known, "cache_write") + classes(known, "cache_write_1h")
    return {
        "input_tokens": known.input_tokens - cached - written,
        "output_tokens": known.output_tokens,
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": written,
    }


def _blocks(choice: Choice) -> list[Document]:
    blocks: list[Document] = [{"type": "text", "text": choice.text}] if choice.text else []
    for call in choice.tool_calls:
        try:
            value = json.loads(call.arguments)
        except ValueError:
            value = {"arguments": call.arguments}
        blocks.append({"type": "tool_use", "id": call.id, "name": call.name, "input": value})
    return blocks


def _named(value: Document) -> bytes:
    return event(value, value["type"])


_AROUND = around(_named({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": HERE}}))
"""An event with a piece of text, but for the text."""
