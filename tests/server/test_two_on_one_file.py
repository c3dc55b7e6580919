"""Two servers on two ports over one file: whoever is asked, budgets, names, keys and kept responses are the same."""

from __future__ import annotations

import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.server.conftest import Scout
from tests.server.crowd import crowd
from tests.support.openai_server import OpenAIServer

BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 3}
CLIENTS = 60


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scout, Scout]]:
    """Two servers of one home; the last test kills one."""
    with OpenAIServer() as provider:
        home = tmp_path_factory.mktemp("home")
        both = Scout(home, provider), Scout(home, provider)
        both[0]("simulate", "Hello")
        for scout in both:
            scout.serve(NEXSCOUT_CONVERSATIONS_KEEP="on")
        yield both
        for scout in both:
            scout.stop()


@pytest.fixture
def pair(servers: tuple[Scout, Scout]) -> tuple[Scout, Scout]:
    """Both, and a provider that is as new."""
    provider = servers[0].provider
    provider.reply, provider.delay = "Hello there.", 0.0
    provider.requests.clear()
    return servers


def test_a_budget_of_10_calls_holds_across_both(pair: tuple[Scout, Scout]) -> None:
    one = pair[0]
    quote = one.ask("/v1/quote", BODY, one.key()).json["max_cost_usd"]
    key = one.key("--budget", f"{10 * quote:.9f}/day")
    assert crowd(pair, key, BODY, clients=CLIENTS, allowed=10) == {200: 10, 402: CLIENTS - 10}
    assert one.provider.hits == one.books.count("attempts", state="posted") == 10


def test_one_name_for_a_request_is_one_call_and_one_answer_at_both(pair: tuple[Scout, Scout]) -> None:
    one = pair[0]
    key = one.key()
    one.provider.delay = 0.3
    with ThreadPoolExecutor(2) as pool:
        said = list(
            pool.map(lambda scout: scout.ask("/v1/chat/completions", BODY, key, idempotency_key="a").status, pair)
        )
    assert sorted(said) in ([200, 200], [200, 409]) and one.provider.hits == 1
    answers = [scout.ask("/v1/chat/completions", BODY, key, idempotency_key="a") for scout in pair]
    assert [answer.status for answer in answers] == [200, 200] and one.provider.hits == 1
    assert answers[0].json["choices"] == answers[1].json["choices"]


def test_what_one_answered_the_other_has_in_its_cache_and_goes_on_with(pair: tuple[Scout, Scout]) -> None:
    one, two = pair
    one("user", "set-tier", "bob", "elite")
    key = one.key("--user", "bob")
    assert one.ask("/v1/chat/completions", BODY, key).headers["x-nexscout-cache"] == "miss"
    assert two.ask("/v1/chat/completions", BODY, key).headers["x-nexscout-cache"] == "exact"
    first = one.ask("/v1/responses", {"model": "gpt-4o-mini", "input": "one"}, key).json
    second = two.ask(
        "/v1/responses", {"model": "gpt-4o-mini", "input": "two", "previous_response_id": first["id"]}, key
    )
    assert second.status == 200 and one.ask(f"/v1/responses/{second.json['id']}", None, key).status == 200
    assert [message["content"] for message in one.provider.requests[-1].body["messages"][-3:]] == [
        "one",
        "Hello there.",
        "two",
    ]


def test_the_other_goes_on_where_one_is_killed_and_what_was_under_way_is_settled(pair: tuple[Scout, Scout]) -> None:
    one, two = pair
    key = one.key("--budget", "0.01/day")
    one.provider.delay = 0.2
    before = one.books.count("attempts")

    def ask(n: int) -> int:
        try:
            return pair[n % 2].chat(f"Question {n}", key, model="gpt-4o-mini", max_tokens=20).status
        except OSError:
            return 0

    with ThreadPoolExecutor(30) as pool:
        asked = [pool.submit(ask, n) for n in range(60)]
        while one.provider.hits < 5:
            threading.Event().wait(0.01)
        one.stop(signal.SIGKILL)
        said = Counter(each.result() for each in asked)
    assert said[200] >= 30 and set(said) <= {0, 200}
    two("run", "--no-cache", "-m", "gpt-4o-mini", "Hello after all")
    states = [row["state"] for row in two.books.attempts()[before:]]
    assert set(states) <= {"posted", "voided", "unknown"}
    assert len(two.provider.requests) <= states.count("posted") + states.count("unknown")
    two("db", "check")
    with closing(sqlite3.connect(two.home / "nexscout.db")) as c:
        assert c.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
