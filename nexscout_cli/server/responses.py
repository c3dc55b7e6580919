"""OpenAI's responses. Source: OpenAI API reference, "Create a model response" and "Streaming events"."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from nexscout_cli.engine.chat import conversation
from nexscout_cli.errors import UsageError
from nexscout_cli.jsontext import quoted
from nexscout_cli.server import asking
from nexscout_cli.server.chat_completions import effort
from nexscout_cli.server.protocol import HERE, Ask, Document, about, around, classes, event, known_only, model_of, taken

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nexscout_cli.config import Settings
    from nexscout_cli.engine.book_types import ApiKey
    from nexscout_cli.engine.chat import Message
    from nexscout_cli.engine.response import AIResponse, Metadata

name = "openai"
_KNOWN = (
    "model",
    "input",
    "instructions",
    "max_output_tokens",
    "temperature",
    "top_p",
    "stream",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "text",
    "reasoning",
    "metadata",
    "user",
    "safety_identifier",
    "truncation",
    "service_tier",
)
_OPTIONS = {
    "max_output_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "parallel_tool_calls": "parallel_tool_calls",
    "user": "end_user",
    "safety_identifier": "end_user",
}
"""Options by the names that responses have for them."""
_IGNORED = ("include", "prompt_cache_key", "stream_options")
"""Without effect on an answer."""


def read(
    body: Document,
    key: ApiKey,
    headers: Mapping[str, str],
    settings: Settings,
    before: tuple[Message, ...] = (),
    goes_on: str = "",
) -> Ask:
    """The request in a body. Raises UsageError, NotPermitted.

    ``before``: the messages of the kept conversation ``goes_on`` up to the response that it names.
    """
    if body.get("conversation"):
        raise UsageError("conversation is not taken", "previous_response_id goes on with a response")
    keeps = settings["conversations.keep"]
    if body.get("previous_response_id") and not keeps:
        raise UsageError("no conversations are kept here: previous_response_id", "send the whole conversation as input")
    given = known_only(body, (*_KNOWN, "previous_response_id", "store", "conversation"), _IGNORED)
    store = taken(given, "store", bool, "true or false")
    for field, harmless in (("truncation", "disabled"), ("service_tier", "auto")):
        if given.get(field, harmless) not in (harmless, "default"):
            raise UsageError(f"{field} {given[field]!r:.40} is not taken", "leave it out")
    options = _options(given)
    added = conversation(_turns(given.get("input")), "input", before)
    told = _instructions(given)
    messages = (*(conversation(told, "instructions") if told else ()), *before, *added)
    beside = asking.said(headers, given.get("metadata"))
    request = asking.build(key, model_of(given), beside, settings, options, messages=messages)
    return Ask(
        request,
        taken(given, "stream", bool, "true or false") or False,
        notes=("the response is not stored: no conversations are kept here",) if store and not keeps else (),
        added=added if keeps and store is not False else (),
        goes_on=goes_on,
    )


def _options(given: Document) -> Document:
    options: Document = {}
    for known, option in _OPTIONS.items():
        if known in given:
            options[option] = given[known]
    if given.get("tools"):
        options["tools"] = [_tool(tool, number) for number, tool in enumerate(taken(given, "tools", list, "a list"))]
        choice = given.get("tool_choice")
        if isinstance(choice, dict) and choice.get("type") == "function":
            choice = {"type": "function", "function": {"name": choice.get("name")}}
        if choice is not None:
            options["tool_choice"] = choice
    else:
        options.pop("parallel_tool_calls", None)
    format = (taken(given, "text", dict, "a JSON object") or {}).get("format") or {"type": "text"}
    if isinstance(format, dict) and format.get("type") == "json_schema":
        format = {"type": "json_schema", "json_schema": {k: v for k, v in format.items() if k != "type"}}
    if format != {"type": "text"}:
        options["response_format"] = format
    reasoning = taken(given, "reasoning", dict, "a JSON object") or {}
    if reasoning.get("effort") is not None:
        options["effort"] = effort(reasoning["effort"])
    return options


def _tool(tool: Any, number: int) -> Document:
    if not isinstance(tool, dict) or tool.get("type") != "function":
        raise UsageError(f"tools[{number}]: only functions are taken", "tools that a provider runs may cost more")
    named = {name: value for name, value in tool.items() if name != "type" and value is not None}
    return {"type": "function", "function": named}


def _instructions(given: Document) -> list[Document]:
    text = taken(given, "instructions", str, "text")
    return [{"role": "system", "content": text}] if text else []


def _turns(items: Any) -> list[Document]:
    if isinstance(items, str):
        return [{"role": "user", "content": items}]
    if not isinstance(items, list) or not items:
        raise UsageError("input is neither text nor a list of items", 'for instance "Hello"')
    turns: list[Document] = []
    for number, item in enumerate(items):
        kind = item.get("type", "message") if isinstance(item, dict) else None
        if kind == "message":
            turns.append({"role": item.get("role"), "content": _content(item.get("content"), f"input[{number}]")})
        elif kind == "function_call":
            function = {"name": item.get("name"), "arguments": item.get("arguments")}
            call = {"id": item.get("call_id"), "type": "function", "function": function}
            if turns and turns[-1]["role"] == "assistant":
                turns[-1].setdefault("tool_calls", []).append(call)
            else:
                turns.append({"role": "assistant", "content": None, "tool_calls": [call]})
        elif kind == "function_call_output":
            turns.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": item.get("output")})
        elif kind != "reasoning":  # a summary of earlier thinking: nothing that could be passed on
            raise UsageError(f"input[{number}].type cannot be {kind!r:.40}", "message, function_call or its output")
    return turns


def _content(content: Any, where: str) -> Any:
    if not isinstance(content, list):
        return content
    parts = []
    for number, part in enumerate(content):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in ("input_text", "output_text"):
            parts.append({"type": "text", "text": part.get("text")})
        elif kind == "input_image" and part.get("image_url"):
            address = {"url": part["image_url"]} | ({"detail": part["detail"]} if part.get("detail") else {})
            parts.append({"type": "image_url", "image_url": address})
        else:
            raise UsageError(f"{where}.content[{number}].type cannot be {kind!r:.40}", "input_text or input_image")
    return parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts


def teller(ask: Ask, request_id: str, model: str) -> ResponseTeller:
    """Who tells an answer."""
    name = f"resp_{request_id}{f'_{ask.goes_on}' if ask.goes_on else ''}"
    beside = {"store": bool(ask.added), "previous_response_id": ask.previous}
    return ResponseTeller(name, request_id, model, int(time.time()), beside)


class ResponseTeller:
    """Tells one answer as a response: one message, and the functions that are called.

    ``created``: seconds since 1970. ``beside``: whether it is stored, and what it goes on with.
    """

    def __init__(self, name: str, request_id: str, model: str, created: int, beside: Document) -> None:
        self._name, self._id, self._model = name, request_id, model
        self._created, self._beside = created, beside
        self._number = 0
        self._around: list[bytes] | None = None
        self._text: list[str] = []

    def whole(self, response: AIResponse) -> Document:
        """The answer as one document."""
        known, first = response.metadata, response.answers[0]
        assert known is not None
        cut = first.finish_reason == "length"
        output = [self._item(first.text)] if first.text or not first.tool_calls else []
        output += [
            {
                "type": "function_call",
                "id": f"fc_{self._id}_{number}",
                "call_id": call.id,
                "name": call.name,
                "arguments": call.arguments,
                "status": "completed",
            }
            for number, call in enumerate(first.tool_calls)
        ]
        return {
            **self._response("incomplete" if cut else "completed", output),
            "model": known.model_used,
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "usage": usage_of(known),
            "nexscout": about(response),
        }

    def begin(self) -> Iterator[bytes]:
        """The response begins."""
        yield self._event("response.created", response=self._response("in_progress", []))
        yield self._event("response.in_progress", response=self._response("in_progress", []))

    def piece(self, text: str) -> Iterator[bytes]:
        """A piece of the message, which begins with the first one."""
        if not self._text:
            item = self._item("") | {"status": "in_progress", "content": []}
            yield self._event("response.output_item.added", output_index=0, item=item)
            yield self._event("response.content_part.added", **self._place(), part=_part(""))
        self._text.append(text)
        if self._around is None:
            kind = "response.output_text.delta"
            made = {"type": kind, "sequence_number": HERE, **self._place(), "delta": HERE, "logprobs": []}
            self._around = around(event(made, kind))
        before, between, after = self._around
        number, self._number = self._number, self._number + 1
        yield b"%s%d%s%s%s" % (before, number, between, quoted(text).encode(), after)

    def end(self, response: AIResponse) -> Iterator[bytes]:
        """The end of the message, tool calls, and the whole response."""
        whole, text = self.whole(response), "".join(self._text)
        if self._text:
            yield self._event("response.output_text.done", **self._place(), text=text, logprobs=[])
            yield self._event("response.content_part.done", **self._place(), part=_part(text))
        for number, item in enumerate(whole["output"]):
            if item["type"] == "function_call":
                begun = item | {"arguments": "", "status": "in_progress"}
                yield self._event("response.output_item.added", output_index=number, item=begun)
                at = {"item_id": item["id"], "output_index": number}
                yield self._event("response.function_call_arguments.delta", **at, delta=item["arguments"])
                done = {"arguments": item["arguments"], "name": item["name"]}
                yield self._event("response.function_call_arguments.done", **at, **done)
            if item["type"] == "function_call" or self._text:
                yield self._event("response.output_item.done", output_index=number, item=item)
        yield self._event(f"response.{whole['status']}", response=whole)

    def failure(self, document: Document) -> Iterator[bytes]:
        """An error after the first piece."""
        error = document["error"]
        failed = self._response("failed", []) | {"error": {"code": error["code"], "message": error["message"]}}
        yield self._event("response.failed", response=failed)

    def _event(self, kind: str, **more: Any) -> bytes:
        number, self._number = self._number, self._number + 1
        return event({"type": kind, "sequence_number": number, **more}, kind)

    def _place(self) -> Document:
        return {"item_id": f"msg_{self._id}", "output_index": 0, "content_index": 0}

    def _item(self, text: str) -> Document:
        return {
            "type": "message",
            "id": f"msg_{self._id}",
            "role": "assistant",
            "status": "completed",
            "content": [_part(text)],
        }

    def _response(self, status: str, output: list[Document]) -> Document:
        return {
            "id": self._name,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "model": self._model,
            "output": output,
            **self._beside,
            "parallel_tool_calls": True,
            "temperature": None,
            "tool_choice": "auto",
            "tools": [],
            "top_p": None,
            "usage": None,
        }


def usage_of(known: Metadata) -> Document:
    """What was used, in the words of responses, and what it cost in dollars."""
    return {
        "input_tokens": known.input_tokens,
        "input_tokens_details": {"cached_tokens": classes(known, "cached")},
        "output_tokens": known.output_tokens,
        "output_tokens_details": {"reasoning_tokens": classes(known, "reasoning")},
        "total_tokens": known.tokens_used,
        "cost": known.cost_usd,
    }


def _part(text: str) -> Document:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
