"""Step 2: the cache's key, and the fingerprint that idempotency compares. Both hash everything that shapes the answer."""

from __future__ import annotations

import hashlib
import json
import unicodedata

from nexscout_cli.engine.types import AIRequest, Json, Shape


def normalized(prompt: str) -> str:
    """The prompt in NFC, with one kind of line end and without blanks at line ends or around it."""
    text = unicodedata.normalize("NFC", prompt.replace("\r\n", "\n").replace("\r", "\n"))
    return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")


def canonical(value: Json) -> Json:
    """A JSON value in the one form its equals share: 0, 0.0 and -0.0 are one number, text is NFC, key order is no matter."""
    if isinstance(value, dict):
        return {unicodedata.normalize("NFC", str(k)): canonical(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _digest(parts: Json) -> str:
    text = json.dumps(canonical(parts), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _content(request: AIRequest) -> dict[str, Json]:
    options = request.options
    return {
        "user": request.user_id,
        "feature": request.feature,
        "prompt": normalized(request.prompt),
        "goal": request.goal,
        "tone": request.tone,
        "context": request.context,
        "attachments": [[a.name, a.text] for a in request.attachments],
        "system": options.system,
        "temperature": options.temperature,
        "max_tokens": options.max_tokens,
        "model": options.force_model,
        "mode": options.mode,
    }


def cache_key(request: AIRequest, shape: Shape, mode: str, target: str, policy: str = "") -> str:
    """The key of a cached answer: a SHA-256 over all that shapes it.

    ``target`` is a forced model's endpoint, else empty; ``policy`` what chose the model, empty for the rules.
    """
    parts = {"shape": list(shape), "effective_mode": mode, "target": target} | ({"policy": policy} if policy else {})
    return _digest(_content(request) | parts)


def fingerprint(request: AIRequest) -> str:
    """What an idempotency key stands for: the request, without what does not change it."""
    policy = {"policy": request.options.policy} if request.options.policy else {}
    return _digest(_content(request) | {"prompt": request.prompt} | policy)
