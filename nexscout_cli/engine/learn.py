"""What is learned of a user: a pure fold of settled requests into columns of ``user_efficiency_profiles``."""

from __future__ import annotations

import re
from datetime import date
from typing import Any, NamedTuple
from zlib import crc32

MAX_CHARS = 4_000
MAX_COMMON = 20
MAX_CANDIDATES = 200
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


class Said(NamedTuple):
    """What a prompt shows of its user: ``style``, traits of its writing (empty without words), and its masked phrases with
    the names they are counted under.
    """

    style: dict[str, float]
    phrases: dict[str, str]


class Lesson(NamedTuple):
    """One settled request. ``outcome``: 1 whole answer, 0.5 cut, 0 failed; ``day`` (YYYY-MM-DD), ``hour``: UTC.

    ``head``: hashes of a long prompt's beginnings (``squeeze.marks``), empty for a short one.
    """

    day: str
    hour: int
    said: Said
    model: str
    input_tokens: int
    output_tokens: int
    predicted_tokens: int
    cached: bool
    tokens_saved: int
    outcome: float
    head: str = ""


def accuracy(actual: int, predicted: int) -> float:
    """1 − |actual − predicted| ÷ predicted, floored at 0; nothing predicted: 1 where nothing was used, else 0."""
    if predicted <= 0:
        return 1.0 if actual == 0 and predicted == 0 else 0.0
    return max(0.0, 1.0 - abs(actual - predicted) / predicted)


def rate(rating: float, accuracy: float) -> float:
    """The efficiency rating after one more accuracy: 0.9 × rating + 0.1 × accuracy."""
    return 0.9 * rating + 0.1 * accuracy


def learn(state: ProfileState, lesson: Lesson, *, patterns: bool) -> ProfileState:
    """The state after one more settled request; with ``patterns`` off no phrase of a prompt is kept, old ones included."""
    requests = state.total_requests + 1
    hits = state.cache_hits + int(lesson.cached)
    hours = list(state.peak_usage_hours)
    hours[lesson.hour % 24] += 1
    counts, common = _patterns(state, lesson.said.phrases) if patterns else ({}, ())
    state = state._replace(
        total_requests=requests,
        total_tokens_saved=state.total_tokens_saved + lesson.tokens_saved,
        cache_hits=hits,
        cache_hit_rate=hits / requests,
        peak_usage_hours=tuple(hours),
        writing_style_profile=_style(state.writing_style_profile, lesson.said.style),
        pattern_counts=counts,
        common_patterns=common,
    )
    if lesson.head:
        others = (head for head in state.prompt_heads if head != lesson.head)
        state = state._replace(prompt_heads=(lesson.head, *others)[:MAX_HEADS])
    return state if lesson.cached else _paid(state, lesson)


def _paid(state: ProfileState, lesson: Lesson) -> ProfileState:
    """What only a request that called a model teaches."""
    tokens = lesson.input_tokens + lesson.output_tokens
    calls = state.total_requests - state.cache_hits
    state = _day(state, lesson.day, tokens)._replace(
        avg_token_per_request=state.avg_token_per_request + (tokens - state.avg_token_per_request) / calls,
        model_preference_score=_preferences(state.model_preference_score, lesson.model, lesson.outcome),
    )
    if lesson.outcome <= 0:
        return state
    usual = state.avg_output_tokens
    usual = 0.8 * usual + 0.2 * lesson.output_tokens if usual else float(lesson.output_tokens)
    length = "short" if usual < SHORT_BELOW else "long" if usual > LONG_ABOVE else "medium"
    return state._replace(
        efficiency_rating=rate(state.efficiency_rating, accuracy(tokens, lesson.predicted_tokens)),
        avg_output_tokens=usual,
        preferred_output_length=length,
    )


def _day(state: ProfileState, day: str, tokens: int) -> ProfileState:
    """The day's running total and the forecast: 0.7 × forecast + 0.3 × finished day, never below today's total."""
    forecast = float(state.predicted_daily_usage)
    if not state.usage_day:
        return state._replace(usage_day=day, usage_day_tokens=tokens, predicted_daily_usage=tokens)
    if day <= state.usage_day:  # a posting that comes late counts for the day that is open
        total = state.usage_day_tokens + tokens
        return state._replace(usage_day_tokens=total, predicted_daily_usage=max(round(forecast), total))
    idle = min((date.fromisoformat(day) - date.fromisoformat(state.usage_day)).days - 1, MAX_IDLE_DAYS)
    forecast = (DAY_DECAY * forecast + (1 - DAY_DECAY) * state.usage_day_tokens) * DAY_DECAY**idle
    return state._replace(usage_day=day, usage_day_tokens=tokens, predicted_daily_usage=max(round(forecast), tokens))


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


_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_SENTENCE = re.compile(r"[.!?\n]+(?:\s|$)|\n+")
_INFORMAL = re.compile(
    r"\b(?:\w+['\u2019](?:m|re|ve|ll|d|t)|hey|hi|yo|gonna|wanna|gotta|kinda|lol|btw|pls|plz|thx|u|ur|ya|yeah|yep"
    r"|nope|ok|okay|cool"
    r"|stuff|guys|asap|tbh|imo|omg|awesome)\b|[!?]{2,}|[:;]-?[)(DP]",
    re.IGNORECASE,
)
_FORMAL = re.compile(
    r"\b(?:please|kindly|dear|sincerely|regards|would you|could you|furthermore|therefore|hereby|regarding"
    r"|accordingly|pursuant|however"
    r"|moreover|sir|madam|shall|whom|thus|i would like)\b",
    re.IGNORECASE,
)


def listen(prompt: str) -> Said:
    """What is learned from a prompt's text, apart from whose it is. Reads its first ``MAX_CHARS`` characters alone."""
    prompt = prompt[:MAX_CHARS]
    return Said(_traits(prompt), {phrase: _name(phrase) for phrase in _phrases(prompt)})


def _traits(prompt: str) -> dict[str, float]:
    words = _WORD.findall(prompt)
    if not words:
        return {}
    sentences = sum(1 for s in _SENTENCE.split(prompt) if s.strip()) or 1
    informal, formal = len(_INFORMAL.findall(prompt)), len(_FORMAL.findall(prompt))
    return {
        "sentence_length": len(words) / sentences,
        "word_length": sum(map(len, words)) / len(words),
        "formality": (formal + 1) / (formal + informal + 2),
        "questions": min(1.0, prompt.count("?") / sentences),
        "exclamations": min(1.0, prompt.count("!") / sentences),
    }


def _style(style: dict[str, Any], seen: dict[str, float]) -> dict[str, Any]:
    """The running means of the user's way of writing, after one more prompt; unchanged by a prompt without words."""
    if not seen:
        return style
    n = int(style.get("n", 0))
    means = {key: round((float(style.get(key, 0.0)) * n + value) / (n + 1), 4) for key, value in seen.items()}
    return means | {"n": n + 1}


_TOKEN = re.compile(
    r"(?P<name>https?://\S+|www\.\S+|\S{1,100}@\S+)|(?P<num>[-+$€£#]?\w*\d[\w.,:/%-]*)"
    r"|(?P<word>[^\W\d_]+(?:['\u2019][^\W\d_]+)*)"
    r"|(?P<stop>[.!?\n;:()\[\]{}\"“”<>|]+)"
)
_TITLES = frozenset(
    "mr mrs ms miss dr prof sir madam dear mister doctor hi hello hey named called sincerely regards".split()  # noqa: SIM905
)
_NOT_NAMES = frozenset(
    """i i'm i've i'd i'll english french german spanish monday tuesday wednesday thursday friday saturday sunday
    january february
    march april may june july august september october november december python json sql html css api pdf csv ai ceo
    cto kpi roi
    saas b2b crm faq url""".split()  # noqa: SIM905
)
_STOP_WORDS = frozenset(
    """a an the of to in on at for with by from and or but is are was be i you he she it we they my your his her its
    our their me
    him them us this that these those as if so not do does did have has had will would can could as there here then
    than""".split()  # noqa: SIM905
)
# A sentence's first word is capitalised in any case: these are what a request begins with, any other is masked.
_OPENERS = _STOP_WORDS | frozenset(
    """write make give create draft summarize summarise explain translate list please help what how why when where
    which who fix find
    show tell generate rewrite improve suggest compare describe analyze analyse prepare plan review check thank
    thanks add remove use
    return let now also need want should keep convert update reply respond answer send design build turn follow ask
    provide""".split()  # noqa: SIM905
)


def _masked(prompt: str) -> list[list[str]]:
    """The prompt's sentences as lower-case words, with numbers and names masked."""
    sentences: list[list[str]] = [[]]
    after_title = False
    for match in _TOKEN.finditer(prompt):
        kind, text = match.lastgroup, match.group()
        if kind == "stop":
            if not (after_title and text == "."):
                sentences.append([])
                after_title = False
            continue
        low = text.lower().replace("\u2019", "'")
        if kind == "word":
            named = text[0].isupper() and low not in (_NOT_NAMES if sentences[-1] else _OPENERS | _NOT_NAMES)
            named = (named and low not in _TITLES) or (after_title and low not in _OPENERS)
            sentences[-1].append("<name>" if named else low)
            after_title = low in _TITLES
        else:
            sentences[-1].append("<num>" if kind == "num" else "<name>")
            after_title = False
    return sentences


def _phrases(prompt: str) -> list[str]:
    """The distinct phrases of 3–6 words, those of masks and stop-words alone left out; where they are many, the longest."""
    found: dict[str, None] = {}
    for words in _masked(prompt):
        tells = [word[0] != "<" and word not in _STOP_WORDS for word in words]
        for start in range(len(words) - 2):
            for end in range(start + 3, min(start + 6, len(words)) + 1):
                if any(tells[start:end]):
                    found[" ".join(words[start:end])] = None
        if len(found) > MAX_CANDIDATES:
            break
    return sorted(found, key=lambda phrase: phrase.count(" "))[-MAX_CANDIDATES:]


def _name(phrase: str) -> str:
    """What a phrase is counted under before it is known to recur: its CRC-32, so that what was said once is not kept."""
    return f"{crc32(phrase.encode('utf-8', 'surrogatepass')):x}"


def _patterns(state: ProfileState, seen: dict[str, str]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Candidates with their counts, and the phrases that recurred.

    Lossy counting: where candidates are too many, those counted least go, among them the oldest; the order of the dict
    is the order in which they were last seen.
    """
    counts = dict(state.pattern_counts)
    for name in seen.values():
        counts[name] = counts.pop(name, 0) + 1
    kept_all = len(counts) <= MAX_CANDIDATES
    if not kept_all:
        kept = set(sorted(counts, key=counts.__getitem__)[-MAX_CANDIDATES:])
        counts = {name: n for name, n in counts.items() if name in kept}
    told = "".join(f" {phrase} |" for phrase in state.common_patterns)
    if kept_all and all(counts[name] < RECURRED or f" {phrase} " in told for phrase, name in seen.items()):
        return counts, state.common_patterns
    known = {phrase: _name(phrase) for phrase in state.common_patterns} | seen
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
