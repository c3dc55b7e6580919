"""T3 and what else ends a request: the true charge in every book at once, a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.jsontext import dumps, plain
from nexscout_cli.store.sqlite import accounts, answers, lengths, models, profiles, usage
from nexscout_cli.store.sqlite.requests import keep_answer
from nexscout_cli.store.sqlite.states import elsewhere, end_request, move_request, require_own, set_state

if TYPE_CHECKING:
    from nexscout_cli.engine.request import Json
    from nexscout_cli.engine.settlement import Attempt, Charge, Delivery, Failure, Posting
    from nexscout_cli.store.sqlite.transaction import Transaction


def post(t: Transaction, attempt: Attempt, posting: Posting) -> None:
    """T3: the true charge in every book at once. Without a delivery the cost is posted and no energy is charged."""
    charge, provider_id, delivery, _, refused = posting
    settlement = attempt.settlement
    require_own(t, attempt)
    set_state(t, attempt.id, "posted", actual=charge.cost, provider_id=provider_id, ended=delivery is not None)
    at_once = delivery is not None and attempt.n == 1
    if at_once:  # its claim and its energy end with it
        move_request(t, attempt.request_id, "posted")
    accounts.release(t, attempt.id, spending(attempt, posting), ",".join(charge.flags))
    usage.record(t, usage_of(attempt, posting, t.actor))
    _settle_prediction(t, attempt, charge)
    _learn_of_model(t, attempt, charge, refused)
    if delivery is not None:
        if not at_once:
            end_request(t, attempt.request_id, "posted", delivery.energy)
        _deliver(t, attempt, charge, delivery)
    watch(t, settlement.user_id)


def _learn_of_model(t: Transaction, attempt: Attempt, charge: Charge, refused: tuple[str, ...]) -> None:
    """What an answer teaches of its model and of the deployment that gave it."""
    model = attempt.settlement.model
    if "reasoning" in charge.classes:
        lengths.learn_thinking(t, model, charge.classes["reasoning"])
    if attempt.deployment is not None:
        from nexscout_cli.store.sqlite import deployments

        deployments.answered(t, attempt.id, model, attempt.deployment, charge.tokens)
    if refused:
        models.remember_refused(t, model, refused)
    lengths.learn_factor(t, model, attempt.settlement.input_ratio(charge))


def spending(attempt: Attempt, posting: Posting) -> dict[str, int | None]:
    """What a posting makes of an attempt's holds, by the kind of account; None gives one back."""
    charge, delivery = posting.charge, posting.delivery
    spend: dict[str, int | None] = {"usd": charge.cost, "tokens": charge.tokens}
    if delivery is not None and attempt.n == 1:  # which holds the energy too
        spend["energy"] = delivery.energy or None
    return spend


def usage_of(attempt: Attempt, posting: Posting, actor: str) -> dict[str, Json]:
    """The row of usage of a posted attempt."""
    charge, provider_id, delivery, doubt, _ = posting
    settlement = attempt.settlement
    saved = settlement.savings(charge)
    return {
        "request_id": attempt.request_id,
        "n": attempt.n,
        "user_id": settlement.user_id,
        "feature": settlement.feature,
        "model_used": settlement.model,
        "outcome": "posted",
        "input_tokens": charge.input_tokens,
        "output_tokens": charge.output_tokens,
        "cost_usd": charge.cost,
        "token_classes": plain(charge.classes),
        "provider_cost_usd": charge.provider_cost,
        "energy": delivery.energy if delivery else 0,
        "mode": settlement.mode,
        "routing_reason": settlement.routing_reason,
        "compression_applied": int(settlement.compressed),
        "prediction_accuracy": settlement.accuracy(charge),
        # What was not delivered saves nothing; a doubted answer that is delivered after all counts then.
        "baseline_usd": saved.baseline if delivery else 0,
        "compression_saved_usd": saved.compression if delivery else 0,
        "tokens_saved": saved.tokens,
        "metadata": {
            "flags": list(charge.flags),
            "degraded": settlement.degraded,
            "delivered": delivery is not None,
            "surge": settlement.surge_milli / 1000,
            "provider_id": provider_id,
            "emotional_complexity": settlement.emotional_complexity,
            "actor": actor,
            **({"doubt": doubt} if doubt else {}),
            **({"service_tier": settlement.service_tier} if settlement.service_tier else {}),
            **({"warnings": list(delivery.warnings)} if delivery and delivery.warnings else {}),
        },
    }


def watch(t: Transaction, user_id: str) -> None:
    """Let alerts see a posting of a user's; their rules are imported only where there are any."""
    if t.lasting("alerts", lambda t: t.execute("SELECT 1 FROM alerts LIMIT 1").fetchone()):
        from nexscout_cli.store.sqlite.alerts import after_posting

        after_posting(t, user_id)


def deliver(t: Transaction, attempt: Attempt, charge: Charge, delivery: Delivery) -> None:
    """Deliver the answer of an attempt that was posted without a delivery: energy, lesson, and what is kept of it."""
    require_own(t, attempt)
    if t.execute("SELECT state FROM requests WHERE request_id = ?", (attempt.request_id,)).fetchone()[0] != "open":
        raise elsewhere(f"request {attempt.request_id}")
    saved = attempt.settlement.savings(charge)
    usage.deliver(
        t, (attempt.request_id, attempt.n), (delivery.energy, saved.baseline, saved.compression), delivery.warnings
    )
    end_request(t, attempt.request_id, "posted", delivery.energy)
    _deliver(t, attempt, charge, delivery)


def _deliver(t: Transaction, attempt: Attempt, charge: Charge, delivery: Delivery) -> None:
    settlement = attempt.settlement
    if settlement.has_key:
        keep_answer(t, attempt.request_id, dumps(delivery.answer))
    profiles.learn(t, settlement.user_id, delivery.lesson)
    if (length := length_of(charge)) is not None:
        lengths.learn(t, settlement, length)
    if delivery.cache_key is not None:
        answers.keep(t, attempt, delivery, charge)


def length_of(charge: Charge) -> int | None:
    """The tokens of a delivered answer without those of thinking, where they teach a length: not of an answer that nobody has
    counted, or that its reader left.
    """
    if {"usage_invalid", "reader_gone"} & set(charge.flags):
        return None
    return charge.output_tokens - charge.classes.get("reasoning", 0)


def _settle_prediction(t: Transaction, attempt: Attempt, charge: Charge) -> None:
    """Add a posted attempt's actual figures to its request's prediction, which is the first attempt's."""
    tokens = charge.tokens
    if attempt.n > 1:
        row = t.execute(
            "SELECT coalesce(actual_tokens, 0) FROM ai_cost_predictions WHERE request_id = ?", (attempt.request_id,)
        ).fetchone()
        tokens += row[0] if row else 0
    values = (tokens, charge.cost, attempt.settlement.accuracy_in_all(tokens))
    if t.by_function("settle_prediction", attempt.request_id, *values) is None:
        t.execute(
            "UPDATE ai_cost_predictions SET actual_tokens = ?, actual_cost_usd = coalesce(actual_cost_usd, 0) + ?, "
            "prediction_accuracy = ? WHERE request_id = ?",
            (*values, attempt.request_id),
        )


def fail(t: Transaction, failure: Failure) -> None:
    """Nothing was delivered: energy is given back, and the failure is on record."""
    t.require_access(failure.user_id)
    unknown = t.execute(
        "SELECT 1 FROM attempts WHERE request_id = ? AND state = 'unknown'", (failure.request_id,)
    ).fetchone()
    end_request(t, failure.request_id, "unknown" if unknown else "voided", 0)
    usage.record(t, usage_of_failure(failure))
    profiles.learn(t, failure.user_id, failure.lesson)


def usage_of_failure(failure: Failure) -> dict[str, Json]:
    """The row of usage of a request that delivered nothing."""
    return {
        "request_id": failure.request_id,
        "n": 0,
        "user_id": failure.user_id,
        "feature": failure.feature,
        "model_used": failure.model,
        "outcome": "failed",
        "mode": failure.mode,
        "routing_reason": failure.routing_reason,
        "metadata": {"error": failure.code, "message": failure.message},
    }
