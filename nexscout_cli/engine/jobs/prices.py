"""What a model costs in a batch: by the table of prices where it has that, else the published half. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.engine.usage import FEES, INPUT, SPECIAL

if TYPE_CHECKING:
    from nexscout_cli.engine.model import Model

_CACHE_HALVED_TOO = ("anthropic/", "gemini/")
"""Targets where a token of the cache costs half as well in a batch. Elsewhere it costs what it does outside of one, if that is
less than a plain token in the batch. Sources: the providers' pages on prices and on batches.
"""


def in_a_batch(model: Model, listed: dict[str, int] | None = None) -> Model:
    """The model with its prices in a batch.

    ``listed``: prices by class in a batch (pico-dollars), where a table has them beside the very prices that the model has.
    What it does not have costs half, rounded up to the pico-dollar. A batch goes to the model's own target, whatever
    deployments it has.
    """
    known = listed or {}
    given, taken = known.get("input", _half(model.price_in)), known.get("output", _half(model.price_out))
    halved = model.litellm_model.startswith(_CACHE_HALVED_TOO)
    prices = {name: price for name, price in model.class_prices.items() if name in FEES}
    prices |= {"default_input": model.price_in, "default_output": model.price_out}
    for name in SPECIAL:
        here = model.class_prices.get(name)
        full, plain = (model.price_in, given) if name in INPUT else (model.price_out, taken)
        if name in known:
            prices[name] = known[name]
        elif here is not None:
            prices[name] = _half(here) if halved or here > full else min(here, plain)
    return model._replace(price_in=given, price_out=taken, class_prices=prices, deployments=())


def _half(price: int) -> int:
    return -(-price // 2)
