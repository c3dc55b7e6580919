"""The catalog: which models there are, what they cost, where they are reached."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from nexscout_cli.engine.model import EMBEDDED_PREFIX, Model
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

COLUMNS = (
    "model",
    "litellm_model",
    "type",
    "input_price",
    "output_price",
    "max_tokens",
    "quality",
    "speed",
    "best_for",
    "enabled",
    "retired",
    "api_base",
    "api_key_env",
    "params",
)


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
        )
        for name, target, kind, p_in, p_out, window, quality, speed, best_for, retired, key, params in _SEED
    ]


def seed(c: sqlite3.Connection) -> int:
    """Write the seeded models that are missing; returns how many were."""
    have = {row[0] for row in c.execute("SELECT model FROM ai_model_configs")}
    missing = [model for model in seeded() if model.name not in have]
    for model in missing:
        put(c, model)
    return len(missing)


def put(c: sqlite3.Connection, model: Model) -> None:
    """Insert or replace a model."""
    values = {
        "model": model.name,
        "input_price": model.price_in,
        "output_price": model.price_out,
        "enabled": int(model.enabled),
        "retired": int(model.retired),
        "params": json.dumps(model.params),
    }
    row = [values.get(column, getattr(model, column, None)) for column in COLUMNS]
    updates = ", ".join(f"{column} = excluded.{column}" for column in COLUMNS[1:])
    c.execute(
        f"INSERT INTO ai_model_configs ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))}) "
        f"ON CONFLICT (model) DO UPDATE SET {updates}",
        row,
    )


def read(c: sqlite3.Connection) -> tuple[Model, ...]:
    """The whole catalog, dearest last."""
    rows = c.execute(f"SELECT {', '.join(COLUMNS)} FROM ai_model_configs ORDER BY output_price, model").fetchall()
    return tuple(
        Model._make(
            (
                *row[:9],
                bool(row["enabled"]),
                bool(row["retired"]),
                row["api_base"],
                row["api_key_env"],
                json.loads(row["params"]),
            )
        )
        for row in rows
    )
