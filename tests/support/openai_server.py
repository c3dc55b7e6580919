"""A stock OpenAI-compatible provider on loopback, for tests that go through the real LiteLLM over real HTTP."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

Body = dict[str, Any]
Failure = tuple[int, Mapping[str, str], bytes | str]
Behaviour = Callable[[socket.socket], None]


class Request(NamedTuple):
    """One request as it arrived; ``time`` is monotonic."""

    path: str
    headers: dict[str, str]
    body: Body
    time: float


def tokens(text: str) -> int:
    """Tokens by tiktoken's o200k_base, offline."""
    return len(_encoding().encode_ordinary(text))


def _encoding() -> Any:
    import tiktoken

    spec = importlib.util.find_spec("litellm")
    assert spec is not None and spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0], "litellm_core_utils", "tokenizers")
    os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(folder))
    return tiktoken.get_encoding("o200k_base")


def count_usage(body: Body, text: str) -> dict[str, int]:
    """What a provider would bill: 3 tokens a message, its role and content, 3 for the answer's start."""
    prompt = 3 + sum(3 + tokens(str(m.get("role", ""))) + _content_tokens(m.get("content")) for m in body["messages"])
    completion = tokens(text)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _content_tokens(content: Any) -> int:
    """Tokens of a message's content; a picture, and a call of a tool, count for what its JSON is short of."""
    if not isinstance(content, list):
        return tokens(str(content or ""))
    return sum(tokens(str(part["text"])) if "text" in part else 50 for part in content)


class OpenAIServer:
    """A context manager; ``url`` is the ``api_base``. Every attribute may be changed while it runs.

    ``reply`` is the answer or makes it from the request, a text or a message with ``tool_calls``;
    ``fill`` answers exactly as long as allowed; ``usage`` makes
    the usage (None for none); ``delay`` in seconds before the answer, ``pause`` after each piece of a stream; ``fail`` a
    status, or makes one from the request.
    """

    def __init__(
        self,
        reply: str | Callable[[Body], str | Body] = "Hello there.",
        *,
        fill: bool = False,
        delay: float = 0.0,
        usage: Callable[[Body, str], dict[str, Any] | None] = count_usage,
        fail: int | Callable[[Body], Failure | None] | None = None,
        finish_reason: str | None = None,
        model: str | None = None,
    ) -> None:
        self.reply, self.fill, self.delay, self.usage, self.fail = reply, fill, delay, usage, fail
        self.finish_reason, self.model, self.pause = finish_reason, model, 0.0
        self.requests: list[Request] = []
        self.listed: list[dict[str, str]] = []  # headers of requests for the list of models
        self.max_in_flight = 0
        self._in_flight = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.socket.listen(128)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> OpenAIServer:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The ``api_base`` for OpenAI models."""
        return f"{self.root}/v1"

    @property
    def root(self) -> str:
        """The ``api_base`` for Anthropic models."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def hits(self) -> int:
        """How many requests have arrived."""
        with self._lock:
            return len(self.requests)

    def arrived(self, request: Request) -> None:
        """Record a request; it is in flight until ``left``."""
        with self._lock:
            self.requests.append(request)
            self._in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self._in_flight)

    def left(self) -> None:
        """A request is answered."""
        with self._lock:
            self._in_flight -= 1

    def answer(self, body: Body) -> tuple[str | Body, str]:
        """Text, or a message, and finish reason for a request."""
        limit = body.get("max_completion_tokens") or body.get("max_tokens")
        if self.fill and limit:
            return " a" * limit, self.finish_reason or "length"
        text = self.reply(body) if callable(self.reply) else self.reply
        return text, self.finish_reason or ("stop" if isinstance(text, str) else "tool_calls")

    def failure(self, body: Body) -> Failure | None:
        """How this request is to fail, if it is."""
        if callable(self.fail):
            return self.fail(body)
        if self.fail is None:
            return None
        error = {"error": {"message": f"made to fail with {self.fail}", "type": "test", "code": None}}
        return self.fail, {"Content-Type": "application/json"}, json.dumps(error)


def _handler(server: OpenAIServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            return

        def do_GET(self) -> None:
            server.listed.append({k.lower(): v for k, v in self.headers.items()})
            failure = server.failure({})
            self._send(*(failure or (200, {"Content-Type": "application/json"}, '{"data": []}')))

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            body: Body = json.loads(raw)
            server.arrived(Request(self.path, {k.lower(): v for k, v in self.headers.items()}, body, time.monotonic()))
            try:
                self._respond(body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True
            finally:
                server.left()

        def _respond(self, body: Body) -> None:
            if server.delay:
                time.sleep(server.delay)
            failure = server.failure(body)
            if failure is not None:
                self._send(*failure)
                return
            text, finish = server.answer(body)
            make = _anthropic if self.path.endswith("/messages") else _gemini if "contents" in body else _openai
            if body.get("stream") or ":stream" in self.path:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Connection", "close")
                self.end_headers()
                for event in make(server, body, text, finish):
                    self.wfile.write(event)
                    self.wfile.flush()
                    time.sleep(server.pause)
                self.close_connection = True
            else:
                self._send(200, {"Content-Type": "application/json"}, b"".join(make(server, body, text, finish)))

        def _send(self, status: int, headers: Mapping[str, str], payload: bytes | str) -> None:
            data = payload.encode() if isinstance(payload, str) else payload
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


def _written(said: str | Body) -> str:
    """All text of an answer that is billed."""
    if isinstance(said, str):
        return said
    calls = [call["function"] for call in said.get("tool_calls", [])]
    return (said.get("content") or "") + "".join(call["name"] + call["arguments"] for call in calls)


def _pieces(text: str) -> list[str]:
    return [text[i : i + 8] for i in range(0, len(text), 8)]


def _openai(server: OpenAIServer, body: Body, said: str | Body, finish: str) -> Iterator[bytes]:
    message: Body = {"role": "assistant"} | ({"content": said} if isinstance(said, str) else said)
    text, answers = message.get("content") or "", range(body.get("n") or 1)
    head = {"id": f"chatcmpl-test-{server.hits}", "created": 1, "model": server.model or body.get("model")}
    usage = server.usage(body, _written(said) * len(answers))
    if not body.get("stream"):
        choices = [{"index": n, "message": message, "finish_reason": finish} for n in answers]
        answer = head | {"object": "chat.completion", "choices": choices} | ({} if usage is None else {"usage": usage})
        yield json.dumps(answer).encode()
        return
    head["object"] = "chat.completion.chunk"

    def chunk(n: int, delta: Body, reason: str | None) -> bytes:
        return _event(head | {"choices": [{"index": n, "delta": delta, "finish_reason": reason}]})

    for n in answers:
        yield chunk(n, {"role": "assistant", "content": ""}, None)
        for piece in _pieces(text):
            yield chunk(n, {"content": piece}, None)
        for at, call in enumerate(message.get("tool_calls", [])):
            yield chunk(
                n, {"tool_calls": [call | {"index": at, "function": call["function"] | {"arguments": ""}}]}, None
            )
            for piece in _pieces(call["function"]["arguments"]):
                yield chunk(n, {"tool_calls": [{"index": at, "function": {"arguments": piece}}]}, None)
        yield chunk(n, {}, finish)
    if usage is not None and (body.get("stream_options") or {}).get("include_usage"):
        yield _event(head | {"choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def _anthropic(server: OpenAIServer, body: Body, said: str | Body, finish: str) -> Iterator[bytes]:
    counted = server.usage(body, _written(said)) or {}
    blocks = _blocks(said)
    given = counted.get("prompt_tokens", counted.get("input_tokens", 0))
    taken = counted.get("completion_tokens", counted.get("output_tokens", 0))
    more = {name: value for name, value in counted.items() if name.startswith("cache_")}
    reasons = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal", "tool_calls": "tool_use"}
    reason = reasons.get(finish, finish)
    head = {
        "id": f"msg-test-{server.hits}",
        "type": "message",
        "role": "assistant",
        "model": server.model or body.get("model"),
    }
    if not body.get("stream"):
        yield json.dumps(
            head
            | {
                "content": blocks,
                "stop_reason": reason,
                "stop_sequence": None,
                "usage": {"input_tokens": given, "output_tokens": taken} | more,
            }
        ).encode()
        return
    start = head | {"content": [], "stop_reason": None, "usage": {"input_tokens": given, "output_tokens": 1} | more}
    yield _named({"type": "message_start", "message": start})
    for at, block in enumerate(blocks):
        empty = {"text": ""} if block["type"] == "text" else {"input": {}}
        yield _named({"type": "content_block_start", "index": at, "content_block": block | empty})
        written = block["text"] if block["type"] == "text" else json.dumps(block["input"])
        for piece in _pieces(written):
            delta = (
                {"type": "text_delta", "text": piece}
                if block["type"] == "text"
                else {"type": "input_json_delta", "partial_json": piece}
            )
            yield _named({"type": "content_block_delta", "index": at, "delta": delta})
        yield _named({"type": "content_block_stop", "index": at})
    yield _named(
        {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": None},
            "usage": {"output_tokens": taken},
        }
    )
    yield _named({"type": "message_stop"})


def _blocks(said: str | Body) -> list[Body]:
    """An answer as Anthropic's blocks."""
    if isinstance(said, str):
        return [{"type": "text", "text": said}]
    blocks: list[Body] = [{"type": "text", "text": said["content"]}] if said.get("content") else []
    for call in said.get("tool_calls", []):
        function = call["function"]
        blocks.append(
            {"type": "tool_use", "id": call["id"], "name": function["name"], "input": json.loads(function["arguments"])}
        )
    return blocks


def _gemini(server: OpenAIServer, body: Body, said: str | Body, finish: str) -> Iterator[bytes]:
    """One document, also as a stream: Gemini's pieces have its form. Every part without text counts for 50 tokens."""
    parts = [part for content in body["contents"] for part in content["parts"]]
    given = sum(tokens(part["text"]) if "text" in part else 50 for part in parts) + 10
    taken = tokens(_written(said))
    answer: list[Body] = [{"text": said}] if isinstance(said, str) else []
    if not isinstance(said, str):
        calls = [call["function"] for call in said["tool_calls"]]
        answer = [{"functionCall": {"name": one["name"], "args": json.loads(one["arguments"])}} for one in calls]
    reasons = {"length": "MAX_TOKENS", "content_filter": "SAFETY"}
    candidate = {"content": {"role": "model", "parts": answer}, "finishReason": reasons.get(finish, "STOP"), "index": 0}
    usage = {"promptTokenCount": given, "candidatesTokenCount": taken, "totalTokenCount": given + taken}
    document = {"candidates": [candidate], "usageMetadata": usage, "responseId": f"gemini-test-{server.hits}"}
    yield json.dumps(document).encode() if not server.requests[-1].path.count(":stream") else _event(document)


def called(name: str, arguments: str, id: str = "call_1") -> Body:
    """A message that calls a tool."""
    function = {"name": name, "arguments": arguments}
    return {"content": None, "tool_calls": [{"id": id, "type": "function", "function": function}]}


def _event(value: Body) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _named(value: Body) -> bytes:
    return b"event: " + value["type"].encode() + b"\n" + _event(value)


@contextmanager
def raw_server(behave: Behaviour) -> Iterator[tuple[str, list[bytes]]]:
    """A TCP server that reads one request's head and body, then does with the connection what it likes."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        with connection:
            data = b""
            while b"\r\n\r\n" not in data:
                part = connection.recv(65536)
                if not part:
                    return
                data += part
            head, _, body = data.partition(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            lengths = [line.split(b":")[1] for line in lines if line.startswith(b"content-length")]
            length = int(lengths[0]) if lengths else 0
            while len(body) < length:
                body += connection.recv(65536)
            seen.append(body)
            try:
                behave(connection)
            except OSError:
                return

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1", seen
    finally:
        listener.close()


def respond(body: bytes, *, length: int | None = None) -> Behaviour:
    """Answer 200 with that body, claiming that length."""

    def behave(connection: socket.socket) -> None:
        claimed = str(len(body) if length is None else length).encode()
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
            b"Content-Length: " + claimed + b"\r\n\r\n" + body
        )

    return behave


def events(*chunks: bytes, then: Behaviour | None = None) -> Behaviour:
    """Answer with an event stream of those chunks, then do ``then`` or hang up."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        for chunk in chunks:
            connection.sendall(b"data: " + chunk + b"\n\n")
            time.sleep(0.02)
        if then is not None:
            then(connection)

    return behave


def delta(text: str | None, finish: str | None = None, **more: Any) -> bytes:
    """One chunk of a streamed answer."""
    return json.dumps(
        {
            "id": "c1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "gpt-4o-mini",
            "choices": [{"index": 0, "delta": {} if text is None else {"content": text}, "finish_reason": finish}],
        }
        | more
    ).encode()


def answer(**changes: Any) -> bytes:
    """The body of a plain answer."""
    return json.dumps(
        {
            "id": "c1",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-4o-mini",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
        }
        | changes
    ).encode()
