"""What changed most: users, features and models whose cost, answers' length or failures moved beyond their usual spread."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Row = dict[str, Any]

_BEFORE, _AFTER = 7, 3
"""Days that there must be at least before a change and after it."""
_SURE = 4.0
"""Standard errors by which two means, or a day's failures, must differ from what is usual."""
_NOTABLE = 0.25
"""Share by which a mean must have moved."""
_WORTH = 0.01
"""Share of everything's daily cost that a change must come to."""
_FAILURES = 3
_CALLS = 3
"""Calls that a day must have for its answers' mean length to count."""
MOST = 8


class Change(NamedTuple):
    """Something that moved. ``what`` is user, feature or model; ``measure`` cost (nano-dollars a day), length (tokens of an
    answer) or failures (share of requests); ``since`` the first day of it; ``score`` how many standard errors it is off;
    ``weight`` its share of everything.
    """

    what: str
    name: str
    measure: str
    since: str
    before: float
    after: float
    score: float
    weight: float


class Series(NamedTuple):
    """One user's, feature's or model's days, in order: cost in nano-dollars, requests, failures, calls, their tokens out."""

    what: str
    name: str
    costs: list[int]
    requests: list[int]
    failures: list[int]
    calls: list[int]
    tokens: list[int]


def series(what: str, key: str, days: Sequence[str], rows: Mapping[str, Sequence[Row]]) -> list[Series]:
    """Series by ``key`` from each day's sums."""
    found: dict[str, Series] = {}
    for n, day in enumerate(days):
        for row in rows.get(day, ()):
            name = str(row[key])
            one = found.setdefault(name, Series(what, name, *([0] * len(days) for _ in range(5))))
            one.costs[n] += row["cost_usd"]
            one.requests[n] += row["requests"]
            one.failures[n] += row["failures"]
            one.calls[n] += row["calls"]
            one.tokens[n] += row["output_tokens"]
    return list(found.values())


def changes(days: Sequence[str], since: str, all_series: Sequence[Series]) -> list[Change]:
    """What moved on or after the day ``since``, most first. ``days`` are those of the series, some of them earlier."""
    users = [one for one in all_series if one.what == "user"]
    whole = sum(sum(one.costs) for one in users) / max(1, len(days))
    tokens = sum(sum(one.tokens) for one in users)
    found = []
    for one in all_series:
        for change in (_cost(days, since, one, whole), _length(days, since, one, tokens), _failures(days, since, one)):
            if change is not None:
                found.append(change)
    # One bad day shows in every user, feature and model that it hit: the one that it hit most stands for all.
    worst: dict[str, Change] = {}
    for change in found:
        if change.measure == "failures" and change.score > worst.get(change.since, change).score - 1e-9:
            worst[change.since] = change
    kept = [change for change in found if change.measure != "failures" or worst[change.since] is change]
    return sorted(kept, key=lambda c: (-c.weight, c.name, c.measure))[:MOST]


def _cost(days: Sequence[str], since: str, one: Series, whole: float) -> Change | None:
    """The day, on or after ``since``, from which the mean daily cost is another one.

    Where it moved before that, only the days after count: an old change is not told again.
    """
    start = next((n for n, cost in enumerate(one.costs) if cost), len(days))
    found = _split(one.costs, start)
    while found is not None and days[found[0]] < since:
        start = found[0]
        found = _split(one.costs, start)
    if found is None:
        return None
    n, before, after, score = found
    moved = abs(after - before)
    if moved < _NOTABLE * before or moved < _WORTH * whole:
        return None
    return Change(one.what, one.name, "cost", days[n], before, after, score, moved / whole if whole else 0.0)


def _length(days: Sequence[str], since: str, one: Series, whole: int) -> Change | None:
    """The day from which answers are longer or shorter, of the days with calls enough."""
    busy = [n for n, calls in enumerate(one.calls) if calls >= _CALLS]
    means = [one.tokens[n] / one.calls[n] for n in busy]
    found = _split(means, 0)
    while found is not None and days[busy[found[0]]] < since:
        found = _split(means, found[0])
    if found is None:
        return None
    n, before, after, score = found
    moved = abs(after - before)
    # What it comes to: the tokens that those days had more, or less.
    share = moved * sum(one.calls[day] for day in busy[n:]) / whole if whole else 0.0
    if moved < _NOTABLE * before or share < _WORTH:
        return None
    return Change(one.what, one.name, "length", days[busy[n]], before, after, score, share / 2)


def _split(costs: Sequence[float], start: int) -> tuple[int, float, float, float] | None:
    """Where the means on both sides are most standard errors apart, if enough: that day's number, both means, the score."""
    best = None
    # The last day is not over yet.
    end = len(costs) - 1
    for n in range(start + _BEFORE, end - _AFTER + 1):
        (before, spread), (after, after_spread) = _mean(costs[start:n]), _mean(costs[n:end])
        error = math.sqrt(spread / (n - start) + after_spread / (end - n)) or 1.0
        score = abs(after - before) / error
        if score >= _SURE and (best is None or score > best[3]):
            best = n, before, after, score
    return best


def _failures(days: Sequence[str], since: str, one: Series) -> Change | None:
    """The day whose failures stand out most from all other days'."""
    requests, failures = sum(one.requests), sum(one.failures)
    best = None
    for n, day in enumerate(days):
        failed, asked = one.failures[n], one.requests[n]
        if day < since or failed < _FAILURES or not asked:
            continue
        usual = (failures - failed + 0.5) / (requests - asked + 1)
        score = (failed - asked * usual) / math.sqrt(asked * usual * max(1 - usual, 0.01))
        if best is None or score > best.score:
            rest = (failures - failed) / (requests - asked) if requests > asked else 0.0
            best = Change(one.what, one.name, "failures", day, rest, failed / asked, score, failed / asked / 10)
    return best if best is not None and best.score >= _SURE else None


def _mean(values: Sequence[float]) -> tuple[float, float]:
    """The mean and the variance."""
    mean = sum(values) / len(values)
    return mean, sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1)
