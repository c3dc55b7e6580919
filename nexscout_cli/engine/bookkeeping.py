"""What the ledger is told, made from plans and answers: orders for holds, settlements, lessons and failures. Pure."""

from __future__ import annotations

from datetime import datetime

from nexscout_cli.config import Settings
from nexscout_cli.engine.budgets import budgets
from nexscout_cli.engine.catalog.baseline import baseline_model
from nexscout_cli.engine.compression.head_hashes import PREFIX_TOKENS, head_hashes
from nexscout_cli.engine.learning.observation import Lesson, observe, unbilled
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.planning.plan import Plan
from nexscout_cli.engine.planning.planner import formula_tokens
from nexscout_cli.engine.planning.texts import originals
from nexscout_cli.engine.prompt_cache import Reading, Sent, prompt_of, rules_of
from nexscout_cli.engine.request import Json
from nexscout_cli.engine.settlement import Charge, Failure, Order, Prediction, Settlement
from nexscout_cli.engine.snapshot import Snapshot


def prediction(request_id: str, plan: Plan) -> Prediction:
    """The prediction that a plan makes."""
    return Prediction(
        request_id=request_id,
        user_id=plan.request.user_id,
        feature=plan.request.feature,
        tokens=plan.predicted_tokens,
        output_tokens=plan.predicted_output_tokens,
        p90_tokens=plan.p90_tokens,
        cost=plan.predicted_cost,
        max_cost=plan.max_cost,
        energy=plan.predicted_energy,
        formula_tokens=formula_tokens(plan),
        model=plan.model.name,
        routing_reason=plan.routing_reason,
        decision=plan.decision.as_json(),
    )


def settlement(plan: Plan, quoted_tokens: int, baseline: Model, floor: float) -> Settlement:
    """What it takes to post the plan's attempt. ``quoted_tokens``: what the whole request was predicted to take.

    ``floor``: the quality below which an answer saves nothing.
    """
    return Settlement(
        user_id=plan.request.user_id,
        feature=plan.request.feature,
        model=plan.model.name,
        quality=plan.model.quality,
        price_in=plan.model.price_in,
        price_out=plan.model.price_out,
        # What it would have cost without any thought: in no cheaper tier either.
        baseline_in=baseline.class_prices.get("default_input", baseline.price_in),
        baseline_out=baseline.class_prices.get("default_output", baseline.price_out),
        forecast=plan.forecast,
        quoted_tokens=quoted_tokens,
        tokens_saved=plan.compression.tokens_before - plan.compression.tokens_after,
        compressed=plan.compression.applied,
        mode=plan.mode,
        routing_reason=plan.routing_reason,
        degraded=plan.degraded,
        emotional_complexity=plan.emotional_complexity,
        surge_milli=plan.surge_milli,
        has_key=plan.request.options.idempotency_key is not None,
        class_prices=plan.model.class_prices,
        below_floor=plan.model.quality < floor,
        service_tier=plan.request.options.service_tier,
    )


def order(
    request_id: str, plan: Plan, quoted_tokens: int, snapshot: Snapshot, settings: Settings, **more: Json
) -> Order:
    """The order for a hold of the plan's worst case. ``more``: fingerprint, seconds, cache_key, wanted, after."""
    return Order(
        prediction=prediction(request_id, plan),
        settlement=settlement(
            plan, quoted_tokens, baseline_model(snapshot.models, settings), settings["routing.floor"]
        ),
        idempotency_key=plan.request.options.idempotency_key,
        version=plan.version,
        estimate=plan.own_cost,
        hold=plan.own_max_cost,
        hold_tokens=plan.max_total_tokens,
        energy=plan.max_energy,
        budgets=() if plan.model.free else (*budgets(settings, snapshot.tier), *snapshot.own_budgets),
        **more,
    )


def lesson(
    plan: Plan, charge: Charge, outcome: float, now: datetime, settings: Settings, place: str | None = None
) -> Lesson:
    """What a delivered answer teaches of its user. ``outcome``: 1 whole, 0.5 cut; ``place``: the deployment that gave it."""
    request = plan.request
    long = plan.compression.tokens_before >= PREFIX_TOKENS
    return Lesson(
        day=now.date().isoformat(),
        hour=now.hour,
        observation=observe(request.question),
        model=plan.model.name,
        input_tokens=charge.input_tokens,
        output_tokens=charge.output_tokens,
        predicted_tokens=plan.forecast.input_tokens + plan.forecast.output_tokens,
        cached=False,
        tokens_saved=plan.compression.tokens_before - plan.compression.tokens_after,
        outcome=outcome,
        head=head_hashes(request, originals(request)) if long else "",
        patterns=settings["learning.patterns"],
        sent=_sent(plan, charge, now, place),
    )


def _sent(plan: Plan, charge: Charge, now: datetime, place: str | None) -> Sent | None:
    """What the provider may have in its cache after an answer; None for a short prompt, and where no cache is known."""
    forecast = plan.forecast
    if charge.input_tokens < PREFIX_TOKENS or rules_of(plan.model) is None:
        return None
    prompt = prompt_of(plan.messages, plan.request.options.tools)
    reading = Reading(forecast.cached, forecast.written, forecast.marked, forecast.hour)
    billed = charge.classes.get("cached", 0)
    return Sent(prompt.hashes, plan.model.name, place or "", int(now.timestamp()), reading, billed)


def failure(request_id: str, plan: Plan, code: str, message: str, now: datetime, settings: Settings) -> Failure:
    """The end of a request that delivered nothing, after ``plan`` was tried last."""
    request = plan.request
    return Failure(
        request_id=request_id,
        user_id=request.user_id,
        feature=request.feature,
        model=plan.model.name,
        mode=plan.mode,
        routing_reason=plan.routing_reason,
        code=code,
        message=message,
        lesson=unbilled(request, plan.model.name, now, settings),
    )
