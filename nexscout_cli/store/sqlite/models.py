"""Rows of the model catalog."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from nexscout_cli.engine.model import Model

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from nexscout_cli.engine.deployment import Deployment
    from nexscout_cli.store.sqlite.transaction import Transaction

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
    "class_prices",
    "max_output",
    "reasons",
    "abilities",
    "refused_options",
)


def add_missing(t: Transaction, models: Iterable[Model]) -> list[str]:
    """Write the models whose names are not in the catalog yet; returns those names."""
    have = {row[0] for row in t.execute("SELECT model FROM ai_model_configs")}
    missing = [model for model in models if model.name not in have]
    for model in missing:
        put(t, model)
    return [model.name for model in missing]


def put(t: Transaction, model: Model) -> None:
    """Insert or replace a model, with its deployments."""
    values = {
        "model": model.name,
        "input_price": model.price_in,
        "output_price": model.price_out,
        "enabled": int(model.enabled),
        "retired": int(model.retired),
        "params": json.dumps(model.params),
        "class_prices": json.dumps(model.class_prices),
        "reasons": int(model.reasons),
        "abilities": None if model.abilities is None else json.dumps(model.abilities),
        "refused_options": json.dumps(model.refused_options),
    }
    row = {column: values.get(column, getattr(model, column, None)) for column in COLUMNS}
    if t.by_function("put_model", row, t.actor) is None:
        updates = ", ".join(f"{column} = excluded.{column}" for column in COLUMNS[1:])
        t.execute(
            f"INSERT INTO ai_model_configs ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))}) "
            f"ON CONFLICT (model) DO UPDATE SET {updates}",
            [*row.values()],
        )
    from nexscout_cli.store.sqlite import deployments

    deployments.put(t, model)


def remember_refused(t: Transaction, name: str, options: Collection[str]) -> None:
    """Add options that a model's provider refuses to those that are known."""
    read = "SELECT refused_options FROM ai_model_configs WHERE model = ?"
    row = t.execute(read, (name,)).fetchone()
    if row is not None and not set(options) <= set(json.loads(row[0])):
        t.alone("catalog", shared=True)
        known = [*dict.fromkeys((*json.loads(t.execute(read, (name,)).fetchone()[0]), *options))]
        if t.by_function("remember_refused", name, known) is None:
            t.execute("UPDATE ai_model_configs SET refused_options = ? WHERE model = ?", (json.dumps(known), name))


def of_version(t: Transaction, version: int) -> tuple[Model, ...]:
    """The catalog of a version of the world, which changes whenever the catalog does: read once for each."""
    known = t.known
    if known.get("catalog", (0, ()))[0] != version:
        known["catalog"] = (version, read(t))
    found: tuple[Model, ...] = known["catalog"][1]
    return found


def _places(t: Transaction) -> dict[str, tuple[Deployment, ...]]:
    """The deployments of each model; what reads them is imported only where there are any."""
    if t.execute("SELECT 1 FROM deployments LIMIT 1").fetchone() is None:
        return {}
    from nexscout_cli.store.sqlite import deployments

    return deployments.read(t)


def read(t: Transaction) -> tuple[Model, ...]:
    """The whole catalog, dearest last."""
    places = _places(t)
    rows = t.execute(f"SELECT {', '.join(COLUMNS)} FROM ai_model_configs ORDER BY output_price, model").fetchall()
    return tuple(
        Model._make(
            (
                *row[:9],
                bool(row["enabled"]),
                bool(row["retired"]),
                row["api_base"],
                row["api_key_env"],
                json.loads(row["params"]),
                json.loads(row["class_prices"]),
                row["max_output"],
                bool(row["reasons"]),
                None if row["abilities"] is None else tuple(json.loads(row["abilities"])),
                tuple(json.loads(row["refused_options"])),
                places.get(row["model"], ()),
            )
        )
        for row in rows
    )
