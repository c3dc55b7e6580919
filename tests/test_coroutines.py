"""Code that waits, run as coroutines: the store's one writer for all of them, and HTTP on their loop."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import httpcore
import pytest

from nexscout_cli import waiting
from nexscout_cli.assemble import SystemClock
from nexscout_cli.config import Settings
from nexscout_cli.coroutines import InThreads
from nexscout_cli.engine.store_rules import store_rules
from nexscout_cli.providers.transport import Exchange, send
from nexscout_cli.providers.wires.request import HttpRequest
from nexscout_cli.store.sqlite import loop_writer
from nexscout_cli.store.sqlite.database import Database
from nexscout_cli.store.sqlite.store import SqliteStore
from nexscout_cli.store.sqlite.transaction import Transaction
from tests.support.together import together

T = TypeVar("T")
TABLE = "CREATE TABLE t (name TEXT PRIMARY KEY, parent TEXT REFERENCES t DEFERRABLE INITIALLY DEFERRED)"
INSERT = "INSERT INTO t VALUES (?, ?)"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    store = SqliteStore(tmp_path / "nexscout.db", SystemClock(), store_rules(Settings()), "ada")
    store.db.connection.execute(TABLE)
    yield store.db
    store.close()


def insert(db: Database, name: str, parent: str | None = None) -> Callable[[], str]:
    def change(c: sqlite3.Connection) -> str:
        c.execute(INSERT, (name, parent))
        return name

    return lambda: db.together(change)


def names(db: Database) -> list[str]:
    with db.read() as c:
        return [row[0] for row in c.execute("SELECT name FROM t ORDER BY name")]


def test_while_one_waits_others_go_on_and_each_gets_its_own() -> None:
    order: list[str] = []

    def slow() -> str:
        SystemClock().sleep(0.05)
        order.append("slow")
        return "one"

    def quick() -> str:
        order.append("quick")
        raise KeyError("two")

    def blocking() -> bool:
        loop = waiting.here()
        assert loop is not None
        return loop.in_thread(lambda: waiting.here() is None)

    one, two, three = together(slow, quick, blocking)
    assert (one, three, order) == ("one", True, ["quick", "slow"]) and isinstance(two, KeyError)
    assert waiting.here() is None
    assert together(lambda: InThreads(threading).get_ident() != threading.get_ident()) == [True]


def test_changes_that_wait_are_one_commit_and_an_error_takes_back_its_own_alone(db: Database) -> None:
    made: list[str] = []
    db.connection.set_trace_callback(made.append)
    works = [insert(db, f"n{n:02}") for n in range(20)] + [insert(db, "n03")]
    done = together(*works)
    assert done[:20] == [f"n{n:02}" for n in range(20)] and isinstance(done[20], sqlite3.IntegrityError)
    assert len(names(db)) == 20 and sum(sql == "COMMIT" for sql in made) <= 2


def test_who_is_alone_commits_on_the_loop_and_keeps_nobody_else_waiting(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_writer, "_SHORT", float("inf"))  # however slow the disk is
    where: list[bool] = []
    loops_thread = threading.get_ident()

    def on_commit(sql: str) -> None:
        if sql == "COMMIT":
            where.append(threading.get_ident() == loops_thread)

    def sleeper() -> None:
        SystemClock().sleep(0.2)

    db.connection.set_trace_callback(on_commit)
    db.gate.shuts = True  # with a rollback journal a commit waits for readers
    together(insert(db, "a"))
    db.gate.shuts = False
    together(sleeper, insert(db, "b"))
    together(insert(db, "c"), insert(db, "d"))
    assert where[:2] == [False, False] and all(where[2:])
    assert together(insert(db, "e"), insert(db, "e"))[0] == "e"
    [error] = together(insert(db, "f", "nobody"))
    assert isinstance(error, sqlite3.IntegrityError) and where[-1]
    assert together(insert(db, "g")) == ["g"] and names(db) == list("abcdeg")


def test_a_commit_that_fails_for_one_is_made_for_the_others(db: Database) -> None:
    done = together(insert(db, "a"), insert(db, "b", "nobody"), insert(db, "c", "a"))
    assert (done[0], done[2]) == ("a", "c") and isinstance(done[1], sqlite3.IntegrityError)
    assert names(db) == ["a", "c"]


def test_what_nobody_waits_for_is_written_before_whoever_asks_for_it(db: Database) -> None:
    def later() -> list[str]:
        db.soon(lambda c: c.execute(INSERT, ("later", None)))
        before = names(db)
        loop = waiting.here()
        assert loop is not None
        db.loop_writer(loop).settle(loop)
        return before + names(db)

    assert together(later) == [["later"]]


def test_what_nobody_waits_for_is_gathered_also_while_a_commit_is_made(db: Database) -> None:
    def one_by_one() -> int:
        loop, before = waiting.here(), db.gate.commits
        assert loop is not None
        for n in range(100):
            db.soon(lambda c, n=n: c.execute(INSERT, (f"n{n:02}", None)))  # type: ignore[misc]
            loop.sleep(0.002)
        db.loop_writer(loop).settle(loop)
        return db.gate.commits - before

    [commits] = together(one_by_one)
    assert commits <= 30 and len(names(db)) == 100


def test_a_turn_of_another_process_is_waited_for_while_others_go_on(db: Database) -> None:
    taken, free = threading.Event(), threading.Event()

    def other() -> None:
        with type(db.queue)(db.path.with_name(db.path.name + ".lock"), 5).held():
            taken.set()
            free.wait(5)

    thread = threading.Thread(target=other)
    thread.start()
    taken.wait(5)
    seen: list[list[str]] = []

    def reader() -> None:
        seen.append(names(db))
        free.set()

    assert together(insert(db, "a"), reader)[0] == "a"
    thread.join()
    assert (seen, names(db)) == ([[]], ["a"])


def test_threads_and_coroutines_write_beside_each_other(db: Database) -> None:
    def by_thread(n: int) -> str:
        loop = waiting.here()
        assert loop is not None
        return loop.in_thread(insert(db, f"t{n}"))

    works = [insert(db, f"c{n}") for n in range(5)] + [lambda n=n: by_thread(n) for n in range(5)]  # type: ignore[misc]
    assert sorted(together(*works)) == names(db) == sorted([f"c{n}" for n in range(5)] + [f"t{n}" for n in range(5)])


@contextlib.contextmanager
def answering(*answers: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives these answers, one for each request; what it was sent, a connection each."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen: list[bytes] = []

    def serve() -> None:
        left = list(answers)
        while left:
            connection, _ = listener.accept()
            with connection:
                seen.append(b"")
                while left and (data := connection.recv(65_536)):
                    seen[-1] += data
                    answer = left.pop(0)
                    connection.sendall(answer.removeprefix(b"close "))
                    if answer.startswith(b"close "):
                        break

    def until_closed() -> None:
        with contextlib.suppress(OSError):
            serve()

    thread = threading.Thread(target=until_closed, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1/x?y=1", seen
    listener.close()


def asking(url: str, times: int = 1, quiet: float = 5.0) -> Callable[[], list[tuple[int, bytes]]]:
    def ask() -> list[tuple[int, bytes]]:
        found = []
        for _ in range(times):
            exchange = Exchange(quiet, quiet)
            with send(HttpRequest(url, (("x-name", "value"),), b"{}"), exchange) as (status, _, body):
                found.append((status, b"".join(body)))
        return found

    return ask


WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 201 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
UNTIL_END = b"close HTTP/1.1 200 OK\r\n\r\nhello"
FIRST_100 = b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE


def test_answers_are_read_whatever_their_form_over_a_connection_that_is_kept() -> None:
    with answering(WHOLE, CHUNKED, FIRST_100, UNTIL_END) as (url, seen):
        assert together(asking(url, 4)) == [[(200, b"hello"), (201, b"hello"), (200, b"hello"), (200, b"hello")]]
    assert len(seen) == 1 and seen[0].count(b"POST /v1/x?y=1 HTTP/1.1\r\n") == 4 and b"x-name: value\r\n" in seen[0]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"close no http at all\r\n\r\n", httpcore.RemoteProtocolError),
        (b"close HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello", httpcore.RemoteProtocolError),
        (b"close HTTP/1.1 200 OK\r\nx: " + b"a" * 300_000, httpcore.RemoteProtocolError),
        (b"close ", httpcore.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello", httpcore.ReadTimeout),
    ],
)
def test_what_is_no_answer_is_httpcores_error(answer: bytes, error: type[Exception]) -> None:
    with answering(answer, WHOLE) as (url, _):
        [said] = together(asking(url, quiet=0.5))
    assert isinstance(said, error)


class OftenAsked(Exchange):
    """One with a moment left however often it is asked, until it has been asked ``times``: none after that."""

    def __init__(self, times: int) -> None:
        super().__init__(5, 5)
        self.times = times

    def left(self) -> float:
        self.times -= 1
        if self.times < 0:
            raise httpcore.ReadTimeout("deadline")
        return 0.01


def test_who_is_woken_before_the_time_is_up_waits_on_and_only_then_is_told() -> None:
    def ask(url: str, exchange: Exchange) -> bytes:
        with send(HttpRequest(url, (), b"{}"), exchange) as (_, _, body):
            return b"".join(body)

    with answering(WHOLE[:-3], WHOLE) as (url, _):
        exchange = OftenAsked(12)
        [said] = together(lambda: ask(url, exchange))
        assert isinstance(said, httpcore.ReadTimeout) and exchange.times == -1
    with answering(WHOLE) as (url, _):
        assert together(lambda: ask(url, OftenAsked(1_000))) == [b"hello"]


def test_who_cannot_be_reached_and_what_cannot_be_sent_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    [said] = together(asking(f"http://127.0.0.1:{port}/"))
    assert isinstance(said, httpcore.ConnectError)

    def bad() -> None:
        with send(HttpRequest("http://127.0.0.1:1/", (("x", "a\r\nb: c"),), b""), Exchange(1, 1)):
            raise AssertionError("nothing is sent")

    assert isinstance(together(bad)[0], httpcore.LocalProtocolError)


@pytest.mark.parametrize("behind", [False, True])
def test_what_changes_teach_is_folded_in_once_for_many_and_what_failed_teaches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behind: bool
) -> None:
    monkeypatch.setattr(loop_writer, "_SHORT", 0.0)
    store = SqliteStore(tmp_path / "nexscout.db", SystemClock(), store_rules(Settings()), "ada")
    folded: list[tuple[str, list[int]]] = []

    def fold(t: Transaction, key: str, lessons: list[int]) -> None:
        assert t.connection.in_transaction
        folded.append((key, lessons))

    def teach(number: int) -> Callable[[], None]:
        def change(t: Transaction) -> None:
            t.learn(fold, "even" if number % 2 == 0 else "odd", number)
            if number == 4:
                raise ValueError("taken back")

        return lambda: store.together("ada", change)

    def asked_for() -> None:
        store.settle()  # waits for the commits themselves
        store.settle()

    done = together(*(teach(number) for number in range(6)), asked_for, writes_behind=behind)
    assert [type(value) for value in done] == [type(None)] * 4 + [ValueError, type(None), type(None)]
    assert sorted(number for _, lessons in folded for number in lessons) == [0, 1, 2, 3, 5]
    assert all(lessons == sorted(lessons) for _, lessons in folded)
    assert len(folded) < 5
    store.together("ada", lambda t: t.learn(fold, "alone", 7))  # a thread's change
    assert folded[-1] == ("alone", [7])
    store.close()


def test_lessons_that_come_behind_are_folded_in_once_though_another_change_failed_their_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_writer, "_SHORT", 0.0)
    store = SqliteStore(tmp_path / "nexscout.db", SystemClock(), store_rules(Settings()), "ada")
    store.db.connection.execute(TABLE)
    folded: list[list[int]] = []

    def fold(t: Transaction, key: str, lessons: list[int]) -> None:
        folded.append(lessons)
        t.execute("INSERT INTO t VALUES (?, NULL)", (f"lesson {len(folded)}",))

    def teach() -> None:
        store.together("ada", lambda t: t.learn(fold, "x", 1))
        assert not folded
        insert(store.db, "orphan", "nobody")()

    assert isinstance(together(teach)[0], sqlite3.IntegrityError)
    assert folded == [[1], [1]] and names(store.db) == ["lesson 2"]
    store.close()


def test_lessons_that_come_behind_are_folded_in_though_nobody_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_writer, "LATEST", 0.02)
    store = SqliteStore(tmp_path / "nexscout.db", SystemClock(), store_rules(Settings()), "ada")
    folded: list[int] = []

    def teach() -> None:
        store.together("ada", lambda t: t.learn(lambda t, key, lessons: folded.extend(lessons), "x", 1))
        waits = 0
        while not folded and (waits := waits + 1) < 500:
            SystemClock().sleep(0.01)

    together(teach)
    assert folded == [1]
    store.close()
