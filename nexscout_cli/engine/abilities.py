"""What a request needs of a model beside text, and which models have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nexscout_cli.engine.model import Model
    from nexscout_cli.engine.request import AIRequest

_WORDS = {
    "tools": "it calls no tools",
    "images": "it looks at no images",
    "schema": "it gives no answer by a schema",
    "n": "it gives one answer at a time: n",
    "logprobs": "it tells no logprobs",
    "addresses": "it takes images only as data, not by address",
    "flex": "its price in the flex tier is not known",
    "priority": "its price in the priority tier is not known",
}
_SEVERAL = ("openai/", "azure/", "gemini/", "hosted_vllm/")
"""Targets that give several answers to one call."""
_LOGPROBS = (*_SEVERAL[:2], "hosted_vllm/", "xai/", "deepseek/", "fireworks_ai/", "together_ai/", "openrouter/")
_NO_ADDRESSES = ("gemini/", "ollama_chat/")
"""Targets that fetch no picture from the network."""
_TIERED = ("openai/", "azure/")
"""Targets that a call can ask for a service tier."""
_BY_TARGET: dict[str, Callable[[str], bool]] = {
    "n": lambda target: target.startswith(_SEVERAL),
    "logprobs": lambda target: target.startswith(_LOGPROBS),
    "addresses": lambda target: not target.startswith(_NO_ADDRESSES),
}
"""Needs that the provider meets or not, whatever the model."""


def needs(request: AIRequest) -> frozenset[str]:
    """What the request asks of a model, as words of ``_WORDS``."""
    options = request.options
    images = [image for message in request.messages for image in message.images] + list(request.images)
    found = {
        "tools": options.tools is not None or any(m.tool_calls for m in request.messages),
        "images": bool(images),
        "schema": options.wants_json,
        "n": (options.n or 1) > 1,
        "logprobs": bool(options.logprobs),
        "addresses": any(image.embedded is None for image in images),
        "flex": options.service_tier == "flex",
        "priority": options.service_tier == "priority",
    }
    return frozenset(name for name, is_so in found.items() if is_so)


def lacking(model: Model, needed: frozenset[str], *, forced: bool) -> str | None:
    """Why a model cannot answer a request with those needs; None where it can.

    One of which it is not known may be forced, and is not chosen.
    """
    for name in sorted(needed):
        if name in ("flex", "priority"):
            if not model.litellm_model.startswith(_TIERED) or model.at_tier(name) is None:
                return _WORDS[name]
        elif name in _BY_TARGET:
            if not _BY_TARGET[name](model.litellm_model):
                return _WORDS[name]
        elif model.abilities is None:
            if not forced:
                return (
                    f"it is not known whether it can do {name}; `nexscout models set {model.name} --can {name}` says so"
                )
        elif name not in model.abilities:
            return _WORDS[name]
    return None


def without_the_unable(
    models: tuple[Model, ...], available: frozenset[str], missing: Mapping[str, str], request: AIRequest
) -> tuple[frozenset[str], dict[str, str]]:
    """The names that can answer this request, and what is missing for the others."""
    needed = needs(request)
    if not needed:
        return available, dict(missing)
    unable = {}
    for model in models:
        why = lacking(model, needed, forced=request.options.force_model == model.name)
        if model.name not in missing and why is not None:
            unable[model.name] = why
    return available - unable.keys(), dict(missing) | unable
