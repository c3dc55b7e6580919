"""Many requests over a real store, with a provider whose answers and pauses are made here."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nexscout_cli import waiting
from nexscout_cli.config import Settings
from nexscout_cli.engine import batch
from nexscout_cli.engine.budgets import Budget
from nexscout_cli.engine.call import Call, Completion, OnText, Usage
from nexscout_cli.engine.failures import ProviderFailure
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.pipeline import Engine
from nexscout_cli.engine.response import AIResponse
from nexscout_cli.engine.store_rules import store_rules
from nexscout_cli.errors import Interrupted
from nexscout_cli.store.sqlite.store import SqliteStore
from tests.contract.books import SqliteBooks
from tests.support.values import OPENAI, count, request


class Clock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        return


def pause(seconds: float) -> None:
    """Wait as code does that lets others go on."""
    loop = waiting.here()
    time.sleep(seconds) if loop is None else loop.sleep(seconds)


class Answers:
    """A provider in memory: counts what it is asked and how much at once."""

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self.asked: list[str] = []
        self.most = self._now = 0
        self.behave: Callable[[str], None] = lambda prompt: None
        self._lock = threading.Lock()

    def available(self, model: Model) -> str | None:
        return None if model.name in OPENAI else "not here"

    def complete(self, call: Call, on_text: OnText | None) -> Completion:
        prompt = call.messages[1].content
        with self._lock:
            self.asked.append(prompt)
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            pause(self.delay)
            self.behave(prompt)
        finally:
            with self._lock:
                self._now -= 1
        return Completion(f"answer to {prompt}", "stop", Usage(100, 50), "id", None)


@pytest.fixture
def provider() -> Answers:
    return Answers()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "nexscout.db", Clock(), store_rules(Settings()), "ada")
    yield store
    store.close()


@pytest.fixture(params=[False, True], ids=["threads", "coroutines"])
def engine(store: SqliteStore, provider: Answers, request: pytest.FixtureRequest) -> Engine:
    engine = Engine(store.ledger, provider, Settings(), Clock(), count, "ada")
    engine.lets_others_go_on = request.param
    return engine


def held(store: SqliteStore) -> int:
    """Energy and nano-dollars that ada's calls hold."""
    usd = Budget("usd", "user", "day", 10**12)
    used = store.energy.used("ada", "ada", [usd])[usd]
    return store.energy.show("ada", "ada").held + used.all - used.spent


def test_answers_come_in_the_order_of_the_requests(engine: Engine, provider: Answers) -> None:
    provider.behave = lambda prompt: pause(0.05 if prompt.endswith("0") else 0)
    responses = batch.run(engine, [request(f"prompt {n}") for n in range(12)])
    assert [r.result for r in responses] == [f"answer to prompt {n}" for n in range(12)]


def test_no_more_than_asked_for_run_at_once(engine: Engine, provider: Answers) -> None:
    provider.delay = 0.05
    batch.run(engine, [request(f"prompt {n}") for n in range(12)], 3)
    assert provider.most == 3


def test_identical_requests_share_one_call_and_only_the_first_is_paid_for(engine: Engine, provider: Answers) -> None:
    responses = batch.run(engine, [request("same") for _ in range(4)] + [request("other")])
    assert sorted(provider.asked) == ["other", "same"]
    assert [r.metadata.from_cache for r in responses] == [False, True, True, True, False]
    assert [r.metadata.energy_cost for r in responses] == [1, 0, 0, 0, 1]
    assert {r.result for r in responses[:4]} == {"answer to same"}


def test_requests_that_want_no_cache_share_nothing(engine: Engine, provider: Answers) -> None:
    batch.run(engine, [request("same", allow_cache=False) for _ in range(3)])
    assert len(provider.asked) == 3


def test_other_users_share_nothing(engine: Engine, provider: Answers) -> None:
    batch.run(engine, [request("same", user_id=user) for user in ("ada", "bob", "cyd")])
    assert len(provider.asked) == 3


def test_a_request_that_fails_is_its_own_error_and_its_double_is_tried_itself(
    engine: Engine, store: SqliteStore, provider: Answers
) -> None:
    def fail(prompt: str) -> None:
        if prompt == "bad":
            raise ProviderFailure("rejected", "no")

    provider.behave = fail
    responses = batch.run(engine, [request("good"), request("bad"), request("bad"), request("fine")])
    assert [r.success for r in responses] == [True, False, False, True]
    assert responses[1].error and responses[1].error["code"] == "providers_failed"
    assert held(store) == 0


def test_everyone_hears_of_each_answer_as_it_ends(engine: Engine) -> None:
    heard: dict[int, AIResponse] = {}
    responses = batch.run(engine, [request(f"prompt {n % 3}") for n in range(6)], done=heard.__setitem__)
    assert [heard[index] for index in range(6)] == responses


def test_what_all_of_them_may_cost_is_never_passed(engine: Engine, provider: Answers) -> None:
    limit = engine.simulate(request("prompt 10")).predicted_cost * 3
    responses = batch.run(engine, [request(f"prompt {n}") for n in range(10, 30)], 1, max_cost=limit)
    answered = [r for r in responses if r.success]
    assert 1 <= len(answered) < 20 and sum(r.paid for r in responses) <= limit
    refused = next(r for r in responses if not r.success)
    assert refused.error and refused.error["code"] == "max_cost" and refused.exit_status == 3


def test_a_row_waits_for_what_the_others_hold_and_do_not_use(engine: Engine, provider: Answers) -> None:
    provider.delay = 0.02
    one = engine.simulate(request("prompt 10")).max_cost
    responses = batch.run(engine, [request(f"prompt {n}") for n in range(10, 20)], 5, max_cost=2 * one)
    assert all(r.success for r in responses)


def test_an_answer_that_costs_nothing_needs_no_money(engine: Engine, provider: Answers) -> None:
    engine.run(request("kept"))
    responses = batch.run(engine, [request("kept")], max_cost=0)
    assert responses[0].success and responses[0].metadata.from_cache


def test_an_interrupt_begins_no_new_work_and_settles_what_is_in_flight(engine: Engine, provider: Answers) -> None:
    def interrupt(prompt: str) -> None:
        if prompt == "prompt 3":
            raise KeyboardInterrupt

    provider.behave, provider.delay = interrupt, 0.02
    heard: dict[int, AIResponse] = {}
    with pytest.raises(Interrupted):
        batch.run(engine, [request(f"prompt {n}") for n in range(40)], 2, done=heard.__setitem__)
    assert 2 <= len(heard) <= 8
    assert len(provider.asked) == len(heard) + 1


def test_an_answer_from_the_cache_is_booked_before_anybody_hears_of_it(engine: Engine, store: SqliteStore) -> None:
    engine.run(request("kept"))
    books, booked = SqliteBooks(store.path), list[int]()

    def hear(index: int, response: AIResponse) -> None:
        booked.append(books.count("usage", outcome="hit"))

    batch.run(engine, [request("kept", user_id="ada"), request("other")], 1, done=hear)
    assert booked[0] == 1


def test_batches_of_several_threads_share_a_store(engine: Engine, store: SqliteStore, provider: Answers) -> None:
    provider.delay = 0.005

    def several(name: str) -> list[AIResponse]:
        return batch.run(engine, [request(f"{name} {n}") for n in range(10)], 5)

    with ThreadPoolExecutor(3) as pool:
        answered = [response for rows in pool.map(several, "abc") for response in rows]
    assert all(response.success for response in answered) and len(provider.asked) == 30
    assert held(store) == 0


def test_a_batch_runs_inside_a_program_that_has_an_event_loop(engine: Engine) -> None:
    async def program() -> list[AIResponse]:
        return batch.run(engine, [request(f"prompt {n}") for n in range(4)], 2)

    assert all(response.success for response in asyncio.run(program()))
