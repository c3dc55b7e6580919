"""The engine's port onto the store. Each method is one transaction: T1 hold, T2 sent, T3 post, and what ends otherwise."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime, timedelta

from nexscout_cli.engine import learn
from nexscout_cli.engine.learn import Lesson
from nexscout_cli.engine.plan import formula_tokens
from nexscout_cli.engine.ports import Provider
from nexscout_cli.engine.types import (
    AIRequest, Attempt, CachedAnswer, Charge, Delivery, Json, Plan, Snapshot,
)
from nexscout_cli.errors import InProgress, StoreError, UsageError, WorldMoved
from nexscout_cli.jsontext import dumps, loads
from nexscout_cli.store import accounts, cache, owner, profiles, snapshot, usage, users
from nexscout_cli.store.store import Store, stamp

KEYS_KEPT = timedelta(hours=24)


class SqliteLedger:
    """The ledger in SQLite, for one actor."""

    def __init__(self, store: Store, provider: Provider) -> None:
        self.store = store
        self.provider = provider

    def snapshot(self, request: AIRequest) -> Snapshot:
        """Step 0."""
        return snapshot.read(self.store, self.provider, request)

    def recall(self, user_id: str, key: str, fingerprint: str) -> dict[str, Json] | None:
        """Step 1: the first answer under an idempotency key, None for a key that is new or whose call was voided.

        Raises UsageError when the key stands for another request, InProgress while the first is live or unknown.
        """
        with self.store.db.read() as c:
            self.store.require_access(c, user_id)
            row = c.execute("SELECT * FROM requests WHERE user_id = ? AND key = ?", (user_id, key)).fetchone()
        if row is None or row["state"] == "voided":
            return None
        if row["fingerprint"] != fingerprint:
            raise UsageError(f"idempotency key {key!r} was used for another request", "use a new key",
                             code="idempotency_conflict")
        if row["state"] == "open":
            raise InProgress(f"the request under key {key!r} is in progress", "wait for it, then ask again")
        if row["state"] == "unknown":
            raise InProgress(f"the outcome of the request under key {key!r} is unknown",
                             f"`nexscout db resolve {row['request_id']} --post COST` or `--void` settles it", code="unknown")
        answer: dict[str, Json] = loads(row["answer"])
        return answer

    def cached(self, user_id: str, prompt_hash: str) -> CachedAnswer | None:
        """Step 2."""
        with self.store.db.read() as c:
            self.store.require_access(c, user_id)
            return cache.find(c, user_id, prompt_hash, self.store.now(c))

    def record_hit(self, request_id: str, request: AIRequest, snapshot: Snapshot, hit: CachedAnswer, fingerprint: str,
                   answer: dict[str, Json], mode: str) -> None:
        """The one small write of a cached answer."""
        tokens = hit.input_tokens + hit.output_tokens
        with self.store.db.write() as c:
            now = self.store.touch(c)
            users.ensure(self.store, c, request.user_id, now)
            if request.options.idempotency_key is not None:
                self._open_request(c, request_id, request, fingerprint, now)
                c.execute("UPDATE requests SET state = 'posted', answer = ? WHERE request_id = ?", (dumps(answer), request_id))
            if hit.id:
                cache.used(c, hit.id, now)
            usage.record(self.store, c, now, {
                "request_id": request_id, "n": 0, "user_id": request.user_id, "feature": request.feature,
                "model_used": hit.model, "outcome": "hit", "mode": mode, "routing_reason": "cache", "cached_response": 1,
                "baseline_usd": usage.baseline(self.store, c, hit.input_tokens, hit.output_tokens),
                "avoided_usd": hit.cost, "tokens_saved": tokens, "metadata": {"cached_id": hit.id or None}})
            profiles.learned(self.store, c, request.user_id, Lesson(
                day=now.date().isoformat(), hour=now.hour, prompt=request.prompt, model=hit.model, input_tokens=0,
                output_tokens=0, predicted_tokens=0, cached=True, tokens_saved=tokens, outcome=1.0))

    def record_refusal(self, request_id: str, plan: Plan, reason: str) -> None:
        """A refused run: its prediction, and nothing else."""
        with self.store.db.write() as c:
            self.store.require_access(c, plan.request.user_id)
            self._predict(c, request_id, plan, self.store.touch(c), reason)

    def hold(self, request_id: str, fingerprint: str, plan: Plan, deadline: datetime) -> Attempt:
        """T1. Raises WorldMoved when the catalog, a tier, a balance or a cap is no longer what the plan was made from."""
        request = plan.request
        with self.store.db.write() as c:
            now = self.store.touch(c)
            user = users.ensure(self.store, c, request.user_id, now)
            version = c.execute("SELECT value FROM meta WHERE key = 'world_version'").fetchone()[0]
            if int(version) != plan.version:
                raise WorldMoved
            first = self._open_request(c, request_id, request, fingerprint, now)
            n = c.execute("SELECT coalesce(max(n), 0) + 1 FROM attempts WHERE request_id = ?", (request_id,)).fetchone()[0]
            # The ledger's time runs ahead of a clock that was put back; the deadline must lie in the same time.
            deadline += now - self.store.clock.now()
            attempt_id = self._insert_attempt(c, request_id, n, plan, deadline, now)
            energy = self._hold_energy(c, request_id, attempt_id, plan, first, now)
            if not plan.model.free:
                for budget in accounts.budgets(self.store.settings, request.user_id, user["tier"], now):
                    account = accounts.open_budget(c, budget, self.store.actor, now)
                    amount = plan.max_cost if budget.unit == "usd" else plan.max_total_tokens
                    accounts.hold(c, attempt_id, account, amount, self.store.actor, now)
            if first:
                self._predict(c, request_id, plan, now, None)
        return Attempt(attempt_id, request_id, n, plan, plan.max_cost, plan.max_total_tokens, energy)

    def _open_request(self, c: sqlite3.Connection, request_id: str, request: AIRequest, fingerprint: str, now: datetime) -> bool:
        """Enter the request; False when it is there already. A key whose earlier call was voided goes over to this one.

        Raises StoreError when another process has closed the request, which it does when this one slept for long.
        """
        row = c.execute("SELECT user_id, state FROM requests WHERE request_id = ?", (request_id,)).fetchone()
        if row:
            self.store.require_access(c, row["user_id"])
            if row["state"] not in ("open", "unknown"):
                raise _elsewhere(f"request {request_id}")
            c.execute("UPDATE requests SET state = 'open' WHERE request_id = ?", (request_id,))
            return False
        key = request.options.idempotency_key
        if key is not None:
            c.execute("UPDATE requests SET key = NULL WHERE user_id = ? AND key = ? AND state = 'voided'", (request.user_id, key))
            if c.execute("SELECT 1 FROM requests WHERE user_id = ? AND key = ?", (request.user_id, key)).fetchone():
                raise InProgress(f"the request under key {key!r} is in progress", "wait for it, then ask again")
        c.execute("INSERT INTO requests (request_id, user_id, feature, key, fingerprint, state, created_at) "
                  "VALUES (?, ?, ?, ?, ?, 'open', ?)", (request_id, request.user_id, request.feature, key, fingerprint, stamp(now)))
        return True

    def _insert_attempt(self, c: sqlite3.Connection, request_id: str, n: int, plan: Plan, deadline: datetime, now: datetime) -> int:
        model, forecast = plan.model, plan.forecast
        known = {"mode": plan.mode, "routing_reason": plan.routing_reason, "compressed": plan.compression.applied,
                 "predicted_tokens": forecast.input_tokens + forecast.output_tokens,
                 "max_input_tokens": forecast.max_input_tokens, "max_output_tokens": forecast.max_output_tokens}
        cursor = c.execute(
            """INSERT INTO attempts (request_id, n, model, price, estimate, hold, hold_tokens, state, owner, deadline, plan, created_at)
               VALUES (?, ?, ?, ?, ?, ?, ?, 'held', ?, ?, ?, ?)""",
            (request_id, n, model.name, json.dumps({"input": model.price_in, "output": model.price_out}), plan.predicted_cost,
             plan.max_cost, plan.max_total_tokens, owner.me(), stamp(deadline), json.dumps(known), stamp(now)))
        return int(cursor.lastrowid or 0)

    def _hold_energy(self, c: sqlite3.Connection, request_id: str, attempt_id: int, plan: Plan, first: bool, now: datetime) -> int:
        """Energy is held once per request, by its first attempt; returns what the request holds."""
        if not first:
            row = c.execute(
                """SELECT e.amount FROM requests r JOIN ledger_entries e ON e.attempt = r.energy_attempt AND e.kind = 'hold'
                   JOIN accounts a ON a.id = e.account AND a.kind = 'energy' WHERE r.request_id = ?""", (request_id,)).fetchone()
            return int(row[0]) if row else 0
        energy = plan.max_energy
        if energy:
            account = accounts.account(c, plan.request.user_id, "energy", accounts.PREPAID)
            accounts.hold(c, attempt_id, account, energy, self.store.actor, now)
        c.execute("UPDATE requests SET energy_attempt = ? WHERE request_id = ?", (attempt_id, request_id))
        return energy

    def _predict(self, c: sqlite3.Connection, request_id: str, plan: Plan, now: datetime, rejected: str | None) -> None:
        forecast = plan.forecast
        c.execute(
            """INSERT INTO ai_cost_predictions (request_id, user_id, feature, predicted_tokens, predicted_output_tokens,
               predicted_cost_usd, max_cost_usd, predicted_energy, formula_tokens, recommended_model, routing_reason,
               approved, rejected_reason, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            (request_id, plan.request.user_id, plan.request.feature, forecast.input_tokens + forecast.output_tokens,
             forecast.output_tokens, plan.predicted_cost, plan.max_cost, plan.predicted_energy, formula_tokens(plan),
             plan.model.name, plan.routing_reason, int(rejected is None), rejected, stamp(now)))

    def mark_sent(self, attempt: Attempt) -> None:
        """T2: from here on the provider may have been reached."""
        self._move(attempt, "sent", None, None)

    def void(self, attempt: Attempt, reason: str) -> None:
        """Give the hold back: the call never arrived, or was definitely refused."""
        self._move(attempt, "voided", reason, None)

    def mark_unknown(self, attempt: Attempt, reason: str, provider_id: str | None) -> None:
        """Keep the hold: the call was sent, and what became of it is not known."""
        self._move(attempt, "unknown", reason, provider_id)

    def _move(self, attempt: Attempt, state: str, reason: str | None, provider_id: str | None) -> None:
        with self.store.db.write() as c:
            now = self.store.touch(c)
            self._require_own(c, attempt)
            set_state(c, attempt.id, state, now, reason=reason, provider_id=provider_id)
            if state == "voided":
                accounts.release(c, attempt.id, ("usd", "tokens"), {}, reason=reason or "", actor=self.store.actor, now=now)

    def _require_own(self, c: sqlite3.Connection, attempt: Attempt) -> None:
        row = c.execute("SELECT r.user_id FROM attempts a JOIN requests r USING (request_id) WHERE a.id = ? AND a.request_id = ?",
                        (attempt.id, attempt.request_id)).fetchone()
        self.store.require_access(c, row["user_id"] if row else "")

    def post(self, attempt: Attempt, charge: Charge, provider_id: str | None, delivery: Delivery | None) -> None:
        """T3: the true charge in every book at once. Without a delivery the cost is posted and no energy is charged."""
        plan, store = attempt.plan, self.store
        request = plan.request
        total = charge.input_tokens + charge.output_tokens
        with store.db.write() as c:
            now = store.touch(c)
            self._require_own(c, attempt)
            set_state(c, attempt.id, "posted", now, actual=charge.cost, provider_id=provider_id)
            accounts.release(c, attempt.id, ("usd", "tokens"), {"usd": charge.cost, "tokens": total},
                             reason=",".join(charge.flags), actor=store.actor, now=now)
            forecast = plan.forecast
            usage.record(store, c, now, {
                "request_id": attempt.request_id, "n": attempt.n, "user_id": request.user_id, "feature": request.feature,
                "model_used": plan.model.name, "outcome": "posted", "input_tokens": charge.input_tokens,
                "output_tokens": charge.output_tokens, "cost_usd": charge.cost, "energy": delivery.energy if delivery else 0,
                "mode": plan.mode, "routing_reason": plan.routing_reason, "compression_applied": int(plan.compression.applied),
                "prediction_accuracy": learn.accuracy(total, forecast.input_tokens + forecast.output_tokens),
                **usage.savings(store, c, plan, charge),
                "metadata": {"flags": list(charge.flags), "degraded": plan.degraded, "delivered": delivery is not None,
                             "surge": plan.surge_milli / 1000, "provider_id": provider_id,
                             "emotional_complexity": plan.emotional_complexity, "actor": store.actor}})
            self._settle_prediction(c, attempt.request_id, total, charge.cost)
            if not {"estimated", "usage_invalid"} & set(charge.flags):
                usage.learn_factor(c, plan.model, forecast.input_tokens, charge.input_tokens)
            if delivery is not None:
                self._deliver(c, attempt, charge, delivery, now)

    def _deliver(self, c: sqlite3.Connection, attempt: Attempt, charge: Charge, delivery: Delivery, now: datetime) -> None:
        request = attempt.plan.request
        end_request(self.store, c, attempt.request_id, "posted", now, energy=delivery.energy)
        if request.options.idempotency_key is not None:
            c.execute("UPDATE requests SET answer = ? WHERE request_id = ?", (dumps(delivery.answer), attempt.request_id))
        profiles.learned(self.store, c, request.user_id, delivery.lesson)
        usage.learn_length(c, request.user_id, request.feature, charge.output_tokens)
        if delivery.cache_key is not None:
            cache.save(self.store, c, request, delivery.cache_key, attempt.plan.model, charge, delivery.text, now)

    def _settle_prediction(self, c: sqlite3.Connection, request_id: str, tokens: int, cost: int) -> None:
        c.execute("UPDATE ai_cost_predictions SET actual_tokens = coalesce(actual_tokens, 0) + ?, "
                  "actual_cost_usd = coalesce(actual_cost_usd, 0) + ? WHERE request_id = ?", (tokens, cost, request_id))
        row = c.execute("SELECT actual_tokens, predicted_tokens FROM ai_cost_predictions WHERE request_id = ?", (request_id,)).fetchone()
        if row:
            c.execute("UPDATE ai_cost_predictions SET prediction_accuracy = ? WHERE request_id = ?",
                      (learn.accuracy(row[0], row[1]), request_id))

    def fail(self, request_id: str, request: AIRequest, snapshot: Snapshot, code: str, message: str) -> None:
        """Nothing was delivered: energy is given back, and the failure is on record."""
        with self.store.db.write() as c:
            now = self.store.touch(c)
            self.store.require_access(c, request.user_id)
            last = c.execute("SELECT model, plan FROM attempts WHERE request_id = ? ORDER BY n DESC LIMIT 1", (request_id,)).fetchone()
            unknown = c.execute("SELECT 1 FROM attempts WHERE request_id = ? AND state = 'unknown'", (request_id,)).fetchone()
            end_request(self.store, c, request_id, "unknown" if unknown else "voided", now, energy=0)
            known = json.loads(last["plan"])
            usage.record(self.store, c, now, {
                "request_id": request_id, "n": 0, "user_id": request.user_id, "feature": request.feature,
                "model_used": last["model"], "outcome": "failed", "mode": known["mode"],
                "routing_reason": known["routing_reason"], "metadata": {"error": code, "message": message}})
            profiles.learned(self.store, c, request.user_id, Lesson(
                day=now.date().isoformat(), hour=now.hour, prompt=request.prompt, model=last["model"], input_tokens=0,
                output_tokens=0, predicted_tokens=0, cached=False, tokens_saved=0, outcome=0.0))


def set_state(c: sqlite3.Connection, attempt_id: int, state: str, now: datetime, *, actual: int | None = None,
              reason: str | None = None, provider_id: str | None = None) -> None:
    """Move an attempt forward; a trigger refuses any step the table of states does not have."""
    settled = None if state == "sent" else stamp(now)
    try:
        c.execute("UPDATE attempts SET state = ?, actual = ?, reason = coalesce(?, reason), "
                  "provider_id = coalesce(?, provider_id), settled_at = ? WHERE id = ?",
                  (state, actual, reason, provider_id, settled, attempt_id))
    except sqlite3.IntegrityError as error:
        raise _elsewhere(f"attempt {attempt_id}") from error


def _elsewhere(what: str) -> StoreError:
    return StoreError(f"{what} was settled by another process meanwhile", "`nexscout log` shows what became of it",
                      code="settled_elsewhere")


def end_request(store: Store, c: sqlite3.Connection, request_id: str, state: str, now: datetime, *, energy: int) -> None:
    """Close a request and its energy hold: posted with ``energy`` units, given back when that is 0."""
    c.execute("UPDATE requests SET state = ? WHERE request_id = ?", (state, request_id))
    row = c.execute("SELECT energy_attempt FROM requests WHERE request_id = ?", (request_id,)).fetchone()
    if row and row[0]:
        accounts.release(c, row[0], ("energy",), {"energy": energy} if energy else {}, reason=state, actor=store.actor, now=now)


_EXPIRED = "key IS NOT NULL AND created_at < ? AND state IN ('posted', 'voided')"


def keys_to_expire(c: sqlite3.Connection, now: datetime) -> bool:
    """Whether :func:`expire_keys` would find any."""
    return c.execute(f"SELECT 1 FROM requests WHERE {_EXPIRED} LIMIT 1", (stamp(now - KEYS_KEPT),)).fetchone() is not None


def expire_keys(c: sqlite3.Connection, now: datetime) -> None:
    """Let go of idempotency keys and their answers after 24 hours."""
    c.execute(f"UPDATE requests SET key = NULL, answer = NULL WHERE {_EXPIRED}", (stamp(now - KEYS_KEPT),))
