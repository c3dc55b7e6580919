"""What a process may do that others must not pay for: open the file twice, fork, give up waiting."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexscout_cli.engine.catalog.recovery_rules import Recovered
from nexscout_cli.errors import StoreError
from nexscout_cli.store import owner
from nexscout_cli.store.sqlite.database import Database
from nexscout_cli.store.sqlite.queue import QueueLock
from tests.support.bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "nexscout.db")
    yield bench
    bench.store.close()


WRITES = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=0)
connection.execute("BEGIN IMMEDIATE")
"""


def test_opening_the_file_a_second_time_does_not_let_go_of_the_first_ones_locks(bench: Bench) -> None:
    with bench.store.write("ada"):
        Bench(bench.path).store.close()
        Database(bench.path).open(lambda c: None)
        other = subprocess.run([sys.executable, "-c", WRITES, bench.path], capture_output=True, text=True, check=False)
        assert "database is locked" in other.stderr
    assert bench.check() == []


def test_a_forked_child_is_an_owner_of_its_own(bench: Bench) -> None:
    attempt = bench.hold()
    parent = owner.me()
    child = os.fork()
    if not child:
        try:
            Bench(bench.path).sent(request_id="of the child")
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    owners = bench.books.listed("attempts", "owner")
    assert owners[0] == parent and owners[1] != parent
    assert bench.store.recovery.recover("ada") == Recovered(unknown=1)
    assert bench.state(attempt) == "held" and bench.check() == []


def test_a_child_forked_while_the_lock_is_held_does_not_keep_it(tmp_path: Path) -> None:
    lock = QueueLock(tmp_path / "lock", 0.2)
    with lock.held():
        child = os.fork()
        if not child:
            signal.pause()
            os._exit(0)
    try:
        with lock.held():
            assert os.waitpid(child, os.WNOHANG) == (0, 0)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_writer_that_gives_up_leaves_the_queue_to_the_others(tmp_path: Path) -> None:
    lock, impatient = QueueLock(tmp_path / "lock", 30), QueueLock(tmp_path / "lock", 0.05)
    served: list[int] = []

    def write(number: int) -> None:
        with lock.held():
            served.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(5)]
    with lock.held():
        for thread in threads:
            thread.start()
        for _ in range(5):
            with pytest.raises(StoreError, match="busy"), impatient.held():
                pass
        assert served == []
    for thread in threads:
        thread.join(30)
    assert sorted(served) == list(range(5))


def test_settling_what_was_left_behind_reads_no_whole_table(bench: Bench) -> None:
    bench.post(bench.sent())
    bench.unknown()
    attempt = bench.sent()
    bench.sql("UPDATE attempts SET owner = 'nowhere/at-all/1/1' WHERE id = ?", attempt.id)
    bench.clock.move(hours=1)
    asked: list[str] = []
    bench.store.db.connection.set_trace_callback(asked.append)
    bench.store.recovery.recover("ada")
    bench.store.db.connection.set_trace_callback(None)
    plans = [
        row[3]
        for statement in asked
        if statement.split()[0] in ("SELECT", "UPDATE", "DELETE") and "sqlite_" not in statement
        for row in bench.sql(f"EXPLAIN QUERY PLAN {statement}")
    ]
    # The hours that are to be folded again are a table of their own that is empty but for them.
    assert (
        plans
        and [plan for plan in plans if plan.startswith("SCAN") and plan not in ("SCAN fold_marks", "SCAN folding")]
        == []
    )


def test_a_hot_journal_is_rolled_back_by_whoever_reads_next(bench: Bench) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from nexscout_cli.store.sqlite.database import Database\n"
        "db = Database(Path(sys.argv[1])); db.open(lambda c: None)\n"
        "with db.write() as c:\n"
        "    c.execute('PRAGMA cache_size = 1'); c.execute(\"UPDATE accounts SET spent = 10\")\n"
        "    c.execute(\"UPDATE users SET tier = 'free'\"); c.execute('UPDATE ai_model_configs SET enabled = 0')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    before = bench.path.read_bytes()
    killed = subprocess.run([sys.executable, "-c", code, bench.path], check=False)
    assert killed.returncode == -signal.SIGKILL
    readers = [sqlite3.connect(bench.path, timeout=5) for _ in range(3)]
    assert {reader.execute("SELECT sum(enabled) FROM ai_model_configs").fetchone()[0] for reader in readers} == {7}
    for reader in readers:
        reader.close()
    assert bench.check() == [] and bench.path.read_bytes() == before
