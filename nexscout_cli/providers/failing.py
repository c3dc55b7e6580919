"""What providers say when they fail: which kind of failure it is, and what of it may be shown. For LiteLLM and our own wires."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from email.utils import parsedate_to_datetime
from typing import Any

from nexscout_cli import provider_keys
from nexscout_cli.engine.call import Call
from nexscout_cli.engine.failures import ProviderFailure
from nexscout_cli.errors import ConfigError
from nexscout_cli.recent import Recent

_TOO_LONG = re.compile(
    r"context_length_exceeded|context (?:length|window)|prompt is too long|maximum context|"
    r"input is too long|exceeds the maximum number of tokens",
    re.IGNORECASE,
)
SHORTEST = 4
"""Characters of a key: what a local server without keys is given ("x", "no") is none, and stands in many words."""
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD")


def by_status(status: int, text: str, body: bytes, *, window_exceeded: bool = False) -> tuple[str, str]:
    """Kind (see ProviderFailure) and message of an error with that status, 300 or above; ``text`` is what ``body`` says."""
    if status < 400:
        return "rejected", f"{status}: the provider redirects elsewhere, which is refused"
    if status == 429:
        return "limited", f"429: {text}"
    if status < 500 and status != 408:
        too_long = status in (400, 413, 422) and (window_exceeded or _TOO_LONG.search(text))
        return "too_long" if too_long else "rejected", f"{status}: {text}"
    if status in (500, 502, 503, 529) and body.strip():
        return "server", f"{status}: {text}"
    return "unknown", f"{status}: {text}"


def cause(error: BaseException) -> str:
    """The innermost reason, as the system words it."""
    for _ in range(20):
        error = error.__cause__ or error.__context__ or error
    return str(error).strip() or type(error).__name__


def error_text(body: bytes) -> str:
    """The message in an error body, whatever its shape."""
    with contextlib.suppress(ValueError, RecursionError):
        answer = json.loads(body)
        answer = answer[0] if isinstance(answer, list) and answer else answer
        if isinstance(answer, dict):
            error = answer.get("error", answer)
            if isinstance(error, dict):
                words = [error.get("message") or error.get("detail"), error.get("code")]
                return " ".join(str(word) for word in words if word) or "no reason given"
            return str(error)
    return re.sub(r"<[^>]*>", " ", body[:2000].decode("utf-8", "replace")).strip() or "no reason given"


def retry_after(headers: Any) -> float | None:
    """Seconds to wait, from either form of the header."""
    value = str(headers.get("retry-after", ""))
    with contextlib.suppress(ValueError):
        return max(0.0, float(value))
    with contextlib.suppress(ValueError):
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    return None


def cleaned(text: str, call: Call) -> str:
    """One short line without keys and without what the user wrote."""
    secrets = _secrets.get(call.model.api_key_env, lambda: _in_environment(call.model.api_key_env))
    secrets |= provider_keys.loaded()
    for secret in sorted(secrets - {""}, key=len, reverse=True):
        text = text.replace(secret, "***")
    for message in call.messages:
        texts = [message.content, *(one.arguments for one in message.tool_calls)]
        for line in [*texts, *(line for text in texts for line in text.splitlines())]:
            if len(line) > 8:
                text = text.replace(line, "…")
    text = text.encode("utf-8", "replace").decode()
    return re.sub(r"[\x00-\x1f\x7f-\x9f\s]+", " ", text).strip()[:200]


def _in_environment(also: str | None) -> frozenset[str]:
    """Values of the environment that nobody may see."""
    return frozenset(
        value.strip()
        for name, value in os.environ.items()
        if len(value.strip()) >= SHORTEST and (name == also or _SECRET.search(name))
    )


_secrets: Recent[frozenset[str]] = Recent()


def key_for(call: Call) -> str | None:
    """The key, from the environment or where it is kept. Raises ProviderFailure where it is missing or no header can carry it."""
    name = call.model.api_key_env
    if name is None:
        return None
    try:
        key = provider_keys.key_of(name)
    except ConfigError as error:
        raise ProviderFailure("unreached", error.message) from None
    if not key:
        raise ProviderFailure("unreached", f"{name} is not set")
    if not key.isascii() or not key.isprintable():
        raise ProviderFailure("unreached", f"{name} holds characters that a key cannot have")
    return key
