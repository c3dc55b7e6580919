"""Which quality a request is to get under the policies that look at the prompt: ``learned`` and ``cascade``.

``rules`` is the table in :mod:`nexscout_cli.engine.routing.rules`. A forced model, a mode and panic are followed
under every policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.engine.routing.rules import Need
from nexscout_cli.errors import UsageError
from nexscout_cli.terms import POLICIES

if TYPE_CHECKING:
    from collections.abc import Callable

    from nexscout_cli.config import Settings
    from nexscout_cli.engine.model import Model
    from nexscout_cli.engine.request import AIRequest
    from nexscout_cli.engine.routing.difficulty import Difficulty
    from nexscout_cli.engine.routing.thresholds import Threshold
    from nexscout_cli.engine.snapshot import Profile

EASY, HARD, HARD_FREE = 0.70, 0.95, 0.85
"""Required quality of an easy prompt and of a hard one (of tier free, as for its pitch decks)."""
LEAST = frozenset({"complex_generation", "deep_analysis", "emotional_complexity"})
"""Rows of rules that hold as the least under every policy: they are about what the answer is for and how it must sound, of
which the difficulty of a question says nothing. The other rows only guess the difficulty by the length."""
PRIOR_ANSWERS = 20


class Needs(NamedTuple):
    """The quality that the first call needs, and that of the second one where there is a cascade."""

    first: Need
    second: float | None


def effective_policy(request: AIRequest, profile: Profile, settings: Settings) -> str:
    """The call's own policy, else the user's, else the installation's. Raises UsageError for one there is not."""
    policy = request.options.policy or profile.policy or settings["routing.policy"]
    if policy not in POLICIES:
        raise UsageError(f"there is no routing policy {policy!r}", f"policies: {', '.join(POLICIES)}")
    return str(policy)


def governs(policy: str, request: AIRequest, mode: str) -> bool:
    """Whether the prompt's difficulty has a say: not under rules, in a mode, in panic, nor where a model is forced."""
    forced = request.options.force_model not in (None, "auto")
    return policy != "rules" and not forced and mode == "auto"


def chance_of_second(threshold: Threshold, doubts: tuple[float, ...]) -> float:
    """The probability that a first answer is sent up: the share measured beforehand, counted as 20 answers, and the own ones."""
    up = sum(doubt >= threshold.doubt for doubt in doubts)
    return (PRIOR_ANSWERS * threshold.strong_share + up) / (PRIOR_ANSWERS + len(doubts))


def second_opinion_of(models: list[Model], first: Model, strong: Model, price: Callable[[Model], int]) -> Model | None:
    """The cheapest of ``models`` that is neither of the two, nor another name for either, and costs less than ``strong``."""
    known = {(m.litellm_model, m.api_base) for m in (first, strong)}
    others = [m for m in models if (m.litellm_model, m.api_base) not in known and price(m) < price(strong)]
    return min(others, key=lambda m: (price(m), m.name), default=None)


def needs(policy: str, rule: Need, tier: str, difficulty: Difficulty, threshold: Threshold) -> Needs:
    """The required quality by the estimate, never below what :data:`LEAST` rows ask for."""
    top = HARD_FREE if tier == "free" else HARD
    least = rule.quality if rule.reason in LEAST else 0.0
    hard = difficulty.probability >= threshold.difficulty
    if least >= (top if hard or policy == "cascade" else EASY):
        return Needs(rule, None)
    if policy == "learned":
        return Needs(Need(top, "learned_hard") if hard else Need(EASY, "learned_easy"), None)
    return Needs(Need(top, "cascade_hard"), None) if hard else Needs(Need(max(EASY, least), "cascade_first"), top)
