"""What each attempt keeps of its plan, beside what was booked: prices, and every figure that follows from them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nexscout_cli.engine.settlement import Charge, Settlement
from nexscout_cli.engine.usage import Rates, Tokens
from nexscout_cli.store.sqlite.checking.findings import each

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nexscout_cli.store.sqlite.records import Record
    from nexscout_cli.store.sqlite.transaction import Transaction

_DECIDED = {"aged", "resolved"}
"""Flags of rows that were posted without an answer: nothing was counted, so nothing follows."""
_ATTEMPTS = """SELECT t.request_id, t.n, t.model, t.price, t.plan, t.estimate, r.user_id AS whose, r.feature AS what_for,
    u.id AS used, u.user_id, u.feature, u.input_tokens, u.output_tokens, u.cost_usd, u.token_classes, u.provider_cost_usd,
    u.mode, u.routing_reason, u.compression_applied, u.prediction_accuracy, u.baseline_usd, u.compression_saved_usd,
    u.tokens_saved, u.metadata, p.predicted_tokens
    FROM attempts t LEFT JOIN requests r USING (request_id) LEFT JOIN ai_cost_predictions p USING (request_id)
    LEFT JOIN ai_model_usage u ON u.request_id = t.request_id AND u.n = t.n"""


def faults(t: Transaction) -> Iterator[str]:
    """Attempts whose price, model, user, cost or savings are not what their plan comes to."""
    return each(t.stream(_ATTEMPTS), lambda row: f"attempt {row['n']} of {row['request_id']}", _of)


def _of(row: Record) -> Iterator[str]:
    kept = json.loads(row["plan"])
    if "forecast" not in kept:  # before settlements were kept
        return
    plan = Settlement.from_json(kept)
    price = {"input": plan.price_in, "output": plan.price_out, **plan.class_prices}
    if json.loads(row["price"]) != price:
        yield f"has the price {row['price']}, its plan {json.dumps(price)}"
    if (row["model"], row["whose"], row["what_for"]) != (plan.model, plan.user_id, plan.feature):
        yield f"was planned for {plan.user_id}, {plan.feature} and {plan.model}, and is of another user, feature or model"
    if row["n"] == 1 and row["predicted_tokens"] not in (None, plan.quoted_tokens):
        yield f"was quoted {plan.quoted_tokens} tokens, the prediction says {row['predicted_tokens']}"
    if row["used"] is not None:
        for name, value, follows in _booked(row, plan):
            if not _same(value, follows):
                yield f"has {name} {value} in its row of usage, its plan comes to {follows}"


def _booked(row: Record, plan: Settlement) -> Iterator[tuple[str, Any, Any]]:
    """Columns of the row of usage, their values, and what follows from the plan; None where either may be."""
    about, classes = json.loads(row["metadata"]), json.loads(row["token_classes"])
    flags = set(about.get("flags", ()))
    yield "mode", row["mode"], plan.mode
    yield "routing_reason", row["routing_reason"], plan.routing_reason
    yield "compression_applied", row["compression_applied"], int(plan.compressed)
    if flags & _DECIDED:
        for name, value in (("baseline_usd", row["cost_usd"]), ("compression_saved_usd", 0), ("tokens_saved", 0)):
            yield name, row[name], value
        yield "prediction_accuracy", row["prediction_accuracy"], None
        return
    charge = Charge(
        row["input_tokens"], row["output_tokens"], row["cost_usd"], tuple(flags), classes, row["provider_cost_usd"]
    )
    saved = plan.savings(charge)
    # An answer that was superseded saves nothing; that it was doubted may have been forgotten since.
    superseded = not about.get("delivered") and row["baseline_usd"] == 0
    yield "baseline_usd", row["baseline_usd"], 0 if superseded else saved.baseline
    yield "compression_saved_usd", row["compression_saved_usd"], saved.compression
    yield "tokens_saved", row["tokens_saved"], saved.tokens
    yield "prediction_accuracy", row["prediction_accuracy"], plan.accuracy(charge)
    if not flags and row["provider_cost_usd"] is None:
        yield "cost_usd", row["cost_usd"], _cost(plan, charge)


def _cost(plan: Settlement, charge: Charge) -> int:
    special = {name: count for name, count in charge.classes.items() if name in Tokens._fields}
    unsorted = Tokens(0, 0, **special)
    plain = Tokens(charge.input_tokens - unsorted.total_in, charge.output_tokens - unsorted.total_out, **special)
    return Rates(plan.price_in, plan.price_out, plan.class_prices).cost(plain)


def _same(value: Any, follows: Any) -> bool:
    if isinstance(value, float) and isinstance(follows, float):
        return abs(value - follows) < 1e-9
    return bool(value == follows)
