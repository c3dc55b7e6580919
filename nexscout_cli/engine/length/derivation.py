"""Questions with one right answer: how long the way to it is.

How long a derivation gets goes by how much is asked and how much mathematics stands in the question, in every task that was
measured; what else a task has of its own is a level, and a prompt has it as far as it is like that task's. A prompt like none
gets none: so one task's habits say nothing of another's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from operator import mul
from typing import Any, NamedTuple

from nexscout_cli.engine.length.features import seen

_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_OPTION_LINE = re.compile(r"^[ \t]*\(?[A-J][.)][ \t].*$", re.MULTILINE)
_LATEX = re.compile(r"\$[^$\n]+\$|\\[a-z]{2,}|\\[(\[]")
_SIGN = re.compile(r"[=<>+^*/|≤≥≠∑∫√×÷±≈]|\\(?:frac|sqrt|sum|int|le|ge|cdot|times|pi|sin|cos|tan|log)\b")
_CODE = re.compile(
    r"^[ \t]*(?:def |class |import |from \w+ import|#include|SELECT |function |const |var |let |return |assert )|\[PYTHON\]",
    re.MULTILINE,
)
_WORD = re.compile(r"[^\W\d_]+")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_REASONS = re.compile(
    r"step by step|\breasoning\b|show (?:me )?(?:all )?(?:your|the) (?:work|steps)|explain (?:your|how you)|justify|"
    r"think (?:it |this )?through",
    re.I,
)
TRAITS = ("words", "mathematics", "reasons", "numbers", "code", "options")
"""What is looked at: counts as logarithms; ``reasons`` (a way to the answer is asked for) and
``code`` are 0 or 1."""
SLOPES = TRAITS[:3]
"""What decides in every task alike; the others only tell tasks apart."""


class Kind(NamedTuple):
    """A kind of request that was measured: where its prompts lie, by TRAITS, and how much longer answers are (a logarithm)."""

    centre: tuple[float, ...]
    level: float


class Derivations(NamedTuple):
    """All that the length of a derivation is made from; ``weights`` in the order of SLOPES.

    ``scale``: what a trait is divided by where distances are taken; ``other``: how much speaks for a kind nobody measured.
    """

    intercept: float
    weights: tuple[float, ...]
    kinds: tuple[Kind, ...]
    scale: tuple[float, ...]
    other: float

    def mean(self, traits: Sequence[float]) -> float:
        """The ln of the tokens that an average model's answer is expected to have."""
        return float(self.intercept + sum(map(mul, self.weights, traits)) + self.level(traits))

    def level(self, traits: Sequence[float]) -> float:
        """What kinds of request that are like this one add."""
        known = [(math.exp(-self._distance(traits, kind) / 2), kind.level) for kind in self.kinds]
        return float(sum(near * level for near, level in known) / (self.other + sum(near for near, _ in known)))

    def _distance(self, traits: Sequence[float], kind: Kind) -> float:
        return sum(((a - b) / s) ** 2 for a, b, s in zip(traits, kind.centre, self.scale, strict=True))


def unpack(data: dict[str, Any]) -> Derivations:
    """Derivations as ``scripts/train/lengths`` writes them."""
    kinds = tuple(Kind(tuple(one["centre"]), one["level"]) for one in data["kinds"].values())
    weights = tuple(data["weights"][name] for name in SLOPES)
    return Derivations(data["intercept"], weights, kinds, tuple(data["scale"]), data["other"])


def traits(text: str) -> list[float]:
    """What TRAITS names, of a question; its options and what stands between fences do not count as words of it."""
    text = seen(text)
    question = _FENCED.sub("\n", text) if "```" in text else text
    options = len(_OPTION_LINE.findall(question))
    if options:
        question = _OPTION_LINE.sub("", question)
    code = _CODE.search(text) is not None
    signs = 0 if code else len(_SIGN.findall(question)) + len(_LATEX.findall(question))
    return [
        math.log1p(len(_WORD.findall(question))),
        math.log1p(signs),
        float(_REASONS.search(text) is not None),
        math.log1p(len(_NUMBER.findall(question))),
        float(code),
        math.log1p(options),
    ]
