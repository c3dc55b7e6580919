"""Remote models, through LiteLLM. The one module that imports it, and only when a call is really made."""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import queue
import re
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

from nexscout_cli.engine.failures import ProviderFailure, ReaderGone
from nexscout_cli.engine.types import Call, Completion, Json, OnText, Usage

_ASKS = ("messages", "contents", "prompt", "input", "inputs", "instances")
_BOUNDS = {"max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens", "maxTokens", "max_new_tokens",
           "max_tokens_to_sample", "num_predict"}
_OURS = {"instruction", "n", "best_of", "max_completion_tokens", "fallbacks", "context_window_fallback_dict",
         "mock_response", "tools", "web_search_options", "service_tier"}
_COUNTS = (("prompt_tokens", "completion_tokens"), ("input_tokens", "output_tokens"), ("inputTokens", "outputTokens"),
           ("promptTokenCount", "candidatesTokenCount"), ("prompt_eval_count", "eval_count"))
# Counted apart by Anthropic and Gemini, and billed all the same.
_ADDED = {"input_tokens": ("cache_creation_input_tokens", "cache_read_input_tokens"),
          "candidatesTokenCount": ("thoughtsTokenCount",)}
_ENDS = ("finish_reason", "stop_reason", "finishReason", "stopReason", "done_reason")
_CODING = ("content-encoding", "content-length", "transfer-encoding")
_TOO_LONG = re.compile(r"context_length_exceeded|context (?:length|window)|prompt is too long|maximum context|"
                       r"input is too long|exceeds the maximum number of tokens", re.IGNORECASE)
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD")
_local = threading.local()
_import_lock = threading.Lock()
_litellm: Any = None


class LiteLLMProvider:
    """Calls any provider LiteLLM knows. Safe to use from many threads."""

    def available(self, model_name: str, litellm_model: str, api_key_env: str | None) -> str | None:
        """None when the key is set or none is needed. Imports nothing."""
        if api_key_env is None or os.environ.get(api_key_env, "").strip():
            return None
        return f"{api_key_env} is not set"

    def complete(self, call: Call, on_text: OnText | None) -> Completion:
        """Make the call within ``call.timeout`` (streams: between tokens, and ``call.total_timeout`` in all).

        The request runs in a thread of its own, so that the deadline holds whatever the server does. Raises
        ProviderFailure, whose message holds neither a key nor the prompt.
        """
        missing = self.available(call.model.name, call.model.litellm_model, call.model.api_key_env)
        if missing:
            raise ProviderFailure("unreached", missing)
        try:
            litellm = _load()
        except ImportError as error:
            raise ProviderFailure("unreached", f"litellm cannot be imported: {error.name}") from None
        wire = _Wire(call.max_tokens)
        events: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=_work, args=(litellm, call, wire, events), daemon=True, name="nexscout-call").start()
        try:
            return _listen(call, wire, events, on_text)
        finally:
            wire.cancel()


def _listen(call: Call, wire: _Wire, events: queue.SimpleQueue[tuple[str, Any]], on_text: OnText | None) -> Completion:
    parts: list[str] = []
    end = time.monotonic() + (call.total_timeout if call.stream else call.timeout)
    while True:
        try:
            kind, value = events.get(timeout=max(0.0, min(call.timeout, end - time.monotonic())))
        except queue.Empty:
            sent = wire.cancel()
            limit = call.total_timeout if call.stream and time.monotonic() >= end else call.timeout
            what = f"no {'further text' if parts else 'answer'} within {limit:g} s"
            raise ProviderFailure("unknown" if sent else "unreached", what, partial="".join(parts), usage=wire.usage(),
                                  provider_id=wire.id) from None
        if kind == "failed":
            raise _failure(value, wire, call, "".join(parts))
        if isinstance(value, Completion):
            return value
        parts.append(value)
        if value and on_text is not None:
            try:
                on_text(value)
            except ReaderGone:
                wire.cancel()
                return Completion("".join(parts), "reader_gone", wire.usage(), wire.id, wire.model)


def _work(litellm: Any, call: Call, wire: _Wire, events: queue.SimpleQueue[tuple[str, Any]]) -> None:
    _local.wire = wire
    try:
        response = litellm.completion(**_arguments(call))
        events.put(("done", _drain(response, wire, events) if call.stream else _whole(response, wire)))
    except BaseException as error:  # noqa: BLE001 - the listener decides what it means
        events.put(("failed", error))
    finally:
        wire.close()
        _local.wire = None


def _arguments(call: Call) -> dict[str, Any]:
    model = call.model
    optional = {"temperature": call.temperature, "api_base": model.api_base or None,
                "stream_options": {"include_usage": True} if call.stream else None}
    return {key: value for key, value in model.params.items() if key not in _OURS} | {
        "model": model.litellm_model,
        "messages": [{"role": m.role, "content": m.content} for m in call.messages],
        "max_tokens": call.max_tokens,
        "api_key": os.environ[model.api_key_env].strip() if model.api_key_env else "none",
        "timeout": call.timeout, "num_retries": 0, "max_retries": 0, "drop_params": True, "stream": call.stream,
    } | {key: value for key, value in optional.items() if value is not None}


def _whole(response: Any, wire: _Wire) -> Completion:
    text, finish = "", "stop"
    for choice in response.choices[:1]:
        text, finish = choice.message.content or "", choice.finish_reason or "stop"
    return Completion(text, finish, wire.usage(response), wire.id, wire.model or response.model)


def _drain(stream: Any, wire: _Wire, events: queue.SimpleQueue[tuple[str, Any]]) -> Completion:
    parts: list[str] = []
    finish = None
    for chunk in stream:
        for choice in chunk.choices[:1]:
            finish = choice.finish_reason or finish
            text = choice.delta.content or ""
            parts.append(text)
            # Thinking shows no text, but it shows that the model is at work.
            if text or getattr(choice.delta, "reasoning_content", None):
                events.put(("text", text))
    # LiteLLM makes up a "stop" when a stream just ends.
    if not wire.ended and (wire.watched or stream.received_finish_reason is None):
        raise _Stopped
    return Completion("".join(parts), finish or "stop", wire.usage(), wire.id, wire.model)


class _Stopped(Exception):
    """Stopped here: the request before it was sent, or a stream that ended without saying why."""


class _Wire:
    """What really went over the wire for one call, which LiteLLM does not tell: sent or not, status, raw usage."""

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
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
        """True when this request is the one that asks the model. Raises _Stopped when its answer has no bound."""
        try:
            body = json.loads(request.read())
        except ValueError:
            return False
        if not isinstance(body, dict) or not any(key in body for key in _ASKS):
            return False
        self.used = True
        inner = [body, *(value for value in body.values() if isinstance(value, dict))]
        bounds = [value for part in inner for key, value in part.items() if key in _BOUNDS and isinstance(value, int)]
        if not bounds or max(bounds) > self._max_tokens:
            self.unbounded = True
            raise _Stopped
        request.extensions = {**request.extensions, "trace": self._trace}
        return True

    def _trace(self, event: str, info: dict[str, Any]) -> None:
        """Each step, as httpcore tells it; one lock decides whether the deadline or the sending came first."""
        if event.endswith("send_request_headers.started") and getattr(info.get("request"), "method", b"") != b"CONNECT":
            with self._lock:
                if self._cancelled:
                    raise _Stopped
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
        with contextlib.suppress(ValueError):
            return self._note(json.loads(body), body)
        return body

    def lines(self, response: Any) -> Iterator[bytes]:
        """The bytes of an event stream, looked at line by line."""
        self.watched, rest = True, b""
        for chunk in response.iter_bytes():
            *whole, rest = (rest + chunk).split(b"\n")
            yield b"".join(self._line(line) + b"\n" for line in whole)
        yield self._line(rest)

    def _line(self, line: bytes) -> bytes:
        field, _, data = line.partition(b":")
        if field == b"data":
            with contextlib.suppress(ValueError):
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
        for first, second in _COUNTS:
            if first in self._reported or second in self._reported:
                return Usage(_sum(self._reported, first), _sum(self._reported, second))
        counted = getattr(response, "usage", None)
        if counted is not None and (self._reported or not self.used) and counted.total_tokens:
            return Usage(counted.prompt_tokens, counted.completion_tokens)
        return None


def _is_count(value: Json) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)


def _sum(usage: dict[str, Json], key: str) -> Json:
    value = usage.get(key)
    more = [usage[name] for name in _ADDED.get(key, ()) if isinstance(usage.get(name), int)]
    return value + sum(more) if isinstance(value, int) else value


def _load() -> Any:
    """LiteLLM, imported once, quiet, offline, and with an HTTP client that follows no redirect."""
    global _litellm
    with _import_lock:
        if _litellm is not None:
            return _litellm
        # Without these the import asks the network for prices, and reads a .env file of the current folder.
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
        os.environ["LITELLM_MODE"] = "PRODUCTION"
        litellm: Any = importlib.import_module("litellm")
        handlers: Any = importlib.import_module("litellm.llms.custom_httpx.http_handler")
        for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "openai", "httpx"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        warnings.filterwarnings("ignore", module="pydantic|litellm")
        litellm.suppress_debug_info = litellm.disable_streaming_logging = True
        # Two doors to the network: OpenAI's client takes client_session, all others make a client of their own.
        client = litellm.client_session = _guarded_client(handlers.get_ssl_configuration())
        handlers.HTTPHandler.create_client = lambda handler: client
        _litellm = litellm
        return litellm


def _guarded_client(verify: Any) -> Any:
    import httpx

    class GuardedClient(httpx.Client):
        def send(self, request: httpx.Request, *, stream: bool = False, **options: Any) -> httpx.Response:
            wire: _Wire | None = getattr(_local, "wire", None)
            request.headers["accept-encoding"] = "identity"
            options["follow_redirects"] = False
            if wire is None or not wire.begin(request):
                return super().send(request, stream=stream, **options)
            response = super().send(request, stream=True, **options)
            wire.answered(response)
            streams = response.is_success and "text/event-stream" in response.headers.get("content-type", "")
            content = wire.lines(response) if streams else wire.arrived(response.read())
            headers = [(k, v) for k, v in response.headers.multi_items() if k not in _CODING]
            watched = httpx.Response(response.status_code, headers=headers, content=content, request=request)
            if not stream:
                watched.read()
            return watched

    return GuardedClient(verify=verify, limits=httpx.Limits(max_connections=None, max_keepalive_connections=50))


def _failure(error: BaseException, wire: _Wire, call: Call, partial: str) -> ProviderFailure:
    """What a failed call means for the hold, by what went over the wire; LiteLLM's exceptions do not tell it."""
    kind, why = _kind(error, wire)
    return ProviderFailure(kind, _clean(why, call), status=wire.status,
                           retry_after=_retry_after(wire.headers) if kind == "limited" else None,
                           partial=partial, usage=wire.usage(), provider_id=wire.id)


def _kind(error: BaseException, wire: _Wire) -> tuple[str, str]:
    status, text = wire.status, _said(wire.body)
    if wire.unbounded:
        return "rejected", "not sent: this model takes no bound on the length of its answer"
    if not wire.used:  # LiteLLM refused by itself, or this provider has a client that cannot be watched
        refused = getattr(error, "status_code", None) in (400, 401, 403, 404, 413, 422)
        return "rejected" if refused else "unknown", str(error).partition("\n")[0] or type(error).__name__
    if not wire.sent:
        return "unreached", f"could not connect: {_cause(error)}"
    if status is None:
        return "unknown", f"no answer: {_cause(error)}"
    if status < 300:
        return "unknown", "the stream was cut" if wire.watched else "the answer is damaged"
    if status < 400:
        return "rejected", f"{status}: the provider redirects elsewhere, which is refused"
    if status == 429:
        return "limited", f"429: {text}"
    if status < 500 and status != 408:
        too_long = status in (400, 413, 422) and (
            type(error).__name__ == "ContextWindowExceededError" or _TOO_LONG.search(text))
        return "too_long" if too_long else "rejected", f"{status}: {text}"
    if status in (500, 502, 503, 529) and wire.body.strip():
        return "server", f"{status}: {text}"
    return "unknown", f"{status}: {text}"


def _cause(error: BaseException) -> str:
    """The innermost reason, as the system words it."""
    for _ in range(20):
        error = error.__cause__ or error.__context__ or error
    return str(error).strip() or type(error).__name__


def _said(body: bytes) -> str:
    """The message in an error body, whatever its shape."""
    with contextlib.suppress(ValueError):
        answer = json.loads(body)
        answer = answer[0] if isinstance(answer, list) and answer else answer
        if isinstance(answer, dict):
            error = answer.get("error", answer)
            if isinstance(error, dict):
                words = [error.get("message") or error.get("detail"), error.get("code")]
                return " ".join(str(word) for word in words if word) or "no reason given"
            return str(error)
    return re.sub(r"<[^>]*>", " ", body[:2000].decode("utf-8", "replace")).strip() or "no reason given"


def _retry_after(headers: Any) -> float | None:
    """Seconds to wait, from either form of the header."""
    value = str(headers.get("retry-after", ""))
    with contextlib.suppress(ValueError):
        return max(0.0, float(value))
    with contextlib.suppress(ValueError):
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    return None


def _clean(text: str, call: Call) -> str:
    """One short line without keys and without what the user wrote."""
    secrets = {value.strip() for name, value in os.environ.items()
               if name == call.model.api_key_env or (_SECRET.search(name) and len(value) > 5)}
    for secret in sorted(secrets - {""}, key=len, reverse=True):
        text = text.replace(secret, "***")
    for message in call.messages:
        for line in [message.content, *message.content.splitlines()]:
            if len(line) > 8:
                text = text.replace(line, "…")
    return re.sub(r"[\x00-\x1f\x7f-\x9f\s]+", " ", text).strip()[:200]
