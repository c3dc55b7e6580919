"""The answer's length as shipped, with an offset for the model that answers.

Of an open prompt it is a log-linear model of what is asked for; of a question with one right answer, how long the way to it
is (``derivation.py``); of either, what the prompt itself tells (``told.py``). The weights are data (``data/lengths.json``,
made by ``scripts/train/lengths``), read when first needed.
"""

from __future__ import annotations

import json
import math
import re
from functools import lru_cache
from operator import mul
from pathlib import Path
from typing import NamedTuple

from nexscout_cli.engine.length.derivation import Derivations, traits, unpack
from nexscout_cli.engine.length.features import KINDS, NAMES, OPEN, features, kind
from nexscout_cli.engine.length.learning import Trend
from nexscout_cli.engine.length.told import told

WEIGHTS = Path(__file__).parent.parent.parent / "data" / "lengths.json"
FEATURES = {
    "ai_message": 140,
    "ai_objection": 180,
    "ai_sequence": 450,
    "ai_coaching": 450,
    "ai_deepscan": 600,
    "ai_pitchdeck": 800,
}
"""Tokens that answers of a feature usually have; half of the forecast, until the feature's own answers are known."""
NAMED_SD = 0.3
TOKENS_PER_WORD = 1.35
CEILING = 4.0
"""How sharply the length that a model is told caps what is expected: at the cap itself 16% are taken off."""
MAX_LN_TOKENS = math.log(8_000)
_VERSION = re.compile(r"(?:[-@:](?:\d{8}|\d{4}-\d\d-\d\d|latest|exp|instruct|inst|chat|it|hf|v\d[\d.:]*)\b)+")


def shipped(prompt: str, tokens: int, feature: str, manner: str, model: str, words: int | None) -> Trend:
    """The ln of the answer's expected tokens, with its spread and P90, before anything was learned.

    ``tokens`` are the user message's; ``manner`` is tone and goal; ``model`` is a LiteLLM name, with provider or
    without, or empty where none is chosen yet; ``words`` is the length that the model is told not to exceed.
    """
    sort, mean, named = _of_prompt(prompt, tokens, manner)
    mean += _offset(model)[sort]
    sd, edge = _weights().spread[sort]
    if usual := FEATURES.get(feature):
        mean = (mean + math.log(usual)) / 2
    if named:
        mean += named[1] * (math.log(named[0]) - mean)
        sd += named[1] * (NAMED_SD - sd)
    if words is not None:
        asked_for = math.log(words * TOKENS_PER_WORD)
        mean = min(mean, asked_for) - math.log1p(math.exp(-CEILING * abs(mean - asked_for))) / CEILING
    return Trend(math.log(max(tokens, 1)), min(max(mean, 0.0), MAX_LN_TOKENS), sd, edge)


@lru_cache(maxsize=4)  # a request asks for each of its models; no more than some prompts are to be kept
def _of_prompt(prompt: str, tokens: int, manner: str) -> tuple[int, float, tuple[float, float] | None]:
    """What a prompt alone tells: its kind, the mean for an average model, and the length that it names."""
    weights, sort = _weights(), kind(prompt)
    if sort == OPEN:
        vector = features(prompt, tokens, manner)
        mean = weights.intercept + sum(map(mul, weights.features, vector))
    else:
        mean = weights.derivations.mean(traits(prompt))
    return sort, mean, told(prompt, sort == OPEN)


@lru_cache(maxsize=256)
def _offset(model: str) -> list[float]:
    return offset(_weights().models, model)


def offset(models: dict[str, list[float]], name: str) -> list[float]:
    """How much longer or shorter a model answers, as a logarithm for each of KINDS; of the longest name it begins with.

    A model nobody has measured answers like its family, one of no known family like the average.
    """
    name = bare(name)
    ends = (end for end in range(len(name), 0, -1) if not name[end : end + 1].isalnum())
    known = next((name[:end] for end in ends if name[:end] in models), None)
    return models[known] if known else [0.0] * len(KINDS)


def bare(model: str) -> str:
    """A model's name without provider, host, date and version."""
    name = model.lower().rpartition("/")[2].partition("@")[0].replace("_", ".").removeprefix("meta-")
    return _VERSION.sub("", name)


class _Weights(NamedTuple):
    intercept: float
    features: tuple[float, ...]
    models: dict[str, list[float]]
    spread: list[list[float]]
    derivations: Derivations


@lru_cache(maxsize=1)
def _weights() -> _Weights:
    read = json.loads(WEIGHTS.read_text(encoding="utf-8"))
    weights = tuple(read["weights"][name] for name in NAMES)
    return _Weights(read["intercept"], weights, read["models"], read["spread"], unpack(read["derivations"]))
