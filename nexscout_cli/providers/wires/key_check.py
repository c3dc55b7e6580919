"""Whether a provider takes a key: it is asked for its list of models, which costs nothing."""

from __future__ import annotations

from typing import NamedTuple

from nexscout_cli import provider_keys
from nexscout_cli.engine.model import Model
from nexscout_cli.providers.failing import error_text
from nexscout_cli.providers.wires.anthropic import VERSION
from nexscout_cli.providers.wires.reader import ERROR_LIMIT
from nexscout_cli.providers.wires.request import HttpRequest
from nexscout_cli.providers.wires.targets import Target, target_of

TIMEOUT = 10.0
"""Seconds that the list may take."""


class KeyCheck(NamedTuple):
    """What came of a check: ``verdict`` taken, refused or unsure, and why in a few words."""

    verdict: str
    why: str


def check_key(model: Model) -> KeyCheck:
    """Ask the model's provider whether it takes the key in the model's variable. Never raises; shows no key."""
    from nexscout_cli.providers.transport import Exchange, send

    key = provider_keys.key_of(model.api_key_env or "")
    target = target_of(model)
    request = None if target is None else list_request(target, key)
    if request is None:
        return KeyCheck("unsure", "this provider's list of models is not known here")
    try:
        with send(request, Exchange(TIMEOUT, TIMEOUT)) as (status, _, body):
            found, size = [], 0
            for part in body:
                found.append(part)
                size += len(part)
                if size > ERROR_LIMIT:
                    break
    except Exception as error:  # noqa: BLE001 - whatever goes wrong, nothing is known of the key
        return KeyCheck("unsure", f"no answer: {str(error).replace(key, '***') if key else error}"[:160])
    if status in (401, 403):
        why = error_text(b"".join(found)[:ERROR_LIMIT])
        return KeyCheck("refused", f"{status}: {why.replace(key, '***') if key else why}"[:160])
    if status == 200:
        return KeyCheck("taken", "the provider listed its models")
    return KeyCheck("unsure", f"the provider answered with {status}")


def list_request(target: Target, key: str) -> HttpRequest | None:
    """The request for a provider's list of models; None where there is none that needs the key alone."""
    if target.provider == "azure":
        return None
    if target.wire == "anthropic":
        url, headers = (
            target.url.removesuffix("/messages") + "/models",
            (("x-api-key", key), ("anthropic-version", VERSION)),
        )
        return HttpRequest(url, headers, b"", "GET")
    if target.wire == "gemini":
        return HttpRequest(target.url.rpartition("/")[0], (("x-goog-api-key", key),), b"", "GET")
    url = target.url.removesuffix("/chat/completions") + "/models"
    return HttpRequest(url, ((target.key_header, f"{target.key_prefix}{key}"),), b"", "GET")
