"""The catalog's prices beside those of a table of prices. Prices are pico-dollars per token.

What such a table says comes in as a function: the engine reads none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from nexscout_cli.engine.model import Model
from nexscout_cli.engine.usage import FEES


class Listed(Protocol):
    """What a table of prices says of a model; the window holds as far as its prices do when it is ``tiered``."""

    @property
    def name(self) -> str:
        """Its name in the table."""

    @property
    def provider(self) -> str:
        """Whose model it is, as the table says."""

    @property
    def mode(self) -> str:
        """chat, completion, embedding and so on."""

    @property
    def price_in(self) -> int:
        """Pico-dollars per input token."""

    @property
    def price_out(self) -> int:
        """Pico-dollars per output token."""

    @property
    def max_input_tokens(self) -> int | None:
        """The context window."""

    @property
    def max_output_tokens(self) -> int | None:
        """The longest answer."""

    @property
    def class_prices(self) -> dict[str, int]:
        """Prices of special classes of tokens, and fees."""

    @property
    def batch(self) -> dict[str, int]:
        """Prices by class in a batch that is answered later, as far as there are any."""

    @property
    def reasons(self) -> bool:
        """Whether it can think before it answers."""

    @property
    def abilities(self) -> tuple[str, ...] | None:
        """What it can do beside text; None where that is not known."""

    @property
    def unbounded_by(self) -> tuple[str, ...]:
        """Entries of the table that charge for what no price bounds."""

    @property
    def tiered(self) -> bool:
        """Whether the two prices do not bound every call."""

    @property
    def flat_input_tokens(self) -> int | None:
        """How many input tokens the prices hold up to, where that is all that stands in the way."""


Lookup = Callable[[str], Listed | None]
"""What a table of prices says of a target (a ``litellm_model``); None for one that is not in it."""


class Difference(NamedTuple):
    """A model beside its provider's price and window. ``status``: same, differs, unknown (not in the table),
    unbounded (no two prices bound its calls), own_server or embedded. ``window`` is None where the table has none.
    """

    model: Model
    status: str
    price_in: int | None = None
    price_out: int | None = None
    window: int | None = None
    class_prices: dict[str, int] = {}  # noqa: RUF012 - never changed
    max_output: int | None = None
    reasons: bool = False
    abilities: tuple[str, ...] | None = None
    applied: bool = False

    def adopted(self) -> Model | None:
        """The model with its provider's price and window; None where there is nothing to adopt.

        A provider's price of 0 is never adopted: that a model is free is for an admin to say.
        """
        if self.status != "differs" or not self.price_in or not self.price_out:
            return None
        return self.model._replace(
            price_in=self.price_in,
            price_out=self.price_out,
            max_tokens=self.window or self.model.max_tokens,
            class_prices=self.class_prices,
            max_output=self.max_output or self.model.max_output,
            reasons=self.reasons,
            abilities=self.abilities,
        )


def window(listed: Listed) -> int | None:
    """The table's context window, cut to where dearer rates begin."""
    bounds = [n for n in (listed.max_input_tokens, listed.flat_input_tokens if listed.tiered else None) if n]
    return min(bounds, default=None)


def difference(model: Model, lookup: Lookup) -> Difference:
    """A model's price and window beside the table's."""
    if model.embedded:
        return Difference(model, "embedded")
    if model.api_base is not None:
        return Difference(model, "own_server")
    listed = lookup(model.litellm_model)
    if listed is None:
        return Difference(model, "unknown")
    if listed.tiered and listed.flat_input_tokens is None:
        return Difference(model, "unbounded")
    there = window(listed)
    found = Difference(
        model,
        "differs",
        listed.price_in,
        listed.price_out,
        there,
        listed.class_prices,
        listed.max_output_tokens,
        listed.reasons,
        listed.abilities,
    )
    return found._replace(status="same") if _is_same(found) else found


def _is_same(found: Difference) -> bool:
    """Whether nothing of a call's price or size is different, and it is known what the model can do.

    A search is only charged for where one is asked for.
    """
    model = found.model
    if model.abilities is None and found.abilities is not None:
        return False
    here = (model.price_in, model.price_out, model.max_tokens, model.max_output, _of_tokens(model.class_prices))
    there = (found.price_in, found.price_out, found.window or model.max_tokens, found.max_output or model.max_output)
    return here == (*there, _of_tokens(found.class_prices))


def _of_tokens(prices: dict[str, int]) -> dict[str, int]:
    return {name: price for name, price in prices.items() if name not in FEES}


def notes(model: Model, lookup: Lookup) -> list[str]:
    """What a reader of the catalog should know of a model, each in a few words."""
    if model.retired:
        return ["retired"]
    found = difference(model, lookup)
    if found.status == "differs" and (found.price_in, found.price_out) != (model.price_in, model.price_out):
        return ["price differs from its provider's"]
    words = {
        "unknown": "not in LiteLLM's table",
        "unbounded": "its provider's price is not bounded",
        "own_server": "own server",
    }
    return [words[found.status]] if found.status in words else []
