"""How good models are, as far as it is known: measured tables, the catalog's quality, and what users said of answers.

Used by the policies ``learned`` and ``cascade``; ``rules`` goes by the catalog's quality alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from nexscout_cli.engine.model import Model, is_version
from nexscout_cli.engine.shipped_data import table
from nexscout_cli.engine.snapshot import Verdicts

PRIOR_WEIGHT = 20.0
"""Verdicts that the shipped estimate counts as."""


class Dominance(NamedTuple):
    """A model that another one makes needless: ``by`` costs less, and is as good (``theirs`` ≥ ``own``) by ``basis``."""

    by: str
    basis: str
    own: float
    theirs: float


def measured_as(model: Model) -> str:
    """The name that measured tables have of a model; "" where it has been pointed at another model than was measured."""
    target = model.litellm_model.partition("/")[2]
    return model.name if target == model.name or is_version(target, model.name) else ""


def measured(model: Model) -> dict[str, float]:
    """Accuracies of a model by set, from ``data/quality.json``, which names their source."""
    found = table("quality")["models"].get(measured_as(model), {})
    return {name: float(of["accuracy"]) for name, of in found.items()}


def corrected(quality: float, good: int, bad: int) -> float:
    """A shipped estimate after verdicts: Beta(20 q + good, 20 (1 − q) + bad).

    The estimate stands while it lies within one standard deviation of the Beta's mean; else it moves to the nearest value
    that does. So a few verdicts change nothing, and many decide: of a model of quality 0.70, four bad ones and no good one
    are the first to bring it below that.
    """
    if not good + bad:
        return quality
    a, b = PRIOR_WEIGHT * quality + good, PRIOR_WEIGHT * (1 - quality) + bad
    mean = a / (a + b)
    spread = math.sqrt(mean * (1 - mean) / (a + b + 1))
    return min(max(quality, mean - spread), mean + spread)


def needless(models: Sequence[Model]) -> dict[str, Dominance]:
    """The models that cost more for the same tokens than another one that can be used, and are no better."""
    rivals = frozenset(model.name for model in models if not model.retired)
    return Estimates({}, None).dominated(models, lambda model: model.price_in + model.price_out, rivals)


class Estimates:
    """What is known of models for prompts of one difficulty bucket."""

    def __init__(self, verdicts: Verdicts, bucket: int | None) -> None:
        self._verdicts = verdicts
        self._bucket = bucket

    def verdicts_on(self, name: str) -> tuple[int, int]:
        """Good and bad verdicts on a model in this bucket; those given where no bucket was known count in every one."""
        found = [self._verdicts.get((name, bucket), (0, 0)) for bucket in dict.fromkeys((self._bucket, None))]
        return sum(good for good, _ in found), sum(bad for _, bad in found)

    def quality(self, model: Model) -> float:
        """The catalog's quality, corrected by verdicts."""
        return corrected(model.quality, *self.verdicts_on(model.name))

    def dominated(
        self, models: Sequence[Model], price: Callable[[Model], int], rivals: frozenset[str] | None = None
    ) -> dict[str, Dominance]:
        """The models that are both dearer and no better than another one, with the one that makes each needless.

        Two models are compared by what was measured of both on the same sets (the mean of their accuracies), else by the
        catalog; verdicts correct either. A model that is dominated itself makes no other one needless. ``rivals`` names the
        models that may make others needless (None: all).
        """
        found: dict[str, Dominance] = {}
        kept: list[Model] = []
        for model in sorted(models, key=lambda m: (price(m), m.name)):
            cheaper = (self._against(model, other) for other in reversed(kept) if price(other) < price(model))
            better = next((rival for rival in cheaper if rival.theirs >= rival.own), None)
            if better is not None:
                found[model.name] = better
            elif rivals is None or model.name in rivals:
                kept.append(model)
        return found

    def _against(self, model: Model, other: Model) -> Dominance:
        ours, others = measured(model), measured(other)
        sets = sorted(ours.keys() & others.keys())
        if sets:
            own, theirs = (sum(found[name] for name in sets) / len(sets) for found in (ours, others))
            basis = "measured on " + ", ".join(sets)
        else:
            own, theirs, basis = model.quality, other.quality, "the catalog's quality"
        (good, bad), (their_good, their_bad) = self.verdicts_on(model.name), self.verdicts_on(other.name)
        if good + bad + their_good + their_bad:
            own, theirs = corrected(own, good, bad), corrected(theirs, their_good, their_bad)
            basis += ", corrected by feedback"
        return Dominance(other.name, basis, own, theirs)
