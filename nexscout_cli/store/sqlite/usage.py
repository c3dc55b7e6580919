"""Rows of ``ai_model_usage``: one for every posted attempt, cache hit and failed request. Triggers keep the roll-ups."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from nexscout_cli.config import Settings
from nexscout_cli.engine.money import cost
from nexscout_cli.engine.plan_types import Plan
from nexscout_cli.engine.request import Json
from nexscout_cli.engine.settlement import Charge
from nexscout_cli.jsontext import plain
from nexscout_cli.store.sqlite.models import seeded
from nexscout_cli.store.sqlite.store import Store, stamp

SUMS = (
    "requests",
    "calls",
    "hits",
    "failures",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "energy",
    "baseline_usd",
    "avoided_usd",
    "compression_saved_usd",
    "tokens_saved",
)
"""What the roll-ups keep of usage rows, per user and day and per day, model and feature."""


def record(store: Store, c: sqlite3.Connection, now: datetime, row: dict[str, Json]) -> None:
    """Insert a usage row; ``metadata`` is given as a value."""
    values = row | {"metadata": plain(row.get("metadata", {})), "created_at": stamp(now)}
    names = ", ".join(values)
    c.execute(f"INSERT INTO ai_model_usage ({names}) VALUES ({', '.join('?' * len(values))})", list(values.values()))


def baseline_model(settings: Settings, c: sqlite3.Connection) -> tuple[str, int, int]:
    """The model savings are counted against, with its prices: ``report.baseline``, or gpt-4o where that is not in the catalog."""
    name = settings["report.baseline"]
    row = c.execute("SELECT model, input_price, output_price FROM ai_model_configs WHERE model = ?", (name,)).fetchone()
    if row is None:
        model = next(m for m in seeded() if m.name == "gpt-4o")
        return model.name, model.price_in, model.price_out
    return row[0], row[1], row[2]


def baseline(store: Store, c: sqlite3.Connection, input_tokens: int, output_tokens: int) -> int:
    """Nano-dollars that the baseline model would bill for those tokens at today's price."""
    _, price_in, price_out = baseline_model(store.settings, c)
    return cost(input_tokens, output_tokens, price_in, price_out)


def savings(store: Store, c: sqlite3.Connection, plan: Plan, charge: Charge) -> dict[str, int]:
    """What a posted attempt would have cost on the baseline uncompressed, and what compression alone saved on its own model."""
    saved = plan.compression.tokens_before - plan.compression.tokens_after
    return {
        "baseline_usd": baseline(store, c, charge.input_tokens + saved, charge.output_tokens),
        "compression_saved_usd": plan.model.cost(saved, 0),
        "tokens_saved": saved,
    }
