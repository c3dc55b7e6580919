"""The model that runs in this process, with llama.cpp."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nexscout_cli.engine.call import Call, Completion, OnText, Usage
from nexscout_cli.engine.failures import ProviderFailure, ReaderGone
from nexscout_cli.engine.model import Model
from nexscout_cli.providers.embedded.model_file import is_present, runtime_present

CONTEXT = 8192
TEMPERATURE = 0.2
SEED = 42
REPEAT_PENALTY, REPEAT_WINDOW = 1.1, 1024
_BATCH = 256
_EXIT_WAIT = 10.0


class _Runtime:
    """The one loaded model of this process, and the lock that lets one call at a time through."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.closing = False
        self.server: Any = None
        self.path: Path | None = None

    def load(self, path: Path) -> Any:
        """The server for that file, loaded at the first call. The caller holds the lock."""
        if self.server is None or self.path != path:
            import xllamacpp

            params = xllamacpp.CommonParams()
            params.model.path = str(path)
            params.n_ctx = CONTEXT
            params.n_parallel = 1
            params.n_batch = _BATCH
            params.cpuparams.n_threads = os.cpu_count() or 1
            params.verbosity = -1
            params.warmup = False
            # The server also listens on loopback, and cannot be told not to: nobody gets the key.
            import secrets

            params.api_keys = [secrets.token_hex(16)]
            params.ui = False
            params.endpoint_slots = False
            first = self.server is None
            self.server = xllamacpp.Server(params)
            self.path = path
            if first:
                atexit.register(self.close)
        return self.server

    def close(self) -> None:
        """Stop what is running and free the model: native threads that outlive the interpreter abort the process."""
        self.closing = True
        if self.lock.acquire(timeout=_EXIT_WAIT):
            self.server = None
            self.lock.release()


_RUNTIME = _Runtime()


class EmbeddedProvider:
    """Answers from the file at ``path``. Calls wait for each other: the model uses every core already."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def available(self, model: Model) -> str | None:
        """None when file and runtime are here, else what is missing."""
        if not runtime_present():
            return "the package xllamacpp is not installed"
        if not is_present(self._path):
            return "its file is not here; run: nexscout models pull"
        return None

    def complete(self, call: Call, on_text: OnText | None) -> Completion:
        """Run the model. Raises ProviderFailure: unreached without file or runtime, too_long beyond the window."""
        missing = self.available(call.model)
        if missing:
            raise ProviderFailure("unreached", missing)
        limit = call.total_timeout if call.stream else call.timeout
        end = time.monotonic() + limit
        if not _RUNTIME.lock.acquire(timeout=limit):
            raise ProviderFailure("unreached", f"the embedded model was busy for {limit:g} s")
        try:
            if _RUNTIME.closing:
                raise ProviderFailure("unreached", "the program is ending")
            try:
                server = _RUNTIME.load(self._path)
            except (ImportError, RuntimeError) as error:
                raise ProviderFailure("unreached", "the embedded model could not be loaded") from error
            answer = _Answer(on_text, end)
            server.handle_chat_completions(_body(call), answer.take)
        finally:
            _RUNTIME.lock.release()
        return answer.finish(call, limit)


def _body(call: Call) -> dict[str, Any]:
    return {
        "messages": [{"role": m.role, "content": m.content.encode("utf-8", "replace").decode()} for m in call.messages],
        "max_tokens": call.max_tokens,
        "temperature": TEMPERATURE if call.temperature is None else call.temperature,
        "seed": SEED,
        # Without these a model this small says the same sentence until it reaches its bound.
        "repeat_penalty": REPEAT_PENALTY,
        "repeat_last_n": REPEAT_WINDOW,
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
        # Reusing another prompt's cache changes rounding, and with it now and then the answer.
        "cache_prompt": False,
    }


class _Answer:
    """Gathers what the model says. ``take`` is called from native code, which swallows exceptions: it keeps them."""

    def __init__(self, on_text: OnText | None, end: float) -> None:
        self._tell: Callable[[str], None] = on_text or (lambda text: None)
        self._end = end
        self._parts: list[str] = []
        self._finish = ""
        self._usage: Usage | None = None
        self._id: str | None = None
        self._error: dict[str, Any] | None = None
        self._raised: BaseException | None = None
        self._late = False

    def take(self, chunk: dict[str, Any]) -> bool:
        """One chunk of the stream; True stops the model."""
        try:
            self._read(chunk)
            self._late = time.monotonic() > self._end
        except BaseException as error:  # noqa: BLE001 - raised again once native code has returned
            self._raised = error
        return self._raised is not None or self._late or _RUNTIME.closing

    def _read(self, chunk: dict[str, Any]) -> None:
        if "error" in chunk:
            self._error = chunk["error"]
            return
        self._id = chunk.get("id", self._id)
        if usage := chunk.get("usage"):
            self._usage = Usage(usage.get("prompt_tokens"), usage.get("completion_tokens"))
        for choice in chunk.get("choices", []):
            self._finish = choice.get("finish_reason") or self._finish
            if text := choice.get("delta", {}).get("content"):
                self._parts.append(text)
                self._tell(text)

    def finish(self, call: Call, limit: float) -> Completion:
        """The answer, or what went wrong."""
        text = "".join(self._parts)
        if isinstance(self._raised, ReaderGone):
            return Completion(text, "reader_gone", self._usage, self._id, call.model.litellm_model)
        if self._raised is not None:
            raise self._raised
        if self._error is not None:
            message = str(self._error.get("message", "failed"))[:200]
            if self._error.get("type") == "exceed_context_size_error":
                raise ProviderFailure("too_long", message, status=400)
            raise ProviderFailure("rejected" if self._error.get("code") == 400 else "server", message)
        if not self._finish:
            # It runs here and costs nothing: what it had said by the deadline is an answer that was cut, never an unknown.
            if self._late and text.strip():
                said = Completion(text, "length", self._usage, self._id, call.model.litellm_model)
                return said._replace(stopped_after=limit)
            why = f"no answer within {limit:g} s" if self._late else "the embedded model stopped in mid-answer"
            raise ProviderFailure("rejected", why, partial=text)
        return Completion(text, self._finish, self._usage, self._id, call.model.litellm_model)
