"""A model of the catalog: what it costs, how good it is, where it is reached."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.engine.usage import Rates, Tokens

if TYPE_CHECKING:
    from nexscout_cli.engine.deployment import Deployment
    from nexscout_cli.engine.request import Json

EMBEDDED_PREFIX = "embedded/"
_OPENAI_THINKER = re.compile(r"(?:openai|azure)/(?:o\d|gpt-(?:[5-9]|\d\d))(?!.*chat)")
"""Targets of OpenAI's that think: their bound has another name, and they take no temperature but 1 (OpenAI's API reference)."""
ABILITIES = ("tools", "images", "schema")
"""What a model may be able to do beside text: call functions, look at pictures, answer in the form of a JSON schema."""
_VERSION = re.compile(r"(?:[-@:](?:\d[\d.]*|v\d+|latest|preview))+")


class Model(NamedTuple):
    """A row of the catalog. Prices in pico-dollars per token; ``max_tokens`` is the context window; quality and speed in 0..1.

    ``class_prices``: what special classes of tokens cost, and fees (see :class:`~nexscout_cli.engine.usage.Rates`).
    ``max_output``: the longest answer that the model can give, in tokens; None where it is not known.
    ``reasons``: whether it can think before it answers. ``abilities``: which of :data:`ABILITIES` it has; None where that is
    not known. ``refused_options``: what its provider has refused of a call's options, by their names there; they are not sent
    there again. What was refused at a deployment with a target of its own stands as ``eu: seed``. ``deployments``: the places
    where it is served; none: where its own target says.
    """

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
    class_prices: dict[str, int] = {}  # noqa: RUF012 - never changed
    max_output: int | None = None
    reasons: bool = False
    abilities: tuple[str, ...] | None = None
    refused_options: tuple[str, ...] = ()
    deployments: tuple[Deployment, ...] = ()

    @property
    def free(self) -> bool:
        """True when no call to it can cost anything."""
        return not any(place.price_in or place.price_out or any(place.class_prices.values()) for place in self.places)

    @property
    def places(self) -> tuple[Model, ...]:
        """The model as it is called at each of its deployments; itself where it has none."""
        return tuple(self.at(place) for place in self.deployments) or (self,)

    def at(self, place: Deployment) -> Model:
        """The model as it is called at one deployment, at the prices there."""
        here = self._replace(deployments=(), refused_options=self._refused_at(place))
        if place.target is not None:
            here = here._replace(litellm_model=place.target, api_base=place.api_base, api_key_env=place.api_key_env)
        if place.price_in is None or place.price_out is None:
            return here
        return here._replace(price_in=place.price_in, price_out=place.price_out, class_prices=place.class_prices)

    def called(self, deployment: str | None) -> Model:
        """The model as it is called at the deployment of that name; itself for None."""
        found = next((place for place in self.deployments if place.name == deployment), None)
        return self if found is None else self.at(found)

    def refused(self, deployment: str | None, options: tuple[str, ...]) -> tuple[str, ...]:
        """Options that were refused at a deployment (None: at its own target), as they are remembered."""
        place = next((one for one in self.deployments if one.name == deployment), None)
        return options if place is None or place.target is None else tuple(f"{place.name}: {name}" for name in options)

    def forgetting(self, deployment: str) -> Model:
        """The model without what was refused at that deployment, which is now elsewhere or nowhere."""
        left = tuple(name for name in self.refused_options if not name.startswith(f"{deployment}: "))
        return self._replace(refused_options=left)

    def forgetting_own(self) -> Model:
        """The model without what was refused at its own target, which is now elsewhere."""
        return self._replace(refused_options=tuple(name for name in self.refused_options if ": " in name))

    def _refused_at(self, place: Deployment) -> tuple[str, ...]:
        if place.target is None:
            return tuple(name for name in self.refused_options if ": " not in name)
        mark = f"{place.name}: "
        return tuple(name.removeprefix(mark) for name in self.refused_options if name.startswith(mark))

    @property
    def embedded(self) -> bool:
        """True for a model that runs in this process."""
        return self.litellm_model.startswith(EMBEDDED_PREFIX)

    @property
    def instruction(self) -> str | None:
        """An instruction the catalog adds to every call of this model."""
        return self.params.get("instruction")

    @property
    def openai_thinker(self) -> bool:
        """True for OpenAI's models that think: their bound has another name, and they take no temperature but 1."""
        return _OPENAI_THINKER.match(self.litellm_model) is not None

    def takes_temperature(self, temperature: float, *, thinking: bool) -> bool:
        """Whether a call may set that temperature; Anthropic's take none while they think."""
        if "temperature" in self.refused_options or (self.litellm_model.startswith("anthropic/") and thinking):
            return False
        return temperature == 1 or not self.openai_thinker

    @property
    def bound_name(self) -> str:
        """What OpenAI's chat completions call the bound on this model's answer."""
        thinks = self.openai_thinker or "max_tokens" in self.refused_options
        return (
            "max_completion_tokens" if thinks and "max_completion_tokens" not in self.refused_options else "max_tokens"
        )

    @property
    def rates(self) -> Rates:
        """What its tokens cost, by class."""
        return Rates(self.price_in, self.price_out, self.class_prices)

    def at_tier(self, tier: str) -> Model | None:
        """The model with its prices in another service tier; None where they are not known."""
        rates = self.rates.at(tier)
        if rates is None:
            return None
        places = []
        for place in self.deployments:
            there = self.at(place).rates.at(tier)
            if there is None:
                continue
            places.append(place._replace(price_in=there.input, price_out=there.output, class_prices=there.special))
        if self.deployments and not places:
            return None
        return self._replace(
            price_in=rates.input, price_out=rates.output, class_prices=rates.special, deployments=tuple(places)
        )

    def cost(self, input_tokens: int, output_tokens: int) -> int:
        """Nano-dollars for that many plain tokens, rounded up."""
        return self.rates.expected(input_tokens, output_tokens)

    def most(self, input_tokens: int, output_tokens: int, *, hour: bool = False) -> int:
        """Nano-dollars that so many tokens can cost at most, whatever class each turns out to be. ``hour``: the call asks that
        its input be kept for an hour.
        """
        dearest = self.dearest
        if hour:
            kept = max(one.rates.of("cache_write_1h") for one in self.places)
            dearest = Rates(max(dearest.dearest_in, kept), dearest.dearest_out, {"request": dearest.request_fee})
        return dearest.most(input_tokens, output_tokens)

    @property
    def dearest(self) -> Rates:
        """What its tokens cost at most, at whichever of its deployments."""
        if not self.deployments:
            return self.rates
        rates = [place.rates for place in self.places]
        fee = max(one.request_fee for one in rates)
        return Rates(max(one.dearest_in for one in rates), max(one.dearest_out for one in rates), {"request": fee})

    def cost_of(self, used: Tokens) -> int:
        """Nano-dollars for what was used, by class."""
        return self.rates.cost(used)


def is_version(name: str, family: str) -> bool:
    """Whether a model's name is the family's name with a version or a date behind it."""
    return name.startswith(family) and _VERSION.fullmatch(name, len(family)) is not None
