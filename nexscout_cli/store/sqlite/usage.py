"""Rows of ``ai_model_usage``: one for every posted attempt, cache hit and failed request. Triggers keep the roll-ups."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nexscout_cli.engine.request import Json
    from nexscout_cli.store.sqlite.transaction import Transaction


def deliver(t: Transaction, of: tuple[str, int], worth: tuple[int, int, int], warnings: Sequence[str]) -> None:
    """The answer of a posted attempt (request, n) is delivered: energy, what it would have cost, and what compression saved."""
    if t.by_function("deliver_usage", *of, *worth, list(warnings)) is None:
        t.execute(
            f"UPDATE ai_model_usage SET energy = ?, baseline_usd = ?, compression_saved_usd = ?, "
            f"metadata = {t.sql.delivered('metadata')} WHERE request_id = ? AND n = ?",
            (*worth, t.json(list(warnings)), *of),
        )


def record(t: Transaction, row: dict[str, Json]) -> None:
    """Insert a usage row; ``metadata`` is given as a value."""
    if t.by_function("record_usage", row | {"created_at": t.stamp}) is not None:
        return
    values = row | {"metadata": t.json(row.get("metadata", {})), "created_at": t.stamp}
    names = ", ".join(values)
    t.execute(f"INSERT INTO ai_model_usage ({names}) VALUES ({', '.join('?' * len(values))})", list(values.values()))
