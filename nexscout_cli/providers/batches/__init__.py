"""The batch interfaces of providers: many calls handed over at once, answered within a day, at a discount."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from nexscout_cli.providers.wires.targets import target_of

if TYPE_CHECKING:
    from nexscout_cli.engine.jobs.remote import Remote
    from nexscout_cli.engine.model import Model

_INTERFACES = {"openai": "OpenAIBatches", "anthropic": "AnthropicBatches", "gemini": "GeminiBatches"}
"""By provider. Others that speak OpenAI's chat completions have batches of their own prices and limits: they are not here."""


def remote(model: Model) -> Remote | None:
    """The batch interface that serves a model; None where there is none."""
    target = None if model.embedded else target_of(model)
    if target is None or target.provider not in _INTERFACES:
        return None
    module = import_module(f"nexscout_cli.providers.batches.{target.provider}")
    found: Remote = getattr(module, _INTERFACES[target.provider])()
    return found
