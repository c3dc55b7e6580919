"""The server goes away, refuses, or loses the answer to a commit: nothing is forgotten and nothing is done twice."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from nexscout_cli.config import Settings
from nexscout_cli.engine.store_rules import store_rules
from nexscout_cli.errors import NexScoutError, StoreError
from nexscout_cli.store.postgres.connections import SCHEMA_VERSION
from nexscout_cli.store.postgres.store import PostgresStore
from nexscout_cli.store.postgres.transactions import PostgresTransactions
from tests.contract.books import DAY, PostgresBooks
from tests.support.clock import SettableClock
from tests.support.postgres import Server, new_database, own_server, url
from tests.support.steps import Steps, _plans, kept_at


def at(place: str, **settings: Any) -> Steps:
    clock, values = SettableClock(), Settings().with_values(**settings)
    return Steps(PostgresStore(place, clock, store_rules(values), "ada"), "ada", clock, values, place)


@pytest.fixture
def place() -> str:
    return new_database()


@pytest.fixture
def server() -> Iterator[Server]:
    running = own_server(fsync=True)
    yield running
    running.remove()


def test_a_server_that_stops_hard_again_and_again_loses_and_doubles_nothing(server: Server) -> None:
    place = url(server.dsn)
    ada = at(place)
    plans = [ada.plan() for _ in range(4)]
    stop = threading.Event()

    def remember(plan: Any, attempt: Any) -> Any:
        _plans[ada.where, attempt.id] = plan
        return attempt

    def pay(plan: Any) -> int:
        paid = 0
        while not stop.is_set():
            try:
                order = ada.order(plan)
            except StoreError:  # the server went away while the world was read: nothing was sent
                continue
            attempt = remember(plan, ada.ledger.hold("ada", order))
            ada.mark_sent(attempt)
            paid += ada.post(attempt).cost
        return paid

    with ThreadPoolExecutor(4) as pool:
        paying = [pool.submit(pay, plan) for plan in plans]
        for _ in range(3):
            time.sleep(0.7)
            server.stop(signal.SIGQUIT)
            server.start()
        time.sleep(0.7)
        stop.set()
        paid = sum(one.result(60) for one in paying)
    books = PostgresBooks(lambda: place)
    assert books.account("ada", "usd", DAY) == (None, 0, paid) and paid > 0
    assert set(books.listed("attempts", "state")) == {"posted"}
    assert ada.check() == []


@pytest.mark.parametrize("arrives", [True, False])
def test_a_commit_of_what_is_no_plain_case_whose_answer_is_lost_is_made_once(
    place: str, monkeypatch: pytest.MonkeyPatch, arrives: bool
) -> None:
    ada = at(place)
    ada.hold()
    plans = [ada.plan(user=name) for name in ("bob", "eve")]  # who is new is no plain case
    commit = PostgresTransactions._commit
    lost: list[bool] = []

    def cut(store: Any, connection: Any) -> None:
        if lost:
            commit(store, connection)
            return
        lost.append(True)
        if arrives:
            commit(store, connection)
        connection.close()
        raise psycopg.OperationalError("the connection broke")

    monkeypatch.setattr(PostgresTransactions, "_commit", cut)
    for n, plan in enumerate(plans, 2):
        lost.clear()
        ada.hold(plan)
        assert lost == [True]
        assert PostgresBooks(lambda: place).listed("attempts", "state") == ["held"] * n
    assert ada.check() == []


def test_a_connection_that_breaks_before_the_commit_is_replaced(place: str) -> None:
    ada = at(place)
    attempt = ada.sent()
    with closing(psycopg.connect(place, autocommit=True)) as root:
        root.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'nexscout'")
    ada.post(attempt)
    assert ada.check() == []


def test_what_was_sent_is_posted_when_the_server_is_back_in_order_and_once(server: Server, tmp_path: Path) -> None:
    ada = kept_at(url(server.dsn), tmp_path)
    answered, refused, lost = (ada.sent() for _ in range(3))
    plan = ada.plan_of(answered)
    server.stop(signal.SIGQUIT)
    charge = ada.charge(answered)
    for step in (
        lambda: ada.post(answered, charge),
        lambda: ada.void(refused),
        lambda: ada.fail(refused),
        lambda: ada.mark_unknown(lost),
        lambda: ada.hold(plan),
    ):
        with pytest.raises(StoreError) as told:
            step()
        assert told.value.code == "unreachable"
    (kept,) = tmp_path.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert [json.loads(line)["step"] for line in kept.read_text().splitlines()] == [
        "post",
        "void",
        "fail",
        "mark_unknown",
    ]  # a hold that could not be taken leaves nothing: nothing was sent
    server.start()
    copy = kept.read_bytes()
    ada.store.recovery.recover("ada")
    books = PostgresBooks(lambda: url(server.dsn))
    assert books.listed("attempts", "state", "actual") == [("posted", charge.cost), ("voided", None), ("unknown", None)]
    assert kept.read_bytes() == b""
    kept.write_bytes(copy)  # as after a crash before the file was emptied
    ada.store.recovery.recover("ada")
    assert kept.read_bytes() == b""
    assert books.account("ada", "usd", DAY).spent == charge.cost
    assert books.count("usage") == 2
    assert ada.check() == []
    ada.store.close()


def test_the_next_call_posts_first_what_waits(server: Server, tmp_path: Path) -> None:
    ada = kept_at(url(server.dsn), tmp_path)
    attempt = ada.sent()
    server.stop(signal.SIGQUIT)
    with pytest.raises(StoreError):
        ada.post(attempt)
    server.start()
    ada.hold()
    assert PostgresBooks(lambda: url(server.dsn)).listed("attempts", "state") == ["posted", "held"]
    ada.store.close()


def refused(place: str, sql: str, undo: str, **settings: Any) -> tuple[str, Steps]:
    """The code of what a hold comes to after the superuser's statement; undone afterwards."""
    ada = at(place, **settings)
    ada.snapshot()
    with closing(psycopg.connect(place, autocommit=True)) as root:
        root.execute(sql.encode())
        ada.store.close()
        try:
            with pytest.raises(NexScoutError) as told:
                at(place, **settings).hold()
        finally:
            root.execute(undo.encode())
    return told.value.code, ada


def test_a_database_that_is_read_only_takes_no_hold(place: str) -> None:
    name = place.split("?")[0].rsplit("/", 1)[1]
    code, _ = refused(
        place,
        f"ALTER DATABASE {name} SET default_transaction_read_only = on",
        f"ALTER DATABASE {name} RESET default_transaction_read_only",
    )
    assert code == "read_only"


def test_a_newer_schema_is_refused(place: str) -> None:
    code, _ = refused(
        place,
        f"INSERT INTO nexscout.migrations (number) VALUES ({SCHEMA_VERSION + 1})",
        f"DELETE FROM nexscout.migrations WHERE number > {SCHEMA_VERSION}",
    )
    assert code == "newer_schema"


def test_who_waits_too_long_for_the_books_is_told_that_they_are_busy(place: str) -> None:
    ada = at(place, store__lock_timeout=1)
    plan = ada.plan()
    entered, leave = threading.Event(), threading.Event()

    def sit() -> None:
        with ada.store.write("ada"):  # type: ignore[attr-defined]
            entered.set()
            leave.wait(20)

    with ThreadPoolExecutor(1) as pool:
        sitting = pool.submit(sit)
        entered.wait(10)
        with pytest.raises(StoreError) as told:
            at(place, store__lock_timeout=1).hold(plan)
        leave.set()
        sitting.result(20)
    assert told.value.code == "busy"


@pytest.mark.parametrize(
    "wrong", ["postgresql://nobody_there@/{db}?{rest}", "postgresql:///no_such_database?{rest}&user=postgres"]
)
def test_a_wrong_login_or_database_is_told_as_it_is(place: str, wrong: str) -> None:
    head, _, rest = place.partition("?")
    with pytest.raises(StoreError) as told:
        at(wrong.format(db=head.rsplit("/", 1)[1], rest=rest))
    assert told.value.code == "unreachable" and "does not exist" in told.value.message


def test_thirty_threads_share_twenty_connections(place: str) -> None:
    ada = at(place)
    with ThreadPoolExecutor(30) as pool:
        shown = list(pool.map(lambda _: ada.store.energy.show("ada", "ada").balance, range(60)))
    assert len(shown) == 60 and len(set(shown)) == 1
    with closing(psycopg.connect(place)) as root:
        count = root.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'nexscout' AND datname = current_database()"
        )
        assert count.fetchone()[0] <= 20  # type: ignore[index]


def test_ten_programs_that_open_an_empty_database_at_once_make_one_set_of_books(place: str) -> None:
    names = [f"user{n}" for n in range(10)]
    gate = threading.Barrier(10)

    def begin(name: str) -> None:
        gate.wait()
        PostgresStore(place, SettableClock(), store_rules(Settings()), name).close()

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(begin, names))
    books = PostgresBooks(lambda: place)
    assert len(books.listed("users", "user_id", role="admin")) == 1 and books.count("models") == 7
