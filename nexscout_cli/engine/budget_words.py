"""Budgets as people write them: ``5/day`` dollars, ``200000t/week`` tokens."""

from __future__ import annotations

import re

from nexscout_cli.engine.budgets import ALL_WINDOWS, Budget
from nexscout_cli.engine.money import to_nano
from nexscout_cli.errors import UsageError

MOST_TOKENS = 10**15
"""More than all providers answer in years, and sums of it fit what databases keep."""


def budget_of(text: str, scope: str, owner: str, option: str) -> Budget:
    """The budget that a text stands for; ``option`` is what the text was given as. Raises UsageError."""
    found = re.fullmatch(r"\$?([\d.]+)(t?)/(\w+)", text.strip())
    example = f"for instance {option} 5/day, or 200000t/week for tokens"
    if found is None or found[3] not in ALL_WINDOWS:
        raise UsageError(f"{option} cannot be {text!r:.40}", example)
    amount, tokens, window = found.groups()
    try:
        cap = _tokens(amount) if tokens else to_nano(amount)
    except ValueError as error:
        raise UsageError(f"{option}: {error}", example) from error
    return Budget("tokens" if tokens else "usd", scope, window, cap, owner)


def _tokens(text: str) -> int:
    if not text.isdecimal() or len(text) > 20 or int(text) > MOST_TOKENS:
        raise ValueError(f"{text!r:.40} is not a whole number of tokens up to {MOST_TOKENS:,}")
    return int(text)


def budget_text(budget: Budget) -> str:
    """The same for a person."""
    assert budget.cap is not None
    amount = f"${budget.cap / 1e9:,.9g}" if budget.unit == "usd" else f"{budget.cap:,} tokens"
    return f"{amount}/{budget.window}"
