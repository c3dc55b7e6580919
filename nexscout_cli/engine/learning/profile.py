"""What is learned of a user: a pure fold of settled requests into columns of ``user_efficiency_profiles``."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from nexscout_cli.engine.learning import MAX_CANDIDATES

if TYPE_CHECKING:
    from nexscout_cli.engine.learning.observation import Lesson

MAX_COMMON = 20
MAX_MODELS = 50
MAX_IDLE_DAYS = 30
RECURRED = 3
MAX_HEADS = 4
DAY_DECAY = 0.7
SHORT_BELOW, LONG_ABOVE = 200.0, 800.0  # tokens of a usual answer


class ProfileState(NamedTuple):
    """Every learned column. Ratings and rates in 0..1; tokens and requests are counts; hours are UTC."""

    efficiency_rating: float = 0.8
    avg_token_per_request: float = 0.0
    predicted_daily_usage: int = 0
    total_requests: int = 0
    total_tokens_saved: int = 0
    cache_hits: int = 0
    cache_hit_rate: float = 0.0
    writing_style_profile: dict[str, Any] = {}  # noqa: RUF012
    common_patterns: tuple[str, ...] = ()
    pattern_counts: dict[str, int] = {}  # noqa: RUF012 - by the phrase's checksum
    peak_usage_hours: tuple[int, ...] = (0,) * 24
    preferred_output_length: str = "medium"
    avg_output_tokens: float = 0.0
    model_preference_score: dict[str, float] = {}  # noqa: RUF012
    usage_day: str = ""
    usage_day_tokens: int = 0
    prompt_heads: tuple[str, ...] = ()

    def peaks(self, most: int = 3) -> list[int]:
        """The hours (UTC) with most requests, as many at most, in order of time."""
        hours = [hour for hour, n in enumerate(self.peak_usage_hours) if n]
        return sorted(sorted(hours, key=lambda hour: (-self.peak_usage_hours[hour], hour))[:most])

    def after(self, lesson: Lesson) -> ProfileState:
        """The state after one more settled request."""
        requests = self.total_requests + 1
        hits = self.cache_hits + (1 if lesson.cached else 0)
        hour = lesson.hour % 24
        hours = self.peak_usage_hours
        seen = lesson.observation
        counts, common = _patterns(self, seen.phrases) if lesson.patterns else ({}, ())
        heads = _with_head(self.prompt_heads, lesson.head) if lesson.head else self.prompt_heads
        if lesson.sent is not None:
            from nexscout_cli.engine.prompt_cache import learned

            heads = learned(heads, lesson.sent)
        paid = self if lesson.cached else _paid(self, lesson, requests - hits)
        # Each column in its place: every post folds, and to replace them by name takes thrice the time.
        return ProfileState(
            paid.efficiency_rating,
            paid.avg_token_per_request,
            paid.predicted_daily_usage,
            requests,
            self.total_tokens_saved + lesson.tokens_saved,
            hits,
            hits / requests,
            _style(self.writing_style_profile, seen.style),
            common,
            counts,
            (*hours[:hour], hours[hour] + 1, *hours[hour + 1 :]),
            paid.preferred_output_length,
            paid.avg_output_tokens,
            paid.model_preference_score,
            paid.usage_day,
            paid.usage_day_tokens,
            heads,
        )

    def with_verdicts(self, verdicts: dict[str, tuple[int, int]]) -> ProfileState:
        """The state with the user's good and bad verdicts by model in the preferences."""
        return self._replace(model_preference_score=preferences(self.model_preference_score, verdicts))

    def rated(self, tokens_used: int, tokens_predicted: int) -> float:
        """The efficiency rating after one more prediction came true in part."""
        return rate(self.efficiency_rating, accuracy(tokens_used, tokens_predicted))


def _with_head(kept: tuple[str, ...], head: str) -> tuple[str, ...]:
    """The heads with one more; those of prompts as they were sent (``["w1",…``) stay as they are."""
    warm = tuple(text for text in kept if text.startswith("["))
    others = [text for text in kept if text != head and not text.startswith("[")]
    return (*(head, *others)[:MAX_HEADS], *warm)


def accuracy(actual: int, predicted: int) -> float:
    """1 − |actual − predicted| ÷ predicted, floored at 0; nothing predicted: 1 where nothing was used, else 0."""
    if predicted <= 0:
        return 1.0 if actual == 0 and predicted == 0 else 0.0
    return max(0.0, 1.0 - abs(actual - predicted) / predicted)


def rate(rating: float, accuracy: float) -> float:
    """The efficiency rating after one more accuracy: 0.9 × rating + 0.1 × accuracy."""
    return 0.9 * rating + 0.1 * accuracy


class _Paid(NamedTuple):
    """The columns that only a request changes that called a model, by their names."""

    efficiency_rating: float
    avg_token_per_request: float
    predicted_daily_usage: int
    preferred_output_length: str
    avg_output_tokens: float
    model_preference_score: dict[str, float]
    usage_day: str
    usage_day_tokens: int


def _paid(state: ProfileState, lesson: Lesson, calls: int) -> _Paid:
    """What such a request teaches, the latest of so many."""
    tokens = lesson.input_tokens + lesson.output_tokens
    day, day_tokens, forecast = _day(state, lesson.day, tokens)
    rating, usual, length = state.efficiency_rating, state.avg_output_tokens, state.preferred_output_length
    if lesson.outcome > 0:
        rating = rate(rating, accuracy(tokens, lesson.predicted_tokens))
        usual = 0.8 * usual + 0.2 * lesson.output_tokens if usual else float(lesson.output_tokens)
        length = "short" if usual < SHORT_BELOW else "long" if usual > LONG_ABOVE else "medium"
    mean = state.avg_token_per_request
    scores = _preferences(state.model_preference_score, lesson.model, lesson.outcome)
    return _Paid(rating, mean + (tokens - mean) / calls, forecast, length, usual, scores, day, day_tokens)


def _day(state: ProfileState, day: str, tokens: int) -> tuple[str, int, int]:
    """The day, its running total and the forecast: 0.7 × forecast + 0.3 × finished day, never below today's total."""
    forecast = float(state.predicted_daily_usage)
    if not state.usage_day:
        return day, tokens, tokens
    if day <= state.usage_day:  # a posting that comes late counts for the day that is open
        total = state.usage_day_tokens + tokens
        return state.usage_day, total, max(round(forecast), total)
    idle = min((date.fromisoformat(day) - date.fromisoformat(state.usage_day)).days - 1, MAX_IDLE_DAYS)
    forecast = (DAY_DECAY * forecast + (1 - DAY_DECAY) * state.usage_day_tokens) * DAY_DECAY**idle
    return day, tokens, max(round(forecast), tokens)


def _preferences(scores: dict[str, float], model: str, outcome: float) -> dict[str, float]:
    """The scores with this outcome in; where there are too many models, the one longest unused goes."""
    kept = dict(scores)
    before = kept.pop(model, 0.5)
    if len(kept) >= MAX_MODELS:
        del kept[next(iter(kept))]
    kept[model] = 0.8 * before + 0.2 * min(1.0, max(0.0, outcome))
    return kept


PREFERENCE_WEIGHT = 5.0
"""Verdicts that the outcomes seen so far count as in a preference."""


def preferences(scores: dict[str, float], verdicts: dict[str, tuple[int, int]]) -> dict[str, float]:
    """The preference scores (0..1, by outcomes) as prior of a Beta estimate with the user's good and bad verdicts in."""
    w = PREFERENCE_WEIGHT
    return scores | {
        model: (w * scores.get(model, 0.5) + good) / (w + good + bad) for model, (good, bad) in verdicts.items()
    }


def _style(style: dict[str, Any], seen: dict[str, float]) -> dict[str, Any]:
    """The running means of the user's way of writing, after one more prompt; unchanged by a prompt without words."""
    if not seen:
        return style
    n = int(style.get("n", 0))
    means: dict[str, Any] = {
        key: round((float(style.get(key, 0.0)) * n + value) / (n + 1), 4) for key, value in seen.items()
    }
    means["n"] = n + 1
    return means


@lru_cache(maxsize=256)  # each call of a user asks, and seldom changes them
def _told(phrases: tuple[str, ...]) -> frozenset[str]:
    """The names of phrases, and of every phrase that is a part of one."""
    from nexscout_cli.engine.learning.observation import phrase_checksum, runs

    parts = (part for phrase in phrases if (words := phrase.split(" ")) for part in runs(words, [True] * len(words)))
    return frozenset(map(phrase_checksum, parts))


def _patterns(state: ProfileState, seen: dict[str, str]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Candidates with their counts, and the phrases that recurred.

    Lossy counting: where candidates are too many, those counted least go, among them the oldest; the order of the dict
    is the order in which they were last seen.
    """
    counts = dict(state.pattern_counts)
    again = {name: counts.pop(name, 0) + 1 for name in seen.values()}
    counts |= again
    told = _told(state.common_patterns)
    # Nearly always all that was seen is told of already: to ask for each one takes longer than all else here.
    nothing_new = again.keys() <= told or all(again[name] < RECURRED for name in again.keys() - told)
    if len(counts) > MAX_CANDIDATES:
        nothing_new = False
        kept = set(sorted(counts, key=counts.__getitem__)[-MAX_CANDIDATES:])
        counts = {name: n for name, n in counts.items() if name in kept}
    if nothing_new:
        return counts, state.common_patterns
    from nexscout_cli.engine.learning.observation import phrase_checksum

    known = {phrase: phrase_checksum(phrase) for phrase in state.common_patterns} | seen
    recurred = [(counts[name], phrase) for phrase, name in known.items() if counts.get(name, 0) >= RECURRED]
    recurred.sort(key=lambda found: (-found[0], -found[1].count(" "), found[1]))
    common: list[str] = []
    taken = "|"
    for _, phrase in recurred:
        # a part of a longer phrase that recurred as often says nothing more
        if f" {phrase} " not in taken:
            common.append(phrase)
            taken += f" {phrase} |"
            if len(common) == MAX_COMMON:
                break
    return counts, tuple(common)
