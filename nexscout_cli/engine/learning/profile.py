"""What is learned of a user: a pure fold of settled requests into columns of ``user_efficiency_profiles``."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

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
        hits = self.cache_hits + int(lesson.cached)
        hours = list(self.peak_usage_hours)
        hours[lesson.hour % 24] += 1
        phrases = lesson.observation.phrases
        counts, common = _patterns(self, phrases) if lesson.patterns else ({}, ())
        heads = _with_head(self.prompt_heads, lesson.head) if lesson.head else self.prompt_heads
        if lesson.sent is not None:
            from nexscout_cli.engine.prompt_cache import learned

            heads = learned(heads, lesson.sent)
        return self._replace(
            total_requests=requests,
            total_tokens_saved=self.total_tokens_saved + lesson.tokens_saved,
            cache_hits=hits,
            cache_hit_rate=hits / requests,
            peak_usage_hours=tuple(hours),
            writing_style_profile=_style(self.writing_style_profile, lesson.observation.style),
            pattern_counts=counts,
            common_patterns=common,
            prompt_heads=heads,
            **({} if lesson.cached else _paid(self, lesson, requests - hits)),
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


def _paid(state: ProfileState, lesson: Lesson, calls: int) -> dict[str, Any]:
    """What only a request that called a model teaches, the latest of so many."""
    tokens = lesson.input_tokens + lesson.output_tokens
    day, day_tokens, forecast = _day(state, lesson.day, tokens)
    changed: dict[str, Any] = {
        "usage_day": day,
        "usage_day_tokens": day_tokens,
        "predicted_daily_usage": forecast,
        "avg_token_per_request": state.avg_token_per_request + (tokens - state.avg_token_per_request) / calls,
        "model_preference_score": _preferences(state.model_preference_score, lesson.model, lesson.outcome),
    }
    if lesson.outcome <= 0:
        return changed
    usual = state.avg_output_tokens
    usual = 0.8 * usual + 0.2 * lesson.output_tokens if usual else float(lesson.output_tokens)
    changed["efficiency_rating"] = rate(state.efficiency_rating, accuracy(tokens, lesson.predicted_tokens))
    changed["avg_output_tokens"] = usual
    changed["preferred_output_length"] = "short" if usual < SHORT_BELOW else "long" if usual > LONG_ABOVE else "medium"
    return changed


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
    kept = {name: score for name, score in scores.items() if name != model}
    if len(kept) >= MAX_MODELS:
        del kept[next(iter(kept))]
    kept[model] = 0.8 * scores.get(model, 0.5) + 0.2 * min(1.0, max(0.0, outcome))
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
    means = {key: round((float(style.get(key, 0.0)) * n + value) / (n + 1), 4) for key, value in seen.items()}
    return means | {"n": n + 1}


@lru_cache(maxsize=256)  # each call of a user asks, and seldom changes them
def _side_by_side(phrases: tuple[str, ...]) -> str:
    return "".join(f" {phrase} |" for phrase in phrases)


def _patterns(state: ProfileState, seen: dict[str, str]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Candidates with their counts, and the phrases that recurred.

    Lossy counting: where candidates are too many, those counted least go, among them the oldest; the order of the dict
    is the order in which they were last seen.
    """
    from nexscout_cli.engine.learning.observation import MAX_CANDIDATES, phrase_checksum

    counts = dict(state.pattern_counts)
    phrases = _side_by_side(state.common_patterns)
    nothing_new = True
    for phrase, name in seen.items():
        counts[name] = n = counts.pop(name, 0) + 1
        if nothing_new and n >= RECURRED and f" {phrase} " not in phrases:
            nothing_new = False
    if len(counts) > MAX_CANDIDATES:
        nothing_new = False
        kept = set(sorted(counts, key=counts.__getitem__)[-MAX_CANDIDATES:])
        counts = {name: n for name, n in counts.items() if name in kept}
    if nothing_new:
        return counts, state.common_patterns
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
