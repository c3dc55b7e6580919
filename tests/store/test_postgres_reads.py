"""What a server reads of PostgreSQL for many requests at a time: the same as one who reads alone, and never an older state."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from nexscout_cli.engine.budgets import budgets
from nexscout_cli.errors import NotPermitted
from nexscout_cli.store.postgres import ledger
from nexscout_cli.store.postgres.light import LightTransaction, Unfit
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
    kept = f"key {program.post(program.sent(request_id='kept')) and 'kept'}"
    with store.read("ada") as t:  # type: ignore[attr-defined]
        usual = ledger._world(t, "ada", "ai_message", drawn, owners), ledger._found(t, "ada", kept, None)
    with store.read_lightly("ada") as t:  # type: ignore[attr-defined]
        light = ledger._world(t, "ada", "ai_message", drawn, owners), ledger._found(t, "ada", kept, None)
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
