"""One request's way, from what the log and `why` know of it."""

from __future__ import annotations

from typing import Any

from nexscout_cli.engine.money import usd
from nexscout_cli.engine.routing import explain

_ATTEMPT = ("n", "model", "state", "reason", "estimate", "hold", "actual", "created_at", "settled_at")
_ENTRY = ("attempt", "account", "owner", "period", "kind", "amount", "reason", "actor", "created_at")


def way(shown: dict[str, Any], why: dict[str, Any]) -> dict[str, Any]:
    """What the page of a request shows: summary, reasons in words, candidates, attempts, entries of the ledger."""
    decision = why["decision"]
    candidates = decision["candidates"] if decision else []
    return {
        "request": shown["request"],
        "prediction": shown["prediction"],
        "why": explain.requirement(decision) if decision else [],
        "course": explain.course(why),
        "candidates": [
            {
                "model": one["model"],
                "would cost": None if one["cost"] is None else usd(one["cost"]),
                "quality": one["quality"],
                "verdict": explain.candidate(one),
            }
            for one in candidates
        ],
        "attempts": [{name: row[name] for name in _ATTEMPT} for row in shown["attempts"]],
        "entries": [{name: row[name] for name in _ENTRY} for row in shown["entries"]],
        "usage": [
            {name: value for name, value in row.items() if name not in ("metadata", "token_classes", "request_id")}
            for row in shown["usage"]
        ],
    }
