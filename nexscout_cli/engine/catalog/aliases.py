"""Short names for models: a request that names one asks for its model, as if it had named that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.config import Settings

if TYPE_CHECKING:
    from nexscout_cli.engine.request import AIRequest


def model_named(name: str, settings: Settings) -> str:
    """The model that a name stands for: an alias's, or the name itself."""
    for entry in settings["models.aliases"]:
        alias, _, model = entry.partition("=")
        if alias == name:
            return str(model)
    return name


def in_full(request: AIRequest, settings: Settings) -> AIRequest:
    """The request in its one form, its model by the catalog's name where it named it by an alias."""
    request = request.settled
    name = request.options.force_model
    model = None if name is None else model_named(name, settings)
    return request if model == name else request._replace(options=request.options._replace(force_model=model))
