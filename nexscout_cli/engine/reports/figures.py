"""Figures that reports share: sums of sums, shares and rates in 0..1, money in exact dollars."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nexscout_cli.engine.money import usd
from nexscout_cli.engine.sums import SUMS

Row = dict[str, Any]

FIGURES = (
    "requests",
    "calls",
    "hits",
    "failures",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cost_usd",
    "energy",
    "hit_rate",
    "avg_cost_usd",
    "cost_share",
    "token_share",
)
"""The columns that :func:`figures` gives, in order."""
TEXT = frozenset(
    ("day", "week", "month", "model_used", "feature", "user_id", "tier", "recommended_model", "provider", "deployment")
)
"""Columns of all reports that hold words."""
SHARES = frozenset(
    (
        *("cost_share", "token_share", "saved_share", "hit_rate", "prediction_accuracy", "error_rate", "share"),
        *("mape", "mdape", "p90_coverage", "formula_mape", "formula_mdape"),
    )
)
"""Columns of all reports that are shares, 0..1."""


def total(rows: Iterable[Row]) -> Row:
    """The rows' sums added up; 0 where there is none."""
    added = dict.fromkeys(SUMS, 0)
    for row in rows:
        for name in SUMS:
            added[name] += row[name]
    return added


def ratio(part: float, whole: float) -> float:
    """``part`` ÷ ``whole`` to six places; 0 where the whole is 0."""
    return round(part / whole, 6) if whole else 0.0


def tokens(sums: Row) -> int:
    """Input and output tokens."""
    return int(sums["input_tokens"] + sums["output_tokens"])


def figures(sums: Row, whole: Row) -> Row:
    """The common figures of a row, with its shares of the whole."""
    requests, cost = sums["requests"], sums["cost_usd"]
    return {
        "requests": requests,
        "calls": sums["calls"],
        "hits": sums["hits"],
        "failures": sums["failures"],
        "input_tokens": sums["input_tokens"],
        "output_tokens": sums["output_tokens"],
        "total_tokens": tokens(sums),
        "cost_usd": usd(cost),
        "energy": sums["energy"],
        "hit_rate": ratio(sums["hits"], requests),
        # Half up, in whole nano-dollars: amounts are integers.
        "avg_cost_usd": usd((2 * cost + requests) // (2 * requests) if requests else 0),
        "cost_share": ratio(cost, whole["cost_usd"]),
        "token_share": ratio(tokens(sums), tokens(whole)),
    }
