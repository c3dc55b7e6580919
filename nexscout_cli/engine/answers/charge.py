"""What an answered attempt truly cost, from what the provider says it used and what we know it may use."""

from __future__ import annotations

from collections.abc import Callable

from nexscout_cli.engine.call import Completion, Usage
from nexscout_cli.engine.failures import ProviderFailure
from nexscout_cli.engine.model import Model, is_version
from nexscout_cli.engine.money import to_nano
from nexscout_cli.engine.planning.plan import Plan
from nexscout_cli.engine.request import Json
from nexscout_cli.engine.settlement import Charge
from nexscout_cli.engine.usage import INPUT, OUTPUT, SPECIAL, Tokens

EXCEEDED = "provider_excess"
MAX_FIGURE = 10**6
"""Dollars: a call that is said to cost more is not believed."""
SAID_APART = 0.05
"""How far the provider's own figure may be from ours, as a share of ours, before it is flagged."""
_TIERS = ("flex", "default", "priority")
"""Service tiers, cheapest first. Source: OpenAI's and Anthropic's pages on prices."""
_DEARER_NAMES = ("priority", "fast", "ultrafast")
"""What providers call the tiers that cost more than the standard one."""
_BILLS_BY_ITS_FIGURE = ("openrouter/", "vercel_ai_gateway/")
"""Targets whose bill is the figure that the answer itself names."""
FLAGS = {
    "estimated": "the provider reported no usage; its tokens were counted here",
    "usage_invalid": "the provider reported a usage that cannot be; the whole hold was posted",
    "details_invalid": "the provider's usage contradicts itself; its tokens were posted at the dearest price",
    "provider_excess": "the provider billed more than it was allowed to use",
    "other_model": "another model answered than was asked; the dearer price was posted",
    "dearer_tier": "the provider served it in a dearer tier than was asked for; posted at that tier's price where it is known",
    "cheaper_tier": "the provider served it in a cheaper tier than was asked for; posted at that tier's price",
    "cost_differs": "the provider's own figure differs from ours by more than 5%",
}
"""What is said of a charge that is not plain, by flag."""


def charge_for(
    plan: Plan, completion: Completion, models: tuple[Model, ...], hold: int, count: Callable[[str], int]
) -> Charge:
    """The charge of a completion.

    Usage as billed, by class; a missing usage is counted here (``estimated``); one that is not a number, negative or beyond
    the context window posts the hold (``usage_invalid``). Classes that are more than the whole are not believed: all is
    posted at the dearest price (``details_invalid``). More than the hold or the answer's bound is posted as billed
    (``provider_excess``). When another known model answered, the dearer of the two prices counts (``other_model``).
    A provider's own figure is posted where it bills by it, and kept beside ours elsewhere.
    """
    forecast, model = plan.forecast, plan.model
    flags: list[str] = []
    if completion.finish_reason == "reader_gone":
        flags.append("reader_gone")
    usage = completion.usage
    if usage is None:
        flags.append("estimated")
        totals = (forecast.input_tokens, count(completion.all_text))
        used: Tokens | None = Tokens(*totals)
    else:
        reported = (_tokens(usage.input_tokens, model), _tokens(usage.output_tokens, model))
        if reported[0] is None or reported[1] is None or reported == (0, 0):
            flags.append("usage_invalid")
            return Charge(forecast.max_input_tokens, forecast.max_output_tokens, hold, tuple(flags))
        totals = (reported[0], reported[1])
        used = classes(usage, totals)
        if used is None:
            flags.append("details_invalid")
    asked = plan.request.options.service_tier or "default"
    served = _served(usage, asked)
    model = (served != asked and model.at_tier(served)) or model
    billed = _cost(model, totals, used)
    others = _others(completion.model, model, models)
    if others:
        billed = max(billed, *(_cost(other, totals, used) for other in others))
        flags.append("other_model")
    if served != asked:
        flags.append("dearer_tier" if _TIERS.index(served) > _TIERS.index(asked) else "cheaper_tier")
    own = None if usage is None else _own_figure(usage.cost)
    if own is not None:
        if abs(own - billed) > SAID_APART * billed:
            flags.append("cost_differs")
        if model.litellm_model.startswith(_BILLS_BY_ITS_FIGURE):
            billed = own
    if billed > hold or totals[1] > forecast.max_output_tokens:
        flags.append(EXCEEDED)
    return Charge(*totals, billed, tuple(flags), used.as_json() if used else {}, own)


def classes(usage: Usage, totals: tuple[int, int]) -> Tokens | None:
    """The tokens of a usage by class; None where its parts are not counts, or more than the whole."""
    parts: dict[str, int] = {}
    for name in (*SPECIAL, "searches"):
        value = getattr(usage, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            return None
        parts[name] = value
    given = totals[0] - sum(parts[name] for name in INPUT if name in parts)
    taken = totals[1] - sum(parts[name] for name in OUTPUT if name in parts)
    return Tokens(given, taken, **parts) if given >= 0 and taken >= 0 else None


def _served(usage: Usage | None, asked: str) -> str:
    """The service tier that a call was served in, as the provider says it; else the one that was asked for."""
    if asked == "batch":  # whatever an answer says of itself: the batch is what was paid for
        return asked
    said = usage.service_tier if usage is not None else None
    if said in _DEARER_NAMES:
        return "priority"
    return {"flex": "flex", "default": "default", "standard": "default"}.get(str(said), asked)


def _cost(model: Model, totals: tuple[int, int], used: Tokens | None) -> int:
    return model.most(*totals) if used is None else model.cost_of(used)


def _own_figure(cost: Json) -> int | None:
    """Nano-dollars of the provider's own figure; None for one that says nothing: 0 is no price."""
    if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 < cost < MAX_FIGURE:
        return None
    return to_nano(cost)


def least_charge(plan: Plan, failure: ProviderFailure, count: Callable[[str], int]) -> Charge | None:
    """What an attempt of unknown outcome has cost at least, by what had come of its stream; None when nothing had."""
    if not failure.partial and failure.usage is None:
        return None
    model = plan.model
    reported = failure.usage or Usage(None, None)
    given = _tokens(reported.input_tokens, model)
    taken = max(_tokens(reported.output_tokens, model) or 0, count(failure.partial) if failure.partial else 0)
    totals = (plan.forecast.input_tokens if given is None else given, taken)
    used = classes(reported, totals) or Tokens(*totals)
    return Charge(*totals, model.cost_of(used))


def _tokens(value: Json, model: Model) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return int(value) if 0 <= value <= model.max_tokens and value == int(value) else None


def _others(answered: str | None, asked: Model, models: tuple[Model, ...]) -> list[Model]:
    """The catalog's models that go by the name that answered, when that is not the one asked or a version of it."""
    own = _bare(asked)
    if not answered or answered in (asked.litellm_model, own):
        return []
    named = [m for m in models if answered in (m.litellm_model, _bare(m))]
    if is_version(own, answered) or (not named and is_version(answered, own)):
        return []
    found = named or [m for m in models if is_version(answered, _bare(m))]
    return [m for m in found if m.name != asked.name]  # a deployment's target may have a name of its own


def _bare(model: Model) -> str:
    return model.litellm_model.partition("/")[2] or model.litellm_model
