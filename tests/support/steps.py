"""One actor at an open store, and the steps of a request as single calls; any store will do."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from nexscout_cli.config import Settings
from nexscout_cli.engine import bookkeeping
from nexscout_cli.engine.book_types import Problem
from nexscout_cli.engine.cache import hits
from nexscout_cli.engine.cache.key import fingerprint
from nexscout_cli.engine.call import Call, Completion, OnText
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.money import cost
from nexscout_cli.engine.planning.plan import Plan
from nexscout_cli.engine.planning.planner import Planner
from nexscout_cli.engine.recalled import CachedAnswer
from nexscout_cli.engine.request import AIRequest, Options
from nexscout_cli.engine.settlement import Attempt, Charge, Delivery, Order, Posting
from nexscout_cli.engine.snapshot import Snapshot
from nexscout_cli.engine.store_ports import Store
from nexscout_cli.engine.store_rules import store_rules
from nexscout_cli.engine.world import read_snapshot
from tests.support.clock import SettableClock

_numbers = itertools.count(1)
_plans: dict[tuple[object, int], Plan] = {}
"""The plans of attempts, by database and attempt: who posts one may be another actor than who held it."""
_last: dict[tuple[object, str], int] = {}
"""The last attempts of requests, by database and request."""


class EveryoneAvailable:
    """A provider that could be asked anything, and isn't."""

    def available(self, model: Model) -> str | None:
        return None

    def complete(self, call: Call, on_text: OnText | None) -> Completion:
        raise AssertionError("no call is made here")


def count(text: str, litellm_model: str) -> tuple[int, bool]:
    return len(text) // 4 + 1, True


class Steps:
    """One actor at an open store. ``where`` names the store, for attempts that one actor holds and another one posts."""

    def __init__(self, store: Store, actor: str, clock: SettableClock, settings: Settings, where: object) -> None:
        self.store = store
        self.actor = actor
        self.clock = clock
        self.settings = settings
        self.where = where
        self.ledger = store.ledger
        self.provider = EveryoneAvailable()
        self.planner = Planner(settings, count)

    def request(
        self, prompt: str = "Write to Sarah", user: str | None = None, model: str | None = "gpt-4o-mini", **options: Any
    ) -> AIRequest:
        return AIRequest(user or self.actor, "ai_message", prompt, options=Options(force_model=model, **options))

    def snapshot(self, request: AIRequest | None = None) -> Snapshot:
        return read_snapshot(self.ledger, self.provider, self.settings, self.actor, request or self.request())

    def plan(self, *args: Any, **options: Any) -> Plan:
        request = self.request(*args, **options)
        plan = self.planner.plan(request, self.snapshot(request))
        assert plan.error is None, plan.error
        return plan

    def order(self, plan: Plan | None = None, request_id: str | None = None, **changes: Any) -> Order:
        """What a hold of the plan is taken for."""
        plan = plan or self.plan()
        made = bookkeeping.order(
            request_id or f"r{next(_numbers)}",
            plan,
            plan.predicted_tokens,
            self.snapshot(plan.request),
            self.settings,
            fingerprint=fingerprint(plan.request),
            seconds=60.0,
        )
        return made._replace(after=_last.get((self.where, made.prediction.request_id), 0))._replace(**changes)

    def hold(self, plan: Plan | None = None, request_id: str | None = None, **changes: Any) -> Attempt:
        plan = plan or self.plan()
        attempt = self.ledger.hold(self.actor, self.order(plan, request_id, **changes))
        _plans[self.where, attempt.id] = plan
        _last[self.where, attempt.request_id] = attempt.id
        return attempt

    def plan_of(self, attempt: Attempt) -> Plan:
        """The plan that an attempt was held for here."""
        return _plans[self.where, attempt.id]

    def mark_sent(self, attempt: Attempt) -> None:
        self.ledger.mark_sent(self.actor, attempt)

    def void(self, attempt: Attempt, reason: str = "refused") -> None:
        self.ledger.void(self.actor, attempt, reason)

    def mark_unknown(self, attempt: Attempt, reason: str = "it hung", provider_id: str | None = None) -> None:
        self.ledger.mark_unknown(self.actor, attempt, reason, provider_id)

    def refuse(self, plan: Plan, reason: str, request_id: str | None = None) -> None:
        name = request_id or f"r{next(_numbers)}"
        self.ledger.record_refusal(self.actor, bookkeeping.prediction(name, plan), reason)

    def sent(self, plan: Plan | None = None, request_id: str | None = None, **changes: Any) -> Attempt:
        attempt = self.hold(plan, request_id, **changes)
        self.mark_sent(attempt)
        return attempt

    def unknown(self, plan: Plan | None = None) -> Attempt:
        """An attempt of unknown outcome whose request ended without an answer."""
        attempt = self.sent(plan)
        self.mark_unknown(attempt)
        self.fail(attempt)
        return attempt

    def fail(self, attempt: Attempt, code: str = "providers_failed", message: str = "none") -> None:
        plan = self.plan_of(attempt)
        now = self.clock.now()
        self.ledger.fail(self.actor, bookkeeping.failure(attempt.request_id, plan, code, message, now, self.settings))

    def charge(self, attempt: Attempt, input_tokens: int = 100, output_tokens: int = 50) -> Charge:
        settlement = attempt.settlement
        prices = settlement.price_in, settlement.price_out
        return Charge(input_tokens, output_tokens, cost(input_tokens, output_tokens, *prices))

    def delivery(self, attempt: Attempt, charge: Charge, text: str = "Hi Sarah") -> Delivery:
        plan = self.plan_of(attempt)
        energy = min(attempt.hold_energy, plan.energy_of(charge.cost))
        lesson = bookkeeping.lesson(plan, charge, 1.0, self.clock.now(), self.settings)
        metadata = {"request_id": attempt.request_id}
        answer = {"success": True, "result": text, "error": None, "metadata": metadata}
        return Delivery(energy, lesson._replace(predicted_tokens=150), answer, text, f"key {attempt.request_id}")

    def post(self, attempt: Attempt, charge: Charge | None = None, *, delivered: bool = True) -> Charge:
        charge = charge or self.charge(attempt)
        delivery = self.delivery(attempt, charge) if delivered else None
        self.ledger.post(self.actor, attempt, Posting(charge, "p1", delivery))
        return charge

    def hit(self, request: AIRequest, cached: CachedAnswer, request_id: str | None = None) -> str:
        """Count a cached answer that was given; returns the request's id."""
        name = request_id or f"r{next(_numbers)}"
        answer = {"success": True, "result": cached.text, "error": None, "metadata": {"request_id": name}}
        hit = hits.hit(
            name,
            request,
            cached,
            self.snapshot(request),
            self.settings,
            self.clock.now(),
            mode="auto",
            answer=answer,
            fingerprint=fingerprint(request),
        )
        self.ledger.record_hit(self.actor, hit)
        return name

    def check(self) -> list[Problem]:
        return self.store.maintenance.check(self.actor)


def at(place: str, opened: list[Steps], **settings: Any) -> Steps:
    """A program at the books of that PostgreSQL database, which is put among those that are opened."""
    from nexscout_cli.store.postgres.store import PostgresStore

    clock, values = SettableClock(), Settings().with_values(**settings)
    steps = Steps(PostgresStore(place, clock, store_rules(values), "ada"), "ada", clock, values, place)
    opened.append(steps)
    return steps


def kept_at(place: str, folder: Path | None, clock: SettableClock | None = None, **settings: Any) -> Steps:
    """A program at those books whose steps wait in a folder while the server is away."""
    from nexscout_cli.store.postgres.store import PostgresStore

    clock, values = clock or SettableClock(), Settings().with_values(store__lock_timeout=0.3, **settings)
    return Steps(PostgresStore(place, clock, store_rules(values), "ada", folder), "ada", clock, values, folder)
