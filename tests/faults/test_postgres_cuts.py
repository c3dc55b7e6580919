"""The line to the server breaks in the middle of a transition: what was done there is not done again, what was not is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest

from nexscout_cli.config import Settings
from nexscout_cli.engine.store_rules import store_rules
from nexscout_cli.errors import StoreError, UsageError
from nexscout_cli.store.postgres.store import PostgresStore
from tests.contract.books import DAY, PostgresBooks
from tests.faults.team import Team
from tests.support.clock import SettableClock
from tests.support.cut import Cut, Line
from tests.support.postgres import new_database
from tests.support.steps import Steps


def step(name: str) -> bytes:
    return rb'"step": ?"' + name.encode()


@pytest.fixture
def line(team: Team) -> Iterator[Line]:
    """The team's line, through which a first call has gone: the functions do what comes now."""
    with Line(team.url) as line:
        team.at(line.url)
        assert team.ask("Good morning").status == 0
        yield line


def test_a_step_whose_line_breaks_is_made_once_and_the_call_goes_on(team: Team, line: Line) -> None:
    for n, (name, arrives) in enumerate(product(("hold", "mark_sent", "post"), (False, True)), 1):
        line.cut = Cut(step(name), arrives)
        done = team.ask(f"Hello {n}")
        assert (done.status, line.broke, team.provider.hits) == (0, n, n + 1), (name, arrives, done)
        team.settled(*["posted"] * (n + 1))


def test_a_server_that_goes_before_a_call_was_marked_sent_lets_nothing_be_sent(team: Team, line: Line) -> None:
    left = {
        ("hold", False): [],
        ("hold", True): ["held"],
        ("mark_sent", False): ["held"],
        ("mark_sent", True): ["sent"],
    }
    there = ["posted"]
    for n, ((name, arrives), states) in enumerate(left.items(), 1):
        line.cut = Cut(step(name), arrives, for_good=True)
        done = team.ask(f"Hello {n}")
        assert (done.status, done.code, line.broke) == (6, "unreachable", n), (name, arrives, done)
        line.mend()
        assert team.states() == [*there, *states]
        there += ["voided"] * len(states)  # by the next command, which gives back what was not sent
    assert team.provider.hits == 1
    assert team.ask("Good evening").status == 0 and team.provider.hits == 2
    assert team.states() == [*there, "posted"] and team.desk("db", "check").status == 0


def test_a_server_that_goes_in_the_middle_of_a_post_has_it_once_when_it_is_back(team: Team, line: Line) -> None:
    for n, arrives in enumerate((False, True), 1):
        line.cut = Cut(step("post"), arrives, for_good=True)
        done = team.ask(f"Hello {n}")
        assert (done.status, line.broke) == (6, n), done
        assert team.states() == ["posted"] * n + ["posted" if arrives else "sent"]
        line.mend()
        assert team.desk("db", "resolve").status == 0 and team.provider.hits == n + 1
        team.settled(*["posted"] * (n + 1))


@pytest.fixture
def program() -> Iterator[tuple[Steps, Line]]:
    """A program, and its line to the server."""
    clock, values = SettableClock(), Settings().with_values(store__lock_timeout=0.5)
    with Line(new_database()) as line:
        store = PostgresStore(line.url, clock, store_rules(values), "ada")
        yield Steps(store, "ada", clock, values, line.url), line
        store.close()


def test_a_decision_whose_line_breaks_is_made_once_and_told(program: tuple[Steps, Line]) -> None:
    ada, line = program
    for arrives, cost in product((False, True), (None, 700)):
        attempt = ada.unknown()
        line.cut = Cut(b"beyond_hold", arrives)
        assert ada.store.recovery.resolve("ada", attempt.request_id, cost) == 1
    books = PostgresBooks(lambda: line.url)
    assert line.broke == 4 and books.listed("attempts", "actual") == [None, 700, None, 700]
    assert books.account("ada", "usd", DAY)[1:] == (0, 1_400)
    assert ada.check() == []


def test_a_decision_of_which_nothing_more_is_heard_may_be_made_again(program: tuple[Steps, Line]) -> None:
    ada, line = program
    for arrives in (False, True):
        attempt = ada.unknown()
        line.cut = Cut(b"beyond_hold", arrives, for_good=True)
        with pytest.raises(StoreError, match="may have been made") as told:
            ada.store.recovery.resolve("ada", attempt.request_id, 700)
        assert told.value.code == "unsure"
        line.mend()
        if arrives:
            with pytest.raises(UsageError, match="no attempt with an unknown outcome"):
                ada.store.recovery.resolve("ada", attempt.request_id, 700)
        else:
            assert ada.store.recovery.resolve("ada", attempt.request_id, 700) == 1
    assert PostgresBooks(lambda: line.url).account("ada", "usd", DAY)[1:] == (0, 1_400)
    assert ada.check() == []


def test_another_attempt_of_a_request_whose_line_breaks_is_held_once(program: tuple[Steps, Line]) -> None:
    ada, line = program
    for n, arrives in enumerate((False, True), 1):
        first = ada.sent()
        ada.void(first)
        line.cut = Cut(step("hold"), arrives)
        second = ada.hold(ada.plan(), first.request_id)
        assert (line.broke, second.n, second.hold_energy) == (n, 2, first.hold_energy)
        ada.mark_sent(second)
        ada.post(second)
    assert PostgresBooks(lambda: line.url).listed("attempts", "n", "state") == [(1, "voided"), (2, "posted")] * 2
    assert ada.check() == []
