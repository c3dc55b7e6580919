"""Where a model is served: one name, several places, each with a weight, limits and a cool-down; which one is next. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

MINUTE = 60.0
"""Seconds over which requests and tokens are counted."""
OWN = "default"
"""The deployment that is served where the model's own target says."""
LONGEST_COOL_DOWN = 60.0
"""Seconds that failures in a row make a place wait at most; a provider's own Retry-After may ask for more."""
_SOON = 0.02
"""Seconds until it is looked for room again at the earliest."""
_SLOW = 0.1
_LEAST = 0.05
"""The smallest part of its weight that a slow place keeps, and one that fails."""


class Deployment(NamedTuple):
    """A place where a model is served. ``target`` None: the model's own, with its address and key.

    ``weight``: its share beside others; 0: only while no other one can be asked. ``rpm``, ``tpm``: requests and tokens a
    minute; ``concurrency``: calls at once; None: any number. ``cool_down``: seconds it is left alone after a failure, doubled
    with each further one in a row. Prices (pico-dollars per token) are None where they are the model's.
    """

    name: str
    target: str | None = None
    api_base: str | None = None
    api_key_env: str | None = None
    weight: int = 1
    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None
    cool_down: float = 5.0
    price_in: int | None = None
    price_out: int | None = None
    class_prices: dict[str, int] = {}  # noqa: RUF012 - never changed


class Use(NamedTuple):
    """How a deployment is used now: requests and tokens of the last minute and calls in flight.

    ``leaves``: seconds until the oldest request of that minute counts no more. ``latency_ms`` (None: not known) and
    ``error_rate`` (0..1) are moving means. ``cooling``: seconds of its cool-down that are left. ``failure``: what its last
    call failed with, None where it answered.
    """

    requests: int = 0
    tokens: int = 0
    in_flight: int = 0
    leaves: float = MINUTE
    latency_ms: float | None = None
    error_rate: float = 0.0
    failures: int = 0
    failure: str | None = None
    cooling: float = 0.0


class Wanted(NamedTuple):
    """What a hold wants: one of ``places``, none of those that are named in ``avoid``. ``chance``, 0..1, draws among them;
    ``warm``, which has the beginning of the prompt in its cache, is taken where it has room.
    """

    places: tuple[Deployment, ...]
    avoid: frozenset[str]
    chance: float
    warm: str | None = None


class Full(NamedTuple):
    """No place takes the call now; the next may in ``seconds``, None: never, it is larger than any of their limits."""

    seconds: float | None


def choose(wanted: Wanted, uses: Mapping[str, Use], tokens: int) -> Deployment | Full:
    """The place for a call that may take ``tokens``, or how long it has to wait.

    By weight, by what is left of limits, by recent latency and errors. A place that cools down because of faults is asked
    only where there is no other, and the one whose cool-down ends first; one at its limits never is.
    """
    open_: list[tuple[Deployment, Use]] = []
    standby: list[tuple[Deployment, Use]] = []
    cooling: list[tuple[float, Deployment]] = []
    waits: list[float] = []
    for place in wanted.places:
        if place.name in wanted.avoid:
            continue
        use = uses.get(place.name, Use())
        wait = waiting(place, use, tokens)
        if wait is None:
            continue
        if wait > 0:
            waits.append(wait)
        elif use.cooling > 0:
            cooling.append((use.cooling, place))
        else:
            (open_ if place.weight else standby).append((place, use))
    kept = next((place for place, _ in open_ if place.name == wanted.warm), None)
    if kept is not None:
        return kept
    if open_ or standby:
        return _drawn(open_ or standby, wanted.chance)
    if waits:
        return Full(min(waits))
    return min(cooling, key=lambda one: one[0])[1] if cooling else Full(None)


def waiting(place: Deployment, use: Use, tokens: int) -> float | None:
    """Seconds until a place's limits allow a call that may take ``tokens``: 0 now, None never."""
    if place.tpm is not None and tokens > place.tpm:
        return None
    if use.cooling > 0 and use.failure == "limited":
        return use.cooling
    wait = 0.0
    if place.rpm is not None and use.requests >= place.rpm:
        wait = max(_SOON, use.leaves)
    if place.tpm is not None and use.tokens + tokens > place.tpm:
        wait = max(_SOON, use.leaves)
    if place.concurrency is not None and use.in_flight >= place.concurrency:
        wait = max(
            wait, (use.latency_ms or 200.0) / 1000 / place.concurrency
        )  # until the next of them ends, on average
    return min(max(wait, _SOON), MINUTE) if wait else 0.0


def _drawn(places: list[tuple[Deployment, Use]], chance: float) -> Deployment:
    known = [use.latency_ms for _, use in places if use.latency_ms]
    fastest = min(known, default=0.0)
    shares = [(place.weight or 1) * _room(place, use) * _health(use, fastest) for place, use in places]
    mark = chance * sum(shares)
    for (place, _), share in zip(places, shares, strict=True):
        mark -= share
        if mark < 0:
            return place
    return places[-1][0]


def _room(place: Deployment, use: Use) -> float:
    """What is left of the narrowest limit, 0..1."""
    limits = ((place.rpm, use.requests), (place.tpm, use.tokens), (place.concurrency, use.in_flight))
    return min((max(0.0, 1 - used / limit) for limit, used in limits if limit), default=1.0)


def _health(use: Use, fastest: float) -> float:
    """How well a place did of late beside the fastest one, 0..1; one that is not known is taken to be as fast."""
    speed = max(_SLOW, fastest / use.latency_ms) if use.latency_ms else 1.0
    return float(speed * max(_LEAST, (1 - use.error_rate) ** 2))


def cool_down(place: Deployment, failures: int, label: str, retry_after: float | None) -> float:
    """Seconds for which a place is left alone after so many failures in a row; ``retry_after`` at least, where that is known.

    What is wrong with the request cools nothing.
    """
    is_place = label in ("limited", "server", "unreached", "unknown", "refused_key")
    own = min(LONGEST_COOL_DOWN, place.cool_down * 2.0 ** min(failures - 1, 10)) if is_place else 0.0
    return max(own, retry_after or 0.0)


def mean(before: float | None, now: float) -> float:
    """A moving mean after one more value: the last few count."""
    return now if before is None else 0.7 * before + 0.3 * now


def free_name(taken: Iterable[str], target: str | None, provider: str) -> str:
    """A name for a new deployment: its provider's, with a number where that is taken."""
    if target is None:
        return OWN
    names = set(taken)
    first = provider or "other"
    return next(name for name in (first, *(f"{first}-{n}" for n in range(2, len(names) + 3))) if name not in names)
