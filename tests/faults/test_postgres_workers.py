"""A worker on another machine: known to live by its signs of life, and to be dead when they end."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg
import pytest

from nexscout_cli.assemble import SystemClock
from nexscout_cli.config import Settings
from nexscout_cli.engine.asked import Asked
from nexscout_cli.engine.cache.in_flight import wait
from nexscout_cli.engine.catalog.recovery_rules import Recovered
from nexscout_cli.engine.interrupts import Interrupts
from nexscout_cli.engine.store_rules import store_rules
from nexscout_cli.store import owner
from nexscout_cli.store.postgres import ended, pulse
from nexscout_cli.store.postgres.store import PostgresStore
from nexscout_cli.store.sqlite.ledger import SqliteLedger
from tests.contract.books import PostgresBooks
from tests.support.clock import SettableClock
from tests.support.postgres import as_application, new_database
from tests.support.steps import Steps

THERE = "elsewhere/another-boot:1/17/1"


class Hosts:
    """One host that can be looked at, and another one that held the attempts."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.clock = SettableClock()
        values = Settings()
        PostgresStore(place, self.clock, store_rules(values), "ada").close()
        store = PostgresStore(as_application(place), self.clock, store_rules(values), "ada")
        self.here = Steps(store, "ada", self.clock, values, place)
        self.books = PostgresBooks(lambda: place)

    def move_there(self, attempt: Any) -> None:
        with closing(psycopg.connect(self.place, autocommit=True)) as root:
            root.execute("UPDATE nexscout.attempts SET owner = %s WHERE id = %s", (THERE, attempt.id))

    def beat_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as there:
            there.setattr(owner, "me", lambda: THERE)
            self.here.store.ledger.pulse.beat()  # type: ignore[attr-defined]

    def recover(self) -> Recovered:
        return self.here.store.recovery.recover("ada")


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Hosts:
    hosts = Hosts(new_database())
    up_for_long = """CREATE OR REPLACE FUNCTION nexscout.pg_postmaster_start_time() RETURNS timestamptz LANGUAGE sql STABLE
        AS $$ SELECT clock_timestamp() - interval '1 day' $$"""
    with closing(psycopg.connect(hosts.place, autocommit=True)) as root:
        root.execute(up_for_long.encode())
        root.execute("REVOKE ALL ON FUNCTION nexscout.pg_postmaster_start_time() FROM PUBLIC")
        body = root.execute("SELECT prosrc FROM pg_proc WHERE proname = 'lives'").fetchone()
        assert body is not None
        root.execute(
            b"CREATE OR REPLACE FUNCTION nexscout.lives(the_owner text, since text, now text, silence interval) RETURNS boolean "
            b"LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = nexscout, pg_temp AS $f$"
            + body[0].replace("pg_postmaster", "nexscout.pg_postmaster").encode()
            + b"$f$"
        )
    return hosts


def test_a_worker_elsewhere_that_tells_that_it_lives_is_left_alone_and_one_that_falls_silent_is_recovered(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, sent = hosts.here.hold(), hosts.here.sent()
    hosts.move_there(held)
    hosts.move_there(sent)
    for _ in range(4):
        hosts.clock.move(seconds=pulse.SILENCE - 10)
        assert hosts.recover() == Recovered()
        hosts.beat_there(monkeypatch)
    hosts.clock.move(seconds=pulse.SILENCE + 1)
    assert hosts.recover() == Recovered(voided=1, unknown=1)
    assert hosts.here.check() == []


def test_what_a_worker_that_fell_silent_was_answered_is_still_posted_once(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = hosts.here.sent()
    hosts.move_there(attempt)
    hosts.clock.move(seconds=pulse.SILENCE + 1)
    assert hosts.recover() == Recovered(unknown=1)
    cost = hosts.here.post(attempt).cost  # it was only cut off
    assert hosts.books.listed("attempts", "state", "actual") == [("posted", cost)]
    assert hosts.books.count("usage") == 1 and hosts.here.check() == []


def test_nobody_is_dead_to_a_server_that_came_back_a_moment_ago(hosts: Hosts) -> None:
    with closing(psycopg.connect(hosts.place, autocommit=True)) as root:
        root.execute(
            b"CREATE OR REPLACE FUNCTION nexscout.pg_postmaster_start_time() RETURNS timestamptz LANGUAGE sql STABLE "
            b"AS $$ SELECT clock_timestamp() - interval '5 seconds' $$"
        )
    hosts.move_there(hosts.here.sent())
    hosts.clock.move(seconds=pulse.SILENCE + 1)
    assert hosts.recover() == Recovered()


def test_a_request_for_the_same_does_not_wait_for_a_dead_worker_elsewhere(hosts: Hosts) -> None:
    hosts.move_there(hosts.here.hold(cache_key="k"))
    assert hosts.here.ledger.in_flight("ada", "ada", "k")
    hosts.clock.move(seconds=pulse.SILENCE + 1)
    assert not hosts.here.ledger.in_flight("ada", "ada", "k")


def test_a_program_tells_of_itself_while_its_store_is_open(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "EVERY", 0.01)
    hosts.here.hold()
    with closing(psycopg.connect(hosts.place, autocommit=True)) as root:
        for _ in range(1000):
            seen = root.execute("SELECT owner, pg_sleep(0.01) FROM nexscout.workers").fetchall()
            if seen:
                break
    assert [row[0] for row in seen] == [owner.me()]
    hosts.here.store.close()


def test_who_waits_for_the_same_request_is_told_when_it_ends_and_looks_no_more_often_than_once_a_second(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = hosts.here.hold(cache_key="k")
    values = Settings()
    store = PostgresStore(as_application(hosts.place), hosts.clock, store_rules(values), "ada")  # as on another machine
    looks: list[float] = []
    in_flight = SqliteLedger.in_flight

    def look(*about: Any) -> bool:
        looks.append(time.monotonic())
        return in_flight(*about)

    monkeypatch.setattr(SqliteLedger, "in_flight", look)
    monkeypatch.setattr(ended, "LOOK", 300.0)  # nothing but the message lets it look again
    asked = Asked("r1", hosts.here.request(), "ada", 0.0, cache_key="k")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait, store.ledger, SystemClock(), Interrupts(), asked, 60.0)
        with closing(psycopg.connect(hosts.place, autocommit=True)) as root:
            listening = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND mode = 'ShareLock'"
            while not root.execute(listening.encode(), (ended.WAITED_FOR,)).fetchone():
                time.sleep(0.01)
        while len(looks) < 2:  # once at first, once when it is listened for
            time.sleep(0.01)
        assert not waiting.done()
        hosts.here.void(attempt)
        hosts.here.fail(attempt)
        waiting.result(30)
    assert 3 <= len(looks) <= 4
    store.close()


def test_nobody_is_told_of_an_end_that_nobody_waits_for(hosts: Hosts) -> None:
    with closing(psycopg.connect(hosts.place, autocommit=True)) as root:
        root.execute("LISTEN nexscout_ended")
        attempt = hosts.here.hold(cache_key="k")
        hosts.here.void(attempt)
        hosts.here.fail(attempt)
        assert list(root.notifies(timeout=0.2)) == []
