"""What users of each tier get: energy a month, tokens a day, modes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from nexscout_cli.config import Settings
from nexscout_cli.terms import TIERS

FIRST_TIER = "free"
"""The tier of a user who is new."""
OWNER_TIER = "elite"
"""The tier of the person who makes the database."""


class TierTerms(NamedTuple):
    """The terms of one tier: units of energy a month, tokens a day, the modes that may be chosen."""

    energy: int
    daily_tokens: int
    modes: tuple[str, ...]

    def due(self, granted_period: str, month: str) -> int:
        """Energy that a month's grant adds: all of it until that month was granted. Both are YYYY-MM, or empty."""
        return 0 if granted_period >= month else self.energy


@lru_cache(maxsize=16)
def tier_terms(settings: Settings) -> Mapping[str, TierTerms]:
    """The terms of every tier, by its name."""
    return {
        tier: TierTerms(
            settings[f"tiers.{tier}.energy"],
            settings[f"tiers.{tier}.daily_tokens"],
            tuple(settings[f"tiers.{tier}.modes"]),
        )
        for tier in TIERS
    }
