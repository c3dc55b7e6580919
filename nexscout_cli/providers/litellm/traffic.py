"""What really goes over the wire for one call, seen by an HTTP client that follows no redirect."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from nexscout_cli.engine.call import Call, OnText, Usage
from nexscout_cli.engine.request import Json
from nexscout_cli.providers.litellm import made_up
from nexscout_cli.providers.usage import usage_of
from nexscout_cli.providers.wires.openai import ChatReader
from nexscout_cli.providers.wires.reader import (
    ERROR_LIMIT,
    Damaged,
    ErrorAnswer,
    limits,
    looks_like_events,
    most_values,
    tokens,
    values,
)
from nexscout_cli.providers.wires.sse import Event, EventStream

_ASKS = ("messages", "contents", "prompt", "input", "inputs", "instances")
_BOUNDS = {
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "maxOutputTokens",
    "maxTokens",
    "max_new_tokens",
    "max_tokens_to_sample",
    "num_predict",
}
_COUNTS = (
    ("prompt_tokens", "completion_tokens"),
    ("input_tokens", "output_tokens"),
    ("inputTokens", "outputTokens"),
    ("promptTokenCount", "candidatesTokenCount"),
    ("prompt_eval_count", "eval_count"),
)
_ENDS = ("finish_reason", "stop_reason", "finishReason", "stopReason", "done_reason")
_CODING = ("content-encoding", "content-length", "transfer-encoding")
_VALUES_BASE = 10_000
_EVENTS_BASE = 2_000
"""Values of a JSON document, and events of a stream, that LiteLLM is given beside so many for each token: it makes an object of
1 to 10 KB of each.
"""
_EVENTS_PER_TOKEN = 2
current = threading.local()
"""``current.traffic`` is that of the call which this thread makes."""


def in_our_call() -> bool:
    """Whether this thread makes a call of ours."""
    return getattr(current, "traffic", None) is not None


class Stopped(Exception):
    """Stopped here: the request before it was sent, or a stream that ended without saying why."""


class Traffic:
    """What really went over the wire for one call, which LiteLLM does not tell: sent or not, status, raw usage.

    ``reader`` has read the answer where LiteLLM did not: a stream of chat completions, or one where none was asked for.
    ``trouble`` is what it met. ``on_text`` gets the pieces.
    """

    def __init__(self, call: Call, on_text: OnText) -> None:
        self._call = call
        self._on_text = on_text
        self._limit, self._events_limit = limits(call)
        self._values = most_values(call, _VALUES_BASE)
        self._events = _EVENTS_BASE + _EVENTS_PER_TOKEN * tokens(call)
        self._chat = self._streams = False
        self.reader: ChatReader | None = None
        self.trouble: Damaged | ErrorAnswer | None = None
        self._lock = threading.Lock()
        self._cancelled = False
        self._response: Any = None
        self._reported: dict[str, Json] = {}
        self.used = self.sent = self.watched = self.ended = self.unbounded = False
        self.status: int | None = None
        self.headers: Any = {}
        self.body = b""
        self.id: str | None = None
        self.model: str | None = None

    def begin(self, request: Any) -> bool:
        """True when this request is the one that asks the model. Raises Stopped when its answer has no bound."""
        try:
            body = json.loads(request.read())
        except (ValueError, RecursionError):
            return False
        if not isinstance(body, dict) or not any(key in body for key in _ASKS):
            return False
        self.used = True
        inner = [body, *(value for value in body.values() if isinstance(value, dict))]
        bounds = [value for part in inner for key, value in part.items() if key in _BOUNDS and isinstance(value, int)]
        if not bounds or max(bounds) > self._call.max_tokens:
            self.unbounded = True
            raise Stopped
        # With this tool LiteLLM asks for JSON where a provider knows no schema, and makes a text of its call.
        self._chat = request.url.path.endswith("/chat/completions") and b"json_tool_call" not in request.read()
        self._streams = body.get("stream") is True
        request.extensions = {**request.extensions, "trace": self._trace}
        return True

    def _trace(self, event: str, info: dict[str, Any]) -> None:
        """Each step, as httpcore tells it; one lock decides whether the deadline or the sending came first."""
        if event.endswith("send_request_headers.started") and getattr(info.get("request"), "method", b"") != b"CONNECT":
            with self._lock:
                if self._cancelled:
                    raise Stopped
                self.sent = True

    def cancel(self) -> bool:
        """Stop the call and wake the thread that waits for bytes. Returns whether the request may have been sent."""
        with self._lock:
            self._cancelled = True
            response = self._response
        stream = None if response is None or response.is_closed else response.extensions.get("network_stream")
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        return self.sent

    def close(self) -> None:
        """Give the connection back now: the garbage collector may do it inside httpcore's pool lock, and deadlock."""
        if self._response is not None:
            self._response.close()

    def answered(self, response: Any) -> None:
        """The head of the answer has come."""
        self.status, self.headers = response.status_code, response.headers
        self.id = response.headers.get("x-request-id") or response.headers.get("request-id")
        with self._lock:
            self._response = response

    def content(self, response: Any) -> tuple[Any, str | None]:
        """The body as LiteLLM gets it, bytes or an iterator of them, and its content type; None where that stays as it is."""
        if not response.is_success:
            self.body = b"".join(self._parts(response, ERROR_LIMIT, cut=True))
            return self.body, None
        events = "text/event-stream" in response.headers.get("content-type", "")
        self.watched = events or self._streams
        if self._chat and self._streams:
            return self._read(response.headers, response.iter_raw(), made_up.STREAM), "text/event-stream"
        if self._chat and events:
            return self._read(response.headers, response.iter_raw(), made_up.WHOLE), "application/json"
        if events:
            return self._events_of(response), None
        body = b"".join(self._parts(response, self._limit))
        if values(body) > self._values:
            raise Stopped
        if self._chat and looks_like_events(body):
            return b"".join(self._read({}, [body], made_up.WHOLE)), "application/json"
        self.body = body
        with contextlib.suppress(ValueError, RecursionError):
            return self._note(json.loads(body), body), "application/json" if self._chat else None
        return body, None

    def _parts(self, response: Any, limit: int, *, cut: bool = False) -> Iterator[bytes]:
        """The body as it came, in whatever encoding: none was asked for. What is beyond the limit is cut off, or is Stopped."""
        size = 0
        for part in response.iter_raw():
            size += len(part)
            if size > limit:
                if not cut:
                    raise Stopped
                yield part[: len(part) - (size - limit)]
                return
            yield part

    def _read(self, headers: Any, parts: Iterable[bytes], instead: bytes) -> Iterator[bytes]:
        """Read an answer in chat completions' form here; LiteLLM gets one that is made up instead."""
        self.reader = reader = ChatReader(self._call)
        reader.start(headers)
        try:
            for part in parts:
                for piece in reader.feed(part):
                    self._on_text(piece)
            for piece in reader.finish():
                self._on_text(piece)
        except (Damaged, ErrorAnswer) as error:
            self.trouble = error
        finally:
            self.id, self.model = reader.id or self.id, reader.model or self.model
        yield instead

    def _events_of(self, response: Any) -> Iterator[bytes]:
        """The events of a stream, looked at and written as every reader understands them."""
        size, number, stream = 0, 0, EventStream()
        for part in response.iter_raw():
            size += len(part)
            events = stream.feed(part)
            number += len(events)
            if size > self._events_limit or stream.waiting > self._limit or number > self._events:
                raise Stopped
            yield b"".join(map(self._event, events))

    def _event(self, event: Event) -> bytes:
        if values(event.data) > self._values:
            raise Stopped
        data = event.data
        with contextlib.suppress(ValueError, RecursionError):
            document = json.loads(data)
            noted = self._note(document, data)
            data = json.dumps(document).encode() if b"\n" in noted else noted
        name = b"event: " + event.name + b"\n" if event.name else b""
        return name + b"".join(b"data: " + line + b"\n" for line in data.split(b"\n")) + b"\n"

    def _note(self, answer: Json, raw: bytes) -> bytes:
        if not isinstance(answer, dict):
            return raw
        nested = [part for part in (answer.get("message"), answer.get("response")) if isinstance(part, dict)]
        for part in [answer, *nested]:
            if isinstance(part.get("id"), str) and part["id"]:
                self.id = part["id"]
            model = part.get("model") or part.get("modelVersion")
            self.model = model if isinstance(model, str) else self.model
            if isinstance(part.get("service_tier"), str):
                self._reported["service_tier"] = part["service_tier"]
            for where in (part.get("usage"), part.get("usageMetadata"), part if "eval_count" in part else None):
                if where is not None:
                    self._reported |= where if isinstance(where, dict) else dict.fromkeys(_COUNTS[0], where)
        rows = answer.get("choices") or answer.get("candidates")
        for part in [answer, answer.get("delta"), *nested, *(rows if isinstance(rows, list) else [])]:
            if isinstance(part, dict) and any(part.get(key) for key in _ENDS):
                self.ended = True
        usage = {} if answer.get("usage") is None else answer["usage"]
        if isinstance(usage, dict) and all(_is_count(usage.get(key)) for pair in _COUNTS for key in pair):
            return raw
        return json.dumps({key: value for key, value in answer.items() if key != "usage"}).encode()

    def usage(self, response: Any = None) -> Usage | None:
        """What the provider reported, as it reported it; LiteLLM's reading only where the wire could not be read."""
        reported = usage_of(self._reported if self.reader is None else self.reader.reported)
        if reported is not None:
            return reported
        counted = getattr(response, "usage", None)
        if counted is not None and (self._reported or not self.used) and counted.total_tokens:
            return Usage(counted.prompt_tokens, counted.completion_tokens)
        return None


def _is_count(value: Json) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)


def guarded_client(verify: Any) -> Any:
    """An httpx client that tells the thread's wire what happens; ``verify`` is the TLS context."""
    import httpx

    class GuardedClient(httpx.Client):
        def send(self, request: httpx.Request, *, stream: bool = False, **options: Any) -> httpx.Response:
            traffic: Traffic | None = getattr(current, "traffic", None)
            if traffic is None:  # LiteLLM keeps clients, and may use one for somebody else's call
                return super().send(request, stream=stream, **options)
            request.headers["accept-encoding"] = "identity"
            options["follow_redirects"] = False
            if not traffic.begin(request):
                return super().send(request, stream=stream, **options)
            response = super().send(request, stream=True, **options)
            traffic.answered(response)
            content, kind = traffic.content(response)
            # A header that is no ASCII is none.
            headers = [(k, v) for k, v in response.headers.multi_items() if k not in _CODING and v.isascii()]
            if kind is not None:
                headers = [*((k, v) for k, v in headers if k != "content-type"), ("content-type", kind)]
            watched = httpx.Response(response.status_code, headers=headers, content=content, request=request)
            if not stream:
                watched.read()
            return watched

    return GuardedClient(verify=verify, limits=httpx.Limits(max_connections=None, max_keepalive_connections=50))
