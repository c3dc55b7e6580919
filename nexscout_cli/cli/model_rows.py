"""Models as rows: for JSON, and for people."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from nexscout_cli import config
from nexscout_cli.engine.catalog.comparison import Difference, Listed, notes
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.money import usd
from nexscout_cli.engine.usage import FEES
from nexscout_cli.errors import StoreError


def lookup(target: str) -> Listed | None:
    """What LiteLLM's table says of a model."""
    from nexscout_cli.providers import prices

    return prices.lookup(target)


def described(found: tuple[Model, ...]) -> list[dict[str, Any]]:
    """Models as rows: every column, whether they can be called, and notes."""
    from nexscout_cli.engine.routing.estimates import needless
    from nexscout_cli.engine.world import availability
    from nexscout_cli.providers import Providers

    available, missing = availability(found, Providers(config.data_dir()))
    dominated = needless([m for m in found if m.enabled])
    return [
        {
            "model": m.name,
            "litellm_model": m.litellm_model,
            "type": m.type,
            "input_price_per_1k": usd(m.price_in),
            "output_price_per_1k": usd(m.price_out),
            "class_prices_per_1k": {name: usd(pico) for name, pico in m.class_prices.items() if name not in FEES},
            "fees": {name: usd(m.class_prices[name]) for name in FEES if name in m.class_prices},
            "max_tokens": m.max_tokens,
            "max_output": m.max_output,
            "thinks": m.reasons,
            "can": None if m.abilities is None else list(m.abilities),
            "refused_options": list(m.refused_options),
            "quality": m.quality,
            "speed": m.speed,
            "best_for": m.best_for,
            "enabled": m.enabled,
            "retired": m.retired,
            "available": m.name in available,
            "missing": missing.get(m.name),
            "dominated": dominated[m.name]._asdict() if m.name in dominated else None,
            "notes": _notes(m),
            "api_base": m.api_base,
            "api_key_env": m.api_key_env,
            "params": m.params,
            "deployments": [place.name for place in m.deployments],
        }
        for m in found
    ]


def _notes(model: Model) -> list[str]:
    try:
        return notes(model, lookup)
    except StoreError as error:
        return [error.message]


def difference(one: Difference) -> dict[str, Any]:
    """A comparison as a row; prices in dollars per 1,000 tokens."""
    model, (there_in, there_out) = one.model, (None if p is None else usd(p) for p in (one.price_in, one.price_out))
    return {
        "model": model.name,
        "litellm_model": model.litellm_model,
        "status": one.status,
        "input_price_per_1k": usd(model.price_in),
        "provider_input_price_per_1k": there_in,
        "output_price_per_1k": usd(model.price_out),
        "provider_output_price_per_1k": there_out,
        "max_tokens": model.max_tokens,
        "provider_max_tokens": one.window,
        "applied": one.applied,
    }


def beside(row: dict[str, Any], name: str) -> str:
    """A model's value, and its provider's where that is another."""
    show = price if "price" in name else "{:,}".format
    here, there = row[name], row[f"provider_{name}"]
    return show(here) if there is None or there == here else f"{show(here)} → {show(there)}"


def price(amount: Any) -> str:
    """Dollars per 1,000 tokens with as many decimals as it has, five at least."""
    whole, _, decimals = f"{amount:f}".partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(5, '0')}"


def text(value: Any) -> str:
    """Any value as a person reads it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value in ([], {}):
        return "-"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, dict) and all(isinstance(one, Decimal) for one in value.values()):
        return ", ".join(f"{name.replace('_', ' ')} {price(one)}" for name, one in value.items())
    return "; ".join(value) if isinstance(value, list) else str(value)
