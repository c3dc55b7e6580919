"""The answer's bound and how it is told to the model, from tier, efficiency and what is known of the user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nexscout_cli.engine.plan_types import Shape

LOW_EFFICIENCY = 0.7
WORDS_PER_TOKEN = 0.7
MIN_SAMPLES = 5
FORMAL, INFORMAL = 0.65, 0.35


def make_shape(
    tier_bound: int,
    verbosity: str,
    style: str,
    efficiency: float,
    preferred_length: str,
    writing_style: Mapping[str, Any],
    asked_max_tokens: int | None,
    tone: str | None,
    goal: str | None,
) -> Shape:
    """The shape of an answer.

    ``tier_bound`` and ``asked_max_tokens`` are in tokens; an efficiency (0..1) below 0.7 takes 20% off the tier's
    bound. The
    length in words is 0.7 of the bound, rounded down to a round number; a user who prefers short answers is told
    half of it.
    """
    bound = tier_bound * 4 // 5 if efficiency < LOW_EFFICIENCY else tier_bound
    if asked_max_tokens is not None:
        bound = min(bound, asked_max_tokens)
    bound = max(1, bound)
    words = _round_number(int(bound * WORDS_PER_TOKEN))
    if preferred_length == "short":
        words = _round_number(words // 2)
    first = f"Be {verbosity}, in a {style} style. Answer in at most about {words} {'word' if words == 1 else 'words'}"
    parts = [f"{first}; they usually prefer short answers." if preferred_length == "short" else f"{first}."]
    hints = _hints(writing_style, tone, goal)
    return Shape(bound, words, verbosity, style, " ".join(parts + hints))


def _hints(writing_style: Mapping[str, Any], tone: str | None, goal: str | None) -> list[str]:
    """Sentences on tone, goal and, where no tone is asked for, the user's own formality."""
    hints = []
    formality = float(writing_style.get("formality", 0.5))
    if tone and tone.strip():
        hints.append(f"Tone: {_line(tone)}.")
    elif int(writing_style.get("n", 0)) >= MIN_SAMPLES and not INFORMAL < formality < FORMAL:
        hints.append("They write formally." if formality >= FORMAL else "They write informally.")
    if goal and goal.strip():
        hints.append(f"Goal: {_line(goal)}.")
    return hints


def _line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")


def _round_number(words: int) -> int:
    """The number a person would say, not above ``words`` but at least 1: steps of 1, 5, 10, 50, then 100."""
    for limit, step in ((10, 1), (50, 5), (200, 10), (1_000, 50)):
        if words <= limit:
            return max(1, words // step * step)
    return words // 100 * 100
