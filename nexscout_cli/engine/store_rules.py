"""What a store's transactions need to know of the installation's settings, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from nexscout_cli.config import Settings
from nexscout_cli.config.limits import of_files
from nexscout_cli.engine.catalog.recovery_rules import Ageing
from nexscout_cli.engine.tiers import TierTerms, tier_terms

_MEGABYTE = 1_000_000


class StoreRules(NamedTuple):
    """``tiers``: their terms by name; ``daily_tokens``: of these what a user may use in a day. ``auto_create``: an admin's
    mention makes a user. ``cache_days``: how long an answer is kept; ``cache_bytes``: how much text may be kept (None: any).
    ``lock_timeout``: seconds a writer waits for its turn. ``first_limits``: the limits that a new database begins with.
    """

    tiers: Mapping[str, TierTerms]
    daily_tokens: Mapping[str, int]
    auto_create: bool
    cache_days: int
    cache_bytes: int | None
    lock_timeout: float
    ageing: Ageing
    first_limits: Mapping[str, Any] = {}


def store_rules(settings: Settings) -> StoreRules:
    """The rules that the settings make."""
    most, tiers = settings["cache.max_mb"], tier_terms(settings)
    return StoreRules(
        tiers=tiers,
        daily_tokens={tier: terms.daily_tokens for tier, terms in tiers.items()},
        auto_create=settings["users.auto_create"],
        cache_days=settings["cache.days"],
        cache_bytes=None if most is None else most * _MEGABYTE,
        lock_timeout=settings["store.lock_timeout"],
        ageing=Ageing(),
        first_limits=of_files(settings),
    )
