"""Step 7: what must hold before a call is allowed: size, energy, token budget, dollar caps."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from nexscout_cli.config import Settings
from nexscout_cli.engine.budgets import window_end
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.money import PICO_PER_NANO, dollars, nano_for_energy, usd
from nexscout_cli.engine.plan_types import Compression, Forecast
from nexscout_cli.engine.request import AIRequest, Json
from nexscout_cli.engine.snapshot import Limit, Snapshot
from nexscout_cli.errors import Blocked, NexScoutError, NotEnoughEnergy

FREE_HINT = "or `--model smollm2-135m`, which costs nothing"
_SCOPE = {
    "user": "your",
    "total": "the installation's",
    "name": "your own",
    "key": "this key's",
    "tag": "the tag's",
    "run": "the run's",
    "feature": "the feature's",
    "tier": "the tier's",
    "installation": "the installation's",
}
_WINDOW = {"day": "daily", "week": "weekly", "month": "monthly", "ever": "whole"}
_WAIT = {"run": "give the run a larger one", "ever": "ask an admin to raise it"}


class Verdict(NamedTuple):
    """The bound on the answer that the budgets afford, warnings, and why not, if not."""

    bound: int
    warnings: tuple[str, ...]
    refusal: NexScoutError | None


def check(
    request: AIRequest,
    snapshot: Snapshot,
    settings: Settings,
    model: Model,
    forecast: Forecast,
    charge_energy: bool,
    compression: Compression | None = None,
) -> Verdict:
    """Allow, allow with a shorter answer, or refuse.

    A budget that covers the expected call but not its worst case lowers the bound on the answer to what it affords;
    one that does not cover the expected call refuses it. ``compression`` is what was done to the texts: a refusal for their
    length says what more of it would come to.
    """
    expected = forecast.input_tokens + forecast.output_tokens
    block, warn = settings["firewall.block_tokens"], settings["firewall.warn_tokens"]
    bound = min(forecast.max_output_tokens, model.max_tokens - forecast.max_input_tokens)
    refusal: NexScoutError | None = _too_large(request, model, forecast, bound, block, compression)
    if refusal is not None:
        return Verdict(forecast.max_output_tokens if expected > block else bound, (), refusal)
    warnings: list[str] = []
    if expected > warn:
        warnings.append(f"the call is predicted to take {expected:,} tokens; from {block:,} on it is refused")
    if not model.free:
        bound, refusal = _by_budgets(request, snapshot, model, forecast, bound)
        if refusal is None and charge_energy:
            bound, refusal = _by_energy(snapshot, nano_per_unit(settings), model, forecast, bound)
    if refusal is None and bound < forecast.max_output_tokens:
        warnings.append(f"the answer is bounded to {bound:,} tokens, which is what the budget affords")
    return Verdict(bound, tuple(warnings), refusal)


def _too_large(
    request: AIRequest, model: Model, forecast: Forecast, bound: int, block: int, compression: Compression | None
) -> Blocked | None:
    """The refusal of a call that is too large for the installation or for the model."""
    expected = forecast.input_tokens + forecast.output_tokens
    if expected > block:
        return Blocked(
            f"the call is predicted to take {expected:,} tokens; the limit is {block:,}",
            _smaller(request, expected, block, compression),
            code="too_many_tokens",
        )
    if bound < forecast.output_tokens:
        return Blocked(
            f"{model.name} takes {model.max_tokens:,} tokens in all; the call needs {expected:,}",
            _smaller(request, expected, model.max_tokens, compression),
            code="context_window",
        )
    return None


def _smaller(request: AIRequest, expected: int, most: int, compression: Compression | None) -> str:
    """What to do about a call that is too large: whether extraction would make it small enough, by what was tried."""
    split = "split your input into smaller parts"
    if request.images or any(message.images for message in request.messages):
        return f"send a smaller picture, and as a file: at an address it counts as the largest there is; or {split}"
    if compression is None or compression.could_be is None:
        return split
    keep, tokens = compression.could_be
    then = expected - compression.tokens_after + tokens
    command = f"`--compress extract --keep {keep:g}`"
    if then > most:
        return f"{split}: even {command} would bring it to about {then:,} tokens only, which is still too many"
    return f"use {command}, which would bring it to about {then:,} tokens and fits; or {split}"


def _by_budgets(
    request: AIRequest, snapshot: Snapshot, model: Model, forecast: Forecast, bound: int
) -> tuple[int, NexScoutError | None]:
    """The bound that token budgets, dollar caps and the request's own limit afford, or the refusal."""
    for limit in snapshot.limits:
        bound, refusal = _afford(limit, model, forecast, bound, snapshot.now)
        if refusal:
            return bound, refusal
    most = request.options.max_cost
    if most is None:
        return bound, None
    refused = Blocked(
        f"the call is predicted to cost ${dollars(model.cost(forecast.input_tokens, forecast.output_tokens))}; "
        f"--max-cost is ${dollars(most)}",
        "raise --max-cost or shorten the prompt",
        code="max_cost",
    )
    return _afford_usd(most, model, forecast, bound, refused)


def _by_energy(
    snapshot: Snapshot, nano_per_energy: int, model: Model, forecast: Forecast, bound: int
) -> tuple[int, NexScoutError | None]:
    """The bound that the balance affords, or the refusal."""
    suggestion = f"ask for more energy, upgrade your plan, {FREE_HINT}"
    affordable = nano_for_energy(max(0, snapshot.energy), snapshot.surge_milli, nano_per_energy)
    poor = NotEnoughEnergy(f"the balance of {snapshot.energy} energy does not cover the call", suggestion)
    bound, refusal = _afford_usd(affordable, model, forecast, bound, poor)
    if refusal is None and snapshot.energy < 1:
        refusal = NotEnoughEnergy("the energy balance is empty", suggestion)
    return bound, refusal


def nano_per_unit(settings: Settings) -> int:
    """Nano-dollars that one unit of energy stands for."""
    return max(1, round(float(settings["energy.usd_per_unit"]) * 1e9))


def _afford(
    limit: Limit, model: Model, forecast: Forecast, bound: int, now: datetime
) -> tuple[int, NexScoutError | None]:
    whose = f"{_SCOPE[limit.scope]} {_WINDOW[limit.window]}"
    if limit.unit == "usd":
        return _afford_usd(
            limit.left,
            model,
            forecast,
            bound,
            Blocked(
                f"{whose} cap of ${limit.cap / 1e9:g} would be passed (${max(0, limit.left) / 1e9:.6f} left)",
                f"{_WAIT.get(limit.scope) or _WAIT.get(limit.window) or _next(limit)}, {FREE_HINT}",
                code="usd_cap",
                details=_details(limit, model.cost(forecast.input_tokens, forecast.output_tokens), now),
            ),
        )
    room = limit.left - forecast.max_input_tokens
    if room >= forecast.output_tokens:
        return min(bound, room), None
    return bound, Blocked(
        f"{whose} token budget of {limit.cap:,} would be passed ({max(0, limit.left):,} left)",
        f"wait for the next {limit.window}, upgrade your plan, {FREE_HINT}",
        code="token_budget",
        details=_details(limit, forecast.input_tokens + forecast.output_tokens, now),
    )


def _next(limit: Limit) -> str:
    return f"wait for the next {limit.window}, ask an admin to raise the cap"


def _details(limit: Limit, estimate: int, now: datetime) -> dict[str, Json]:
    """What a program is told of a budget that does not cover a call: amounts in dollars, or in tokens, and when it begins
    anew (UTC; None: never).
    """
    amounts: dict[str, Json] = {"cap": limit.cap, "left": max(0, limit.left), "estimate": estimate}
    if limit.unit == "usd":
        amounts = {name: usd(nano) for name, nano in amounts.items()}
    begins = window_end(limit.window, now)
    when = begins and begins.isoformat().replace("+00:00", "Z")
    return {"budget": {"unit": limit.unit, "scope": limit.scope, "window": limit.window, **amounts, "resets_at": when}}


def _afford_usd(
    nano: int, model: Model, forecast: Forecast, bound: int, refusal: NexScoutError
) -> tuple[int, NexScoutError | None]:
    """The largest bound whose worst case costs at most ``nano``; the refusal when not even the expected answer fits."""
    if model.most(forecast.max_input_tokens, bound) <= nano:
        return bound, None
    rates = model.dearest
    room = (nano - rates.request_fee) * PICO_PER_NANO - forecast.max_input_tokens * rates.dearest_in
    affordable = room // rates.dearest_out if rates.dearest_out else bound
    if room < 0 or affordable < forecast.output_tokens:
        return bound, refusal
    return min(bound, affordable), None
