"""Which models our own wires serve, and where; LiteLLM serves the rest."""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple

from nexscout_cli.engine.catalog.params import SAMPLING, SERVERS
from nexscout_cli.engine.model import Model


class Target(NamedTuple):
    """Where a call goes: the wire that speaks there, the model's name there, and what the catalog adds to each call."""

    wire: str
    provider: str
    model: str
    url: str
    params: dict[str, Any]
    key_header: str = "authorization"
    key_prefix: str = "Bearer "


class Place(NamedTuple):
    """A provider: its wire, its base address, and the variables that name another one, the first set one counts."""

    wire: str
    base: str
    variables: tuple[str, ...]


def _chat(base: str, *variables: str) -> Place:
    return Place("openai", base, variables)


PLACES = {
    "openai": _chat("https://api.openai.com/v1", "OPENAI_BASE_URL", "OPENAI_API_BASE"),
    "azure": _chat("", "AZURE_API_BASE"),
    "openrouter": _chat("https://openrouter.ai/api/v1", "OPENROUTER_API_BASE"),
    "groq": _chat("https://api.groq.com/openai/v1", "GROQ_API_BASE"),
    "together_ai": _chat("https://api.together.xyz/v1", "TOGETHER_AI_API_BASE"),
    "deepseek": _chat("https://api.deepseek.com", "DEEPSEEK_API_BASE"),
    "mistral": _chat("https://api.mistral.ai/v1", "MISTRAL_API_BASE"),
    "xai": _chat("https://api.x.ai/v1", "XAI_API_BASE"),
    "fireworks_ai": _chat("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_BASE"),
    "deepinfra": _chat("https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_BASE"),
    "cerebras": _chat("https://api.cerebras.ai/v1", "CEREBRAS_API_BASE"),
    "moonshot": _chat("https://api.moonshot.ai/v1", "MOONSHOT_API_BASE"),
    "ollama_chat": _chat("http://localhost:11434/v1"),
    "hosted_vllm": _chat("http://localhost:8000/v1", "HOSTED_VLLM_API_BASE"),
    "llamafile": _chat("http://localhost:8080/v1", "LLAMAFILE_API_BASE"),
    "lm_studio": _chat("http://localhost:1234/v1", "LM_STUDIO_API_BASE"),
    "anthropic": Place("anthropic", "https://api.anthropic.com", ("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL")),
    "gemini": Place("gemini", "https://generativelanguage.googleapis.com/v1beta", ("GEMINI_API_BASE",)),
}
"""Sources: the providers' own API references. LiteLLM's names of providers are kept, they stand in the catalog."""
AZURE_VERSION = "2024-10-21"
"""Azure's newest version of the chat interface that is not a preview."""
_OTHER_API = re.compile(r"(?:o\d|gpt-\d[\w.]*)-pro|codex|deep-research|computer-use|search-api|audio|realtime")
"""Names of OpenAI's that are served by another interface than chat completions, or answer with more than text."""
_PASSED = {
    "openai": frozenset((*SAMPLING, *SERVERS)) - {"stop_sequences", "topP", "topK"},
    "anthropic": frozenset(("stop_sequences", "top_k", "top_p")),
    "gemini": frozenset(("seed", "topK", "topP")),
}
"""What the catalog may add to each call of a wire. With anything else the model is left to LiteLLM, which may know it."""
_NOT_SENT = frozenset(("instruction",))


def target_of(model: Model) -> Target | None:
    """Where a model's calls go; None when no wire of ours serves it."""
    provider, _, name = model.litellm_model.partition("/")
    place = PLACES.get(provider)
    params = {key: value for key, value in model.params.items() if key not in _NOT_SENT}
    if place is None or not name or not params.keys() <= _PASSED[place.wire]:
        return None
    if provider in ("openai", "azure") and _OTHER_API.search(name):
        return None
    base = model.api_base or next((os.environ[v] for v in place.variables if os.environ.get(v)), place.base)
    base = base.strip().rstrip("/")
    if not base:
        return None
    if provider == "azure":
        version = os.environ.get("AZURE_API_VERSION") or AZURE_VERSION
        root = base if "/openai" in base else f"{base}/openai/deployments/{name}"
        return Target("openai", provider, name, f"{root}/chat/completions?api-version={version}", params, "api-key", "")
    return Target(place.wire, provider, name, _address(place.wire, base, name), params)


def _address(wire: str, base: str, name: str) -> str:
    """The full address; a base that has its end already is taken as it is."""
    if wire == "gemini":
        return f"{base}/models/{name}"
    end = "/chat/completions" if wire == "openai" else "/v1/messages"
    if base.endswith(end):
        return base
    return base + (end.removeprefix("/v1") if base.endswith("/v1") else end)
