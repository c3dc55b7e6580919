"""Two servers on two ports over one PostgreSQL: a budget is one budget, whoever is asked."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.contract.books import PostgresBooks
from tests.server.conftest import Scout
from tests.support.openai_server import OpenAIServer
from tests.support.postgres import new_database

ALLOWED = 7


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Scout, Scout, str]]:
    """Two servers, each with a home of its own, and the URL of their books."""
    place = new_database()
    with OpenAIServer("Hello.", delay=0.05) as provider:
        both = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            scout = Scout(tmp_path / name, provider)
            scout.env["NEXSCOUT_DB"] = place
            both.append(scout)
        both[0]("models", "set", "gpt-4o-mini", "--api-base", provider.url)
        for scout in both:
            scout.serve()
        yield both[0], both[1], place
        for scout in both:
            scout.stop()


def test_energy_and_a_cap_hold_across_two_servers(pair: tuple[Scout, Scout, str]) -> None:
    one, two, place = pair
    one("user", "set-tier", "bob", "pro")
    one("energy", "set", "bob", str(ALLOWED), "--reason", "for the test")
    key = one.key("--user", "bob")

    def ask(n: int) -> int:
        return (one, two)[n % 2].chat(f"Question {n}", key, model="gpt-4o-mini").status

    with ThreadPoolExecutor(10) as pool:
        said = Counter(pool.map(ask, range(40)))
    assert said == {200: ALLOWED, 402: 40 - ALLOWED}
    assert one.provider.hits == ALLOWED
    account = PostgresBooks(lambda: place).account("bob")
    assert account.granted is not None and (account.held, account.spent) == (0, account.granted)
    assert one("db", "check").returncode == 0


def test_identical_requests_at_the_same_time_are_one_call_whichever_server_is_asked(
    pair: tuple[Scout, Scout, str],
) -> None:
    one, two, _ = pair
    key = one.key()
    with ThreadPoolExecutor(8) as pool:
        said = Counter(pool.map(lambda n: (one, two)[n % 2].chat("Hello", key, model="gpt-4o-mini").status, range(8)))
    assert said == {200: 8} and one.provider.hits == 1


def test_requests_a_minute_of_a_key_are_counted_across_two_servers(pair: tuple[Scout, Scout, str]) -> None:
    one, two, _ = pair
    key = one.key("--rpm", "6")
    with ThreadPoolExecutor(8) as pool:
        said = Counter(pool.map(lambda n: (one, two)[n % 2].chat("Hello", key, model="gpt-4o-mini").status, range(20)))
    assert said == {200: 6, 429: 14}
    refused = two.chat("Hello", key, model="gpt-4o-mini")
    assert refused.status == 429 and 1 <= int(refused.headers["retry-after"]) <= 60


def test_a_cap_in_dollars_holds_while_one_of_two_servers_is_killed_and_comes_back(
    pair: tuple[Scout, Scout, str],
) -> None:
    one, two, place = pair
    key = one.key()
    assert one.chat("What does a call cost?", key, model="gpt-4o-mini", max_tokens=60).status == 200
    books = PostgresBooks(lambda: place)
    (first,) = books.attempts()
    room = first["actual"] + 3 * first["hold"]
    one("config", "set", "caps.usd.total_day", f"{room / 1e9:.9f}")
    one.stop()  # limits are read again every two seconds; here they are known from the start
    two.stop()
    one.serve()
    two.serve()
    gate = threading.Barrier(9)

    def ask(n: int) -> int:
        gate.wait()
        try:
            return (one, two)[n % 2].chat(f"Question {n}", key, model="gpt-4o-mini", max_tokens=60).status
        except OSError:
            return 0  # the server was killed before it answered

    before = one.provider.hits
    with ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(ask, n) for n in range(8)]
        gate.wait()
        while one.provider.hits < before + 3:
            time.sleep(0.005)
        two.stop(signal.SIGKILL)
        said = [one_of.result(60) for one_of in asking]
    assert set(said) <= {0, 200, 402}
    two.serve()
    for n in range(20, 40):
        assert (one, two)[n % 2].chat(f"Question {n}", key, model="gpt-4o-mini", max_tokens=60).status in (200, 402)
    states = Counter(books.listed("attempts", "state"))
    # Of what was sent without a result nobody knows whether it arrived.
    assert states["posted"] <= one.provider.hits <= states["posted"] + states["unknown"]
    assert states.keys() <= {"posted", "unknown", "voided"}
    assert books.total("attempts", "actual") == books.total("usage", "cost_usd")
    held = sum(row["hold"] for row in books.attempts() if row["state"] == "unknown")
    assert books.total("attempts", "actual") + held <= room
    assert one("db", "check").returncode == 0
