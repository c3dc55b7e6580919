"""What reports read of the books, beside sums: people, failures, calls by deployment."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class Person(NamedTuple):
    """A user with the tiers that they had: the time from which on, and the tier, in order of time."""

    user_id: str
    is_admin: bool
    tiers: list[tuple[datetime, str]]


class Failed(NamedTuple):
    """Attempts of one model that gave no answer, on one day (YYYY-MM-DD) and for one reason (a label of failures.LABELS):
    how many, and how many of them were tried again at the same model, or at another one.
    """

    model: str
    label: str
    day: str
    n: int
    retries: int
    fallbacks: int


class PromptCache(NamedTuple):
    """Input tokens of a model that its provider read from its cache, or wrote there: ``name`` is their class, ``price`` theirs
    and ``plain`` that of other input, in pico-dollars per token.
    """

    model: str
    name: str
    tokens: int
    plain: int
    price: int


class Deployed(NamedTuple):
    """Calls made at one deployment: answers, failures, nano-dollars, and milliseconds from hold to post (None: no answer)."""

    model: str
    deployment: str
    calls: int
    errors: int
    cost: int
    p50: int | None
    p95: int | None
