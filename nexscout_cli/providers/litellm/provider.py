"""Remote models, through LiteLLM. The one module that imports it, and only when a call is really made."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nexscout_cli.engine.call import Call, Completion, OnText
from nexscout_cli.engine.catalog.params import KNOWN, OURS
from nexscout_cli.engine.failures import CallInterrupted, ProviderFailure, ReaderGone
from nexscout_cli.engine.model import Model
from nexscout_cli.providers.failing import key_for
from nexscout_cli.providers.litellm.refusals import failure, identifier
from nexscout_cli.providers.litellm.traffic import Stopped, Traffic, current, guarded_client, in_our_call
from nexscout_cli.providers.requirements import missing
from nexscout_cli.providers.surrogates import joined
from nexscout_cli.providers.wires.more import More, place_of

_LAST_WORDS = 2.0
"""Seconds that a cancelled call has to end by itself."""
_import_lock = threading.Lock()
_litellm: Any = None
_client: Any = None
"""The HTTP client of all our calls."""


class LiteLLMProvider:
    """Calls any provider LiteLLM knows. Safe to use from many threads."""

    def available(self, model: Model) -> str | None:
        """None when nothing is missing that a call needs. Imports nothing."""
        lacks = missing(model)
        return lacks[0] if lacks else None

    def complete(self, call: Call, on_text: OnText | None) -> Completion:
        """Make the call within ``call.timeout`` (streams: between tokens, and ``call.total_timeout`` in all).

        The request runs in a thread of its own, so that the deadline holds whatever the server does. Raises
        ProviderFailure, whose message holds neither a key nor the prompt.
        """
        if lacks := self.available(call.model):
            raise ProviderFailure("unreached", lacks)
        if odd := sorted(call.model.params.keys() - set(KNOWN)):
            raise ProviderFailure(
                "rejected",
                f"not sent: {odd[0]} may not be set on a model; nexscout models set {call.model.name} --param {odd[0]}=",
            )
        events: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        traffic = Traffic(call, lambda piece: events.put(("text", piece)))
        parts: list[str] = []
        thread: threading.Thread | None = None
        try:
            litellm = _load()
            thread = threading.Thread(
                target=_work, args=(litellm, call, traffic, events), daemon=True, name="nexscout-call"
            )
            thread.start()
            return _listen(call, traffic, events, on_text, parts)
        except ImportError as error:
            raise ProviderFailure("unreached", f"litellm cannot be imported: {error.name}") from None
        except KeyboardInterrupt:
            raise CallInterrupted(_ended(call, traffic, "interrupted", parts)) from None
        finally:
            traffic.cancel()
            if thread is not None and thread.ident is not None:
                # A thread still in native code when the interpreter ends can abort the process.
                thread.join(_LAST_WORDS)


def _listen(
    call: Call,
    traffic: Traffic,
    events: queue.SimpleQueue[tuple[str, Any]],
    on_text: OnText | None,
    parts: list[str],
) -> Completion:
    """Wait for the answer; ``parts`` takes what comes of a stream."""
    end = time.monotonic() + (call.total_timeout if call.stream else call.timeout)
    while True:
        try:
            kind, value = events.get(timeout=max(0.0, min(call.timeout, end - time.monotonic())))
        except queue.Empty:
            limit = call.total_timeout if call.stream and time.monotonic() >= end else call.timeout
            what = f"no {'further text' if parts else 'answer'} within {limit:g} s"
            raise _ended(call, traffic, what, parts) from None
        if kind == "failed":
            raise failure(value, traffic, call, "".join(parts))
        if isinstance(value, Completion):
            return value
        parts.append(value)
        if value and on_text is not None:
            try:
                on_text(value)
            except ReaderGone:
                traffic.cancel()
                return Completion(
                    "".join(parts), "reader_gone", traffic.usage(), identifier(traffic, call), traffic.model
                )


def _ended(call: Call, traffic: Traffic, what: str, parts: list[str]) -> ProviderFailure:
    """End a call here, before the provider does: its outcome is unknown, but for one that was not sent yet."""
    sent = traffic.cancel()
    return ProviderFailure(
        "unknown" if sent else "unreached",
        what if sent else f"{what}; not sent",
        partial="".join(parts),
        usage=traffic.usage(),
        provider_id=identifier(traffic, call),
    )


def _work(litellm: Any, call: Call, traffic: Traffic, events: queue.SimpleQueue[tuple[str, Any]]) -> None:
    current.traffic = traffic
    try:
        response = litellm.completion(**_arguments(call))
        done = _drain(response, call, traffic, events) if call.stream else _whole(response, call, traffic)
        events.put(("done", done))
    except BaseException as error:  # noqa: BLE001 - the listener decides what it means
        events.put(("failed", error))
    finally:
        traffic.close()
        current.traffic = None


def _arguments(call: Call) -> dict[str, Any]:
    model = call.model
    optional = {
        "temperature": call.temperature,
        "api_base": model.api_base or None,
        "reasoning_effort": call.effort,
        "stream_options": {"include_usage": True} if call.stream else None,
    }
    return (
        {key: value for key, value in model.params.items() if key not in OURS}
        | {
            "model": model.litellm_model,
            "messages": [message.as_json() for message in call.messages],
            model.bound_name if "max_tokens" in model.refused_options else "max_tokens": call.max_tokens,
            "api_key": key_for(call) or "none",
            "timeout": call.timeout,
            "num_retries": 0,
            "max_retries": 0,
            "drop_params": True,
            "allowed_openai_params": list(model.params),  # what the catalog sets is sent, or the provider says no
            "stream": call.stream,
        }
        | {key: value for key, value in optional.items() if value is not None}
        | call.options
        # Functions alone are taken as tools. LiteLLM would look for those of an MCP gateway, and import a package for it.
        | ({"_skip_mcp_handler": True} if "tools" in call.options else {})
    )


def _not_sent(litellm: Any, call: Call) -> tuple[str, ...]:
    """The options that LiteLLM leaves out for this model's provider."""
    if not call.options:
        return ()
    provider, _, name = call.model.litellm_model.partition("/")
    taken = litellm.get_supported_openai_params(model=name, custom_llm_provider=provider)
    return () if taken is None else tuple(name for name in call.options if name not in taken)


def _read_here(call: Call, traffic: Traffic) -> Completion | None:
    """The answer where our own reader has read it. Raises what it met."""
    if traffic.trouble is not None:
        raise traffic.trouble
    reader = traffic.reader
    if reader is None:
        return None
    finish, name = reader.finish_reason or "stop", identifier(traffic, call)
    left_out = _not_sent(_litellm, call)
    return reader.more.added_to(
        Completion(reader.text, finish, traffic.usage(), name, traffic.model, not_sent=left_out)
    )


def _whole(response: Any, call: Call, traffic: Traffic) -> Completion:
    if (done := _read_here(call, traffic)) is not None:
        return done
    text, finish, more = "", "stop", More()
    for at, choice in enumerate(response.choices):
        _gather(more, at, choice.message, choice)
        if at:
            more.text(at, choice.message.content or "")
        else:
            text, finish = choice.message.content or "", choice.finish_reason or "stop"
    name, model = identifier(traffic, call), traffic.model
    if model is None and isinstance(response.model, str):
        model = response.model
    left_out = _not_sent(_litellm, call)
    return more.added_to(Completion(joined(text), finish, traffic.usage(response), name, model, not_sent=left_out))


def _gather(more: More, number: int, said: Any, choice: Any) -> None:
    """Tool calls, probabilities and the end of one answer, or of a piece of it."""
    for at, call in enumerate(getattr(said, "tool_calls", None) or ()):
        place = place_of(getattr(call, "index", None), at)
        more.call(number, place, call.id, call.function.name, call.function.arguments)
    if (likely := getattr(choice, "logprobs", None)) is not None:
        more.logprobs(number, likely.model_dump() if hasattr(likely, "model_dump") else likely)
    if number and choice.finish_reason:
        more.finish(number, choice.finish_reason)


def _drain(stream: Any, call: Call, traffic: Traffic, events: queue.SimpleQueue[tuple[str, Any]]) -> Completion:
    parts: list[str] = []
    finish, half, more = None, "", More()
    for chunk in stream:
        if (done := _read_here(call, traffic)) is not None:
            return done
        for choice in chunk.choices:
            _gather(more, choice.index, choice.delta, choice)
            if choice.index:
                more.text(choice.index, choice.delta.content or "")
                continue
            finish = choice.finish_reason or finish
            text = half + (choice.delta.content or "")
            # A character may come in two halves, in two chunks.
            half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
            text = joined(text[: len(text) - len(half)])
            parts.append(text)
            # Thinking shows no text, but it shows that the model is at work.
            if text or getattr(choice.delta, "reasoning_content", None):
                events.put(("text", text))
    parts.append(joined(half))
    # LiteLLM makes up a "stop" when a stream just ends.
    if not traffic.ended and (traffic.watched or stream.received_finish_reason is None):
        raise Stopped
    name, left_out = identifier(traffic, call), _not_sent(_litellm, call)
    done = Completion("".join(parts), finish or "stop", traffic.usage(), name, traffic.model, not_sent=left_out)
    return more.added_to(done)


def _imported(name: str) -> Any:
    """A module, imported without collecting garbage meanwhile, of which an import makes none: that took a quarter of it."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        return importlib.import_module(name)
    finally:
        if collecting:
            gc.enable()


def _load() -> Any:
    """LiteLLM, imported once, without a word and without the network.

    What this changes in the process, for as long as it lives: LiteLLM prints no advice after errors
    (``suppress_debug_info``) and logs no streams (``disable_streaming_logging``); a filter keeps what is logged during our
    calls from the loggers of LiteLLM, openai and httpx; and LiteLLM's HTTP clients are ours in the threads of our calls,
    so that redirects are refused and what was sent is known. Calls of others to LiteLLM go on as before.
    """
    global _litellm, _client
    with _import_lock:
        if _litellm is None:
            with _environment(_AT_IMPORT):
                litellm: Any = _imported("litellm")
                handlers: Any = importlib.import_module("litellm.llms.custom_httpx.http_handler")
                openai: Any = importlib.import_module("litellm.llms.openai.common_utils")
            for name in _LOGGERS:
                logging.getLogger(name).addFilter(lambda record: not in_our_call())
            litellm.suppress_debug_info = litellm.disable_streaming_logging = True
            _client = guarded_client(handlers.get_ssl_configuration())
            # Two doors to the network: that of OpenAI's client, and that of all others.
            _guard(handlers.HTTPHandler, "create_client", _client, staticmethod_=False)
            _guard(openai.BaseOpenAILLM, "_get_sync_http_client", _client, staticmethod_=True)
            _litellm = litellm
        return _litellm


_AT_IMPORT = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION"}
"""Without these the import asks the network for prices, and reads a .env file of the current folder."""
_LOGGERS = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "openai", "openai._base_client", "httpx")


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """The environment with those values, for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _guard(owner: Any, name: str, client: Any, *, staticmethod_: bool) -> None:
    """Let a method of LiteLLM's that makes HTTP clients return ours, in the threads of our calls alone."""
    real = getattr(owner, name)

    def chosen(*args: Any, **options: Any) -> Any:
        return client if in_our_call() else real(*args, **options)

    setattr(owner, name, staticmethod(chosen) if staticmethod_ else chosen)
