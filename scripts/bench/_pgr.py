"""RouteLLM's measures of a router (arXiv 2406.18665, section 4): what it keeps of the strong model's advantage, and for what."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

ROUNDS = 1_000
"""Bootstrap samples."""


class Case(NamedTuple):
    """A pair of models on a set of prompts: which is right (0..1), and what its answer costs in dollars (None: unknown)."""

    strong: np.ndarray
    weak: np.ndarray
    strong_usd: np.ndarray | None
    weak_usd: np.ndarray | None


class Router(NamedTuple):
    """Where a router sends prompts: those of the highest ``score`` first; equal scores are told apart by nothing.

    A cascade has asked the cheap model before. ``asked``: between which scores a second cheap answer decided, as
    (lower, upper), and what that answer costs: it is billed wherever it could have decided.
    """

    score: np.ndarray
    us: float
    cascade: bool = False
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None
    second_usd: np.ndarray | None = None


def ladder(score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The prompts by falling score, and the number of the group of equal scores that each belongs to."""
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    return order, np.concatenate([[0], np.cumsum(ranked[1:] != ranked[:-1])])


def recovered(gain: np.ndarray, group: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(share of strong calls, PGR) before the first group and after each; PGR is straight between: ties in any order."""
    calls = np.concatenate([[0.0], np.cumsum(np.bincount(group, weight))])
    gained = np.concatenate([[0.0], np.cumsum(np.bincount(group, weight * gain))])
    return calls / calls[-1], gained / gained[-1]


def area(x: np.ndarray, y: np.ndarray) -> float:
    """APGR: the mean of PGR over the share of strong calls."""
    return float(np.trapezoid(y, x))


def reach(x: np.ndarray, y: np.ndarray, goal: float) -> float:
    """CPT: the least share of strong calls at which PGR is ``goal``."""
    after = int(np.argmax(y >= goal - 1e-9))
    if after == 0:
        return 0.0
    step = y[after] - y[after - 1]
    return float(x[after - 1] + (x[after] - x[after - 1]) * (goal - y[after - 1]) / step)


def interval(gain: np.ndarray, group: np.ndarray, rounds: int = ROUNDS) -> list[float] | None:
    """The bootstrap's 95% interval of APGR. Samples in which the strong model gains nothing have none and are left out."""
    random = np.random.default_rng(0)
    areas = []
    for _ in range(rounds):
        weight = np.bincount(random.integers(0, len(gain), len(gain)), minlength=len(gain)).astype(float)
        if weight @ gain > 0:
            areas.append(area(*recovered(gain, group, weight)))
    return [round(float(x), 4) for x in np.quantile(areas, (0.025, 0.975))] if areas else None


def dollars(case: Case, router: Router, order: np.ndarray, group: np.ndarray) -> np.ndarray | None:
    """Dollars for 1,000 prompts before the first group and after each, every cheap call billed."""
    if case.strong_usd is None or case.weak_usd is None:
        return None
    up = case.strong_usd if router.cascade else case.strong_usd - case.weak_usd
    spent = case.weak_usd.sum() + np.concatenate([[0.0], np.cumsum(np.bincount(group, up[order]))])
    if router.lower is not None and router.upper is not None and router.second_usd is not None:
        cuts = np.concatenate([[np.inf], np.array([router.score[order][group == n][0] for n in range(group[-1] + 1)])])
        needed = [(router.lower < cut) & (router.upper >= cut) for cut in cuts]
        spent = spent + np.array([router.second_usd[asked].sum() for asked in needed])
    return spent / len(order) * 1000


def cheapest(y: np.ndarray, usd: np.ndarray, goal: float) -> float | None:
    """The least dollars with which PGR is ``goal``, straight between groups as PGR is; None where it never is."""
    enough = y >= goal - 1e-9
    crossed = np.flatnonzero(enough[1:] != enough[:-1])
    share = (goal - y[crossed]) / (y[crossed + 1] - y[crossed])
    between = usd[crossed] + share * (usd[crossed + 1] - usd[crossed])
    return round(float(min([*usd[enough], *between])), 5) if enough.any() else None


def figures(case: Case, router: Router) -> dict[str, float | list[float] | None]:
    """What the benchmark reports of one router, shares as fractions."""
    order, group = ladder(router.score)
    gain = (case.strong - case.weak)[order]
    x, y = recovered(gain, group, np.ones(len(gain)))
    usd = dollars(case, router, order, group)
    return {
        "apgr": round(area(x, y), 4),
        "apgr_ci": interval(gain, group),
        "cpt50": round(reach(x, y, 0.5), 4),
        "cpt80": round(reach(x, y, 0.8), 4),
        "usd_at_95": None if usd is None else cheapest(y, usd, 0.95),
        "usd_at_strong": None if usd is None else cheapest(y, usd, 1.0),
        "us": round(router.us, 1),
    }
