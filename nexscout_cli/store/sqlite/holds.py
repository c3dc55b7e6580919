"""T1: accounts checked and reduced, the request, the attempt and its prediction entered; all or nothing."""

from __future__ import annotations

from datetime import timedelta

from nexscout_cli.engine.settlement import Attempt, Order, Prediction
from nexscout_cli.errors import DuplicateInFlight, NotPermitted, StalePlan
from nexscout_cli.store import owner
from nexscout_cli.store.sqlite import accounts, claims, users
from nexscout_cli.store.sqlite.requests import enter_request, take_key
from nexscout_cli.store.sqlite.states import elsewhere, move_request
from nexscout_cli.store.sqlite.transaction import Transaction, stamp


def hold(t: Transaction, order: Order) -> Attempt:
    """T1. Raises StalePlan when the catalog, a tier, a balance or a cap is no longer what the plan was made from,
    DuplicateInFlight when another request under the same cache key is open, NoRoom when each deployment is at its limits.
    """
    request_id, user_id = order.prediction.request_id, order.prediction.user_id
    if t.lasting(("spender", t.actor, user_id, t.day), lambda t: _may_spend(t, user_id)) != order.version:
        raise StalePlan
    order, deployment = _placed(t, order)
    first = open_request(t, order)
    if first:
        n, claim = 1, order.cache_key and claims.on_key(user_id, order.cache_key)
    else:
        n, claim = _take_over(t, request_id)
    attempt_id = _insert_attempt(t, order, n, claim, deployment)
    energy = order.energy if first else energy_held(t, request_id)
    amounts: dict[int, int] = {}
    if first and energy:
        own = t.lasting(("energy account", user_id), lambda t: accounts.energy_account(t, user_id))
        amounts[own] = energy
    if order.budgets:
        most = {"usd": order.hold, "tokens": order.hold_tokens}
        drawn_on = ("budgets", user_id, order.budgets, t.day)
        opened = t.lasting(drawn_on, lambda t: accounts.open_budgets(t, user_id, order.budgets))
        amounts |= {account: most[budget.unit] for budget, account in opened}
    accounts.hold(t, attempt_id, amounts)
    if first:
        predict(t, order.prediction, None)
    return Attempt(
        attempt_id, request_id, n, order.settlement, order.hold, order.hold_tokens, energy, order.sent, deployment
    )


def _may_spend(t: Transaction, user_id: str) -> int:
    """The version of the world in which the user, who is entered, may spend. Raises NotPermitted, UsageError."""
    if users.ensure(t, user_id)["reads_only"]:
        raise NotPermitted(f"{user_id} may read and not spend", "an admin may change the role")
    return int(t.execute("SELECT value FROM meta WHERE key = 'world_version'").fetchone()[0])


def _placed(t: Transaction, order: Order) -> tuple[Order, str | None]:
    """The order at the deployment that takes it, with the prices there; as it is where the model has none."""
    if order.wanted is None:
        return order, None
    from nexscout_cli.store.sqlite import deployments

    place = deployments.take(t, order.settlement.model, order.wanted, order.hold_tokens)
    if place.price_in is None or place.price_out is None:
        return order, place.name
    there = order.settlement._replace(
        price_in=place.price_in, price_out=place.price_out, class_prices=place.class_prices
    )
    return order._replace(settlement=there), place.name


def open_request(t: Transaction, order: Order) -> bool:
    """Enter the request; False when it is there already.

    Raises StoreError when another process has closed the request, which it does when this one slept for long;
    InProgress as :func:`take_key` does.
    """
    about = order.prediction
    take_key(t, about.user_id, order.idempotency_key, about.request_id)
    if enter_request(t, about.request_id, about.user_id, about.feature, order.idempotency_key, order.fingerprint):
        return True
    row = t.execute("SELECT user_id, state FROM requests WHERE request_id = ?", (about.request_id,)).fetchone()
    t.require_access(row["user_id"])
    if row["state"] not in ("open", "unknown"):
        raise elsewhere(f"request {about.request_id}")
    move_request(t, about.request_id, "open")
    return False


def _insert_attempt(t: Transaction, order: Order, n: int, claim: str | None, deployment: str | None) -> int:
    """The id of the new attempt. Raises DuplicateInFlight when another request has its claim."""
    request_id, settlement = order.prediction.request_id, order.settlement
    row = {
        "request_id": request_id,
        "n": n,
        "model": settlement.model,
        "price": t.json({"input": settlement.price_in, "output": settlement.price_out, **settlement.class_prices}),
        "estimate": order.estimate,
        "hold": order.hold,
        "hold_tokens": order.hold_tokens,
        "state": "sent" if order.sent else "held",
        "owner": owner.me(),
        "deadline": stamp(t.now + timedelta(seconds=order.seconds)),
        "plan": t.json(settlement.as_json()),
        "claim": claim or claims.on_itself(request_id, n),
        "created_at": t.stamp,
        "deployment": deployment,
    }
    if (made := t.by_function("enter_attempt", row)) is not None:
        attempt_id = made.fetchone()[0]
    else:
        attempt_id = t.insert(
            f"INSERT INTO attempts ({', '.join(row)}) VALUES ({', '.join('?' * len(row))}) "
            "ON CONFLICT (claim) WHERE claim IS NOT NULL DO NOTHING",
            [*row.values()],
        )
    if attempt_id is None:
        raise DuplicateInFlight
    return int(attempt_id)


def _take_over(t: Transaction, request_id: str) -> tuple[int, str | None]:
    """The next attempt's number, and the claim on a cache key that it takes over from the last one, if that had any."""
    n, claim = t.execute(
        "SELECT n, claim FROM attempts WHERE request_id = ? ORDER BY n DESC LIMIT 1", (request_id,)
    ).fetchone()
    claims.let_go(t, request_id)
    return n + 1, None if claim == claims.on_itself(request_id, n) else claim


def energy_held(t: Transaction, request_id: str) -> int:
    """What a request holds of energy, which is held once, by its first attempt."""
    row = t.execute(
        """SELECT e.amount FROM attempts t JOIN ledger_entries e ON e.attempt = t.id AND e.kind = 'hold'
           JOIN accounts a ON a.id = e.account AND a.kind = 'energy' WHERE t.request_id = ? AND t.n = 1""",
        (request_id,),
    ).fetchone()
    return int(row[0]) if row else 0


def predict(t: Transaction, prediction: Prediction, rejected: str | None) -> None:
    """Enter the prediction; ``rejected`` says why the plan was not run."""
    if t.by_function("predict", [*prediction], rejected, t.stamp) is not None:
        return
    t.execute(
        """INSERT INTO ai_cost_predictions (request_id, user_id, feature, predicted_tokens, predicted_output_tokens,
           predicted_tokens_p90, predicted_cost_usd, max_cost_usd, predicted_energy, formula_tokens, recommended_model,
           routing_reason, decision, approved, rejected_reason, created_at)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (*prediction[:-1], t.json(prediction.decision), int(rejected is None), rejected, t.stamp),
    )
