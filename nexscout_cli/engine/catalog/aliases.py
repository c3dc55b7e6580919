"""Short names for models: a request that names one asks for its model, as if it had named that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.config import Settings

if TYPE_CHECKING:
    from nexscout_cli.engine.request import AIRequest


def in_full(request: AIRequest, settings: Settings) -> AIRequest:
    """The request in its one form, its model by the catalog's name where it named it by an alias."""
    request = request.settled
    name = request.options.force_model
    if name is None:
        return request
    for entry in settings["models.aliases"]:
        alias, _, model = entry.partition("=")
        if alias == name:
            return request._replace(options=request.options._replace(force_model=model))
    return request
