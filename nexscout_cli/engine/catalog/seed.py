"""The models that a new database has: the first document's six and the embedded one."""

from __future__ import annotations

from typing import Any

from nexscout_cli.engine.model import ABILITIES, EMBEDDED_PREFIX, Model
from nexscout_cli.engine.money import price_per_1k

EMBEDDED = "smollm2-135m"
THINK = "Think the problem through step by step before you answer, then give only the answer."

_SEED: tuple[tuple[Any, ...], ...] = (
    # model, litellm_model, type, $/1k in, $/1k out, window, quality, speed, best for, retired, key, params
    (
        "gpt-4o-mini",
        "openai/gpt-4o-mini",
        "small",
        "0.00015",
        "0.0006",
        128_000,
        0.70,
        0.95,
        "simple messages, chat",
        0,
        "OPENAI_API_KEY",
        {},
    ),
    (
        "gpt-4o",
        "openai/gpt-4o",
        "large",
        "0.0025",
        "0.01",
        128_000,
        0.95,
        0.80,
        "pitch decks, deep analysis",
        0,
        "OPENAI_API_KEY",
        {},
    ),
    (
        "gpt-4o-mini-high",
        "openai/gpt-4o-mini",
        "medium",
        "0.0003",
        "0.0012",
        128_000,
        0.85,
        0.90,
        "sequences, objections",
        0,
        "OPENAI_API_KEY",
        {"instruction": THINK},
    ),
    (
        "claude-3-haiku",
        "anthropic/claude-3-haiku-20240307",
        "small",
        "0.00025",
        "0.00125",
        200_000,
        0.75,
        0.95,
        "quick tasks",
        1,
        "ANTHROPIC_API_KEY",
        {},
    ),
    (
        "claude-3-sonnet",
        "anthropic/claude-3-sonnet-20240229",
        "medium",
        "0.003",
        "0.015",
        200_000,
        0.90,
        0.85,
        "analysis, coaching",
        1,
        "ANTHROPIC_API_KEY",
        {},
    ),
    (
        "claude-3-opus",
        "anthropic/claude-3-opus-20240229",
        "xl",
        "0.015",
        "0.075",
        200_000,
        0.98,
        0.70,
        "strategic, complex",
        1,
        "ANTHROPIC_API_KEY",
        {},
    ),
    (
        EMBEDDED,
        EMBEDDED_PREFIX + "SmolLM2-135M-Instruct",
        "small",
        "0",
        "0",
        8_192,
        0.20,
        0.50,
        "no key, no cost",
        0,
        None,
        {"max_answer_tokens": 512},
    ),
)


_CLASS_PRICES = {
    "openai/gpt-4o-mini": {
        "cached": 75_000,
        "priority_input": 250_000,
        "priority_output": 1_000_000,
        "priority_cached": 125_000,
    },
    "openai/gpt-4o": {
        "cached": 1_250_000,
        "priority_input": 4_250_000,
        "priority_output": 17_000_000,
        "priority_cached": 2_125_000,
    },
    "anthropic/claude-3-haiku-20240307": {"cached": 30_000, "cache_write": 300_000, "cache_write_1h": 500_000},
    "anthropic/claude-3-sonnet-20240229": {"cached": 300_000, "cache_write": 3_750_000, "cache_write_1h": 6_000_000},
    "anthropic/claude-3-opus-20240229": {"cached": 1_500_000, "cache_write": 18_750_000, "cache_write_1h": 30_000_000},
}
"""Pico-dollars per token of special classes, and in other service tiers. Sources: the providers' pages on prices."""
_PLAIN = {"openai/gpt-4o-mini": "0.00015"}
"""What a target really costs, where a name of it has another price."""
_MAX_OUTPUT = {"openai": 16_384, "anthropic": 4_096}
"""The longest answer of these models, by provider."""


def seeded() -> list[Model]:
    """The seed's six models and the embedded one, as a new database has them."""
    return [
        Model(
            name,
            target,
            kind,
            price_per_1k(p_in),
            price_per_1k(p_out),
            window,
            quality,
            speed,
            best_for,
            True,
            bool(retired),
            None,
            key,
            dict(params),
            # gpt-4o-mini-high has twice the price of the model that it calls: so has each class.
            {
                part: price * price_per_1k(p_in) // price_per_1k(_PLAIN.get(target, p_in))
                for part, price in _CLASS_PRICES.get(target, {}).items()
            },
            _MAX_OUTPUT.get(target.partition("/")[0]),
            abilities=() if target.startswith(EMBEDDED_PREFIX) else ABILITIES,
        )
        for name, target, kind, p_in, p_out, window, quality, speed, best_for, retired, key, params in _SEED
    ]
