"""Where a catalog's name leads: which names, addresses and key variables can be kept, and what protocol is spoken."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from nexscout_cli.errors import UsageError
from nexscout_cli.terms import MODES

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._:/-]{0,62}[A-Za-z0-9])?")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,99}")
_KEY = re.compile(r"(?:sk|pk|rk|gsk|hf|xai|pplx|key|ghp|r8|nvapi)[-_]|AIza\w{10,}|AKIA[A-Z0-9]{8,}|(?=.*-)\S{20,}")
_SPEAK_OPENAI = ("openai", "hosted_vllm", "lm_studio", "llamafile", "litellm_proxy", "custom_openai", "openai_like")
_NO_KEY = (
    "embedded",
    "ollama",
    "ollama_chat",
    "hosted_vllm",
    "lm_studio",
    "llamafile",
    "vertex_ai",
    "bedrock",
    "sagemaker",
)


def check_name(name: str) -> None:
    """Raises UsageError unless a model can have that name.

    1 to 64 letters, digits and ``. _ - : /``, with a letter or digit at each end; no mode's name.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name[:80]!r} cannot be a model's name",
            "1 to 64 letters, digits and . _ - : / with a letter or digit at each end",
        )
    if name in (*MODES, "panic"):
        raise UsageError(f"{name} is a mode, so no model can be called that", "choose another name")


def check_target(target: str) -> str:
    """A ``litellm_model`` that can be kept. Raises UsageError."""
    if (
        not target
        or len(target) > 200
        or not target.isprintable()
        or " " in target
        or target[0] in "/-"
        or target[-1] == "/"
    ):
        raise UsageError(f"{target[:80]!r} is not the name of a LiteLLM model", "for instance openai/gpt-4o-mini")
    return target


def check_base(address: str) -> str:
    """An address that can be kept, without a slash at its end; "" for none. Raises UsageError, repeating no secret."""
    if address.strip().lower() in ("", "none"):
        return ""
    example = "for instance http://127.0.0.1:8080/v1"
    if not address.isprintable() or " " in address:
        raise UsageError("--api-base has a space or a control character in it", example)
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise UsageError("--api-base is not an address", example) from error
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise UsageError(
            "--api-base may hold no credentials: keys are never stored",
            "put the key in a variable and name it with --api-key-env",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise UsageError("--api-base is an http or https address with a host", example)
    if parts.query or parts.fragment:
        raise UsageError("--api-base may have no ? and no #", example)
    return address.rstrip("/")


def check_variable(name: str) -> str:
    """The name of an environment variable; "" for none. Raises UsageError, and never repeats what may be a key."""
    if name.strip().lower() in ("", "none"):
        return ""
    if _KEY.match(name):
        raise UsageError(
            "--api-key-env takes the NAME of a variable, and this looks like a key itself; keys are never stored",
            "export OPENAI_API_KEY=…, then --api-key-env OPENAI_API_KEY (and change a key that was typed in the open)",
        )
    if not _VARIABLE.fullmatch(name):
        raise UsageError(
            "--api-key-env takes the NAME of an environment variable: capitals, digits and _",
            "for instance --api-key-env OPENAI_API_KEY; none for a server that needs no key",
        )
    return name


def looks_like_key(text: str) -> bool:
    """Whether a text looks like a key, which may not be repeated."""
    return _KEY.match(text) is not None


def provider(target: str) -> str:
    """The provider a target names; "" for one without a prefix."""
    return target.partition("/")[0] if "/" in target else ""


def owner(target: str) -> str:
    """A target's provider, also of one that does not name it."""
    if "/" in target:
        return provider(target)
    return "anthropic" if target.startswith("claude") else "gemini" if target.startswith("gemini") else "openai"


def bare(target: str) -> str:
    """A target without its provider: the name that a server sees."""
    return target.partition("/")[2] or target


def openai_target(target: str) -> bool:
    """Whether calls of that target speak OpenAI's protocol already."""
    return provider(target) in ("", *_SPEAK_OPENAI)


def speaks_openai(address: str) -> bool:
    """Whether an address looks like an OpenAI-compatible server's: its path ends in /v1."""
    return urlsplit(address).path.rstrip("/").endswith("/v1")


def key_variable(target: str) -> str:
    """The variable that providers of that target read their key from; "" for those that need none."""
    name = owner(target)
    if name in _NO_KEY:
        return ""
    return re.sub(r"\W", "_", name).upper() + "_API_KEY"
