"""What workers have in common: counts that add up, places that are freed, a document that is whole whoever dies. And a parent."""

from __future__ import annotations

import errno
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable

import pytest

from nexscout_cli.errors import NexScoutError
from nexscout_cli.server import board
from nexscout_cli.server.board import Memory, board_of_one
from nexscout_cli.server.errors import HttpError
from nexscout_cli.server.limits import Places
from nexscout_cli.server.workers import Ended, begin, listening

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has one worker")


def forked(work: Callable[[], object]) -> int:
    """Do something in a process of its own, which ends with it."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def test_counts_of_all_workers_are_summed_and_go_on_in_the_place_of_one_that_died() -> None:
    memory = Memory(3)
    for worker in range(3):
        pid = forked(lambda worker=worker: memory.board(worker, None).counts.add(("a", "x\ny é"), worker + 0.5))  # type: ignore[misc]
        os.waitpid(pid, 0)
    memory.board(1, None).counts.add(("a", "x\ny é"))
    memory.board(1, None).counts.add(("b",), 2)
    assert memory.board(2, None).counts.sums() == {("a", "x\ny é"): 5.5, ("b",): 2.0}


def test_counts_without_room_are_left_out_and_that_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(board, "_NUMBERS", 2)
    monkeypatch.setattr(board, "_PART", 16 + 8 * 2 + board._NAMES)
    counts = Memory(2).board(0, None).counts
    with caplog.at_level(logging.WARNING, "nexscout.serve"):
        for name in ("a", "b", "c", "d", "a"):
            counts.add((name,))
    assert counts.sums() == {("a",): 2.0, ("b",): 1.0} and len(caplog.records) == 1


def test_places_are_counted_among_workers_and_those_of_a_dead_one_are_free() -> None:
    memory = Memory(2)
    one, other = (Places(3, memory.board(worker, None).taken) for worker in range(2))
    one.take()
    other.take()
    other.stay()
    assert one.taken == other.taken == 3
    for full in (one, other):
        with pytest.raises(HttpError):
            full.take()
    assert one.taken == 3
    memory.free(1)
    assert one.taken == 1


def test_what_many_processes_change_at_once_is_changed_by_each() -> None:
    memory = Memory(2)

    def count() -> None:
        document = memory.board(0, None).document
        for _ in range(50):
            with document.open("n") as kept:
                kept["n"] = kept.get("n", 0) + 1

    for pid in [forked(count) for _ in range(4)]:
        os.waitpid(pid, 0)
    with memory.board(1, None).document.open("n") as kept:
        assert kept == {"n": 200}


def test_whoever_dies_while_it_changes_the_document_leaves_it_as_it_was_and_holds_nobody_up() -> None:
    memory = Memory(2)
    document = memory.board(0, None).document
    with document.open("sessions") as kept:
        kept["a"] = 1

    def die() -> None:
        mine = memory.board(1, None).document
        with mine.open("sessions") as kept:
            kept["b"] = 2
            mine._texts[(mine._written[0] + 1) % 2][8:20] = b'{"sessions":'  # type: ignore[attr-defined]
            os.kill(os.getpid(), signal.SIGKILL)

    os.waitpid(forked(die), 0)
    with document.open("sessions") as kept:
        assert kept == {"a": 1}


@pytest.mark.parametrize("shared", [False, True])
def test_what_is_kept_under_one_name_is_not_under_another(shared: bool) -> None:
    document = Memory(1).board(0, None).document if shared else board_of_one().document
    with document.open("a") as kept:
        kept["x"] = ["é", 1, None]
    with document.open("b") as kept:
        assert kept == {}
    with document.open("a") as kept:
        assert kept == {"x": ["é", 1, None]}


def test_a_document_that_has_no_room_refuses_and_stays_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "_TEXT", 100)
    monkeypatch.setattr(board, "_DOCUMENT", 8 + 2 * 108)
    document = Memory(1).board(0, None).document
    with document.open("a") as kept:
        kept["x"] = 1
    with pytest.raises(NexScoutError, match="no room"), document.open("a") as kept:
        kept["y"] = "y" * 200
    with document.open("a") as kept:
        assert kept == {"x": 1}


def test_where_no_process_can_be_made_it_is_tried_again_after_longer_and_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if len(said) == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(os, "fork", none)
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert begin(2, [], 1.0, say) == Ended(signal.SIGTERM, 0)
    finally:
        gc.unfreeze()
    assert signal.getsignal(signal.SIGTERM) is before
    why = "nexscout: worker 1 could not begin: Resource temporarily unavailable; another one begins in"
    assert said == [f"{why} {pause} s" for pause in ("0.1", "0.2", "0.4")]


def test_of_the_addresses_of_a_name_those_are_heard_that_this_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    known = socket.getaddrinfo("127.0.0.1", 0, type=socket.SOCK_STREAM)
    foreign = socket.getaddrinfo("203.0.113.5", 0, type=socket.SOCK_STREAM)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: foreign + known)
    (heard,) = listening("both", 0)
    with heard:
        assert heard.getsockname()[0] == "127.0.0.1"
