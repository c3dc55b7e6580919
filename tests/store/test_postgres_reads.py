"""What a server reads of PostgreSQL for many requests at a time: the same as one who reads alone, and never an older state."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import pytest

from nexscout_cli import waiting
from nexscout_cli.engine.budgets import budgets
from nexscout_cli.errors import NotPermitted
from nexscout_cli.store.postgres import ledger
from nexscout_cli.store.postgres.found import Wanted, found_all
from nexscout_cli.store.postgres.light import LightTransaction, Unfit
from nexscout_cli.store.postgres.transaction import BOOKS
from nexscout_cli.store.postgres.transactions import PostgresTransactions
from nexscout_cli.store.sqlite import world
from tests.support import together as running
from tests.support.postgres import new_database
from tests.support.steps import Steps, at

PLENTY = {"tiers__elite__energy": 10**6, "tiers__elite__daily_tokens": 10**9}
together = partial(running.together, threads=4)


@pytest.fixture
def program(opened: list[Steps]) -> Steps:
    program = at(new_database(), opened, **PLENTY)
    program.post(program.sent())
    return program


@pytest.fixture
def transactions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Who read, each time that was done for many."""
    read, found = PostgresTransactions.read_lightly, []
    monkeypatch.setattr(
        PostgresTransactions, "read_lightly", lambda self, actor: found.append(actor) or read(self, actor)
    )
    return found


@pytest.mark.parametrize("owners", [(), ("key:abc", "run:x")])
def test_what_is_read_lightly_is_what_is_read(program: Steps, owners: tuple[str, ...]) -> None:
    store, drawn = program.store, budgets(program.settings, "elite")
    kept = Wanted("ada", f"key {program.post(program.sent(request_id='kept')) and 'kept'}", None)
    with store.read("ada") as t:  # type: ignore[attr-defined]
        usual = ledger._world(t, "ada", "ai_message", drawn, owners), ledger._found(t, kept)
    with store.read_lightly("ada") as t:  # type: ignore[attr-defined]
        light = ledger._world(t, "ada", "ai_message", drawn, owners), ledger._found(t, kept)
        assert world.experience(t, "ada", "ai_message")
    assert light[0]._replace(now=usual[0].now) == usual[0]
    assert light[1] == usual[1]
    assert light[1] is not None
    assert light[1].text == "Hi Sarah"


def test_what_many_ask_at_the_same_time_is_read_once(program: Steps, transactions: list[str]) -> None:
    seen = together(*[program.snapshot] * 20)
    assert all(one.energy == seen[0].energy for one in seen)
    assert len(transactions) <= 2  # the first one's, and the others'


def test_who_asks_after_a_post_sees_it(program: Steps, transactions: list[str]) -> None:
    plan = program.plan()

    def call() -> tuple[int, int]:
        before = program.snapshot().energy
        program.post(program.sent(plan))
        return before, program.snapshot().energy

    seen = together(*[call] * 12)
    assert all(after < before for before, after in seen)
    assert len(transactions) < 24


def test_one_who_may_not_ask_is_told_so_and_the_others_are_answered(program: Steps) -> None:
    drawn = budgets(program.settings, "elite")

    def ask(actor: str) -> Callable[[], Any]:
        return lambda: program.ledger.world(actor, "ada", "ai_message", drawn)

    first, other, last = together(ask("ada"), ask("eve"), ask("ada"))
    assert isinstance(other, NotPermitted)
    assert first.energy == last.energy > 0


def test_what_cannot_be_read_lightly_is_read_as_usual(program: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    def unfit(*_: object) -> Any:
        raise Unfit

    usual = program.snapshot()
    monkeypatch.setattr(LightTransaction, "execute", unfit)
    first, last = together(program.snapshot, program.snapshot)
    assert first.energy == last.energy == usual.energy


def test_many_answers_are_found_together_as_each_is_alone(program: Steps) -> None:
    connect = program.store.db.connect  # type: ignore[attr-defined]
    kept = [f"key {program.post(program.sent(request_id=name)) and name}" for name in ("one", "two", "three")]
    with closing(connect()) as db:
        db.execute(
            "UPDATE cached_ai_responses SET form_hash = 'form' WHERE prompt_hash = ANY (%s)", ([kept[0], kept[1]],)
        )
        db.execute("UPDATE cached_ai_responses SET expires_at = '2000' WHERE prompt_hash = %s", (kept[2],))
    forms = [(kept[0], None), (kept[2], None), ("none", "form"), ("none", None), (kept[0], "other"), (kept[2], "form")]
    wanted = [Wanted("ada", prompt, form) for prompt, form in forms]
    with program.store.read_lightly("ada") as t:  # type: ignore[attr-defined]
        alone = [ledger._found(t, one) for one in wanted]
        assert found_all(t, wanted) == alone
    assert [one and one.match for one in alone] == ["exact", None, "canonical", None, "exact", "canonical"]


def test_of_many_answers_that_are_looked_up_only_ones_own_are_told(program: Steps) -> None:
    kept = f"key {program.post(program.sent(request_id='kept')) and 'kept'}"
    program.store.users.set_tier("ada", "eve", "free")
    look = [partial(program.ledger.cached, "eve", user, kept) for user in ("eve", "ada", "eve", "ada")]
    seen = together(*look)
    assert seen[0] is seen[2] is None
    assert isinstance(seen[1], NotPermitted)
    assert isinstance(seen[3], NotPermitted)


def test_who_waits_for_the_database_keeps_no_thread_and_nobody_from_going_on(program: Steps) -> None:
    """All others' steps wait for the one that waits for a lock; what needs no database goes on, without a thread."""
    plan, went_on = program.plan(), False
    with closing(program.store.db.connect()) as other:  # type: ignore[attr-defined]
        other.execute("SELECT pg_advisory_lock(%s, 0)", (BOOKS,))

        def lets_go() -> None:
            nonlocal went_on
            loop = waiting.here()
            assert loop is not None
            for _ in range(20):
                loop.sleep(0.01)
            went_on = True
            loop.in_thread(lambda: other.execute("SELECT pg_advisory_unlock(%s, 0)", (BOOKS,)))

        *held, _ = running.together(*[partial(program.hold, plan)] * 5, lets_go, threads=1)
    assert len({one.id for one in held}) == 5
    assert went_on
