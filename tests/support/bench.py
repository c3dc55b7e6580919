"""A store with a ledger and a planner on it, and the steps of a request as single calls."""

from __future__ import annotations

import itertools
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

from nexscout_cli.config import Settings
from nexscout_cli.engine.cache.key import fingerprint
from nexscout_cli.engine.call import Call, Completion, OnText
from nexscout_cli.engine.learning.observation import Lesson, observe
from nexscout_cli.engine.plan_types import Plan
from nexscout_cli.engine.planning.planner import Planner
from nexscout_cli.engine.request import AIRequest, Options
from nexscout_cli.engine.settlement import Attempt, Charge, Delivery
from nexscout_cli.store.sqlite.check import Problem, check
from nexscout_cli.store.sqlite.ledger import SqliteLedger
from nexscout_cli.store.sqlite.store import Store
from tests.support.clock import SettableClock

_numbers = itertools.count(1)


class EveryoneAvailable:
    """A provider that could be asked anything, and isn't."""

    def available(self, model_name: str, litellm_model: str, api_key_env: str | None) -> str | None:
        return None

    def complete(self, call: Call, on_text: OnText | None) -> Completion:
        raise AssertionError("no call is made here")


def count(text: str, litellm_model: str) -> tuple[int, bool]:
    return len(text) // 4 + 1, True


class Bench:
    """One actor at an open database; the first there is its owner."""

    def __init__(self, path: Path, actor: str = "ada", clock: SettableClock | None = None, **settings: Any) -> None:
        self.path = path
        self.clock = clock or SettableClock()
        self.store = Store(path, actor, Settings().with_values(**settings), self.clock)
        self.ledger = SqliteLedger(self.store, EveryoneAvailable())
        self.planner = Planner(self.store.settings, count)

    def actor(self, name: str, **settings: Any) -> Bench:
        """Another actor at the same database."""
        return Bench(self.path, name, self.clock, **settings)

    def request(
        self, prompt: str = "Write to Sarah", user: str | None = None, model: str | None = "gpt-4o-mini", **options: Any
    ) -> AIRequest:
        return AIRequest(user or self.store.actor, "ai_message", prompt, options=Options(force_model=model, **options))

    def plan(self, *args: Any, **options: Any) -> Plan:
        request = self.request(*args, **options)
        plan = self.planner.plan(request, self.ledger.snapshot(request))
        assert plan.error is None, plan.error
        return plan

    def hold(self, plan: Plan | None = None, request_id: str | None = None) -> Attempt:
        plan = plan or self.plan()
        return self.ledger.hold(
            request_id or f"r{next(_numbers)}",
            fingerprint(plan.request),
            plan,
            self.clock.now() + timedelta(seconds=60),
        )

    def sent(self, plan: Plan | None = None, request_id: str | None = None) -> Attempt:
        attempt = self.hold(plan, request_id)
        self.ledger.mark_sent(attempt)
        return attempt

    def unknown(self, plan: Plan | None = None) -> Attempt:
        """An attempt of unknown outcome whose request ended without an answer."""
        attempt = self.sent(plan)
        self.ledger.mark_unknown(attempt, "it hung", None)
        self.fail(attempt)
        return attempt

    def fail(self, attempt: Attempt) -> None:
        request = attempt.plan.request
        self.ledger.fail(attempt.request_id, request, "providers_failed", "none")

    def charge(self, attempt: Attempt, input_tokens: int = 100, output_tokens: int = 50) -> Charge:
        return Charge(input_tokens, output_tokens, attempt.plan.model.cost(input_tokens, output_tokens))

    def post(self, attempt: Attempt, charge: Charge | None = None, *, delivered: bool = True) -> Charge:
        charge = charge or self.charge(attempt)
        plan = attempt.plan
        energy = min(attempt.hold_energy, plan.energy_of(charge.cost))
        now = self.clock.now()
        lesson = Lesson(
            now.date().isoformat(),
            now.hour,
            observe(plan.request.prompt),
            plan.model.name,
            charge.input_tokens,
            charge.output_tokens,
            150,
            False,
            0,
            1.0,
        )
        metadata = {"request_id": attempt.request_id}
        answer = {"success": True, "result": "Hi Sarah", "error": None, "metadata": metadata}
        delivery = Delivery(energy, lesson, answer, "Hi Sarah", f"key {attempt.request_id}")
        self.ledger.post(attempt, charge, "p1", delivery if delivered else None)
        return charge

    def check(self) -> list[Problem]:
        return check(self.store)

    def sql(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        return self.store.db.connection.execute(statement, values).fetchall()

    def account(self, owner: str, kind: str = "energy", period: str = "prepaid") -> tuple[int | None, int, int]:
        """granted, held, spent."""
        rows = self.sql(
            "SELECT granted, held, spent FROM accounts WHERE owner = ? AND kind = ? AND period = ?", owner, kind, period
        )
        return tuple(rows[0]) if rows else (None, 0, 0)

    def state(self, attempt: Attempt) -> str:
        return str(self.sql("SELECT state FROM attempts WHERE id = ?", attempt.id)[0][0])

    def request_state(self, attempt: Attempt) -> str:
        return str(self.sql("SELECT state FROM requests WHERE request_id = ?", attempt.request_id)[0][0])

    def damage(self, *statements: str) -> None:
        """Change what the schema's triggers and checks would not let through, as a foreign program could."""
        c = sqlite3.connect(self.path, isolation_level=None)
        c.execute("PRAGMA ignore_check_constraints = ON")
        triggers = [row[0] for row in c.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger'")]
        for (name,) in c.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            c.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            assert c.execute(statement).rowcount != 0, statement
        for trigger in triggers:
            c.execute(trigger)
        c.close()
