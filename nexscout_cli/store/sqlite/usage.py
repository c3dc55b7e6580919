"""Rows of ``ai_model_usage``: one for every posted attempt, cache hit and failed request. Triggers keep the roll-ups."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nexscout_cli.engine.request import Json
    from nexscout_cli.store.sqlite.transaction import Transaction


def record(t: Transaction, row: dict[str, Json]) -> None:
    """Insert a usage row; ``metadata`` is given as a value."""
    values = row | {"metadata": t.json(row.get("metadata", {})), "created_at": t.stamp}
    names = ", ".join(values)
    t.execute(f"INSERT INTO ai_model_usage ({names}) VALUES ({', '.join('?' * len(values))})", list(values.values()))
