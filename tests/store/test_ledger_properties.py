from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from nexscout_cli.engine.settlement import Attempt, Charge
from nexscout_cli.errors import NexScoutError, StalePlan, StoreError, UsageError
from tests.support.bench import Bench

OWNERS = st.sampled_from(["ada", "bob", "carol"])
MODELS = st.sampled_from(["gpt-4o-mini", "smollm2-135m"])
DEAD = "nowhere/at-all/1/1"


class Books(RuleBasedStateMachine):
    """Anything that may happen to the books, in any order, on one database with a cap that is soon reached."""

    open = Bundle("open")
    lost = Bundle("lost")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.bench = Bench(self.folder / "nexscout.db", caps__usd__total_day=0.004)
        self.fast()

    def fast(self) -> None:
        self.bench.sql("PRAGMA synchronous = OFF")

    def teardown(self) -> None:
        self.bench.store.close()
        shutil.rmtree(self.folder)

    @initialize(amount=st.integers(0, 3))
    def poor(self, amount: int) -> None:
        self.bench.store.energy.set_balance(self.bench.actor, "bob", amount, "")

    @rule(target=open, user=OWNERS, model=MODELS)
    def hold(self, user: str, model: str) -> Any:
        request = self.bench.request(user=user, model=model)
        plan = self.bench.planner.plan(request, self.bench.snapshot(request))
        if plan.error is None:
            return self.bench.sent(plan)
        with contextlib.suppress(StalePlan):
            self.bench.hold(plan)
            raise AssertionError(f"a plan that was refused was held: {plan.error}")
        return None

    @rule(attempt=consumes(open), tokens=st.integers(0, 400), delivered=st.booleans(), excess=st.integers(0, 2))
    def post(self, attempt: Attempt | None, tokens: int, delivered: bool, excess: int) -> None:
        if attempt:
            charge = self.bench.charge(attempt, 100, tokens)
            self.settle(
                attempt,
                Charge(*charge[:2], charge.cost + excess * attempt.hold, ("provider_excess",) * excess),
                delivered,
            )

    def settle(self, attempt: Attempt, charge: Charge, delivered: bool) -> None:
        """Recovery may have been there first; then nothing is charged a second time."""
        try:
            self.bench.post(attempt, charge, delivered=delivered)
        except StoreError as error:
            assert error.code == "settled_elsewhere"
            return
        if not delivered:
            self.bench.fail(attempt)

    @rule(attempt=consumes(open))
    def void(self, attempt: Attempt | None) -> None:
        if attempt:
            with contextlib.suppress(StoreError):
                self.bench.void(attempt, "refused")
                self.bench.fail(attempt)

    @rule(target=lost, attempt=consumes(open), closed=st.booleans())
    def lose(self, attempt: Attempt | None, closed: bool) -> Any:
        if attempt:
            with contextlib.suppress(StoreError):
                self.bench.mark_unknown(attempt, "it hung", None)
                self.bench.fail(attempt)
        return attempt

    @rule(target=lost, attempt=consumes(open))
    def die(self, attempt: Attempt | None) -> Any:
        if attempt:
            self.bench.sql("UPDATE attempts SET owner = ? WHERE id = ?", DEAD, attempt.id)
        return attempt

    @rule(attempt=consumes(lost), cost=st.one_of(st.none(), st.integers(0, 10**7)))
    def resolve(self, attempt: Attempt | None, cost: int | None) -> None:
        if attempt:
            self.bench.store.recovery.recover(self.bench.actor)
            with contextlib.suppress(UsageError):
                self.bench.store.recovery.resolve(self.bench.actor, attempt.request_id, cost)

    @rule(user=OWNERS, amount=st.integers(0, 50))
    def grant(self, user: str, amount: int) -> None:
        with contextlib.suppress(NexScoutError):
            self.bench.store.energy.grant(self.bench.actor, user, amount, "gift")

    @rule(hours=st.sampled_from([-500, -30, -1, 0.02, 1, 2, 23, 25, 800]))
    def time_passes(self, hours: float) -> None:
        self.bench.clock.move(hours=hours)

    @rule()
    def recover(self) -> None:
        self.bench.store.recovery.recover(self.bench.actor)

    @rule(cap=st.sampled_from([None, 0.001, 0.004, 0.02]))
    def reopen(self, cap: float | None) -> None:
        self.bench.store.close()
        self.bench = Bench(self.bench.path, "ada", self.bench.clock, caps__usd__total_day=cap)
        self.fast()

    @invariant()
    def books_balance(self) -> None:
        assert [problem for problem in self.bench.check() if problem.name != "clock"] == []

    @invariant()
    def nobody_owes(self) -> None:
        accounts = self.bench.books.accounts()
        assert all(account["held"] >= 0 and account["spent"] >= 0 for account in accounts)
        energy = [account for account in accounts if account["kind"] == "energy"]
        assert all(account["granted"] >= account["held"] + account["spent"] for account in energy)


Books.TestCase.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
TestBooks = Books.TestCase
