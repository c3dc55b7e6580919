"""The functions for programs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexscout_cli import AIRequest, Options, api
from nexscout_cli.config import Settings
from nexscout_cli.engine.call import Call, Completion, OnText, Usage
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.pipeline import Engine
from nexscout_cli.errors import NotPermitted
from tests.support.bench import Bench, count

AT_ONCE = 40


class Meeting:
    """A provider that answers nobody until ``AT_ONCE`` ask at the same time."""

    def __init__(self) -> None:
        self.gate = threading.Barrier(AT_ONCE)

    def available(self, model: Model) -> str | None:
        return None

    def complete(self, call: Call, on_text: OnText | None) -> Completion:
        self.gate.wait(30)
        return Completion("Hi", "stop", Usage(10, 5), "id", None)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "nexscout.db")
    yield bench
    bench.store.close()


def ask(n: int) -> AIRequest:
    return AIRequest("ada", "ai_message", f"Prompt {n}", options=Options(force_model="gpt-4o-mini"))


def test_many_asynchronous_calls_are_in_flight_at_once_however_few_cores_there_are(bench: Bench) -> None:
    engine = Engine(bench.ledger, Meeting(), Settings(), bench.clock, count, "ada")

    async def all_at_once() -> list[bool]:
        answers = await asyncio.gather(*(api.run_ai_optimized_async(ask(n), engine) for n in range(AT_ONCE)))
        return [answer.success for answer in answers]

    assert asyncio.run(all_at_once()) == [True] * AT_ONCE


def test_preferences_and_profiles_are_those_of_the_store_and_actor_that_are_named(bench: Bench) -> None:
    bench.store.users.set_tier("ada", "bob", "pro")
    api.set_preferred_mode("bob", "pro", bench.store, "ada")
    api.set_routing_policy("bob", "learned", bench.store, "bob")
    preferences = bench.store.profiles.preferences("bob", "bob")
    assert (preferences.mode, preferences.policy) == ("pro", "learned")
    assert api.get_efficiency_profile("bob", bench.store, "bob").total_requests == 0
    with pytest.raises(NotPermitted):
        api.get_efficiency_profile("ada", bench.store, "bob")


def test_the_actor_is_part_of_each_call(bench: Bench) -> None:
    bench.store.users.set_tier("ada", "bob", "pro")
    engine = Engine(bench.ledger, Meeting(), Settings(), bench.clock, count, "ada")
    assert engine.simulate(ask(1)._replace(user_id="bob")).request.user_id == "bob"
    with pytest.raises(NotPermitted):
        engine.simulate(ask(1), actor="bob")
    refused = engine.run(ask(1), actor="bob")
    assert refused.exit_status == 8
