"""The engine's port onto the store. Each method is one transaction: T1 hold, T2 sent, T3 post, and what ends otherwise."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from nexscout_cli.engine.learning.observation import observe
from nexscout_cli.engine.plan_types import Plan
from nexscout_cli.engine.ports import Provider
from nexscout_cli.engine.request import AIRequest, Json
from nexscout_cli.engine.settlement import Attempt, CachedAnswer, Charge, Delivery
from nexscout_cli.engine.snapshot import Snapshot
from nexscout_cli.errors import InProgress, UsageError
from nexscout_cli.jsontext import loads
from nexscout_cli.store.sqlite import accounts, cache, holds, postings, snapshot
from nexscout_cli.store.sqlite.states import require_own, set_state
from nexscout_cli.store.sqlite.store import Store


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
            raise UsageError(
                f"idempotency key {key!r} was used for another request", "use a new key", code="idempotency_conflict"
            )
        if row["state"] == "open":
            raise InProgress(f"the request under key {key!r} is in progress", "wait for it, then ask again")
        if row["state"] == "unknown":
            raise InProgress(
                f"the outcome of the request under key {key!r} is unknown",
                f"`nexscout db resolve {row['request_id']} --post COST` or `--void` settles it",
                code="unknown",
            )
        answer: dict[str, Json] = loads(row["answer"])
        return answer

    def cached(self, user_id: str, prompt_hash: str, form_hash: str | None = None) -> CachedAnswer | None:
        """Step 2."""
        with self.store.db.read() as c:
            self.store.require_access(c, user_id)
            return cache.find(c, user_id, prompt_hash, form_hash, self.store.now(c))

    def in_flight(self, user_id: str, prompt_hash: str) -> bool:
        """Whether a request under that key is open whose process lives."""
        with self.store.db.read() as c:
            self.store.require_access(c, user_id)
            return cache.in_flight(c, user_id, prompt_hash)

    def record_hit(
        self,
        request_id: str,
        request: AIRequest,
        hit: CachedAnswer,
        fingerprint: str,
        answer: dict[str, Json],
        mode: str,
    ) -> None:
        """The one small write of a cached answer."""
        said = observe(request.prompt)
        self.store.db.together(
            lambda c: postings.hit(self.store, c, request_id, request, said, hit, fingerprint, answer, mode)
        )

    def record_refusal(self, request_id: str, plan: Plan, reason: str) -> None:
        """A refused run: its prediction, and nothing else."""
        with self.store.db.write() as c:
            self.store.require_access(c, plan.request.user_id)
            holds.predict(c, request_id, plan, self.store.touch(c), reason)

    def hold(
        self, request_id: str, fingerprint: str, plan: Plan, deadline: datetime, cache_key: str | None = None
    ) -> Attempt:
        """T1. Raises StalePlan when the catalog, a tier, a balance or a cap is no longer what the plan was made from,
        DuplicateInFlight when another request under the same cache key is open.
        """
        return self.store.db.together(
            lambda c: holds.hold(self.store, c, request_id, fingerprint, plan, deadline, cache_key)
        )

    def mark_sent(self, attempt: Attempt) -> None:
        """T2: from here on the provider may have been reached."""

        def move(c: sqlite3.Connection) -> None:
            require_own(self.store, c, attempt)
            set_state(c, attempt.id, "sent", None)

        self.store.db.together(move)

    def void(self, attempt: Attempt, reason: str) -> None:
        """Give the hold back: the call never arrived, or was definitely refused."""
        self._settle(attempt, "voided", reason, None)

    def mark_unknown(self, attempt: Attempt, reason: str, provider_id: str | None) -> None:
        """Keep the hold: the call was sent, and what became of it is not known."""
        self._settle(attempt, "unknown", reason, provider_id)

    def _settle(self, attempt: Attempt, state: str, reason: str | None, provider_id: str | None) -> None:
        def settle(c: sqlite3.Connection) -> None:
            require_own(self.store, c, attempt)
            now = self.store.touch(c)
            set_state(c, attempt.id, state, now, reason=reason, provider_id=provider_id)
            if state == "voided":
                accounts.release(
                    c, attempt.id, {"usd": None, "tokens": None}, reason="", actor=self.store.actor, now=now
                )

        self.store.db.together(settle)

    def post(
        self,
        attempt: Attempt,
        charge: Charge,
        provider_id: str | None,
        delivery: Delivery | None,
        doubt: dict[str, Json] | None = None,
    ) -> None:
        """T3: the true charge in every book at once. Without a delivery the cost is posted and no energy is charged."""
        self.store.db.together(lambda c: postings.post(self.store, c, attempt, charge, provider_id, delivery, doubt))

    def deliver(self, attempt: Attempt, charge: Charge, delivery: Delivery) -> None:
        """Deliver the answer of an attempt that was posted without a delivery."""
        postings.deliver(self.store, attempt, charge, delivery)

    def fail(self, request_id: str, request: AIRequest, code: str, message: str) -> None:
        """Nothing was delivered: energy is given back, and the failure is on record."""
        postings.fail(self.store, request_id, request, code, message)
