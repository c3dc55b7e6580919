"""T1: accounts checked and reduced, the request, the attempt and its prediction entered; all or nothing."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from nexscout_cli.engine.plan_types import Plan
from nexscout_cli.engine.planning.planner import formula_tokens
from nexscout_cli.engine.request import AIRequest
from nexscout_cli.engine.settlement import Attempt
from nexscout_cli.errors import DuplicateInFlight, InProgress, StalePlan
from nexscout_cli.jsontext import plain
from nexscout_cli.store import owner
from nexscout_cli.store.sqlite import accounts, claims, users
from nexscout_cli.store.sqlite.states import elsewhere
from nexscout_cli.store.sqlite.store import Store, stamp


def hold(
    store: Store,
    c: sqlite3.Connection,
    request_id: str,
    fingerprint: str,
    plan: Plan,
    deadline: datetime,
    cache_key: str | None = None,
) -> Attempt:
    """T1. Raises StalePlan when the catalog, a tier, a balance or a cap is no longer what the plan was made from,
    DuplicateInFlight when another request under the same cache key is open.
    """
    request = plan.request
    now = store.touch(c)
    user = users.ensure(store, c, request.user_id, now)
    version = c.execute("SELECT value FROM meta WHERE key = 'world_version'").fetchone()[0]
    if int(version) != plan.version:
        raise StalePlan
    first = open_request(store, c, request_id, request, fingerprint, now)
    if first:
        n, claim = 1, cache_key and claims.on_key(request.user_id, cache_key)
    else:
        n, claim = _take_over(c, request_id)
    # The ledger's time runs ahead of a clock that was put back; the deadline must lie in the same time.
    deadline += now - store.clock.now()
    attempt_id = _insert_attempt(c, request_id, n, claim, plan, deadline, now)
    energy = plan.max_energy if first else _energy_held(c, request_id)
    amounts: dict[int, int] = {}
    if first and energy:
        amounts[accounts.account(c, request.user_id, "energy", accounts.PREPAID)] = energy
    if not plan.model.free:
        budgets = accounts.budgets(store.settings, request.user_id, user["tier"], now)
        opened = accounts.open_budgets(c, budgets, store.actor, now)
        most = {"usd": plan.own_max_cost, "tokens": plan.max_total_tokens}
        amounts |= {account: most[budget.unit] for budget, account in opened.items()}
    accounts.hold(c, attempt_id, amounts, store.actor, now)
    if first:
        predict(c, request_id, plan, now, None)
    return Attempt(attempt_id, request_id, n, plan, plan.own_max_cost, plan.max_total_tokens, energy)


def open_request(
    store: Store,
    c: sqlite3.Connection,
    request_id: str,
    request: AIRequest,
    fingerprint: str,
    now: datetime,
) -> bool:
    """Enter the request; False when it is there already. A key whose earlier call was voided goes over to this one.

    Raises StoreError when another process has closed the request, which it does when this one slept for long.
    """
    key = request.options.idempotency_key
    if key is not None:
        names = (request.user_id, key, request_id)
        c.execute(
            "UPDATE requests SET key = NULL WHERE user_id = ? AND key = ? AND state = 'voided' AND request_id <> ?",
            names,
        )
        if c.execute("SELECT 1 FROM requests WHERE user_id = ? AND key = ? AND request_id <> ?", names).fetchone():
            raise InProgress(f"the request under key {key!r} is in progress", "wait for it, then ask again")
    entered = c.execute(
        "INSERT INTO requests (request_id, user_id, feature, key, fingerprint, state, created_at) "
        "VALUES (?, ?, ?, ?, ?, 'open', ?) ON CONFLICT (request_id) DO NOTHING",
        (request_id, request.user_id, request.feature, key, fingerprint, stamp(now)),
    )
    if entered.rowcount:
        return True
    row = c.execute("SELECT user_id, state FROM requests WHERE request_id = ?", (request_id,)).fetchone()
    store.require_access(c, row["user_id"])
    if row["state"] not in ("open", "unknown"):
        raise elsewhere(f"request {request_id}")
    c.execute("UPDATE requests SET state = 'open' WHERE request_id = ?", (request_id,))
    return False


def _insert_attempt(
    c: sqlite3.Connection, request_id: str, n: int, claim: str | None, plan: Plan, deadline: datetime, now: datetime
) -> int:
    """The id of the new attempt. Raises DuplicateInFlight when another request has its claim."""
    model, forecast = plan.model, plan.forecast
    known = {
        "mode": plan.mode,
        "routing_reason": plan.routing_reason,
        "compressed": plan.compression.applied,
        "predicted_tokens": forecast.input_tokens + forecast.output_tokens,
        "max_input_tokens": forecast.max_input_tokens,
        "max_output_tokens": forecast.max_output_tokens,
    }
    cursor = c.execute(
        """INSERT INTO attempts (request_id, n, model, price, estimate, hold, hold_tokens, state,
           owner, deadline, plan, claim, created_at)
           VALUES (?, ?, ?, ?, ?, ?, ?, 'held', ?, ?, ?, ?, ?) ON CONFLICT (claim) WHERE claim IS NOT NULL DO NOTHING""",
        (
            request_id,
            n,
            model.name,
            plain({"input": model.price_in, "output": model.price_out}),
            plan.own_cost,
            plan.own_max_cost,
            plan.max_total_tokens,
            owner.me(),
            stamp(deadline),
            plain(known),
            claim or claims.on_itself(request_id, n),
            stamp(now),
        ),
    )
    if not cursor.rowcount:
        raise DuplicateInFlight
    return int(cursor.lastrowid or 0)


def _take_over(c: sqlite3.Connection, request_id: str) -> tuple[int, str | None]:
    """The next attempt's number, and the claim on a cache key that it takes over from the last one, if that had any."""
    n, claim = c.execute(
        "SELECT n, claim FROM attempts WHERE request_id = ? ORDER BY n DESC LIMIT 1", (request_id,)
    ).fetchone()
    claims.let_go(c, request_id)
    return n + 1, None if claim == claims.on_itself(request_id, n) else claim


def _energy_held(c: sqlite3.Connection, request_id: str) -> int:
    """What a request holds of energy, which is held once, by its first attempt."""
    row = c.execute(
        """SELECT e.amount FROM attempts t JOIN ledger_entries e ON e.attempt = t.id AND e.kind = 'hold'
           JOIN accounts a ON a.id = e.account AND a.kind = 'energy' WHERE t.request_id = ? AND t.n = 1""",
        (request_id,),
    ).fetchone()
    return int(row[0]) if row else 0


def predict(c: sqlite3.Connection, request_id: str, plan: Plan, now: datetime, rejected: str | None) -> None:
    """Enter the prediction; ``rejected`` says why the plan was not run."""
    c.execute(
        """INSERT INTO ai_cost_predictions (request_id, user_id, feature, predicted_tokens, predicted_output_tokens,
           predicted_tokens_p90, predicted_cost_usd, max_cost_usd, predicted_energy, formula_tokens, recommended_model,
           routing_reason, approved, rejected_reason, decision, created_at)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            request_id,
            plan.request.user_id,
            plan.request.feature,
            plan.predicted_tokens,
            plan.predicted_output_tokens,
            plan.p90_tokens,
            plan.predicted_cost,
            plan.max_cost,
            plan.predicted_energy,
            formula_tokens(plan),
            plan.model.name,
            plan.routing_reason,
            int(rejected is None),
            rejected,
            plain(plan.decision.as_json()),
            stamp(now),
        ),
    )
