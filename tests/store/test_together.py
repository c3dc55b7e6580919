"""Changes of several threads in one commit: each is all or nothing, as if it had been alone."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from nexscout_cli.errors import DuplicateInFlight, StoreError
from nexscout_cli.store.sqlite.changes import Commit
from nexscout_cli.store.sqlite.database import Database
from nexscout_cli.store.sqlite.queue import QueueLock
from tests.support.bench import Bench
from tests.support.waiting import until

Make = Callable[[sqlite3.Connection], Any]


@pytest.fixture
def db(bench: Bench) -> Database:
    bench.sql("CREATE TABLE t (name TEXT PRIMARY KEY, parent TEXT REFERENCES t DEFERRABLE INITIALLY DEFERRED)")
    return bench.store.db


def insert(name: str, parent: str | None = None) -> Make:
    return lambda c: c.execute("INSERT INTO t VALUES (?, ?) RETURNING name", (name, parent)).fetchone()[0]


def names(db: Database) -> list[str]:
    return [row[0] for row in db.connection.execute("SELECT name FROM t ORDER BY name")]


@contextmanager
def at_once(db: Database, changes: list[Make]) -> Iterator[list[Future[Any]]]:
    """Threads that each wait to write, until the body is left."""
    with ThreadPoolExecutor(len(changes)) as pool, db._writers:
        waiting = []
        for number, change in enumerate(changes, 1):
            waiting.append(pool.submit(db.together, change))
            until(lambda number=number: len(db._changes) == number)
        yield waiting


def commits(db: Database, changes: list[Make]) -> tuple[list[Future[Any]], int]:
    """What became of changes that were wanted at once, and how many transactions they took."""
    asked: list[str] = []
    db.connection.set_trace_callback(asked.append)
    with at_once(db, changes) as waiting:
        pass
    db.connection.set_trace_callback(None)
    return waiting, asked.count("COMMIT")


def test_what_several_writers_want_to_write_at_once_is_committed_once(db: Database) -> None:
    done, taken = commits(db, [insert(name) for name in "abcde"])
    assert [one.result() for one in done] == list("abcde") and names(db) == list("abcde")
    assert taken == 1


def test_other_processes_do_not_wait_for_more_than_a_few_changes(db: Database) -> None:
    done, taken = commits(db, [insert(f"{number:02}") for number in range(40)])
    assert len({one.result() for one in done}) == 40 and taken == 2


def test_an_exception_takes_back_its_own_change_alone(db: Database) -> None:
    def regrets(c: sqlite3.Connection) -> None:
        insert("regretted")(c)
        raise DuplicateInFlight

    done, taken = commits(db, [insert("a"), regrets, insert("a"), insert("b")])
    assert isinstance(done[1].exception(), DuplicateInFlight) and isinstance(
        done[2].exception(), sqlite3.IntegrityError
    )
    assert names(db) == ["a", "b"] and taken == 1


def test_what_fails_the_commit_fails_for_its_thread_alone(db: Database) -> None:
    done, _ = commits(db, [insert("a"), insert("orphan", "nobody"), insert("b")])
    assert isinstance(done[1].exception(), sqlite3.IntegrityError)
    assert [done[0].result(), done[2].result()] == names(db) == ["a", "b"]


def test_a_broken_statement_fails_for_its_thread_alone(db: Database) -> None:
    done, _ = commits(db, [insert("a"), lambda c: c.execute("ROLLBACK TO nowhere"), insert("b")])
    assert isinstance(done[1].exception(), StoreError)
    assert names(db) == ["a", "b"]


def test_a_change_that_was_refused_beside_others_and_is_made_alone_is_told_what_came_of_that(db: Database) -> None:
    tries: list[int] = []

    def at_the_second_try(c: sqlite3.Connection) -> str:
        tries.append(1)
        if len(tries) == 1:
            raise DuplicateInFlight
        return str(insert("late")(c))

    done, _ = commits(db, [at_the_second_try, lambda c: c.execute("ROLLBACK TO nowhere")])
    assert done[0].result() == "late" and names(db) == ["late"]


def test_an_interrupt_right_after_the_commit_lets_nobody_write_again(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupting:
        def __init__(self) -> None:
            self.inner = db.connection

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def execute(self, sql: str, *values: Any) -> Any:
            result = self.inner.execute(sql, *values)
            if sql == "COMMIT":
                monkeypatch.undo()
                raise KeyboardInterrupt
            return result

    with ThreadPoolExecutor(1) as pool:
        with db._writers:
            other = pool.submit(db.together, insert("other"))
            until(lambda: len(db._changes) == 1)
            monkeypatch.setattr(db, "_connection", Interrupting())
            with pytest.raises(KeyboardInterrupt):
                db.together(insert("mine"))
        assert other.result(30) == "other"
    db.together(insert("later"))
    assert names(db) == ["later", "mine", "other"]


def test_an_interrupt_of_who_writes_for_all_leaves_the_others_their_changes(db: Database) -> None:
    def interrupted(c: sqlite3.Connection) -> None:
        insert("mine")(c)
        raise KeyboardInterrupt

    with ThreadPoolExecutor(1) as pool:
        with db._writers:
            other = pool.submit(db.together, insert("other"))
            until(lambda: len(db._changes) == 1)
            with pytest.raises(KeyboardInterrupt):
                db.together(interrupted)
        assert other.result(30) == "other"
    assert names(db) == ["other"]


def test_what_is_given_up_while_it_waits_is_made_by_nobody(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        def acquire(self, blocking: bool) -> None:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(db, "_writers", Interrupted())
        with pytest.raises(KeyboardInterrupt):
            db.together(insert("given up"))
    db.together(insert("later"))
    assert names(db) == ["later"] and not db._changes


def test_what_is_given_up_while_another_process_writes_is_made_by_nobody(db: Database) -> None:
    with ThreadPoolExecutor(2) as pool:
        with QueueLock(db.path.with_name(db.path.name + ".lock"), 5).held():
            one = pool.submit(db.together, insert("one"))
            until(lambda: len(db._changes) == 1)
            other = pool.submit(db.together, insert("other"))
            until(lambda: len(db._changes) == 2)
            db._changes[1].over = True  # as an interrupt of its caller leaves it
        assert one.result(30) == "one"
        with pytest.raises(AttributeError):
            other.result(30)
    assert names(db) == ["one"] and not db._changes


def test_an_interrupt_while_a_transaction_begins_leaves_none_open(db: Database) -> None:
    class Interrupting:
        in_transaction = property(lambda self: db.connection.in_transaction)

        def execute(self, sql: str) -> None:
            db.connection.execute(sql)
            if sql.startswith("BEGIN"):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Commit(Interrupting()):  # type: ignore[arg-type]
        raise AssertionError
    assert db.together(insert("later")) == "later"


def test_many_writers_lose_nothing_and_double_nothing(db: Database) -> None:
    errors: list[BaseException] = []

    def write(thread: int) -> None:
        for number in range(25):
            try:
                db.together(insert(f"{thread} {number}"))
                with pytest.raises(sqlite3.IntegrityError):
                    db.together(insert(f"{thread} {number}"))
            except BaseException as error:
                errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == [] and len(names(db)) == 300
