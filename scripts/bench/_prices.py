"""What models' tokens cost, where recorded answers are counted in dollars."""

from __future__ import annotations

PRICES = {
    "gpt-4o-mini": (0.00015, 0.0006),
    "gpt-4o": (0.0025, 0.01),
    "claude-3-haiku": (0.00025, 0.00125),
    "claude-3-sonnet": (0.003, 0.015),
    "claude-3-opus": (0.015, 0.075),
    # RouteLLM's pair: gpt-4-1106-preview's list price, and what its authors count for Mixtral-8x7B
    "strong": (0.01, 0.03),
    "weak": (0.00024, 0.00024),
}
"""Dollars per 1,000 tokens, in and out; a name is looked up by its longest beginning that is here."""


def price(name: str, listed: dict[str, tuple[float, float]]) -> tuple[float, float] | None:
    known = max((key for key in listed if name == key or name.startswith(f"{key}-20")), key=len, default=None)
    return listed[known] if known else None
