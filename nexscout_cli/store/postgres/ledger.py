"""The engine's port onto the books of calls in PostgreSQL: each step is one function in the database, one round trip.

A function does plain cases alone. What it leaves (a user who is new, a month's grant, a cap that changed, whatever is wrong)
and what a broken connection leaves open is done by the books' general code, which also says what is wrong.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from psycopg.errors import InsufficientPrivilege

from nexscout_cli.engine.settlement import Attempt
from nexscout_cli.errors import DuplicateInFlight, NexScoutError, NotPermitted, StalePlan, StoreError
from nexscout_cli.store import owner
from nexscout_cli.store.postgres import steps
from nexscout_cli.store.postgres.ended import Ended
from nexscout_cli.store.postgres.found import Wanted, found_all
from nexscout_cli.store.postgres.groups import IN_FLIGHT, MOVED, NO_PLAIN_CASE, Groups
from nexscout_cli.store.postgres.known import Profiles
from nexscout_cli.store.postgres.pulse import Pulse
from nexscout_cli.store.postgres.reads import Reads
from nexscout_cli.store.sqlite import answers, claims, holds, postings, profiles, states, world
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
_STATES = """SELECT state AS request, (SELECT state FROM attempts a WHERE a.request_id = r.request_id AND id = ?) AS attempt
    FROM requests r WHERE request_id = ?"""
_OPEN = """SELECT r.state,
    EXISTS (SELECT 1 FROM attempts a WHERE a.request_id = r.request_id AND state IN ('held', 'sent', 'submitted')) AS is_live,
    EXISTS (SELECT 1 FROM attempts a WHERE a.request_id = r.request_id AND state = 'unknown') AS is_unknown
    FROM requests r WHERE request_id = ? AND r.state IN ('open', 'unknown')"""
_STRAY = """SELECT id FROM attempts WHERE request_id = ? AND id > ? AND owner = ? AND state IN ('held', 'sent')
    ORDER BY id DESC LIMIT 1"""
_AWAY = ("unreachable", "unsure", "read_only", "disk_full", "busy", "newer_schema")
"""What a database is that may take the step later: when it is back, or from the version of the program that it was made for."""
_NEVER_SENT = {"reason": "it was not sent", "failure": "other"}


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
        self._lost: set[str] = set()
        """Requests a hold of which was given up for lost, and refused when it was tried again."""
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
        if self._journal.may_wait():  # what was sent before is posted before anything else is
            aside(self.make_kept)
        try:
            # A deployment is chosen by the books' general code.
            return self._hold(actor, order) if order.wanted is None else super().hold(actor, order)
        except StoreError as error:
            # Nothing is sent then. What may be held all the same is given back, and a request that had attempts comes to its end.
            if isinstance(error, _HeldOrNotError) or (error.code in _AWAY and (order.after or error.code == "unsure")):
                self._journal.add(steps.drop(actor, order, self._clock))
            raise

    def _hold(self, actor: str, order: Order) -> Attempt:
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
            self._lost.add(about.request_id)
            try:
                attempt = self._store.together(actor, again, about.user_id)
            except StoreError as error:
                if error.code not in _AWAY:
                    raise
                raise _HeldOrNotError(error.message, error.suggestion, code=error.code) from error
            self._lost.discard(about.request_id)
            return attempt
        if isinstance(told, str):
            if about.request_id in self._lost:  # what came of that one is not held beside this
                with suppress(StoreError):  # is waited for below
                    aside(lambda: self._drop(steps.drop(actor, order, self._clock)))
            return super().hold(actor, order)
        if told["profile"] is not None:  # another one than is known here
            self._profiles.heard(about.user_id, told["profile"])
        return _attempt(order, told["id"], told.get("n", 1), told.get("energy"))

    def mark_sent(self, actor: str, attempt: Attempt) -> None:
        """T2. Where it cannot be said that the attempt is sent, nothing is: its hold is given back when the database is back."""
        step = steps.of_attempt("mark_sent", actor, attempt, self._clock)
        instead = steps.of_attempt("void", actor, attempt, self._clock, **_NEVER_SENT)
        self._make(step, lambda ledger: ledger.mark_sent(actor, attempt), instead=instead)

    def void(
        self, actor: str, attempt: Attempt, reason: str, label: str = "other", retry_after: float | None = None
    ) -> None:
        """Give the hold back."""
        step = steps.of_attempt("void", actor, attempt, self._clock, reason=reason, failure=label)
        if attempt.deployment is not None:
            self._or_keep(step, lambda: SqliteLedger.void(self, actor, attempt, reason, label, retry_after))
            return
        self._make(step, lambda ledger: ledger.void(actor, attempt, reason, label))

    def mark_unknown(
        self, actor: str, attempt: Attempt, reason: str, provider_id: str | None, label: str = "unknown"
    ) -> None:
        """Keep the hold."""
        step = steps.of_attempt("mark_unknown", actor, attempt, self._clock, reason=reason, failure=label)
        if provider_id is not None:
            step["provider_id"] = provider_id
        if attempt.deployment is not None:
            self._or_keep(step, lambda: SqliteLedger.mark_unknown(self, actor, attempt, reason, provider_id, label))
            return
        self._make(step, lambda ledger: ledger.mark_unknown(actor, attempt, reason, provider_id, label))

    def post(self, actor: str, attempt: Attempt, posting: Posting) -> None:
        """T3."""
        step = steps.post(actor, attempt, posting, self._store.rules, self._clock)
        if posting.refused or attempt.deployment is not None:
            # The catalog learns of it, or what is known of a deployment; not of a post that is kept.
            self._or_keep(step, lambda: SqliteLedger.post(self, actor, attempt, posting))
            return
        lesson = posting.delivery and posting.delivery.lesson
        told = self._make(step, lambda ledger: ledger.post(actor, attempt, posting), lesson)
        if told is not None and told.get("alerts"):
            # A crossing is entered once; who sees it, and when, does not matter: the next post looks again.
            user_id = attempt.settlement.user_id
            with suppress(StoreError):
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
        self,
        step: Step,
        general: Callable[[SqliteLedger], None],
        lesson: Lesson | None = None,
        instead: Step | None = None,
    ) -> dict[str, Any] | None:
        """Make a step, with what the user's profile learns of it; returns what the function told, None where the general
        code made it. ``instead``: what is kept where it cannot be made.
        """
        told = self._groups.make(step, lesson)
        if isinstance(told, dict):
            return told
        ledger = SqliteLedger(_Unsure(self._store)) if told is None else SqliteLedger(self._store)
        self._or_keep(instead or step, lambda: general(ledger))
        return None

    def _or_keep(self, step: Step, make: Callable[[], None]) -> None:
        """Make a step by the general code; where the database is away, or takes it later, the step is kept on this machine.

        Raises what was wrong all the same, and says that it is kept.
        """
        try:
            make()
        except (StoreError, NotPermitted) as error:
            if not (error.code in _AWAY or _lacks_rights(error)) or not self._journal.add(step):
                raise
            if error.code == "newer_schema":
                what_to_do = "upgrade nexscout; any command enters it then"
            elif isinstance(error, NotPermitted):
                what_to_do = "give the login its rights back (docs/postgres.md); any command enters it then"
            else:
                what_to_do = "run any command when it is back, or `nexscout serve`"
            kind = NotPermitted if isinstance(error, NotPermitted) else StoreError
            raise kind(
                f"{error}; what became of the call is kept on this machine until the database takes it",
                what_to_do,
                code=error.code,
            ) from error

    def make_kept(self) -> int:
        """Make the steps that wait on this machine, in order; returns how many are done. Raises StoreError where the database is
        away.
        """
        return self._journal.make(self._make_kept)

    def _make_kept(self, step: Step, is_last: bool) -> bool | None:
        """Whether a step that was kept is done: made now, or its attempt and request have come to an end otherwise. None: not
        now. The program went no further, so after the last one of a request that is still open the request is closed.
        """
        is_done = self._drop(step) if step["step"] == "drop" else self._made(step)
        if is_done and is_last:
            self._store.together(step["actor"], lambda t: _close(t, step["request"]), step["user"])
        return is_done

    def _made(self, step: Step) -> bool | None:
        try:
            if self._store.ask("step", step) != NO_PLAIN_CASE:
                return True
        except (StoreError, NotPermitted) as error:
            if error.code in ("unreachable", "unsure"):
                raise
            if error.code in _AWAY or _lacks_rights(error):
                return None
        with self._store.read(step["actor"]) as t:
            row = t.execute(_STATES, (step.get("id", 0), step["request"])).fetchone()
        if row is None:  # archived
            return True
        if step["step"] in ("fail", "deliver"):
            return bool(row["request"] != "open")
        is_unknown = row["attempt"] == "unknown" and step["step"] != "mark_unknown"  # it can still be posted and voided
        return not is_unknown and row["attempt"] not in ("held", "sent", "submitted")

    def _drop(self, step: Step) -> bool | None:
        """Give back what a hold of which nothing was heard any more may hold."""
        with self._store.read(step["actor"]) as t:
            stray = t.execute(_STRAY, (step["request"], step["after"], step["owner"])).fetchone()
        return True if stray is None else self._made({**step, "step": "void", "id": stray[0], **_NEVER_SENT})


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


def _close(t: Transaction, request_id: str) -> None:
    """Close a request that its program has given up, where it goes on and nothing of it is in flight."""
    row = t.execute(_OPEN, (request_id,)).fetchone()
    if row is None or row["is_live"]:
        return
    if not row["is_unknown"]:
        states.end_request(t, request_id, "voided", 0)
    elif row["state"] == "open":
        states.close_request(t, request_id, "unknown")


def _lacks_rights(error: NexScoutError) -> bool:
    """Whether it is the login that the database does not let do that: it may have its rights again later."""
    return isinstance(error.__cause__, InsufficientPrivilege)


class _HeldOrNotError(StoreError):
    """The answer to a hold was lost, and the database cannot be asked what became of it."""


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
