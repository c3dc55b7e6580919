"""A budget for a piece of a program: a decorator, or a context manager."""

from __future__ import annotations

from contextlib import ContextDecorator
from contextvars import Token
from decimal import Decimal
from typing import Any

from nexscout_cli.engine import purse
from nexscout_cli.engine.money import to_nano, usd
from nexscout_cli.engine.purse import Purse

__all__ = ["budget"]


class budget(ContextDecorator):
    """What all requests in a function, or in a ``with`` block, may cost together in dollars, for each user they are for.

    The ledger holds them to it: a request that would pass it is refused (code ``usd_cap``), also with many threads at once.
    Every call of a decorated function has a purse of its own. ``paid`` tells dollars, ``refused`` how many were refused.
    Raises ValueError for what is no amount between 0 and 1,000,000.
    """

    def __init__(self, dollars: str | float | Decimal, name: str = "budget") -> None:
        self._cost, self._name = to_nano(dollars), name
        self._purses: list[tuple[Purse, Token[Purse | None]]] = []
        self._last = Purse(self._cost, name)

    def _recreate_cm(self) -> budget:
        return budget(usd(self._cost), self._name)

    def __enter__(self) -> budget:
        self._last = Purse(self._cost, self._name)
        self._purses.append((self._last, purse.here.set(self._last)))
        return self

    def __exit__(self, *error: Any) -> None:
        purse.here.reset(self._purses.pop()[1])

    @property
    def paid(self) -> Decimal:
        """Dollars that requests have cost, or may have."""
        return usd(self._last.paid)

    @property
    def refused(self) -> int:
        """How many requests it did not cover."""
        return self._last.refused
