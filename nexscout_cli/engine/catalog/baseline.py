"""The model that savings are counted against."""

from __future__ import annotations

from nexscout_cli.config import Settings
from nexscout_cli.engine.model import Model

_DEFAULT = "gpt-4o"


def baseline_model(models: tuple[Model, ...], settings: Settings) -> Model:
    """The model that savings are counted against: ``report.baseline``, or gpt-4o as seeded where that is not in the catalog."""
    name = settings["report.baseline"]
    known = next((model for model in models if model.name == name), None)
    if known is not None:
        return known
    from nexscout_cli.engine.catalog.seed import seeded

    return next(model for model in seeded() if model.name == _DEFAULT)
