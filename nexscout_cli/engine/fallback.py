"""What to try after an attempt gave no answer: the same model again after a pause, or the next one of the ladder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from nexscout_cli.config import Settings
from nexscout_cli.engine.course import Ended
from nexscout_cli.engine.failures import ProviderFailure
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.planning.plan import Plan
from nexscout_cli.engine.snapshot import Snapshot

DEARER = 3
"""How many times the quote a dearer model may be expected to cost."""

FULL = "try again in a minute; `nexscout models deployments` shows what each place takes"
"""What a person can do where no deployment had room."""


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


def may_go_on(plan: Plan, failure: ProviderFailure | None, settings: Settings) -> bool:
    """Whether another model may answer after ``plan``'s model has failed.

    A model that was forced answers, or the call fails; a key that is refused is for a person to mend. ``--fallback`` and
    the settings under ``fallback.`` allow more, and less.
    """
    if plan.request.options.allow_fallback:
        return True
    if refused_key(failure) and settings["fallback.refused_key"] == "stop":
        return False
    allowed = settings["fallback.models"]
    return bool(allowed == "always" or (allowed == "unforced" and plan.basis.resolved.forced is None))


def remedy(plan: Plan, ended: Sequence[Ended]) -> str:
    """What a person can do about a request that no model has answered."""
    refused = [end.model for end in ended if refused_key(end.failure)]
    if refused:
        variables = ", ".join(dict.fromkeys(model.api_key_env or model.name for model in refused))
        return f"the provider refused the key in {variables}: put a valid one there, or let another model answer by --fallback"
    if any(end.thought_out for end in ended):
        return "--effort low, or a larger --max-tokens, leaves room for the answer"
    if plan.basis.resolved.forced is not None and not plan.request.options.allow_fallback:
        return "`nexscout doctor` says what works; --fallback lets another model answer"
    return "`nexscout doctor` says what works; `nexscout models pull` fetches the embedded model"


def refused_key(failure: ProviderFailure | None) -> bool:
    """Whether the provider has refused the key."""
    return failure is not None and failure.label == "refused_key"


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
    if _embedded_is_allowed(snapshot, settings):
        yield from (m for m in others if m.embedded and m.quality < floor)


def _embedded_is_allowed(snapshot: Snapshot, settings: Settings) -> bool:
    """A toy in place of an answer is said loudly or not given: by default only where nothing else could be called at all."""
    allowed = settings["fallback.embedded"]
    if allowed == "no_key":
        return not any(m.name in snapshot.available and not m.embedded for m in snapshot.models)
    return bool(allowed == "always")
