"""What an answered attempt truly cost, from what the provider says it used and what we know it may use."""

from __future__ import annotations

from collections.abc import Callable

from nexscout_cli.engine.types import Charge, Completion, Json, Model, Plan


def settle(
    plan: Plan, completion: Completion, models: tuple[Model, ...], hold: int, count: Callable[[str], int]
) -> Charge:
    """The charge of a completion.

    Usage as billed; a missing usage is counted here (``estimated``); one that is no number, negative or beyond the
    context window posts the hold (``usage_invalid``). More than the hold is posted as billed (``provider_excess``).
    When another known model answered, the dearer price counts (``other_model``).
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
    other = _other(completion.model, model, models)
    if other is not None and other.cost(*used) > billed:
        billed = other.cost(*used)
        flags.append("other_model")
    if billed > hold:
        flags.append("provider_excess")
    return Charge(*used, billed, tuple(flags))


def _tokens(value: Json, model: Model) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return int(value) if 0 <= value <= model.max_tokens and value == int(value) else None


def _other(answered: str | None, asked: Model, models: tuple[Model, ...]) -> Model | None:
    """The catalog's model that says it answered, when that is not the one asked; versions of one name are one model."""
    bare = asked.litellm_model.partition("/")[2] or asked.litellm_model
    if not answered or answered == asked.litellm_model or answered.startswith(bare) or bare.startswith(answered):
        return None
    return next((m for m in models if (m.litellm_model.partition("/")[2] or m.litellm_model) == answered), None)
