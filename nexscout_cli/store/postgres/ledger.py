"""The engine's port onto the books of calls in PostgreSQL: each step is one function in the database, one round trip.

A function does plain cases alone. What it leaves (a user who is new, a month's grant, a cap that changed, whatever is wrong)
and what a broken connection leaves open is done by the books' general code, which also says what is wrong.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from nexscout_cli.engine.settlement import Attempt
from nexscout_cli.errors import DuplicateInFlight, StalePlan
from nexscout_cli.store import owner
from nexscout_cli.store.postgres import steps
from nexscout_cli.store.sqlite import holds, postings, profiles
from nexscout_cli.store.sqlite.ledger import SqliteLedger

if TYPE_CHECKING:
    from collections.abc import Callable

    from nexscout_cli.engine.learning.observation import Lesson
    from nexscout_cli.engine.learning.profile import ProfileState
    from nexscout_cli.engine.ports import Clock
    from nexscout_cli.engine.recalled import Hit
    from nexscout_cli.engine.settlement import Charge, Delivery, Failure, Order, Posting, Prediction
    from nexscout_cli.store.postgres.groups import Groups
    from nexscout_cli.store.postgres.steps import Step
    from nexscout_cli.store.postgres.transactions import PostgresTransactions
    from nexscout_cli.store.sqlite.transaction import Transaction
    from nexscout_cli.store.sqlite.work import Proof

T = TypeVar("T")
_HELD = "SELECT id FROM attempts WHERE request_id = ? AND n = 1 AND state = 'held' AND owner = ?"
_TRIES = 3
"""How often a profile is folded again that somebody else has changed meanwhile, before the general code locks it."""


class PostgresLedger(SqliteLedger):
    """The ledger in PostgreSQL."""

    def __init__(self, store: PostgresTransactions, groups: Groups) -> None:
        super().__init__(store)
        self._store: PostgresTransactions = store
        self._groups = groups
        self._profiles = _Profiles()

    @property
    def _clock(self) -> Clock | None:
        return self._store.own_clock

    def hold(self, actor: str, order: Order) -> Attempt:
        """T1."""
        about = order.prediction
        step = steps.hold(actor, order, self._store.rules, self._clock)
        step["known"] = self._profiles.known(about.user_id)

        def again(t: Transaction) -> Attempt:
            row = t.execute(_HELD, (about.request_id, owner.me())).fetchone()
            return _attempt(row[0], order) if row else holds.hold(t, order)

        told = self._try(step)
        if told == "NX002":
            raise StalePlan
        if told == "NX003":
            raise DuplicateInFlight
        if told is None:
            return self._store.together(actor, again, about.user_id)
        if isinstance(told, str):
            return super().hold(actor, order)
        self._profiles.heard(about.user_id, told.get("profile"))
        return _attempt(told["id"], order)

    def mark_sent(self, actor: str, attempt: Attempt) -> None:
        """T2."""
        step = steps.of_attempt("mark_sent", actor, attempt, self._clock)
        self._make(step, lambda ledger: ledger.mark_sent(actor, attempt))

    def void(self, actor: str, attempt: Attempt, reason: str, label: str = "other") -> None:
        """Give the hold back."""
        step = steps.of_attempt("void", actor, attempt, self._clock, reason=reason, failure=label)
        self._make(step, lambda ledger: ledger.void(actor, attempt, reason, label))

    def mark_unknown(
        self, actor: str, attempt: Attempt, reason: str, provider_id: str | None, label: str = "unknown"
    ) -> None:
        """Keep the hold."""
        step = steps.of_attempt("mark_unknown", actor, attempt, self._clock, reason=reason, failure=label)
        if provider_id is not None:
            step["provider_id"] = provider_id
        self._make(step, lambda ledger: ledger.mark_unknown(actor, attempt, reason, provider_id, label))

    def post(self, actor: str, attempt: Attempt, posting: Posting) -> None:
        """T3."""
        if posting.refused:  # the catalog learns of it, which takes all books
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
        user_id, told = step["user"], "NX001"
        for _ in range(_TRIES):
            learned = self._profiles.fold(user_id, lesson) if lesson is not None else None
            if learned is not None:
                step["profile"] = {"seen": learned.seen, "values": learned.values}
            elif "profile" in step:
                del step["profile"]  # there is none that could be read
            told = self._try(step)
            if not isinstance(told, dict):
                break
            if learned is None or "seen" in told:
                if learned is not None:
                    self._profiles.put(user_id, told["seen"], learned.state)
                return told
            self._profiles.heard(user_id, told["profile"], is_there=told["profile"] is not None)
        general(SqliteLedger(_Unsure(self._store)) if told is None else SqliteLedger(self._store))
        return None

    def _try(self, step: Step) -> Any:
        """What a step's function tells; the number of its error as text; None where it may have been made or not."""
        return self._groups.make(step)


def _attempt(number: int, order: Order) -> Attempt:
    request_id = order.prediction.request_id
    return Attempt(number, request_id, 1, order.settlement, order.hold, order.hold_tokens, order.energy)


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


class _Known(NamedTuple):
    """A profile as it was seen in the database: by what it is known, and the state (None where it can't be read)."""

    seen: str
    state: ProfileState | None


class _Learned(NamedTuple):
    """A profile with a lesson in, as its columns, and by what the one is known that it was folded from."""

    seen: str
    values: list[Any]
    state: ProfileState | None


class _Profiles:
    """The profiles that this program saw last; the database says when one has changed. Thread-safe."""

    _MOST = 1_000

    def __init__(self) -> None:
        self._seen: OrderedDict[str, _Known] = OrderedDict()
        self._lock = threading.Lock()

    def known(self, user_id: str) -> str:
        """By what a user's profile is known here; empty where it is not."""
        with self._lock:
            found = self._seen.get(user_id)
        return found.seen if found else ""

    def heard(self, user_id: str, profile: dict[str, Any] | None, *, is_there: bool = True) -> None:
        """Hear of a profile from the database; None: nothing new, or there is none."""
        if profile is not None:
            try:
                state = profiles.of_columns(profile["values"])
            except profiles.UNREADABLE:
                state = None
            self.put(user_id, profile["seen"], state)
        elif not is_there:
            self.put(user_id, "", None)

    def put(self, user_id: str, seen: str, state: ProfileState | None) -> None:
        """Remember a profile."""
        with self._lock:
            self._seen[user_id] = _Known(seen, state)
            self._seen.move_to_end(user_id)
            if len(self._seen) > self._MOST:
                self._seen.popitem(last=False)

    def fold(self, user_id: str, lesson: Lesson) -> _Learned | None:
        """The profile with a lesson in; None where there is none that could be read."""
        with self._lock:
            found = self._seen.get(user_id)
        if found is None:  # what is asked for is refused, and told as it is
            return _Learned("0", [], None)
        if found.state is None:
            return None
        try:
            state = found.state.after(lesson)
            return _Learned(found.seen, profiles.columns(state), state)
        except profiles.UNREADABLE:
            return None
