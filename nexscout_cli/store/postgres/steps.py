"""The steps of a call as the database's functions take them: one value each, of what JSON has.

Nothing is decided here; each step tells all that its function writes. What the books derive from an answer, and share with
the SQLite store, is derived by the same code.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from nexscout_cli.engine.length.learning import EDGES, KEEP, Level, edge_step, observed
from nexscout_cli.jsontext import dumps, plain
from nexscout_cli.store import owner
from nexscout_cli.store.postgres.transaction import number_of
from nexscout_cli.store.sqlite import accounts, claims, hits, lengths, postings
from nexscout_cli.store.sqlite.transaction import stamp

if TYPE_CHECKING:
    from nexscout_cli.engine.budgets import Budget
    from nexscout_cli.engine.ports import Clock
    from nexscout_cli.engine.recalled import Hit
    from nexscout_cli.engine.settlement import (
        Attempt,
        Charge,
        Delivery,
        Failure,
        Order,
        Posting,
        Prediction,
        Settlement,
    )
    from nexscout_cli.engine.store_rules import StoreRules

Step = dict[str, Any]
_EMPTY = plain([*Level()])
_number = lru_cache(maxsize=4096)(number_of)
_LEARNED = number_of(lengths.LEARNED)


def begun(name: str, actor: str, user_id: str, request_id: str, clock: Clock | None) -> Step:
    """What every step begins with. ``clock`` None: the time is the server's."""
    step = {"step": name, "actor": actor, "user": user_id, "request": request_id, "lock": _number(user_id)}
    if clock is not None:
        step["now"] = stamp(clock.now())
    return step


def of_attempt(name: str, actor: str, attempt: Attempt, clock: Clock | None, **more: Any) -> Step:
    """A step that moves an attempt."""
    step = begun(name, actor, attempt.settlement.user_id, attempt.request_id, clock)
    step["id"] = attempt.id
    step.update(more)
    return step


def hold(actor: str, order: Order, rules: StoreRules, clock: Clock | None) -> Step:
    """T1."""
    about, settlement = order.prediction, order.settlement
    user_id = about.user_id
    step = begun("hold", actor, user_id, about.request_id, clock)
    step |= {
        "daily": rules.daily_tokens,
        "version": str(order.version),
        "fingerprint": order.fingerprint,
        "model": settlement.model,
        "price": plain({"input": settlement.price_in, "output": settlement.price_out, **settlement.class_prices}),
        "estimate": order.estimate,
        "hold": order.hold,
        "hold_tokens": order.hold_tokens,
        "state": "sent" if order.sent else "held",
        "owner": owner.me(),
        "seconds": order.seconds,
        "plan": settlement.as_json(),
        "budgets": _drawn_on(order, user_id),
        "prediction": tuple(about),
    }
    if order.idempotency_key is not None:
        step["key"] = order.idempotency_key
    if order.after:
        step["after"] = order.after
    if order.cache_key:
        step["claim"] = claims.on_key(user_id, order.cache_key)
    return step


def _drawn_on(order: Order, user_id: str) -> list[Step]:
    drawn_on = []
    for account in _accounts(order.budgets, user_id, bool(order.energy)):
        unit = account["unit"]
        amount = order.hold if unit == "usd" else order.hold_tokens if unit == "tokens" else order.energy
        drawn_on.append({**account, "amount": amount})
    return drawn_on


@lru_cache(maxsize=1024)  # a user's calls draw on the same accounts again and again
def _accounts(budgets: tuple[Budget, ...], user_id: str, energy: bool) -> list[Step]:
    """The accounts of budgets, and that of energy, as a step tells of them, but for the amounts."""
    prepaid = {"owner": user_id, "unit": "energy", "window": accounts.PREPAID, "entered": True}
    own = [
        {
            "owner": accounts.owner_of(budget, user_id),
            "unit": budget.unit,
            "window": budget.window,
            "cap": budget.cap,
            "entered": budget.entered,
        }
        for budget in budgets
    ]
    return [prepaid, *own] if energy else own


def post(actor: str, attempt: Attempt, posting: Posting, rules: StoreRules, clock: Clock | None) -> Step:
    """T3."""
    charge, provider_id, delivery, _, _ = posting
    settlement = attempt.settlement
    step = of_attempt("post", actor, attempt, clock)
    step |= {
        "n": attempt.n,
        "actual": charge.cost,
        "tokens": charge.tokens,
        "quoted": settlement.quoted_tokens,
        "spend": postings.spending(attempt, posting),
        "flags": ",".join(charge.flags),
        "usage": postings.usage_of(attempt, posting, actor),
    }
    if provider_id is not None:
        step["provider_id"] = provider_id
    lesson = {} if delivery is None else _length(settlement, charge)
    if (thought := charge.classes.get("reasoning")) is not None:
        lesson["thinking"] = float(thought)
    if (ratio := settlement.input_ratio(charge)) is not None:
        lesson["ratio"] = ratio
    if lesson:
        lesson["lock"], lesson["model"] = _LEARNED, settlement.model
        step["lesson"] = lesson
    if delivery is not None:
        _deliver(step, attempt, charge, delivery, rules)
    return step


def deliver(
    actor: str, attempt: Attempt, charge: Charge, delivery: Delivery, rules: StoreRules, clock: Clock | None
) -> Step:
    """The answer of an attempt that was posted without a delivery."""
    settlement = attempt.settlement
    saved = settlement.savings(charge)
    step = of_attempt("deliver", actor, attempt, clock)
    step |= {
        "n": attempt.n,
        "baseline": saved.baseline,
        "compression": saved.compression,
        "warnings": list(delivery.warnings),
    }
    if lesson := _length(settlement, charge):
        lesson["lock"], lesson["model"] = _LEARNED, settlement.model
        step["lesson"] = lesson
    _deliver(step, attempt, charge, delivery, rules)
    return step


def _deliver(step: Step, attempt: Attempt, charge: Charge, delivery: Delivery, rules: StoreRules) -> None:
    settlement = attempt.settlement
    step["delivered"] = delivery.energy
    if settlement.has_key:
        step["answer"] = dumps(delivery.answer)
    if delivery.cache_key is not None:
        step["cached"] = {
            "prompt_hash": delivery.cache_key,
            "form_hash": delivery.form_key,
            "feature": settlement.feature,
            "model": settlement.model,
            "quality": settlement.quality,
            "text": delivery.text,
            "input_tokens": charge.input_tokens,
            "output_tokens": charge.output_tokens,
            "cost": charge.cost,
            "days": rules.cache_days,
        }


def _length(settlement: Settlement, charge: Charge) -> Step:
    """What an answer's length teaches; nothing where it has none to learn."""
    length = postings.length_of(charge)
    if length is None:
        return {}
    shipped, expected, tokens, above = settlement.length_seen(length)
    low, high = EDGES
    return {
        "feature": settlement.feature,
        "scopes": settlement.length_scopes,
        "seen": observed(shipped, expected, tokens),
        "keep": KEEP,
        "step": edge_step(above),
        "low": low,
        "high": high,
        "edge": Level().edge,
        "empty": _EMPTY,
    }


def fail(actor: str, failure: Failure, clock: Clock | None) -> Step:
    """Nothing was delivered."""
    usage = postings.usage_of_failure(failure)
    return begun("fail", actor, failure.user_id, failure.request_id, clock) | {"usage": usage}


def drop(actor: str, order: Order, clock: Clock | None) -> Step:
    """Of an order's hold nothing was heard any more: what it may hold is to be given back, and its request to be closed."""
    about = order.prediction
    return begun("drop", actor, about.user_id, about.request_id, clock) | {"owner": owner.me(), "after": order.after}


def refuse(actor: str, prediction: Prediction, reason: str, clock: Clock | None) -> Step:
    """A refused run."""
    step = begun("refuse", actor, prediction.user_id, prediction.request_id, clock)
    return step | {"prediction": prediction, "reason": reason}


def hit(actor: str, given: Hit, rules: StoreRules, clock: Clock | None) -> Step:
    """A cached answer that was given."""
    step = begun("hit", actor, given.user_id, given.request_id, clock)
    step |= {"daily": rules.daily_tokens, "cached_id": given.cached.id, "usage": hits.usage_of(given)}
    if given.idempotency_key is not None:
        step |= {"key": given.idempotency_key, "fingerprint": given.fingerprint, "answer": dumps(given.answer)}
    return step
