"""Readers never wait for a writer's turn."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from nexscout_cli.store.sqlite.queue import QueueLock
from tests.support.bench import Bench
from tests.support.waiting import until


def queue_of(bench: Bench) -> QueueLock:
    """The queue as another process holds it."""
    return QueueLock(bench.path.with_name(bench.path.name + ".lock"), 30)


def turn_is_taken(bench: Bench) -> bool:
    """Whether a thread of this process has its turn at writing."""
    free = bench.store.db._writers.acquire(blocking=False)
    if free:
        bench.store.db._writers.release()
    return not free


def test_a_read_comes_back_while_a_writer_of_its_process_waits_in_the_queue(bench: Bench) -> None:
    with ThreadPoolExecutor(2) as pool:
        with queue_of(bench).held():
            writer = pool.submit(bench.store.energy.grant, "ada", "ada", 5, "gift")
            until(lambda: turn_is_taken(bench))
            # Were it to wait for the queue, it would wait for us.
            assert bench.store.energy.show("ada", "ada").balance == 5000
            assert bench.snapshot().energy == 5000
            assert not writer.done()
        assert writer.result(30).balance == 5005


def test_a_read_comes_back_while_several_changes_wait_to_be_committed_together(bench: Bench) -> None:
    orders = [bench.order() for _ in range(5)]
    with ThreadPoolExecutor(6) as pool:
        with queue_of(bench).held():
            writers = [pool.submit(bench.ledger.hold, "ada", order) for order in orders]
            until(lambda: len(bench.store.db._changes) == 5)
            assert bench.store.energy.show("ada", "ada").held == 0
            assert not any(writer.done() for writer in writers)
        assert {writer.result(30).n for writer in writers} == {1}
    assert bench.store.energy.show("ada", "ada").held == 5


def test_a_read_in_the_middle_of_another_threads_transaction_sees_what_was_before_it(bench: Bench) -> None:
    begun, end = threading.Event(), threading.Event()

    def write() -> None:
        with bench.store.write("ada") as t:
            t.execute("UPDATE users SET granted_energy = 77 WHERE user_id = 'ada'")
            begun.set()
            assert end.wait(30)

    def granted() -> int:
        with bench.store.read("ada") as t:
            return int(t.execute("SELECT granted_energy FROM users WHERE user_id = 'ada'").fetchone()[0])

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        assert begun.wait(30)
        assert granted() != 77
        end.set()
        writer.result(30)
    assert granted() == 77


def test_readers_at_once_have_a_connection_each_and_give_it_back(bench: Bench) -> None:
    gate = threading.Barrier(6)

    def look() -> int:
        with bench.store.read("ada") as t:
            gate.wait(30)
            return id(t.connection)

    for _ in range(2):
        with ThreadPoolExecutor(6) as pool:
            used = [one.result(30) for one in [pool.submit(look) for _ in range(6)]]
        assert len(set(used)) == 6
    assert len(bench.store.db._readers) == 5


def test_a_connection_for_reads_cannot_write(bench: Bench) -> None:
    with bench.store.read("ada"), ThreadPoolExecutor(1) as pool:

        def write() -> None:
            with bench.store.db.connected() as connection:
                connection.execute("DELETE FROM users")

        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            pool.submit(write).result(30)
