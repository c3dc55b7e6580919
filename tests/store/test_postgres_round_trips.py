"""What each change of money costs over PostgreSQL, counted in what the server said: round trips, and transactions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from nexscout_cli.engine.settlement import Attempt
from nexscout_cli.store.postgres.connections import Connections
from tests.support.postgres import new_database
from tests.support.steps import Steps, at

PLENTY = {"tiers__elite__energy": 10**6, "tiers__elite__daily_tokens": 10**9}
ONE = (1, 1)
"""A round trip, and a transaction."""


class Wire:
    """What the server said on each connection, as its library writes it down."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("ab")
        self._said = file
        self._open: list[psycopg.Connection[Any]] = []
        self._at = 0

    def listen(self, connection: psycopg.Connection[Any]) -> None:
        connection.pgconn.trace(self._file.fileno())
        self._open.append(connection)

    def said(self) -> tuple[int, int]:
        """What has been said since this was asked last: how often the server was waited for, and how many transactions of some
        statements came to an end.
        """
        for connection in self._open:
            if not connection.closed:  # the library writes what it has gathered
                connection.pgconn.untrace()
                connection.pgconn.trace(self._file.fileno())
        text = self._said.read_text(encoding="utf-8", errors="replace")[self._at :]
        self._at += len(text)
        trips = transactions = 0
        before, is_done = "B", False
        for direction, what, rest in re.findall(r"^[^\t\n]*\t([FB])\t\d+\t(\w+)(.*)$", text, re.MULTILINE):
            trips += direction == "B" != before
            before = direction
            is_done = is_done or what == "CommandComplete"
            if what == "ReadyForQuery" and rest.endswith(" I"):
                transactions += is_done
                is_done = False
        return trips, transactions

    def close(self) -> None:
        for connection in self._open:
            if not connection.closed:
                connection.pgconn.untrace()
        self._file.close()


@pytest.fixture
def wire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    wire, connect = Wire(tmp_path / "wire"), Connections.connect

    def heard(self: Connections) -> Any:
        connection = connect(self)
        wire.listen(connection)
        return connection

    monkeypatch.setattr(Connections, "connect", heard)
    yield wire
    wire.close()


class Books(NamedTuple):
    ada: Steps
    wire: Wire

    def cost(self, do: Callable[[], Any]) -> tuple[int, int]:
        """Round trips, and transactions that came to an end in them."""
        self.wire.said()
        do()
        return self.wire.said()


@pytest.fixture
def books(wire: Wire, opened: list[Steps]) -> Books:
    ada = at(new_database(), opened, **PLENTY)
    for _ in range(8):  # opens the day's accounts, prepares statements
        ada.post(ada.sent())
    return Books(ada, wire)


def held(ada: Steps) -> Callable[[], Any]:
    order = ada.order()
    return lambda: ada.ledger.hold("ada", order)


def on(
    make: Callable[[Steps, Attempt], Any], *, begun: Callable[[Steps], Attempt]
) -> Callable[[Steps], Callable[[], Any]]:
    def ready(ada: Steps) -> Callable[[], Any]:
        attempt = begun(ada)
        return lambda: make(ada, attempt)

    return ready


def voided(ada: Steps) -> Attempt:
    attempt = ada.hold()
    ada.void(attempt)
    return attempt


def posted_alone(ada: Steps) -> Attempt:
    attempt = ada.sent()
    ada.post(attempt, delivered=False)
    return attempt


def delivered(ada: Steps, attempt: Attempt) -> None:
    charge = ada.charge(attempt)
    ada.ledger.deliver("ada", attempt, charge, ada.delivery(attempt, charge))


def given(ada: Steps) -> Callable[[], Any]:
    attempt = ada.sent()
    ada.post(attempt)
    cached = ada.ledger.cached("ada", "ada", f"key {attempt.request_id}")
    assert cached is not None
    request, snapshot = ada.request(), ada.snapshot()
    ada.snapshot = lambda request=None: snapshot  # type: ignore[method-assign]  # it is read before the hit is counted
    return lambda: ada.hit(request, cached)


def refused(ada: Steps) -> Callable[[], Any]:
    plan = ada.plan()
    return lambda: ada.refuse(plan, "too dear")


def resolved(cost: int | None) -> Callable[[Steps], Callable[[], Any]]:
    return on(lambda ada, attempt: ada.store.recovery.resolve("ada", attempt.request_id, cost), begun=Steps.unknown)


STEPS: dict[str, Callable[[Steps], Callable[[], Any]]] = {
    "hold": held,
    "mark sent": on(Steps.mark_sent, begun=Steps.hold),
    "post": on(Steps.post, begun=Steps.sent),
    "deliver": on(delivered, begun=posted_alone),
    "void": on(Steps.void, begun=Steps.hold),
    "mark unknown": on(Steps.mark_unknown, begun=Steps.sent),
    "fail": on(Steps.fail, begun=voided),
    "refuse": refused,
    "hit": given,
    "resolve, posted": resolved(1_000),
    "resolve, void": resolved(None),
}


@pytest.mark.parametrize("name", STEPS)
def test_each_transition_is_one_round_trip_and_one_transaction(books: Books, name: str) -> None:
    ready = STEPS[name]
    ready(books.ada)()  # the first of its kind may prepare what the others use
    assert books.cost(ready(books.ada)) == ONE


def judged(ada: Steps) -> Callable[[], Any]:
    attempt = ada.sent()
    ada.post(attempt)
    return lambda: ada.store.feedback.record("ada", attempt.request_id, "bad")


def held_of_a_new_month(ada: Steps) -> Callable[[], Any]:
    ada.clock.move(days=32)
    return held(ada)


def held_of_a_new_user(ada: Steps) -> Callable[[], Any]:
    order = ada.order(ada.plan(user="bob"))
    return lambda: ada.ledger.hold("ada", order)


RARE: dict[str, Callable[[Steps], Callable[[], Any]]] = {
    "feedback": judged,
    "a grant": lambda ada: lambda: ada.store.energy.grant("ada", "ada", 5, "more"),
    "a balance": lambda ada: lambda: ada.store.energy.set_balance("ada", "ada", 500, "less"),
    "a tier": lambda ada: lambda: ada.store.users.set_tier("ada", "eve", "elite"),
    "panic": lambda ada: lambda: ada.store.profiles.set_panic("ada", on=True),
    "a mode": lambda ada: lambda: ada.store.profiles.set_mode("ada", "ada", "fast"),
}


@pytest.mark.parametrize("name", RARE)
def test_each_rare_change_is_one_transaction(books: Books, name: str) -> None:
    assert books.cost(RARE[name](books.ada))[1] == 1


@pytest.mark.parametrize("ready", [held_of_a_new_month, held_of_a_new_user])
def test_a_hold_that_is_no_plain_case_is_made_in_one_transaction_after_the_function_left_it(
    books: Books, ready: Callable[[Steps], Callable[[], Any]]
) -> None:
    trips, transactions = books.cost(ready(books.ada))
    assert trips > 1 and transactions <= 1  # one that was left has no end of its own: the function raised
