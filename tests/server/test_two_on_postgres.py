"""Two servers on two ports over one PostgreSQL: a budget is one budget, whoever is asked."""

from __future__ import annotations

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
