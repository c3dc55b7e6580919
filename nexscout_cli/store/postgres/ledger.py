"""The engine's port onto the books of calls in PostgreSQL: each step is one function in the database, one round trip.

A function does plain cases alone. What it leaves (a user who is new, a month's grant, a cap that changed, whatever is wrong)
and what a broken connection leaves open is done by the books' general code, which also says what is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from nexscout_cli.engine.settlement import Attempt
from nexscout_cli.errors import DuplicateInFlight, StalePlan, StoreError
from nexscout_cli.store import owner
from nexscout_cli.store.postgres import steps
from nexscout_cli.store.postgres.ended import Ended
from nexscout_cli.store.postgres.found import Wanted, found_all
from nexscout_cli.store.postgres.groups import IN_FLIGHT, MOVED, Groups
from nexscout_cli.store.postgres.known import Profiles
from nexscout_cli.store.postgres.pulse import Pulse
from nexscout_cli.store.postgres.reads import Reads
from nexscout_cli.store.sqlite import answers, claims, holds, postings, profiles, world
from nexscout_cli.store.sqlite.ledger import SqliteLedger
from nexscout_cli.waiting import aside

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nexscout_cli.engine.budgets import Budget
    from nexscout_cli.engine.learning.observation import Lesson
    from nexscout_cli.engine.ports import Clock
    from nexscout_cli.engine.recalled import CachedAnswer, Hit, Recalled
    from nexscout_cli.engine.settlement import Charge, Delivery, Failure, Order, Posting, Prediction
    from nexscout_cli.engine.snapshot import Experience, World
    from nexscout_cli.store.postgres.journal import Journal
    from nexscout_cli.store.postgres.steps import Step
    from nexscout_cli.store.postgres.transactions import PostgresTransactions
    from nexscout_cli.store.sqlite.transaction import Transaction
    from nexscout_cli.store.sqlite.work import Proof

T = TypeVar("T")
_HELD = """SELECT id, n FROM attempts WHERE request_id = ? AND state IN ('held', 'sent') AND owner = ?
    ORDER BY n DESC LIMIT 1"""
_STILL = """SELECT coalesce((SELECT state FROM attempts WHERE id = ?), state) FROM requests WHERE request_id = ?"""
_AWAY = ("unreachable", "unsure", "read_only", "disk_full", "busy", "newer_schema")
"""What a database is that may take the step later: when it is back, or from the version of the program that it was made for."""


class PostgresLedger(SqliteLedger):
    """The ledger in PostgreSQL."""

    longest_pause = 0.02
    """To ask what is in flight costs next to nothing while nothing is heard."""

    def __init__(self, store: PostgresTransactions, journal: Journal) -> None:
        super().__init__(store)
        self._journal = journal
        self._store: PostgresTransactions = store
        self._profiles = Profiles()
        self._groups = Groups(store.db, self._profiles)
        self._ended = Ended(store.db)
        self._reads = Reads(store)
        self.pulse = Pulse(store.db, store.own_clock)

    @property
    def _clock(self) -> Clock | None:
        return self._store.own_clock

    def world(
        self, actor: str, user_id: str, feature: str, budgets: Sequence[Budget], owners: Sequence[str] = ()
    ) -> World:
        """Step 0."""
        key = ("world", user_id, feature, tuple(budgets), tuple(owners))
        return self._reads.get(actor, key, lambda t: _world(t, user_id, feature, budgets, owners))

    def experience(self, actor: str, user_id: str, feature: str) -> Experience:
        """What is known of a feature's earlier answers."""
        return self._reads.get(actor, ("experience", user_id, feature), lambda t: world.experience(t, user_id, feature))

    def recall(self, actor: str, user_id: str, key: str) -> Recalled | None:
        """Step 1."""
        return aside(lambda: SqliteLedger.recall(self, actor, user_id, key))

    def cached(self, actor: str, user_id: str, prompt_hash: str, form_hash: str | None = None) -> CachedAnswer | None:
        """Step 2."""
        key = Wanted(user_id, prompt_hash, form_hash)
        return self._reads.get(actor, key, lambda t: _found(t, key), read_all=found_all)

    def in_flight(self, actor: str, user_id: str, prompt_hash: str) -> bool:
        """Whether a request under that key is open whose process lives."""
        lives = aside(lambda: SqliteLedger.in_flight(self, actor, user_id, prompt_hash))
        self._ended.looked(claims.on_key(user_id, prompt_hash), lives=lives)
        return lives

    def may_have_ended(self, user_id: str, prompt_hash: str) -> bool:
        """Whether to look: the database has told of an end, or a second has gone by."""
        return self._ended.may_have(claims.on_key(user_id, prompt_hash))

    def hold(self, actor: str, order: Order) -> Attempt:
        """T1."""
        self.pulse.begin()
        if order.wanted is not None:  # a deployment is chosen by the books' general code
            return super().hold(actor, order)
        if self._journal.may_wait():  # what was sent before is posted before anything else is
            aside(self.make_kept)
        about = order.prediction
        step = steps.hold(actor, order, self._store.rules, self._clock)
        step["known"] = self._profiles.known(about.user_id)

        def again(t: Transaction) -> Attempt:
            row = t.execute(_HELD, (about.request_id, owner.me())).fetchone()
            if row is None:
                return holds.hold(t, order)
            number, n = row
            return _attempt(order, number) if n == 1 else _attempt(order, number, n, holds.energy_held(t, about.request_id))

        told = self._groups.make(step)
        if told == MOVED:
            raise StalePlan
        if told == IN_FLIGHT:
            raise DuplicateInFlight
        if told is None:
            return self._store.together(actor, again, about.user_id)
        if isinstance(told, str):
            return super().hold(actor, order)
        if told["profile"] is not None:  # another one than is known here
            self._profiles.heard(about.user_id, told["profile"])
        return _attempt(order, told["id"], told.get("n", 1), told.get("energy"))

    def mark_sent(self, actor: str, attempt: Attempt) -> None:
        """T2."""
        step = steps.of_attempt("mark_sent", actor, attempt, self._clock)
        self._make(step, lambda ledger: ledger.mark_sent(actor, attempt))

    def void(
        self, actor: str, attempt: Attempt, reason: str, label: str = "other", retry_after: float | None = None
    ) -> None:
        """Give the hold back."""
        if attempt.deployment is not None:
            super().void(actor, attempt, reason, label, retry_after)
            return
        step = steps.of_attempt("void", actor, attempt, self._clock, reason=reason, failure=label)
        self._make(step, lambda ledger: ledger.void(actor, attempt, reason, label))

    def mark_unknown(
        self, actor: str, attempt: Attempt, reason: str, provider_id: str | None, label: str = "unknown"
    ) -> None:
        """Keep the hold."""
        if attempt.deployment is not None:
            super().mark_unknown(actor, attempt, reason, provider_id, label)
            return
        step = steps.of_attempt("mark_unknown", actor, attempt, self._clock, reason=reason, failure=label)
        if provider_id is not None:
            step["provider_id"] = provider_id
        self._make(step, lambda ledger: ledger.mark_unknown(actor, attempt, reason, provider_id, label))

    def post(self, actor: str, attempt: Attempt, posting: Posting) -> None:
        """T3."""
        if (
            posting.refused or attempt.deployment is not None
        ):  # the catalog learns of it, or what is known of a deployment
            super().post(actor, attempt, posting)
            return
        step = steps.post(actor, attempt, posting, self._store.rules, self._clock)
        lesson = posting.delivery and posting.delivery.lesson
        told = self._make(step, lambda ledger: ledger.post(actor, attempt, posting), lesson)
        if told is not None and told.get(
            "alerts"
        ):  # a crossing is entered once; who sees it, and when, does not matter
            user_id = attempt.settlement.user_id
            self._store.together(actor, lambda t: postings.watch(t, user_id), user_id)

    def deliver(self, actor: str, attempt: Attempt, charge: Charge, delivery: Delivery) -> None:
        """Deliver the answer of an attempt that was posted without a delivery."""
        step = steps.deliver(actor, attempt, charge, delivery, self._store.rules, self._clock)
        self._make(step, lambda ledger: ledger.deliver(actor, attempt, charge, delivery), delivery.lesson)

    def fail(self, actor: str, failure: Failure) -> None:
        """Nothing was delivered."""
        step = steps.fail(actor, failure, self._clock)
        self._make(step, lambda ledger: ledger.fail(actor, failure), failure.lesson)

    def record_refusal(self, actor: str, prediction: Prediction, reason: str) -> None:
        """A refused run."""
        step = steps.refuse(actor, prediction, reason, self._clock)
        self._make(step, lambda ledger: ledger.record_refusal(actor, prediction, reason))

    def record_hit(self, actor: str, hit: Hit) -> None:
        """The one small write of a cached answer."""
        step = steps.hit(actor, hit, self._store.rules, self._clock)
        self._make(step, lambda ledger: ledger.record_hit(actor, hit), hit.lesson)

    def _make(
        self, step: Step, general: Callable[[SqliteLedger], None], lesson: Lesson | None = None
    ) -> dict[str, Any] | None:
        """Make a step, with what the user's profile learns of it; returns what the function told, None where the general
        code made it.
        """
        told = self._groups.make(step, lesson)
        if isinstance(told, dict):
            return told
        try:
            general(SqliteLedger(_Unsure(self._store)) if told is None else SqliteLedger(self._store))
        except StoreError as error:
            if error.code not in _AWAY or not self._journal.add(step):
                raise
            raise StoreError(
                f"{error}; what became of the call is kept on this machine until the database takes it",
                "upgrade nexscout; any command enters it then"
                if error.code == "newer_schema"
                else "run any command when it is back, or `nexscout serve`",
                code=error.code,
            ) from error
        return None

    def make_kept(self) -> int:
        """Make the steps that wait on this machine, in order; returns how many are done."""
        return self._journal.make(self._make_kept)

    def _make_kept(self, step: Step) -> bool:
        """Whether a step that was kept is done: made now, or its attempt and request have come to an end otherwise."""
        if isinstance(self._groups.make(step), dict):
            return True
        by_request = step["step"] in ("fail", "deliver")
        with self._store.read(step["actor"]) as t:
            row = t.execute(_STILL, (0 if by_request else step["id"], step["request"])).fetchone()
        return row is None or row[0] not in (("open",) if by_request else ("held", "sent"))


def _world(t: Transaction, user_id: str, feature: str, budgets: Sequence[Budget], owners: Sequence[str]) -> World:
    """What lasts may be of a moment ago, but for what the world's version counts, and the user's own profile."""
    (version,) = t.execute("SELECT value FROM meta WHERE key = 'world_version'").fetchone()
    what = ("lasting", t.actor, user_id, feature, tuple(owners), version)
    lasting = t.recently(what, lambda t: world.lasting(t, user_id, feature, owners))
    return world.read(t, user_id, budgets, lasting._replace(profile=profiles.for_plan(t, user_id)))


def _found(t: Transaction, wanted: Wanted) -> CachedAnswer | None:
    t.require_access(wanted.user_id)
    return answers.find(t, *wanted)


def _attempt(order: Order, number: int, n: int = 1, energy: int | None = None) -> Attempt:
    """``energy``: what the request's first attempt holds of it; None for that one."""
    held = order.energy if energy is None else energy
    request_id = order.prediction.request_id
    return Attempt(number, request_id, n, order.settlement, order.hold, order.hold_tokens, held, order.sent)


class _Unsure:
    """Transactions that look first whether what they make is there: the answer to an earlier try was lost."""

    def __init__(self, store: PostgresTransactions) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def together(
        self, actor: str, make: Callable[[Transaction], T], user_id: str = "", proof: Proof[T] | None = None
    ) -> T:
        """As the store does it. Whatever is left of the earlier try has ended when this has the user's lock."""

        def again(t: Transaction) -> T:
            if proof is not None and t.execute(*proof(None)).fetchone():  # type: ignore[arg-type]
                return None  # type: ignore[return-value]
            return make(t)

        return self._store.together(actor, again, user_id, proof)
