"""Rows of ``ai_model_usage``: one for every posted attempt, cache hit and failed request. Triggers keep the roll-ups."""

from __future__ import annotations

from nexscout_cli.engine.request import Json
from nexscout_cli.jsontext import plain
from nexscout_cli.store.sqlite.transaction import Transaction

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


def record(t: Transaction, row: dict[str, Json]) -> None:
    """Insert a usage row; ``metadata`` is given as a value."""
    values = row | {"metadata": plain(row.get("metadata", {})), "created_at": t.stamp}
    names = ", ".join(values)
    t.execute(f"INSERT INTO ai_model_usage ({names}) VALUES ({', '.join('?' * len(values))})", list(values.values()))
