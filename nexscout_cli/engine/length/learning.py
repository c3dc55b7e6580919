"""What answers have taught: how far they were from the shipped prediction, kept level by level as a few running sums.

A level is one (user, feature, model), or a wider one: the feature and model for all users, the feature for all models.
In each the residual r = ln(answer's tokens ÷ shipped prediction) is regressed on t = ln(tokens asked) and m = ln(shipped
prediction), and shrunk toward the level above by how much was seen: Bayesian linear regression, the wider level as prior.
The upper edge follows what it misses (adaptive conformal inference, Gibbs and Candès 2021), so that its share holds
whatever the residuals look like.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from nexscout_cli.engine.names import EVERYONE

KEEP = 0.995
"""What an answer's weight becomes with each later one: some 200 answers count."""
MEAN_WEIGHT, SPREAD_WEIGHT, EDGE_WEIGHT = 1.0, 4.0, 10.0
"""How many answers the level above is worth for the mean, the spread and the edge."""
SLOPE_T_SD, SLOPE_M_SD = 1.0, 0.5
"""How far a level's slopes may be from those of the level above."""
EDGE_STEP, MISSED, EDGES = 0.15, 0.1, (0.2, 4.0)
"""How fast the upper edge follows, the share that is to lie above it, and its range in standard deviations."""
MEAN_SHARE = 0.25
"""How much is added of what a log-normal's mean lies above its median: the median errs less, the mean adds up to the bill."""
FAR = 2.0
"""How far from what was expected an answer counts as at most (a factor of seven): one that ran away teaches no length."""


class Trend(NamedTuple):
    """What is expected: ln of the answer's tokens, its spread, and where its P90 lies in multiples of that.

    ``t`` is ln of the tokens asked; of a shipped prediction ``mean`` is the m that its residual is kept with.
    """

    t: float
    mean: float
    sd: float
    edge: float


class Level(NamedTuple):
    """Running sums over the answers of a level; ``edge`` is where its P90 lies, in standard deviations."""

    n: float = 0.0
    t: float = 0.0
    m: float = 0.0
    r: float = 0.0
    tt: float = 0.0
    tm: float = 0.0
    mm: float = 0.0
    tr: float = 0.0
    mr: float = 0.0
    rr: float = 0.0
    edge: float = 1.3

    def after(self, shipped: Trend, expected: int, tokens: int, above: bool) -> Level:
        """The level after one more answer, of ``tokens`` where ``expected`` were; ``above``: more than its forecast P90."""
        sums = [
            old * KEEP + new for old, new in zip(self, observed(shipped, expected, tokens), strict=False)
        ]  # but the edge
        low, high = EDGES
        return Level._make([*sums, min(max(self.edge + edge_step(above), low), high)])


def observed(shipped: Trend, expected: int, tokens: int) -> tuple[float, ...]:
    """What an answer adds to a level's sums, in their order: of ``tokens`` where ``expected`` were."""
    t, m = shipped.t, shipped.mean
    surprise = math.log(max(tokens, 1) / max(expected, 1))
    r = math.log(max(expected, 1)) + min(max(surprise, -FAR), FAR) - m
    return (1.0, t, m, r, t * t, t * m, m * m, t * r, m * r, r * r)


def edge_step(above: bool) -> float:
    """How far an answer moves a level's edge; ``above``: it was longer than its forecast P90."""
    return EDGE_STEP * (above - MISSED)


def scopes(user_id: str, model: str) -> tuple[tuple[str, str], ...]:
    """The levels that a feature's answers are learned in, widest first, as (user, model); without a model the widest."""
    return ((EVERYONE, ""), (EVERYONE, model), (user_id, model))[: 3 if model else 1]


def forecast(shipped: Trend, levels: Iterable[Level]) -> Trend:
    """What the levels, widest first, make of a shipped prediction."""
    t, m = shipped.t, shipped.mean
    at_t, at_m, r, slope_t, slope_m, seen = t, m, 0.0, 0.0, 0.0, 0.0
    variance, edge = shipped.sd**2, shipped.edge
    for level in levels:
        n = level.n
        if n <= 0:
            continue
        seen = n
        mean_t, mean_m, mean_r = level.t / n, level.m / n, level.r / n
        above = r + slope_t * (mean_t - at_t) + slope_m * (mean_m - at_m)
        tt, tm, mm = level.tt / n - mean_t**2, level.tm / n - mean_t * mean_m, level.mm / n - mean_m**2
        tr, mr, rr = level.tr / n - mean_t * mean_r, level.mr / n - mean_m * mean_r, level.rr / n - mean_r**2
        # Two normal equations: the data's, weighed by what an answer scatters, and the level above as a ridge.
        weight, own_t, own_m = n / variance, 1 / SLOPE_T_SD**2, 1 / SLOPE_M_SD**2
        a, b, c = own_t + weight * max(tt, 0.0), weight * tm, own_m + weight * max(mm, 0.0)
        x, y = own_t * slope_t + weight * tr, own_m * slope_m + weight * mr
        scale = a * c - b * b
        slope_t, slope_m = (c * x - b * y) / scale, (a * y - b * x) / scale
        r = (MEAN_WEIGHT * above + n * mean_r) / (MEAN_WEIGHT + n)
        at_t, at_m = mean_t, mean_m
        scatter = (
            rr - 2 * (slope_t * tr + slope_m * mr) + slope_t**2 * tt + 2 * slope_t * slope_m * tm + slope_m**2 * mm
        )
        variance = (SPREAD_WEIGHT * variance + n * max(scatter, 0.0)) / (SPREAD_WEIGHT + n)
        variance = max(variance, 0.0004)
        edge = (EDGE_WEIGHT * edge + n * level.edge) / (EDGE_WEIGHT + n)
    if not seen:
        return shipped
    shift = r + slope_t * (t - at_t) + slope_m * (m - at_m)
    lift = MEAN_SHARE * seen / (EDGE_WEIGHT + seen) * min(variance, 1.0) / 2
    sd = math.sqrt(variance)
    return Trend(t, m + shift + lift, sd, edge - lift / sd)
