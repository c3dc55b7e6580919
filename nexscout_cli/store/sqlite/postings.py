"""T3 and what else ends a request: the true charge in every book at once, a cache hit, a failure."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime

from nexscout_cli.engine.learning import profile
from nexscout_cli.engine.learning.observation import Lesson, Observation, observe
from nexscout_cli.engine.request import AIRequest, Json
from nexscout_cli.engine.settlement import Attempt, CachedAnswer, Charge, Delivery
from nexscout_cli.jsontext import dumps
from nexscout_cli.store.sqlite import accounts, cache, lengths, profiles, usage, users
from nexscout_cli.store.sqlite.holds import open_request
from nexscout_cli.store.sqlite.states import elsewhere, end_request, require_own, set_state
from nexscout_cli.store.sqlite.store import Store


def post(
    store: Store,
    c: sqlite3.Connection,
    attempt: Attempt,
    charge: Charge,
    provider_id: str | None,
    delivery: Delivery | None,
    doubt: dict[str, Json] | None = None,
) -> None:
    """T3: the true charge in every book at once. Without a delivery the cost is posted and no energy is charged.

    ``doubt`` is what was found when the answer was checked.
    """
    plan = attempt.plan
    request = plan.request
    total = charge.input_tokens + charge.output_tokens
    now = store.touch(c)
    require_own(store, c, attempt)
    ended = delivery is not None
    set_state(c, attempt.id, "posted", now, actual=charge.cost, provider_id=provider_id, ended=ended)
    spend: dict[str, int | None] = {"usd": charge.cost, "tokens": total}
    if delivery is not None and attempt.n == 1:  # which holds the energy too
        spend["energy"] = delivery.energy or None
    accounts.release(c, attempt.id, spend, reason=",".join(charge.flags), actor=store.actor, now=now)
    forecast = plan.forecast
    usage.record(
        store,
        c,
        now,
        {
            "request_id": attempt.request_id,
            "n": attempt.n,
            "user_id": request.user_id,
            "feature": request.feature,
            "model_used": plan.model.name,
            "outcome": "posted",
            "input_tokens": charge.input_tokens,
            "output_tokens": charge.output_tokens,
            "cost_usd": charge.cost,
            "energy": delivery.energy if delivery else 0,
            "mode": plan.mode,
            "routing_reason": plan.routing_reason,
            "compression_applied": int(plan.compression.applied),
            "prediction_accuracy": profile.accuracy(total, forecast.input_tokens + forecast.output_tokens),
            **usage.savings(store, c, plan, charge),
            # A superseded answer saves nothing: the one that is delivered counts.
            **({"baseline_usd": 0} if doubt and delivery is None else {}),
            "metadata": {
                "flags": list(charge.flags),
                "degraded": plan.degraded,
                "delivered": delivery is not None,
                "surge": plan.surge_milli / 1000,
                "provider_id": provider_id,
                "emotional_complexity": plan.emotional_complexity,
                "actor": store.actor,
                **({"doubt": doubt} if doubt else {}),
            },
        },
    )
    _settle_prediction(c, attempt, total, charge.cost)
    if not {"estimated", "usage_invalid"} & set(charge.flags):
        lengths.learn_factor(c, plan.model, forecast.counted, charge.input_tokens)
    if delivery is not None:
        if attempt.n == 1:  # its claim and its energy are settled
            c.execute("UPDATE requests SET state = 'posted' WHERE request_id = ?", (attempt.request_id,))
        else:
            end_request(store, c, attempt.request_id, "posted", now, energy=delivery.energy)
        _deliver(store, c, attempt, charge, delivery, now)


def deliver(store: Store, attempt: Attempt, charge: Charge, delivery: Delivery) -> None:
    """Deliver the answer of an attempt that was posted without a delivery: energy, lesson, and what is kept of it."""
    with store.db.write() as c:
        now = store.touch(c)
        require_own(store, c, attempt)
        if c.execute("SELECT state FROM requests WHERE request_id = ?", (attempt.request_id,)).fetchone()[0] != "open":
            raise elsewhere(f"request {attempt.request_id}")
        baseline = usage.savings(store, c, attempt.plan, charge)["baseline_usd"]
        c.execute(
            "UPDATE ai_model_usage SET energy = ?, baseline_usd = ?, "
            "metadata = json_set(metadata, '$.delivered', json('true')) WHERE request_id = ? AND n = ?",
            (delivery.energy, baseline, attempt.request_id, attempt.n),
        )
        end_request(store, c, attempt.request_id, "posted", now, energy=delivery.energy)
        _deliver(store, c, attempt, charge, delivery, now)


def _deliver(
    store: Store, c: sqlite3.Connection, attempt: Attempt, charge: Charge, delivery: Delivery, now: datetime
) -> None:
    request = attempt.plan.request
    if request.options.idempotency_key is not None:
        c.execute("UPDATE requests SET answer = ? WHERE request_id = ?", (dumps(delivery.answer), attempt.request_id))
    profiles.learned(store, c, request.user_id, delivery.lesson)
    # An answer nobody has counted, or that its reader left, has no length to learn.
    if not {"usage_invalid", "reader_gone"} & set(charge.flags):
        lengths.learn(c, attempt.plan, charge.output_tokens)
    if delivery.cache_key is not None:
        cache.save(store, c, attempt, delivery, charge, now)


def _settle_prediction(c: sqlite3.Connection, attempt: Attempt, tokens: int, cost: int) -> None:
    """Add a posted attempt's actual figures to its request's prediction, which is the first attempt's."""
    predicted = attempt.plan.predicted_tokens
    if attempt.n > 1:
        row = c.execute(
            "SELECT coalesce(actual_tokens, 0), predicted_tokens FROM ai_cost_predictions WHERE request_id = ?",
            (attempt.request_id,),
        ).fetchone()
        before, predicted = row or (0, predicted)
        tokens += before
    c.execute(
        "UPDATE ai_cost_predictions SET actual_tokens = ?, actual_cost_usd = coalesce(actual_cost_usd, 0) + ?, "
        "prediction_accuracy = ? WHERE request_id = ?",
        (tokens, cost, profile.accuracy(tokens, predicted), attempt.request_id),
    )


def hit(
    store: Store,
    c: sqlite3.Connection,
    request_id: str,
    request: AIRequest,
    said: Observation,
    hit: CachedAnswer,
    fingerprint: str,
    answer: dict[str, Json],
    mode: str,
) -> None:
    """The one small write of a cached answer."""
    tokens = hit.input_tokens + hit.output_tokens
    now = store.touch(c)
    users.ensure(store, c, request.user_id, now)
    if request.options.idempotency_key is not None:
        open_request(store, c, request_id, request, fingerprint, now)
        c.execute("UPDATE requests SET state = 'posted', answer = ? WHERE request_id = ?", (dumps(answer), request_id))
    if hit.id:
        cache.used(c, hit.id, now)
    usage.record(
        store,
        c,
        now,
        {
            "request_id": request_id,
            "n": 0,
            "user_id": request.user_id,
            "feature": request.feature,
            "model_used": hit.model,
            "outcome": "hit",
            "mode": mode,
            "routing_reason": "cache",
            "cached_response": 1,
            "cache_match": hit.match,
            "baseline_usd": usage.baseline(store, c, hit.input_tokens, hit.output_tokens),
            "avoided_usd": hit.cost,
            "tokens_saved": tokens,
            "metadata": {"cached_from": hit.source},
        },
    )
    profiles.learned(
        store,
        c,
        request.user_id,
        _unbilled(said, hit.model, now, cached=True, tokens_saved=tokens, outcome=1.0),
    )


def fail(store: Store, request_id: str, request: AIRequest, code: str, message: str) -> None:
    """Nothing was delivered: energy is given back, and the failure is on record."""
    said = observe(request.prompt)
    with store.db.write() as c:
        now = store.touch(c)
        store.require_access(c, request.user_id)
        last = c.execute(
            "SELECT model, plan FROM attempts WHERE request_id = ? ORDER BY n DESC LIMIT 1", (request_id,)
        ).fetchone()
        unknown = c.execute(
            "SELECT 1 FROM attempts WHERE request_id = ? AND state = 'unknown'", (request_id,)
        ).fetchone()
        end_request(store, c, request_id, "unknown" if unknown else "voided", now, energy=0)
        known = json.loads(last["plan"])
        usage.record(
            store,
            c,
            now,
            {
                "request_id": request_id,
                "n": 0,
                "user_id": request.user_id,
                "feature": request.feature,
                "model_used": last["model"],
                "outcome": "failed",
                "mode": known["mode"],
                "routing_reason": known["routing_reason"],
                "metadata": {"error": code, "message": message},
            },
        )
        profiles.learned(
            store,
            c,
            request.user_id,
            _unbilled(said, last["model"], now, cached=False, tokens_saved=0, outcome=0.0),
        )


def _unbilled(
    said: Observation, model: str, now: datetime, *, cached: bool, tokens_saved: int, outcome: float
) -> Lesson:
    """The lesson of a request for which no provider was paid."""
    return Lesson(
        day=now.date().isoformat(),
        hour=now.hour,
        said=said,
        model=model,
        input_tokens=0,
        output_tokens=0,
        predicted_tokens=0,
        cached=cached,
        tokens_saved=tokens_saved,
        outcome=outcome,
    )
