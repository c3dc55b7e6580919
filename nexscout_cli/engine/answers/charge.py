"""What an answered attempt truly cost, from what the provider says it used and what we know it may use."""

from __future__ import annotations

from collections.abc import Callable

from nexscout_cli.engine.call import Completion, Usage
from nexscout_cli.engine.failures import ProviderFailure
from nexscout_cli.engine.model import Model, is_version
from nexscout_cli.engine.planning.plan import Plan
from nexscout_cli.engine.request import Json
from nexscout_cli.engine.settlement import Charge


def charge_for(
    plan: Plan, completion: Completion, models: tuple[Model, ...], hold: int, count: Callable[[str], int]
) -> Charge:
    """The charge of a completion.

    Usage as billed; a missing usage is counted here (``estimated``); one that is not a number, negative or beyond the
    context window posts the hold (``usage_invalid``). More than the hold is posted as billed (``provider_excess``).
    When another known model answered, the dearer of the two prices counts (``other_model``).
    """
    forecast, model = plan.forecast, plan.model
    flags: list[str] = []
    if completion.finish_reason == "reader_gone":
        flags.append("reader_gone")
    if completion.usage is None:
        flags.append("estimated")
        used = (forecast.input_tokens, count(completion.text))
    else:
        reported = (_tokens(completion.usage.input_tokens, model), _tokens(completion.usage.output_tokens, model))
        if reported[0] is None or reported[1] is None or reported == (0, 0):
            flags.append("usage_invalid")
            return Charge(forecast.max_input_tokens, forecast.max_output_tokens, hold, tuple(flags))
        used = (reported[0], reported[1])
    billed = model.cost(*used)
    others = _others(completion.model, model, models)
    if others:
        billed = max(billed, *(other.cost(*used) for other in others))
        flags.append("other_model")
    if billed > hold:
        flags.append("provider_excess")
    return Charge(*used, billed, tuple(flags))


def least_charge(plan: Plan, failure: ProviderFailure, count: Callable[[str], int]) -> Charge | None:
    """What an attempt of unknown outcome has cost at least, by what had come of its stream; None when nothing had."""
    if not failure.partial and failure.usage is None:
        return None
    model = plan.model
    reported = failure.usage or Usage(None, None)
    given = _tokens(reported.input_tokens, model)
    taken = max(_tokens(reported.output_tokens, model) or 0, count(failure.partial) if failure.partial else 0)
    used = (plan.forecast.input_tokens if given is None else given, taken)
    return Charge(*used, model.cost(*used))


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
    return named or [m for m in models if is_version(answered, _bare(m))]


def _bare(model: Model) -> str:
    return model.litellm_model.partition("/")[2] or model.litellm_model
