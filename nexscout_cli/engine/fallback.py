"""What to try after an attempt gave no answer: the same model again after a pause, or the next one of the ladder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from nexscout_cli.config import Settings
from nexscout_cli.engine.failures import ProviderFailure
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.planning.plan import Plan
from nexscout_cli.engine.snapshot import Snapshot

DEARER = 3
"""How many times the quote a dearer model may be expected to cost."""


def pause(
    failure: ProviderFailure, outcomes: Sequence[str], settings: Settings, waited: float = 0.0, chance: float = 1.0
) -> float | None:
    """Seconds to wait before the same model is tried again, or None when it is not.

    ``outcomes`` are the kinds of all failures at it, this one last. Faults that may pass get ``providers.retries`` further
    tries with exponential backoff and jitter (``chance``, 0..1), or what Retry-After asks for when that, with the
    ``waited`` seconds of this request's earlier pauses, lies within the call's timeout. An outcome that is unknown may have
    been paid: where it is the first at a model, that model is tried once more at once, and else no more.
    """
    if "unknown" in outcomes:
        return 0.0 if len(outcomes) == 1 else None
    if failure.kind not in ("limited", "server") or len(outcomes) > settings["providers.retries"]:
        return None
    if failure.retry_after is not None:
        return failure.retry_after if waited + failure.retry_after <= settings["providers.timeout"] else None
    low, high = float(settings["providers.backoff_min"]), float(settings["providers.backoff_max"])
    return min(high, low * 2.0 ** (len(outcomes) - 1)) * (0.5 + 0.5 * chance)


def ladder(
    first: Plan, snapshot: Snapshot, settings: Settings, price: Callable[[Model], int], larger_than: int
) -> Iterator[Model]:
    """What to try after ``first``'s model: cheaper ones above the quality floor, dearer ones up to 3 × its quote,
    then the embedded one.

    ``larger_than`` asks for a larger context window (0: any). ``price`` is the expected cost of this request in nano-dollars.
    """
    floor, quote = settings["routing.floor"], first.predicted_cost
    preference = snapshot.profile.model_preference
    others = [
        m
        for m in snapshot.models
        if m.name in snapshot.available and m.name != first.model.name and m.max_tokens > larger_than
    ]
    good = [m for m in others if m.quality >= floor]
    yield from sorted(
        (m for m in good if price(m) <= quote), key=lambda m: (-m.quality, -preference.get(m.name, 0.5), m.name)
    )
    yield from sorted(
        (m for m in good if quote < price(m) <= DEARER * quote), key=lambda m: (price(m), -m.quality, m.name)
    )
    yield from (m for m in others if m.embedded and m.quality < floor)
