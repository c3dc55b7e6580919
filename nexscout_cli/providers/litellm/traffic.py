"""What really goes over the wire for one call, seen by an HTTP client that follows no redirect."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

from nexscout_cli.engine.call import Call, Usage
from nexscout_cli.engine.request import Json
from nexscout_cli.providers.usage import usage_of
from nexscout_cli.providers.wires.reader import ERROR_LIMIT, limits, most_values, values

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
current = threading.local()
"""``current.traffic`` is that of the call which this thread makes."""


def in_our_call() -> bool:
    """Whether this thread makes a call of ours."""
    return getattr(current, "traffic", None) is not None


class Stopped(Exception):
    """Stopped here: the request before it was sent, or a stream that ended without saying why."""


class Traffic:
    """What really went over the wire for one call, which LiteLLM does not tell: sent or not, status, raw usage."""

    def __init__(self, call: Call) -> None:
        self._max_tokens = call.max_tokens
        self._limit, self._events_limit = limits(call)
        self._values = most_values(call)
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
        if not bounds or max(bounds) > self._max_tokens:
            self.unbounded = True
            raise Stopped
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

    def arrived(self, body: bytes) -> bytes:
        """The whole body has come; returns it without a usage that LiteLLM would stumble over."""
        self.body = body
        with contextlib.suppress(ValueError, RecursionError):
            return self._note(json.loads(body), body)
        return body

    def read(self, response: Any) -> bytes:
        """The body as it came, in whatever encoding: none was asked for. Of an error its beginning; raises Stopped for an
        answer that is larger than its bound allows.
        """
        parts, size, limit = [], 0, self._limit if response.is_success else ERROR_LIMIT
        for part in response.iter_raw():
            parts.append(part)
            size += len(part)
            if size > limit:
                if response.is_success:
                    raise Stopped
                break
        body = b"".join(parts)[:limit]
        if response.is_success and values(body) > self._values:
            raise Stopped
        return body

    def lines(self, response: Any) -> Iterator[bytes]:
        """The bytes of an event stream, looked at line by line."""
        self.watched = True
        size, waiting, rest = 0, 0, list[bytes]()  # pieces of a line whose end has not come
        for chunk in response.iter_raw():
            size, waiting = size + len(chunk), waiting + len(chunk)
            if size > self._events_limit or waiting > self._limit:
                raise Stopped
            *whole, last = chunk.split(b"\n")
            if whole:
                whole[0] = b"".join((*rest, whole[0]))
                waiting, rest = len(last), []
                yield b"".join(self._line(line) + b"\n" for line in whole)
            rest.append(last)
        yield self._line(b"".join(rest))

    def _line(self, line: bytes) -> bytes:
        field, _, data = line.partition(b":")
        if values(line) > self._values:
            raise Stopped
        if field == b"data":
            with contextlib.suppress(ValueError, RecursionError):
                return b"data:" + self._note(json.loads(data), data)
        return line

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
        reported = usage_of(self._reported)
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
            streams = response.is_success and "text/event-stream" in response.headers.get("content-type", "")
            content = traffic.lines(response) if streams else traffic.arrived(traffic.read(response))
            headers = [(k, v) for k, v in response.headers.multi_items() if k not in _CODING]
            watched = httpx.Response(response.status_code, headers=headers, content=content, request=request)
            if not stream:
                watched.read()
            return watched

    return GuardedClient(verify=verify, limits=httpx.Limits(max_connections=None, max_keepalive_connections=50))
