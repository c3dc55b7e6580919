"""The engine's port onto the books of calls. Each method is one transaction: T1 hold, T2 sent, T3 post, and other ends.

What makes holds and posts is imported when one is made: an answer from the cache needs neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.engine.recalled import Recalled
from nexscout_cli.errors import StalePlan
from nexscout_cli.jsontext import loads
from nexscout_cli.store.sqlite import accounts, answers, hits, world
from nexscout_cli.store.sqlite.states import require_own, set_state
from nexscout_cli.store.sqlite.unchanged import Unchanged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nexscout_cli.engine.budgets import Budget
    from nexscout_cli.engine.recalled import CachedAnswer, Hit
    from nexscout_cli.engine.settlement import Attempt, Charge, Delivery, Failure, Order, Posting, Prediction
    from nexscout_cli.engine.snapshot import Experience, World
    from nexscout_cli.store.sqlite.transaction import Transaction
    from nexscout_cli.store.sqlite.work import Proof, Work


# A number alone would not do: after a crash of a server another attempt may have it.
_HELD = "SELECT 1 FROM attempts WHERE id = ? AND request_id = ?"
_IN_STATE = "SELECT 1 FROM attempts WHERE id = ? AND state = ?"
_USED = "SELECT 1 FROM ai_model_usage WHERE request_id = ? AND n = ?"
_PREDICTED = "SELECT 1 FROM ai_cost_predictions WHERE request_id = ?"
_ENDED = "SELECT 1 FROM requests WHERE request_id = ? AND state = 'posted'"


def _proof(sql: str, *values: object) -> Proof[None]:
    """What is there when a step was made; see ``Work.together``."""
    return lambda _: (sql, values)


def _failed(t: Transaction, attempt: Attempt, label: str, retry_after: float | None) -> None:
    """Let the deployment that gave no answer know of it, where the attempt has one."""
    if attempt.deployment is not None:
        from nexscout_cli.store.sqlite import deployments

        deployments.failed(t, attempt.settlement.model, attempt.deployment, label, retry_after)


class SqliteLedger:
    """The ledger in SQLite."""

    longest_pause = 0.25

    def __init__(self, store: Work) -> None:
        self._store = store
        self._unchanged = Unchanged(store)

    def world(
        self, actor: str, user_id: str, feature: str, budgets: Sequence[Budget], owners: Sequence[str] = ()
    ) -> World:
        """Step 0."""

        def read() -> World:
            with self._store.read(actor) as t:
                who = ("lasting", actor, user_id, feature, tuple(owners))
                lasting = t.lasting(who, lambda t: world.lasting(t, user_id, feature, owners))
                return world.read(t, user_id, budgets, lasting)

        return self._unchanged.get(("world", actor, user_id, feature, tuple(budgets), tuple(owners)), read)

    def experience(self, actor: str, user_id: str, feature: str) -> Experience:
        """What is known of a feature's earlier answers."""

        def read() -> Experience:
            with self._store.read(actor) as t:
                return world.experience(t, user_id, feature)

        return self._unchanged.get(("experience", actor, user_id, feature), read)

    def recall(self, actor: str, user_id: str, key: str) -> Recalled | None:
        """Step 1."""
        with self._store.read(actor) as t:
            t.require_access(user_id)
            row = t.execute(
                "SELECT request_id, fingerprint, state, answer FROM requests WHERE user_id = ? AND key = ?",
                (user_id, key),
            ).fetchone()
        if row is None:
            return None
        request_id, fingerprint, state, answer = row
        return Recalled(request_id, fingerprint, state, answer and loads(answer))

    def cached(self, actor: str, user_id: str, prompt_hash: str, form_hash: str | None = None) -> CachedAnswer | None:
        """Step 2."""

        def read() -> CachedAnswer | None:
            with self._store.read(actor) as t:
                t.lasting(("access", actor, user_id), lambda t: t.require_access(user_id))
                return answers.find(t, user_id, prompt_hash, form_hash)

        return self._unchanged.get(("answer", actor, user_id, prompt_hash, form_hash), read)

    def in_flight(self, actor: str, user_id: str, prompt_hash: str) -> bool:
        """Whether a request under that key is open whose process lives."""
        with self._store.read(actor) as t:
            t.require_access(user_id)
            return answers.in_flight(t, user_id, prompt_hash)

    def may_have_ended(self, user_id: str, prompt_hash: str) -> bool:
        """Whether to look: nobody tells."""
        return True

    def record_hit(self, actor: str, hit: Hit) -> None:
        """The one small write of a cached answer. It costs nothing: only an answer under a key must be on record at once."""
        write = self._store.soon if hit.idempotency_key is None else self._store.together
        write(actor, lambda t: hits.record(t, hit), hit.user_id, _proof(_USED, hit.request_id, 0))

    def record_refusal(self, actor: str, prediction: Prediction, reason: str) -> None:
        """A refused run: its prediction, and nothing else."""
        from nexscout_cli.store.sqlite import holds

        def enter(t: Transaction) -> None:
            t.require_access(prediction.user_id)
            holds.predict(t, prediction, reason)

        self._store.together(actor, enter, prediction.user_id, _proof(_PREDICTED, prediction.request_id))

    def hold(self, actor: str, order: Order) -> Attempt:
        """T1."""
        from nexscout_cli.store.sqlite import holds

        try:
            return self._store.together(
                actor,
                lambda t: holds.hold(t, order),
                order.prediction.user_id,
                lambda made: (_HELD, (made.id, made.request_id)),
            )
        except StalePlan:
            self._unchanged.forget()
            self._store.forget()
            raise

    def mark_sent(self, actor: str, attempt: Attempt) -> None:
        """T2: from here on the provider may have been reached."""

        def move(t: Transaction) -> None:
            require_own(t, attempt)
            set_state(t, attempt.id, "sent")

        self._store.together(actor, move, attempt.settlement.user_id, _proof(_IN_STATE, attempt.id, "sent"))

    def void(
        self, actor: str, attempt: Attempt, reason: str, label: str = "other", retry_after: float | None = None
    ) -> None:
        """Give the hold back: the call never arrived, or was definitely refused."""

        def give_back(t: Transaction) -> None:
            require_own(t, attempt)
            set_state(t, attempt.id, "voided", reason=reason, failure=label)
            accounts.release(t, attempt.id, {"usd": None, "tokens": None}, "")
            _failed(t, attempt, label, retry_after)

        self._store.together(actor, give_back, attempt.settlement.user_id, _proof(_IN_STATE, attempt.id, "voided"))

    def mark_unknown(
        self, actor: str, attempt: Attempt, reason: str, provider_id: str | None, label: str = "unknown"
    ) -> None:
        """Keep the hold: the call was sent, and what became of it is not known."""

        def keep(t: Transaction) -> None:
            require_own(t, attempt)
            set_state(t, attempt.id, "unknown", reason=reason, provider_id=provider_id, failure=label)
            _failed(t, attempt, label, None)

        self._store.together(actor, keep, attempt.settlement.user_id, _proof(_IN_STATE, attempt.id, "unknown"))

    def post(self, actor: str, attempt: Attempt, posting: Posting) -> None:
        """T3: the true charge in every book at once."""
        from nexscout_cli.store.sqlite import postings

        posted = _proof(_IN_STATE, attempt.id, "posted")
        self._store.together(actor, lambda t: postings.post(t, attempt, posting), attempt.settlement.user_id, posted)

    def deliver(self, actor: str, attempt: Attempt, charge: Charge, delivery: Delivery) -> None:
        """Deliver the answer of an attempt that was posted without a delivery."""
        from nexscout_cli.store.sqlite import postings

        user_id = attempt.settlement.user_id
        delivered = _proof(_ENDED, attempt.request_id)
        self._store.together(actor, lambda t: postings.deliver(t, attempt, charge, delivery), user_id, delivered)

    def fail(self, actor: str, failure: Failure) -> None:
        """Nothing was delivered: energy is given back, and the failure is on record."""
        from nexscout_cli.store.sqlite import postings

        failed = _proof(_USED, failure.request_id, 0)
        self._store.together(actor, lambda t: postings.fail(t, failure), failure.user_id, failed)
