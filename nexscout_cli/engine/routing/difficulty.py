"""How likely a prompt needs the stronger of two models.

Two logistic models over the same features, one for the strong model being right and one for the cheap one; what the
strong one would gain is the difference of the two. (One model of the difference itself ranks worse: the two outcomes carry
more than their difference, and where both fail there is nothing to gain.)

Far from every prompt that they were learned from they know nothing, and say it: there a plain estimate by size and
structure takes over, the same for every kind of prompt. ``scripts/train/router`` fits both, on data and under licences
that ``data/difficulty.json`` names; ``scripts/bench/unseen`` measures them on tasks that were left out.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from nexscout_cli.engine.routing.pairs import share_of
from nexscout_cli.engine.routing.prompt_traits import grams, take_apart
from nexscout_cli.engine.shipped_data import signed_bytes, table

REASONS = 6
CLIP = 3.0
"""No trait counts for more than this many standard deviations."""
_LONG_AND_SHORT = {"length": "prompt", "question length": "question", "words": "question", "length squared": "prompt"}


class Chances(NamedTuple):
    """Log-odds that a strong and that a cheap model is right."""

    strong: float
    weak: float


class Difficulty(NamedTuple):
    """What a prompt asks of a model.

    ``probability``, 0..1: that a strong model is right where a cheap one is wrong. ``bucket``, 0..4: fifths of the prompts it
    was learned from. ``reasons``: what weighed most against the average prompt, in plain words, with its share of what the
    strong model is expected to gain (positive: speaks for the strong model), heaviest first. ``familiar``, 0..1: how like
    the prompts learned from it is; at 0 its size and structure alone decided. ``factor``: how many times as much the two
    models in question gain on prompts of this kind as any two.
    """

    probability: float
    bucket: int
    reasons: tuple[tuple[str, float], ...]
    familiar: float = 1.0
    factor: float = 1.0


class Outcome(NamedTuple):
    """A logistic model of one model being right: bias and traits by kind of prompt, ``grams`` in steps of ``step``."""

    bias: dict[str, float]
    traits: dict[str, list[float]]
    grams: memoryview
    step: float


class Plain(NamedTuple):
    """What is said of a prompt unlike any other, by its kind: log-odds of the strong model, and of the cheap one before a line
    by few traits, the same for all kinds.
    """

    strong: dict[str, float]
    weak: dict[str, float]
    traits: dict[str, float]


class Weights(NamedTuple):
    """All that the estimate is made from.

    ``rarity`` (of a bucket, in ``rarity_step``) weighs a word; 0: never seen. ``centres``: prompts learned from, as the
    centres of clusters of their traits; up to the first distance of ``near`` from one a prompt is familiar, from the
    second on it is not, nor where its kind is none of ``kinds``. Of the most familiar one what was learned decides as far as
    ``trust`` goes, and ``level`` is added to both log-odds before their difference is taken.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    rarity: memoryview
    rarity_step: float
    unseen: float
    strong: Outcome
    weak: Outcome
    calibration: tuple[float, float]
    edges: tuple[float, ...]
    kinds: tuple[str, ...]
    plain: Plain
    centres: tuple[tuple[float, ...], ...]
    near: tuple[float, float]
    trust: float
    level: float


def unpack(data: dict[str, object]) -> Weights:
    """Weights as ``scripts/train/router`` writes them."""
    fields = dict(data)
    del fields["source"]
    for name in ("strong", "weak"):
        one = dict(fields[name])  # type: ignore[call-overload]
        fields[name] = Outcome(**one | {"grams": signed_bytes(one["grams"])})
    fields["plain"] = Plain(**fields["plain"])  # type: ignore[arg-type]
    packed, width = signed_bytes(fields["centres"]), len(fields["names"])  # type: ignore[arg-type]
    rows = (packed[at : at + width] for at in range(0, len(packed), width))
    fields["centres"] = tuple(tuple(CLIP / 127 * n for n in row) for row in rows)
    fields["rarity"] = signed_bytes(fields["rarity"])  # type: ignore[arg-type]
    return Weights(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})  # type: ignore[arg-type]


@cache
def shipped() -> Weights:
    """The weights in the package."""
    return unpack(table("difficulty"))


def logistic(x: float) -> float:
    """The probability that log-odds of ``x`` are."""
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, x))))


class _Sight(NamedTuple):
    """A prompt as the weights see it: traits in standard deviations, the words it holds, and what turns them into log-odds."""

    kind: str
    traits: dict[str, float]
    values: list[float]
    texts: dict[int, str]
    unit: float
    familiar: float


def _look(prompt: str, w: Weights) -> _Sight:
    apart = take_apart(prompt)
    values = [
        max(-CLIP, min(CLIP, (apart.traits[name] - mean) * scale))
        for name, mean, scale in zip(w.names, w.mean, w.scale, strict=True)
    ]
    texts = dict(grams(apart)) if apart.kind in w.kinds else {}
    norm = math.fsum((w.rarity[bucket] * w.rarity_step or w.unseen) ** 2 for bucket in texts)
    unit, familiar = w.rarity_step / math.sqrt(norm or 1.0), _familiar(apart.kind, values, w)
    return _Sight(apart.kind, apart.traits, values, texts, unit, familiar)


def _familiar(kind: str, values: list[float], w: Weights) -> float:
    if kind not in w.kinds:
        return 0.0
    low, high = w.near
    nearest = min(math.dist(values, centre) for centre in w.centres)
    return max(0.0, min(1.0, (high - nearest) / (high - low)))


def _odds(sight: _Sight, w: Weights, model: Outcome) -> float:
    traits = math.fsum(map(float.__mul__, model.traits[sight.kind], sight.values))
    words = sum(w.rarity[bucket] * model.grams[bucket] for bucket in sight.texts)
    return model.bias[sight.kind] + traits + sight.unit * model.step * words


def _chances(sight: _Sight, w: Weights) -> Chances:
    """Log-odds of what was learned, drawn towards the plain estimate as the prompt is less familiar."""
    known, plain = w.trust * sight.familiar, w.plain
    size = math.fsum(
        plain.traits[name] * value for name, value in zip(w.names, sight.values, strict=True) if name in plain.traits
    )
    return Chances(
        w.level + known * _odds(sight, w, w.strong) + (1 - known) * plain.strong[sight.kind],
        w.level + known * _odds(sight, w, w.weak) + (1 - known) * (plain.weak[sight.kind] + size),
    )


def chances(prompt: str, weights: Weights | None = None) -> Chances:
    """The log-odds that ``difficulty`` is made from."""
    w = weights or shipped()
    return _chances(_look(prompt, w), w)


def difficulty(prompt: str, weights: Weights | None = None, factors: Mapping[str, float] | None = None) -> Difficulty:
    """The difficulty of ``prompt``, by the shipped weights if none are given. Some 0.4 ms, at most 3 for the longest.

    ``factors`` say by kind of prompt what the two models in question gain (:func:`~.pairs.factors`); the bucket is that for
    any two.
    """
    w = weights or shipped()
    sight = _look(prompt, w)
    p, q = map(logistic, _chances(sight, w))
    known = w.trust * sight.familiar
    factor = (factors or {}).get(sight.kind, 1.0)
    times = share_of(p - q, factor)
    of_any, probability = (logistic(w.calibration[0] + w.calibration[1] * (p - q) * x) for x in (1.0, times))
    up, down = times * p * (1 - p), times * q * (1 - q)  # how much the gain moves with either sum
    weighed = [
        (
            _say(name, value, sight.traits[name]),
            value * (known * (a * up - b * down) - (1 - known) * w.plain.traits.get(name, 0.0) * down),
        )
        for name, value, a, b in zip(
            w.names, sight.values, w.strong.traits[sight.kind], w.weak.traits[sight.kind], strict=True
        )
    ]
    strong, weak = known * w.strong.step * up, known * w.weak.step * down
    spoken = [
        (text, sight.unit * w.rarity[bucket] * (strong * w.strong.grams[bucket] - weak * w.weak.grams[bucket]))
        for bucket, text in sight.texts.items()
        if text.isalpha() and len(text) > 2
    ]
    return Difficulty(probability, bisect_right(w.edges, of_any), _heaviest(weighed, spoken), sight.familiar, factor)


def _say(name: str, value: float, raw: float) -> str:
    if name in _LONG_AND_SHORT:
        return f"a {'long' if value > 0 else 'short'} {_LONG_AND_SHORT[name]}"
    if name.startswith(("a ", "ends ")):
        return name if raw else f"not {name}"
    return f"{'many' if value > 0 else 'few' if raw else 'no'} {name}" if name[0] != "q" else name


def _heaviest(traits: list[tuple[str, float]], words: list[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    """What says the same is added up; the heaviest words of either sign are told together."""
    sums: dict[str, float] = {}
    for text, weight in traits:
        sums[text] = sums.get(text, 0.0) + weight
    for sign in (1, -1):
        top = sorted((pair for pair in words if pair[1] * sign > 0), key=lambda pair: -abs(pair[1]))[:3]
        if top:
            sums["words: " + ", ".join(text for text, _ in top)] = math.fsum(weight for _, weight in top)
    ranked = sorted(sums.items(), key=lambda pair: (-abs(pair[1]), pair[0]))
    return tuple((text, round(weight, 4)) for text, weight in ranked[:REASONS] if abs(weight) >= 0.0005)
