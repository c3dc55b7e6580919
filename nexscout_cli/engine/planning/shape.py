"""The answer's bound and what the model is told of it, from tier, efficiency and what is known of the user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nexscout_cli.engine.plan_types import Shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nexscout_cli.config import Settings
    from nexscout_cli.engine.request import AIRequest
    from nexscout_cli.engine.snapshot import Snapshot

LOW_EFFICIENCY = 0.7
WORDS_PER_TOKEN = 0.7
MIN_SAMPLES = 5
LEARNED_FROM = 5
"""Answers seen before a user's preferred length shapes the next one."""
FEW_WORDS = 50
"""Below so many words an answer is told its length alone."""
FORMAL, INFORMAL = 0.65, 0.35


class Manner(NamedTuple):
    """How answers of a tier are: the bound in tokens, and what the model is told of length and style."""

    bound: int
    verbosity: str
    style: str


class Reader(NamedTuple):
    """What is known of who reads the answer: efficiency (0..1), the length they prefer, how they write themselves."""

    efficiency: float = 0.8
    preferred_length: str = "medium"
    writing_style: Mapping[str, Any] = {}


class Wish(NamedTuple):
    """What the request asks of its answer: at most so many tokens, a tone, a goal; ``as_written``: and to be told no more."""

    max_tokens: int | None = None
    tone: str | None = None
    goal: str | None = None
    as_written: bool = False


def shape_of(request: AIRequest, snapshot: Snapshot, settings: Settings, *bounds: int | None) -> Shape:
    """Step 5. ``bounds`` lower the answer's bound below what tier, efficiency and request ask for."""
    profile = snapshot.profile
    known = profile.writing_style.get("n", 0) >= LEARNED_FROM
    length = profile.preferred_output_length if known else "medium"
    reader = Reader(profile.efficiency_rating, length, profile.writing_style)
    return make_shape(_manner(snapshot.tier, settings), reader, _wish(request, settings, *bounds))


def plain_shape(request: AIRequest, snapshot: Snapshot, settings: Settings) -> Shape:
    """The shape without what was learned of the user, for the cache's key: learning goes on, an answer stays right."""
    return make_shape(_manner(snapshot.tier, settings), Reader(), _wish(request, settings))


def _manner(tier: str, settings: Settings) -> Manner:
    return Manner(*(settings[f"tiers.{tier}.{name}"] for name in ("answer_tokens", "verbosity", "style")))


def _wish(request: AIRequest, settings: Settings, *bounds: int | None) -> Wish:
    limits = [bound for bound in (request.options.max_tokens, *bounds) if bound is not None]
    as_written = not request.options.shape or request.feature in settings["shaping.off"]
    return Wish(min(limits, default=None), request.tone, request.goal, as_written)


def make_shape(manner: Manner, reader: Reader, wish: Wish) -> Shape:
    """The shape of an answer.

    An efficiency below 0.7 takes 20% off the tier's bound. The length in words is 0.7 of the bound, rounded down to a round
    number; a user who prefers short answers is told half of it. An answer of few words is not asked to be detailed as well.
    """
    bound = manner.bound * 4 // 5 if reader.efficiency < LOW_EFFICIENCY else manner.bound
    if wish.max_tokens is not None:
        bound = min(bound, wish.max_tokens)
    bound = max(1, bound)
    words = _round_number(int(bound * WORDS_PER_TOKEN))
    short = reader.preferred_length == "short"
    if short:
        words = _round_number(words // 2)
    if wish.as_written:
        return Shape(bound, words, manner.verbosity, manner.style, " ".join(_hints({}, wish.tone, wish.goal)))
    how = f"Be {manner.verbosity}, in a {manner.style} style. " if words >= FEW_WORDS and not short else ""
    first = f"{how}Answer in at most about {words} {'word' if words == 1 else 'words'}"
    parts = [f"{first}; they usually prefer short answers." if short else f"{first}."]
    hints = _hints(reader.writing_style, wish.tone, wish.goal)
    return Shape(bound, words, manner.verbosity, manner.style, " ".join(parts + hints))


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
