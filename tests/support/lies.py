"""Lies of a provider: what may come in the place of an answer, plain or streamed. Each knows whether it was billed.

A lie is told by its number in the prompt ("lie 17"), so that retries and rows of a batch meet the one that is theirs.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.support.fault_server import USAGE, Act, Connection, Fault, chunk, completion

JSON, EVENTS = {"Content-Type": "application/json"}, {"Content-Type": "text/event-stream"}
DEEP = 100_000
TEXT = "Hello there."
DONE = b"data: [DONE]\n\n"
ENOUGH = 3_000_000_000
"""Bytes of what has no end: more than anybody takes."""


class Lie(NamedTuple):
    """``plain`` and ``streamed`` say it; ``billed``: text and usage are there, so it must be posted."""

    name: str
    plain: Act
    streamed: Act
    billed: bool = False

    def fault(self, *, streamed: bool) -> Fault:
        """As a server says it."""
        return Fault(self.streamed if streamed else self.plain)


def said(body: bytes, headers: dict[str, str], status: int = 200) -> Act:
    """Those bytes, then the connection is closed."""

    def act(connection: Connection) -> None:
        connection.head(status, headers)
        connection.send(body)

    return act


def endless(begin: bytes, more: bytes, headers: dict[str, str], status: int = 200) -> Act:
    """Bytes without an end, as fast as they are taken."""
    block = more * (65_536 // len(more) + 1)

    def act(connection: Connection) -> None:
        connection.head(status, headers)
        connection.send(begin)
        with contextlib.suppress(OSError):
            for _ in range(ENOUGH // len(block)):
                connection.send(block)

    return act


def events(*, text: str = TEXT, usage: Any = USAGE) -> bytes:
    """A stream that is as it should be."""
    return chunk(text) + chunk(None, "stop") + chunk(None, choices=[], usage=usage) + DONE


class Form(NamedTuple):
    """How a provider says things: a good answer, plain and as events, a piece of text, and one of the lists in an answer."""

    good: bytes
    stream: bytes
    piece: Callable[[str], bytes]
    list_name: str
    opening: bytes = b""
    """What comes before the first piece."""
    end: bytes = b""
    """What comes after the last piece."""


def of_bytes(name: str, plain: bytes, streamed: bytes, *, billed: bool = False) -> Lie:
    """A lie that is a body."""
    return Lie(name, said(plain, JSON), said(streamed, EVENTS), billed)


def replaced(document: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """The document with another value at a place."""
    if not path:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[path[0]] = replaced(copy[path[0]], path[1:], value)  # type: ignore[index]
    return copy


def with_field(path: tuple[str | int, ...], value: Any, shown: str) -> Lie:
    """A field of an answer, or of an event in the midst of a stream, that is of a wrong type."""
    choice = {"index": 0, "finish_reason": "stop", "logprobs": None}
    said_text = {"role": "assistant", "content": TEXT, "tool_calls": None, "refusal": None, "reasoning_content": None}
    known = {"id": "c1", "object": "chat.completion", "created": 1, "model": "gpt-4o", "service_tier": "default"}
    usage = {
        **USAGE,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    known |= {"usage": usage | {"cost": 0.1}, "error": None}
    plain = replaced(known | {"choices": [choice | {"message": said_text}]}, path, value)
    other = tuple("delta" if step == "message" else step for step in path)
    event = replaced(known | {"choices": [choice | {"delta": said_text}]}, other, value)
    streamed = b"data: " + json.dumps(event).encode() + b"\n\n"
    name = f"{'.'.join(map(str, path))} is {shown}"
    return of_bytes(name, json.dumps(plain).encode(), streamed + DONE)


FIELDS: tuple[tuple[str | int, ...], ...] = (
    ("id",), ("object",), ("created",), ("model",), ("service_tier",), ("error",), ("choices",), ("choices", 0),
    ("choices", 0, "index"), ("choices", 0, "finish_reason"), ("choices", 0, "logprobs"), ("choices", 0, "message"),
    ("choices", 0, "message", "role"), ("choices", 0, "message", "content"), ("choices", 0, "message", "tool_calls"),
    ("choices", 0, "message", "refusal"), ("choices", 0, "message", "reasoning_content"), ("usage",),
    ("usage", "prompt_tokens"), ("usage", "completion_tokens"), ("usage", "total_tokens"),
    ("usage", "prompt_tokens_details"), ("usage", "prompt_tokens_details", "cached_tokens"),
    ("usage", "completion_tokens_details", "reasoning_tokens"), ("usage", "cost"),
)  # fmt: skip
"""The places of an answer's fields."""


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


VALUES: dict[str, Any] = {
    "null": None, "5": 5, "-1": -1, "true": True, "text": "x", "empty": "", "half a character": "\ud83d", "NaN": float("nan"),
    "infinite": float("inf"), "1e308": 1e308, "of 400 digits": 10**400, "2**63": 2**63, "0.5": 0.5, "a list": [], "an object": {},
    "a list of numbers": [1, 2], "a list of lists": [[[]]], "an object of objects": {"a": {"b": None}}, "deep": _nested(600),
    "a key": {"content": [float("nan"), "\ud83d"]}, "long": "9" * 5_000,
}  # fmt: skip
"""Values of wrong types."""


def fields(paths: tuple[tuple[str | int, ...], ...] = FIELDS, each: int = len(VALUES)) -> list[Lie]:
    """Lies about fields: ``each`` values for each of them, in turn."""
    shown = list(VALUES)
    return [
        with_field(path, VALUES[name], name)
        for at, path in enumerate(paths)
        for name in (shown[(at + step * 5) % len(shown)] for step in range(each))
    ]


def _raw(form: Form) -> list[Lie]:
    good, stream, name = form.good, form.stream, form.list_name.encode()
    nested = b"[" * DEEP + b"]" * DEEP
    deep = b'{"' + name + b'":' + nested + b"}"
    objects = b'{"a":' * DEEP + b"1" + b"}" * DEEP
    bad_text = good.replace(b"Hello", b"H\xff\xfe")
    digits = b'{"usage":' + b"9" * 100_000 + b"}"
    many = b'{"' + name + b'":[' + b"{}," * 600_000 + b"{}]}"
    fewer = b'{"' + name + b'":[' + b"{}," * 60_000 + b"{}]}"
    return [
        of_bytes("nested lists", deep, b"data: " + deep + b"\n\n"),
        of_bytes("nested objects", objects, b"data: " + objects + b"\n\n"),
        of_bytes("nested and open", b"[" * DEEP, b"data: " + b"[" * DEEP + b"\n\n"),
        of_bytes("a number of 100,000 digits", digits, b"data: " + digits + b"\n\n"),
        of_bytes("600,000 choices", many, b"data: " + many + b"\n\n"),
        of_bytes("60,000 choices", fewer, b"data: " + fewer + b"\n\n"),
        of_bytes("invalid UTF-8", bad_text, stream.replace(b"Hello", b"H\xff\xfe")),
        of_bytes("nothing", b"", b""),
        of_bytes("blanks", b" \n" * 1_000, b"\n" * 1_000),
        of_bytes("null", b"null", b"data: null\n\n"),
        of_bytes("a number", b"5", b"data: 5\n\n"),
        of_bytes("a text", b'"hello"', b'data: "hello"\n\n'),
        of_bytes("a list", b"[" + good + b"]", b"data: [1, 2]\n\n"),
        of_bytes("HTML", b"<html><h1>502</h1>", b"<html><h1>502</h1>\n\n"),
        of_bytes("a NUL", b"\0" * 5_000, b"data: " + b"\0" * 5_000 + b"\n\n"),
        of_bytes(
            "the key is said twice",
            good[:-1] + b',"usage":5,"usage":{}}',
            stream.replace(b"data: {", b'data: {"usage":5,'),
        ),
        of_bytes("a BOM", b"\xef\xbb\xbf" + good, b"\xef\xbb\xbf" + stream, billed=True),
        of_bytes("CR alone", good, stream.replace(b"\n", b"\r"), billed=True),
        of_bytes("CRLF", good + b"\r\n", stream.replace(b"\n", b"\r\n"), billed=True),
        of_bytes("an event before data", good, b"event: ping\n\n" + stream, billed=True),
        of_bytes("a retry before data", good, b"retry: 10\n\n: hello\n\nid: 5\n\n" + stream, billed=True),
        of_bytes(
            "data of several lines",
            good,
            b"".join(
                b"data: {\ndata:" + line[7:] + b"\n\n" if line.startswith(b"data: {") else line + b"\n\n"
                for line in stream.split(b"\n\n")
                if line
            ),
            billed=True,
        ),
        of_bytes(
            "an error in the midst",
            b'{"error": 5}',
            form.opening + form.piece(TEXT) + b'data: {"error": [["x"]]}\n\n',
        ),
        of_bytes(
            "an error of odd types",
            b'{"error": {"message": {"a": [1]}, "code": [], "type": 5, "metadata": 7}}',
            b'data: {"error": {"message": [], "code": {}, "status": -1}}\n\n',
        ),
        of_bytes("500,000 events", good, b"data: {}\n\n" * 500_000),
        of_bytes("20,000 pieces", good, form.opening + form.piece("a") * 20_000 + form.end),
        of_bytes("100,000 line ends", b"\n" * 100_000 + good, b"\n" * 100_000 + stream, billed=True),
        Lie("JSON where a stream was asked for", said(good, JSON), said(good, JSON), billed=True),
        Lie("a stream where JSON was asked for", said(stream, EVENTS), said(stream, JSON), billed=True),
        Lie("a stream under no type at all", said(stream, {}), said(b": hello\n\n" + stream, {}), billed=True),
        Lie("JSON as an event stream", said(good, EVENTS), said(good, EVENTS)),
    ]


def _of_chat() -> list[Lie]:
    """What only chat completions can say."""
    tools = [{"index": n, "id": "a", "function": {"name": "f", "arguments": "{"}} for n in range(10_000)]
    many_tools = {"choices": [{"index": 0, "delta": {"tool_calls": tools}}]}
    second = chunk(None, choices=[], usage={**USAGE, "completion_tokens": 6})
    return [
        of_bytes(
            "several usage records",
            completion(TEXT),
            chunk(None, choices=[], usage=USAGE) + chunk(TEXT) + second + chunk(None, "stop"),
            billed=True,
        ),
        of_bytes(
            "10,000 tool calls", completion(None, tool_calls=[]), b"data: " + json.dumps(many_tools).encode() + b"\n\n"
        ),
    ]


def _odd_http(form: Form) -> list[Lie]:
    good, stream = form.good, form.stream
    packed = gzip.compress(b" " * 6_000_000, 1) * 100
    zipped = {"Content-Encoding": "gzip"}
    line = form.opening + form.piece("a").partition(b'"a"')[0] + b'"'
    begin = b'{"' + form.list_name.encode() + b'":['
    return [
        Lie("600 MB of gzip though identity was asked", said(packed, JSON | zipped), said(packed, EVENTS | zipped)),
        Lie(
            "gzip of the answer", said(gzip.compress(good), JSON | zipped), said(gzip.compress(stream), EVENTS | zipped)
        ),
        Lie("gzip of an error", said(packed, JSON | zipped, 500), said(packed, EVENTS | zipped, 400)),
        Lie(
            "an unknown encoding",
            said(good, JSON | {"Content-Encoding": "x-odd"}),
            said(stream, EVENTS | {"Content-Encoding": "br"}),
        ),
        Lie("an endless line", endless(b"{", b"a", JSON), endless(line, b"a", EVENTS)),
        Lie("an endless list", endless(begin, b"{},", JSON), endless(b"data: " + begin, b"{},", EVENTS)),
        Lie(
            "endless events",
            endless(b"", b"data: {}\n\n", JSON),
            endless(form.opening + form.piece("a"), b"data: {}\n\n", EVENTS),
        ),
        Lie("endless text", endless(b'"', b"word ", JSON), endless(form.opening, form.piece("word "), EVENTS)),
        Lie("endless comments", endless(b"", b": ping\n\n", JSON), endless(b"", b": ping\n", EVENTS)),
        Lie("endless line ends", endless(b"", b"\n", JSON), endless(b"", b"\n", EVENTS)),
        Lie("endless data lines", endless(b"", b"data:\n", JSON), endless(b"", b"data:\n", EVENTS)),
        Lie("an endless error", endless(b"", b"no ", JSON, 500), endless(b"", b"no ", EVENTS, 400)),
        Lie(
            "3 GB claimed",
            said(good, JSON | {"Content-Length": "3000000000"}),
            said(stream, EVENTS | {"Content-Length": "3000000000"}),
        ),
        Lie(
            "a length below zero",
            said(good, JSON | {"Content-Length": "-5"}),
            said(stream, EVENTS | {"Content-Length": "-5"}),
        ),
        Lie(
            "a length that is no number",
            said(good, JSON | {"Content-Length": "x"}),
            said(stream, EVENTS | {"Content-Length": "0x10"}),
        ),
        Lie(
            "a length that is too short",
            said(good, JSON | {"Content-Length": "9"}),
            said(stream, EVENTS | {"Content-Length": "9"}),
        ),
        Lie(
            "chunked nonsense",
            said(b"zz\r\nhello", JSON | {"Transfer-Encoding": "chunked"}),
            said(b"-1\r\n\r\n", EVENTS | {"Transfer-Encoding": "chunked"}),
        ),
        Lie(
            "a chunk of 4 GB",
            said(b"FFFFFFFF\r\n" + good, JSON | {"Transfer-Encoding": "chunked"}),
            said(b"FFFFFFFF\r\n" + stream, EVENTS | {"Transfer-Encoding": "chunked"}),
        ),
        Lie(
            "an odd retry-after",
            said(good, JSON | {"Retry-After": "nan"}, 429),
            said(stream, EVENTS | {"Retry-After": "Mon, 99 Zzz"}, 429),
        ),
        Lie(
            "an infinite retry-after",
            said(good, JSON | {"Retry-After": "inf"}, 429),
            said(stream, EVENTS | {"Retry-After": "1e400"}, 429),
        ),
        Lie("status 299", said(good, JSON, 299), said(stream, EVENTS, 299)),
        Lie("status 999", said(good, JSON, 999), said(stream, EVENTS, 999)),
        Lie("status 204", said(b"", JSON, 204), said(b"", EVENTS, 204)),
        Lie(
            "100 headers",
            said(good, JSON | {f"X-{n}": "x" * 100 for n in range(100)}),
            said(stream, EVENTS | {f"X-{n}": "x" * 100 for n in range(100)}),
            billed=True,
        ),
        Lie("a header without an end", _endless_head, _endless_head),
        Lie("no HTTP at all", lambda c: c.send(b"hello\r\n\r\n"), lambda c: c.send(stream)),
        Lie(
            "an odd content type",
            said(good, {"Content-Type": "\xff\xfe;;;="}),
            said(good, {"Content-Type": "a" * 9_000}),
            billed=True,
        ),
        Lie(
            "an odd id in a header",
            said(good, JSON | {"X-Request-Id": "\xff\x1b[31m" * 99}),
            said(stream, EVENTS | {"X-Request-Id": "\xff" * 999}),
            billed=True,
        ),
    ]


def _endless_head(connection: Connection) -> None:
    connection.send(b"HTTP/1.1 200 OK\r\nX: ")
    with contextlib.suppress(OSError):
        for _ in range(10_000):
            connection.send(b"a" * 65_536)


def cuts(form: Form, each: int) -> list[Lie]:
    """An answer that ends too early: at every ``each``-th byte."""
    good, stream = form.good, form.stream
    return [
        of_bytes(f"cut at {at}", good[: at % len(good)], stream[: at % len(stream)])
        for at in range(1, max(len(good), len(stream)), each)
    ]


CHAT = Form(completion(TEXT), events(), chunk, "choices", end=chunk(None, "stop") + DONE)

_CACHED: Any = {"cache_read_input_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 0}}
_USED: Any = {"input_tokens": 20, "output_tokens": 5, **_CACHED}
_INPUT = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}
MESSAGE: Any = {
    "id": "m", "type": "message", "model": "claude", "stop_reason": "end_turn", "usage": _USED,
    "content": [{"type": "text", "text": TEXT}, _INPUT],
}  # fmt: skip
BLOCKS: tuple[Any, ...] = (
    {"type": "message_start", "message": {"id": "m", "model": "claude", "usage": {"input_tokens": 20}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": TEXT}},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "f"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
)
"""An answer of Anthropic's, and one as events."""
CONTENT: Any = {
    "responseId": "r", "modelVersion": "gemini", "promptFeedback": {"blockReason": None},
    "usageMetadata": {"promptTokenCount": 20, "candidatesTokenCount": 5, "thoughtsTokenCount": 1,
    "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 1}]},
    "candidates": [{"index": 0, "finishReason": "STOP", "content": {"parts": [{"text": TEXT},
    {"functionCall": {"name": "f", "id": "i", "args": {"a": 1}}, "thoughtSignature": "s"}]}}],
}  # fmt: skip
"""An answer of Gemini's; its events have the same shape."""


def as_events(*documents: Any) -> bytes:
    """A stream of those, each an event."""
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in documents)


def _messages() -> Form:
    plain = {**MESSAGE, "content": MESSAGE["content"][:1]}
    begin, block, _, _, _, end = BLOCKS

    def piece(text: str) -> bytes:
        return as_events({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})

    opening, last = as_events(begin, block), as_events(end)
    return Form(json.dumps(plain).encode(), opening + piece(TEXT) + last, piece, "content", opening, last)


def _contents() -> Form:
    def said_so(text: str) -> Any:
        part = {"text": text}
        return {"candidates": [{"index": 0, "content": {"parts": [part]}}]}

    usage = {"promptTokenCount": 20, "candidatesTokenCount": 5}
    end = {"candidates": [{"index": 0, "finishReason": "STOP"}], "usageMetadata": usage}
    plain = said_so(TEXT) | {"usageMetadata": usage}
    plain["candidates"][0]["finishReason"] = "STOP"
    last = as_events(end)
    stream = as_events(said_so(TEXT)) + last
    return Form(json.dumps(plain).encode(), stream, lambda text: as_events(said_so(text)), "candidates", b"", last)


def paths_of(document: Any) -> list[tuple[str | int, ...]]:
    """The places of all that is in a document."""
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [path for key, value in inner for path in ((key,), *((key, *rest) for rest in paths_of(value)))]


def fields_of(name: str, document: Any, parts: tuple[Any, ...]) -> list[Lie]:
    """Every field of an answer with a value of a wrong type in its place, plain, and in one of its events."""
    places = [(at, path) for at, part in enumerate(parts) for path in paths_of(part)]
    shown, found = list(VALUES), []
    for number, path in enumerate(paths_of(document)):
        odd = shown[(number * 5) % len(shown)]
        at, where = places[number % len(places)]
        streamed = [*parts[:at], replaced(parts[at], where, VALUES[odd]), *parts[at + 1 :]]
        plain = json.dumps(replaced(document, path, VALUES[odd])).encode()
        shown_path = ".".join(map(str, path))
        found.append(of_bytes(f"{name} {shown_path} is {odd}", plain, as_events(*streamed)))
    return found


def lies_in(form: Form) -> list[Lie]:
    """Lies that can be told in any form."""
    return [*_raw(form), *_odd_http(form), *cuts(form, 61)]


def main_lies() -> list[Lie]:
    """Those that a test tells: few enough for it, and each of another kind."""
    return [*_of_chat(), *lies_in(CHAT), *fields(each=2)]


def all_lies() -> list[Lie]:
    """Every lie of the fixed lists about chat completions."""
    return [*_of_chat(), *_raw(CHAT), *_odd_http(CHAT), *cuts(CHAT, 3), *fields()]


def lies_of(provider: str) -> list[Lie]:
    """Those that a test tells in the form of a provider: anthropic or gemini."""
    if provider == "anthropic":
        return [*lies_in(_messages()), *fields_of("a message's", MESSAGE, BLOCKS)]
    return [*lies_in(_contents()), *fields_of("a content's", CONTENT, (CONTENT, CONTENT))]


def teller(lies: list[Lie], *, streamed: Callable[[Connection], bool]) -> Fault:
    """A server's behaviour: the lie whose number the prompt names; the truth without usage where it names none."""
    long = "word " * 5_000  # so many are counted by the slow tokenizer
    truth = of_bytes("the truth", completion(long, usage=None), chunk(long) + chunk(None, "stop") + DONE)

    def act(connection: Connection) -> None:
        found = re.search(r"lie (\d+)", json.dumps(connection.body))
        lie = lies[int(found[1])] if found else truth
        (lie.streamed if streamed(connection) else lie.plain)(connection)

    return Fault(act)
