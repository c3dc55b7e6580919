"""Calls of every shape, and what providers answer to them: made from a number, the same each time."""

from __future__ import annotations

import json
import random
from typing import Any, NamedTuple

from nexscout_cli.engine.call import Call
from nexscout_cli.engine.chat import Image, Message, ToolCall, message_of
from nexscout_cli.engine.model import Model

Body = dict[str, Any]
Answer = tuple[int, dict[str, str], bytes]

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
TARGETS = {
    "openai": "openai/gpt-4o-mini",
    "anthropic": "anthropic/claude-sonnet-4-20250514",
    "gemini": "gemini/gemini-2.5-flash",
}
SCHEMA: Body = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
WEATHER: Body = {
    "name": "weather",
    "description": "The weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CLOCK: Body = {
    "name": "clock",
    "description": "The time in a zone",
    "parameters": {"type": "object", "properties": {"zone": {"type": "string", "description": "as in Europe/Rome"}}},
}
TEXTS = (
    "Hello there.",
    "Größe: 3 µm, “fine”. 你好 🙂",
    "A first line\nand a second one.",
    "x" * 300,
    '{"name": "Ana", "age": 7}',
)
ERRORS = (400, 401, 403, 404, 413, 422, 429, 500, 502, 503)


class Case(NamedTuple):
    """A call, and what the server answers to it. ``about`` says what is special, for people."""

    wire: str
    call: Call
    answer: Answer
    about: str


def case(wire: str, number: int, base: str) -> Case:
    """The case of that number for a wire, with its server at ``base``."""
    chance = random.Random(f"{wire} {number}")
    model = Model("m", TARGETS[wire], "small", 1, 1, 100_000, 0.7, 0.9, "", True, False, base, "TEST_PROVIDER_KEY", {})
    options = _options(wire, chance)
    stream = chance.random() < 0.4 and options.get("n") is None
    temperature = chance.choice((None, 0.2, 1.0))
    call = Call(
        model, _messages(wire, chance, "tools" in options), chance.choice((50, 700)), temperature, 20.0, 30.0, stream
    )
    call = call._replace(options=options)
    status = chance.choice(ERRORS) if chance.random() < 0.15 else 200
    if status != 200:
        return Case(wire, call, _error(wire, status), f"error {status}")
    said = _Said(chance, options, wire)
    written = (_STREAMED if stream else _WHOLE)[wire](said)
    kind = "text/event-stream" if stream else "application/json"
    about = ", ".join([*sorted(options), "stream" if stream else "whole", said.about])
    return Case(wire, call, (200, {"Content-Type": kind}, written), about)


def _options(wire: str, chance: random.Random) -> Body:
    found: Body = {}
    kind = chance.choice(("plain", "plain", "tools", "tools", "schema", "sampling"))
    if kind == "tools":
        tools = chance.choice(([WEATHER], [WEATHER, CLOCK]))
        found["tools"] = [{"type": "function", "function": tool} for tool in tools]
        choice = chance.choice((None, "auto", "required", {"type": "function", "function": {"name": "weather"}}))
        if choice is not None:
            found["tool_choice"] = choice
        if wire != "gemini" and chance.random() < 0.3:
            found["parallel_tool_calls"] = chance.random() < 0.5
    if kind == "schema" and wire != "anthropic":  # there both make up a tool, each under a name of its own
        found["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    if kind == "sampling":
        found |= {"top_p": 0.9, "stop": chance.choice(("END", ["END", "STOP"]))}
        if wire != "anthropic":
            found |= {"seed": 7, "presence_penalty": 0.5, "frequency_penalty": 0.5}
        if wire == "openai":
            found |= {"user": "user-7"} | ({"n": 2} if chance.random() < 0.4 else {})
    return found


def _messages(wire: str, chance: random.Random, tools: bool) -> tuple[Message, ...]:
    found = [Message("system", "Be brief.")] if chance.random() < 0.7 else []
    for turn in range(chance.randrange(3)):
        found += [Message("user", f"Question {turn}?"), Message("assistant", chance.choice(TEXTS))]
    if tools and chance.random() < 0.6:
        calls = [ToolCall("call_1", "weather", '{"city": "Rome"}')]
        calls += [ToolCall("call_2", "weather", '{"city": "Oslo"}')] if chance.random() < 0.5 else []
        found += [Message("user", "Is it raining?"), Message("assistant", "", tool_calls=tuple(calls))]
        found += [Message("tool", '{"sky": "clear"}', tool_call_id=one.id) for one in calls]
        if chance.random() < 0.5:
            return tuple(found)
    parts: list[str | Image] = [chance.choice(TEXTS)]
    if chance.random() < 0.3:
        addresses = [f"data:image/png;base64,{PNG}"]
        if wire != "gemini":  # for which LiteLLM fetches it
            addresses.append("https://pictures.example.com/dot.png")
        parts.append(Image(chance.choice(addresses)))
    return (*found, message_of("user", parts))


class _Said:
    """What a model says: a text, or calls of tools; with the usage in one of a provider's shapes."""

    def __init__(self, chance: random.Random, options: Body, wire: str) -> None:
        self.calls: list[tuple[str, str, Body]] = []
        if "tools" in options and chance.random() < 0.7:
            self.calls = [("call_a", "weather", {"city": "Zürich"})]
            if chance.random() < 0.4:
                self.calls.append(("call_b", "weather", {"city": "Oslo"}))
        self.text = '{"name": "Ana", "age": 7}' if "response_format" in options else chance.choice(TEXTS)
        if self.calls and chance.random() < 0.6:
            self.text = ""
        self.answers = options.get("n") or 1
        self.ended = "tool_calls" if self.calls else chance.choice(("stop", "stop", "length"))
        self.cached = chance.choice((0, 0, 16))
        self.written = chance.choice((0, 0, 8)) if wire == "anthropic" else 0
        self.thought = chance.choice((0, 0, 5)) if wire != "anthropic" else 0
        self.about = f"{len(self.calls)} calls" if self.calls else "text"


def _openai_usage(said: _Said) -> Body:
    usage: Body = {"prompt_tokens": 40, "completion_tokens": 20, "total_tokens": 60}
    if said.cached:
        usage["prompt_tokens_details"] = {"cached_tokens": said.cached}
    if said.thought:
        usage["completion_tokens_details"] = {"reasoning_tokens": said.thought}
    return usage


def _openai(said: _Said) -> bytes:
    message: Body = {"role": "assistant", "content": said.text or None}
    if said.calls:
        message["tool_calls"] = [
            {"id": id, "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
            for id, name, given in said.calls
        ]
    choices = [{"index": n, "message": message, "finish_reason": said.ended} for n in range(said.answers)]
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini-2024-07-18"}
    return json.dumps(head | {"choices": choices, "usage": _openai_usage(said)}).encode()


def _openai_events(said: _Said) -> bytes:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini-2024-07-18"}
    deltas: list[Body] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": said.text[at : at + 5]} for at in range(0, len(said.text), 5)]
    for at, (id, name, given) in enumerate(said.calls):
        deltas.append(
            {"tool_calls": [{"index": at, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}]}
        )
        written = json.dumps(given)
        deltas += [
            {"tool_calls": [{"index": at, "function": {"arguments": piece}}]} for piece in (written[:4], written[4:])
        ]
    events = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    events += [{"choices": [{"index": 0, "delta": {}, "finish_reason": said.ended}]}]
    events += [{"choices": [], "usage": _openai_usage(said)}]
    return b"".join(b"data: " + json.dumps(head | event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"


def _anthropic_usage(said: _Said) -> Body:
    usage = {"input_tokens": 40, "output_tokens": 20}
    usage |= {"cache_read_input_tokens": said.cached} if said.cached else {}
    return usage | ({"cache_creation_input_tokens": said.written} if said.written else {})


def _anthropic_parts(said: _Said) -> tuple[Body, list[Body], str]:
    blocks: list[Body] = [{"type": "text", "text": said.text}] if said.text else []
    blocks += [{"type": "tool_use", "id": id, "name": name, "input": given} for id, name, given in said.calls]
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-20250514"}
    return head, blocks, {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}[said.ended]


def _anthropic(said: _Said) -> bytes:
    head, blocks, reason = _anthropic_parts(said)
    more = {"content": blocks, "stop_reason": reason, "stop_sequence": None, "usage": _anthropic_usage(said)}
    return json.dumps(head | more).encode()


def _anthropic_events(said: _Said) -> bytes:
    head, blocks, reason = _anthropic_parts(said)
    start = head | {"content": [], "stop_reason": None, "usage": _anthropic_usage(said) | {"output_tokens": 1}}
    events: list[Body] = [{"type": "message_start", "message": start}]
    for at, block in enumerate(blocks):
        empty: Body = {"text": ""} if block["type"] == "text" else {"input": {}}
        events.append({"type": "content_block_start", "index": at, "content_block": block | empty})
        text = block["text"] if block["type"] == "text" else json.dumps(block["input"])
        for piece in (text[:4], text[4:]):
            delta = {"type": "text_delta", "text": piece}
            if block["type"] == "tool_use":
                delta = {"type": "input_json_delta", "partial_json": piece}
            events.append({"type": "content_block_delta", "index": at, "delta": delta})
        events.append({"type": "content_block_stop", "index": at})
    ended = {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}}
    events += [ended | {"usage": {"output_tokens": 20}}, {"type": "message_stop"}]
    return b"".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in events)


def _gemini_answer(said: _Said, parts: list[Body], ended: str | None) -> Body:
    usage = {"promptTokenCount": 40, "candidatesTokenCount": 20, "totalTokenCount": 60 + said.thought}
    usage |= {"cachedContentTokenCount": said.cached} if said.cached else {}
    usage |= {"thoughtsTokenCount": said.thought} if said.thought else {}
    candidate: Body = {"content": {"role": "model", "parts": parts}, "index": 0}
    candidate |= {"finishReason": ended} if ended else {}
    head = {"responseId": "r1", "modelVersion": "gemini-2.5-flash"}
    return {"candidates": [candidate], "usageMetadata": usage} | head


def _gemini_parts(said: _Said) -> tuple[list[Body], str]:
    parts: list[Body] = [{"text": said.text}] if said.text else []
    parts += [{"functionCall": {"name": name, "args": given}} for _, name, given in said.calls]
    return parts, "MAX_TOKENS" if said.ended == "length" else "STOP"


def _gemini(said: _Said) -> bytes:
    return json.dumps(_gemini_answer(said, *_gemini_parts(said))).encode()


def _gemini_events(said: _Said) -> bytes:
    parts, ended = _gemini_parts(said)
    events = []
    for at, part in enumerate(parts):
        last = at == len(parts) - 1
        halves = [{"text": part["text"][:4]}, {"text": part["text"][4:]}] if "text" in part else [part]
        events += [_gemini_answer(said, [half], None) for half in halves[:-1]]
        events.append(_gemini_answer(said, halves[-1:], ended if last else None))
    return b"".join(b"data: " + json.dumps(one).encode() + b"\r\n\r\n" for one in events)


def _error(wire: str, status: int) -> Answer:
    body: Body = {
        "openai": {"error": {"message": "it was made to fail", "type": "test", "code": None}},
        "anthropic": {"type": "error", "error": {"type": "test_error", "message": "it was made to fail"}},
        "gemini": {"error": {"code": status, "message": "it was made to fail", "status": "TEST"}},
    }[wire]
    headers = {"Content-Type": "application/json"} | ({"Retry-After": "3"} if status == 429 else {})
    return status, headers, json.dumps(body).encode()


_WHOLE = {"openai": _openai, "anthropic": _anthropic, "gemini": _gemini}
_STREAMED = {"openai": _openai_events, "anthropic": _anthropic_events, "gemini": _gemini_events}
