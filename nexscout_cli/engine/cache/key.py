"""Step 2: the cache's key, and the fingerprint that idempotency compares. Both hash everything that shapes the answer."""

from __future__ import annotations

import hashlib
import unicodedata
from functools import cache

from nexscout_cli.engine.options import OPTIONS, default_of
from nexscout_cli.engine.plan_types import Shape
from nexscout_cli.engine.request import AIRequest, Json
from nexscout_cli.jsontext import writer

_ODD = ("  ", "\t", "\r", "\n\n\n", " \n", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x1f")
"""Only a text with one of these, of more than ASCII, or with blanks around it has whitespace that may mean nothing."""


def normalized(prompt: str) -> str:
    """The prompt in NFC without the whitespace that means nothing (:mod:`nexscout_cli.engine.compression.whitespace`)."""
    if prompt.isascii() and prompt == prompt.strip() and not any(odd in prompt for odd in _ODD):
        return prompt
    from nexscout_cli.engine.compression.whitespace import (
        settled,  # its patterns take longer to compile than all the rest here
    )

    return settled(prompt)


def canonical_json(value: Json) -> Json:
    """A JSON value in the one form its equals share: 0, 0.0 and -0.0 are one number, text is NFC, keys are in any order."""
    if isinstance(value, dict):
        return {_composed(str(k)): canonical_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [canonical_json(item) for item in value]
    if isinstance(value, str):
        return _composed(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _composed(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


_in_order = writer(sort_keys=True, separators=(",", ":"))
_as_it_is = writer(separators=(",", ":"))


def _digest(parts: dict[str, Json]) -> str:
    """Of all in its canonical form, but the prompt, whose characters may be what it asks about."""
    text = _in_order(canonical_json(parts) | {"prompt": parts["prompt"]})
    return hashlib.sha256(text.encode()).hexdigest()


def _content(request: AIRequest, prompt: Json) -> dict[str, Json]:
    """What the request itself says that shapes its answer: which options these are is in the table of options.

    ``prompt``: what stands for its prompt.
    """
    return (
        {
            "user": request.user_id,
            "feature": request.feature,
            "prompt": prompt,
            "goal": request.goal,
            "tone": request.tone,
            "context": request.context,
            "attachments": [[a.name, a.text] for a in request.attachments],
        }
        | _options(request, "always", "given")
        | _before(request)
    )


def _before(request: AIRequest) -> dict[str, Json]:
    """The conversation so far and the pictures, only where there are any: keys of other requests stay as they were."""
    messages, images = [m.as_json() for m in request.messages], [list(image) for image in request.images]
    return ({"messages": messages} if messages else {}) | ({"images": images} if images else {})


def _options(request: AIRequest, *in_key: str) -> dict[str, Json]:
    """The options of these sorts by the name they have in a key; all but ``always`` only where they are given."""
    options, found = request.options, dict[str, Json]()
    for name, key_name, default, always in _of_sorts(in_key):
        value = getattr(options, name)
        if always or value != default:
            found[key_name] = value
    return found


@cache
def _of_sorts(in_key: tuple[str, ...]) -> list[tuple[str, str, Json, bool]]:
    """Of the options of these sorts: name, name in a key, what it is where it is not given, whether it is always there."""
    return [
        (name, option.key_name or name, default_of(option), option.in_key == "always")
        for name, option in OPTIONS.items()
        if option.in_key in in_key
    ]


def exact_content(request: AIRequest) -> dict[str, Json]:
    """The same with every text as it is, but for line ends at the very end of the prompt, which a pipe leaves there.

    A context that is JSON is told from a text that reads the same: only one of them is compressed as prose.
    """
    return _content(request, request.prompt.rstrip("\r\n"))


def identity(request: AIRequest) -> str:
    """What two requests share that may share one call: every character of what is sent, and all options that shape it."""
    return _exact_digest(exact_content(request) | _options(request, "in force"))


def _exact_digest(parts: dict[str, Json]) -> str:
    """Of all as it is: within its values nothing is sorted, composed or rounded."""
    text = _as_it_is(dict(sorted(parts.items())))
    return hashlib.sha256(b"exact " + text.encode()).hexdigest()


def cache_key(request: AIRequest, shape: Shape, mode: str, how: Json, match: str = "exact") -> str:
    """The key of a cached answer: a SHA-256 over all that shapes it.

    ``match`` exact: by every character of it; else whitespace that means nothing, the form of numbers, the order of names and
    the composition of letters do not count. ``mode`` is the one in force. ``how`` is any JSON value with what else decides how
    the request is answered: a forced model's endpoint, the routing policy, the kind of compression.
    """
    more = {"shape": list(shape), "effective_mode": mode, "how": how}
    if match == "exact":
        return _exact_digest(exact_content(request) | more)
    return _digest(_content(request, normalized(request.prompt)) | more)


def form_key(request: AIRequest, shape: Shape, mode: str, how: Json, form: str) -> str:
    """The same for a prompt's canonical form; no exact key can ever equal it."""
    more = {"shape": list(shape), "effective_mode": mode, "how": how}
    return _digest(_content(request, {"form": form}) | more)


def fingerprint(request: AIRequest) -> str:
    """What an idempotency key stands for: the request, without what does not change its answer."""
    return _digest(_content(request, request.prompt) | _options(request, "in force"))
