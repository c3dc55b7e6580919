"""A model of the catalog: what it costs, how good it is, where it is reached."""

from __future__ import annotations

import re
from typing import NamedTuple

from nexscout_cli.engine.money import cost
from nexscout_cli.engine.request import Json

EMBEDDED_PREFIX = "embedded/"
_VERSION = re.compile(r"(?:[-@:](?:\d[\d.:-]*|v\d[\d:]*|latest|preview))+")


class Model(NamedTuple):
    """A row of the catalog. Prices in pico-dollars per token; ``max_tokens`` is the context window; quality and speed in 0..1."""

    name: str
    litellm_model: str
    type: str
    price_in: int
    price_out: int
    max_tokens: int
    quality: float
    speed: float
    best_for: str
    enabled: bool
    retired: bool
    api_base: str | None
    api_key_env: str | None
    params: dict[str, Json]

    @property
    def free(self) -> bool:
        """True when no call to it can cost anything."""
        return self.price_in == 0 and self.price_out == 0

    @property
    def embedded(self) -> bool:
        """True for a model that runs in this process."""
        return self.litellm_model.startswith(EMBEDDED_PREFIX)

    @property
    def instruction(self) -> str | None:
        """An instruction the catalog adds to every call of this model."""
        return self.params.get("instruction")

    def cost(self, input_tokens: int, output_tokens: int) -> int:
        """Nano-dollars for that many tokens, rounded up."""
        return cost(input_tokens, output_tokens, self.price_in, self.price_out)


def is_version(name: str, family: str) -> bool:
    """Whether a model's name is the family's name with a version or a date behind it."""
    return name.startswith(family) and _VERSION.fullmatch(name, len(family)) is not None
