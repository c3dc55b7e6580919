"""SIGINT, SIGTERM, SIGHUP, SIGPIPE on real processes in mid-call: no new work, what is in flight is settled, books balance."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.faults.conftest import ENERGY_HELD
from tests.faults.test_store_faults import FLOCK, locked
from tests.support.fault_server import FaultServer, chunk, deaf_port, drip, fine, hang, stream
from tests.support.values import QUESTION, WRONG
from tests.support.waiting import until

ASK = ("run", "-m", "gpt-4o", "Hello")


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Exit status and stderr; it must end long before any deadline of a call."""
    _, err = process.communicate(timeout=40)
    assert b"Traceback" not in err and b"Exception ignored" not in err, err
    return process.returncode, err.decode()


def connecting(url: str) -> int:
    """How many connections to that address are being made, and are not yet taken (proc(5), net/tcp; state 02 is SYN_SENT)."""
    port = f":{urlsplit(url).port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(fields[2].endswith(port) and fields[3] == "02" for fields in lines)


def insist(process: subprocess.Popen[bytes]) -> None:
    """Send SIGINT until the process is gone."""
    for _ in range(150):
        process.send_signal(signal.SIGINT)
        try:
            process.wait(0.2)
            return
        except subprocess.TimeoutExpired:
            continue


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("how", ["--no-stream", "--stream"])
def test_a_signal_in_mid_call_stops_it_and_record_it_as_unknown(
    desk: Any, server: FaultServer, number: int, how: str
) -> None:
    server.script = [hang()]
    with desk.start(*ASK, how) as process:
        server.wait_for(1)
        process.send_signal(number)
        status, err = ended(process)
    assert status == 130 and "unknown" in err and server.hits == 1
    assert desk.books.listed("requests", "state") == ["unknown"]
    desk.settled(["unknown"])


@pytest.mark.parametrize("how", ["--no-stream", "--stream"])
def test_sigint_in_the_second_step_of_a_cascade_owes_the_first_and_may_owe_the_second(
    desk: Any, server: FaultServer, how: str
) -> None:
    server.script = [fine(WRONG), hang()]
    with desk.start("run", "--policy", "cascade", QUESTION, how) as process:
        server.wait_for(2)
        process.send_signal(signal.SIGINT)
        status, err = ended(process)
    assert status == 130 and "unknown" in err and server.models == ["gpt-4o-mini", "gpt-4o"]
    assert desk.books.listed("requests", "state") == ["unknown"]
    desk.settled(["posted", "unknown"])


def test_sigint_before_the_request_was_sent_voids_it(desk: Any, server: FaultServer) -> None:
    with deaf_port() as url:
        desk.point(url, "gpt-4o")
        others = connecting(url)
        with desk.start(*ASK) as process:
            until(lambda: desk.states() == ["sent"])
            until(lambda: connecting(url) > others)
            process.send_signal(signal.SIGINT)
            status, err = ended(process)
    assert status == 130 and "nothing is owed" in err and server.hits == 0
    desk.settled(["voided"])


def test_a_second_sigint_leaves_at_once_and_the_books_balance_at_the_next_start(
    desk: Any, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXSCOUT_STORE_LOCK_TIMEOUT", "600")
    server.script = [hang()]
    with desk.start(*ASK) as process:
        server.wait_for(1)
        with locked(desk.db, FLOCK):  # so that the first cannot settle
            insist(process)
            assert ended(process)[0] == 130
    assert desk.states() == ["sent"]
    assert desk.ask().status == 0
    desk.settled(["unknown", "posted"], energy=1, energy_held=ENERGY_HELD)


@pytest.fixture
def rows(desk: Any, tmp_path: Path) -> str:
    """A batch file of twenty rows."""
    lines = [json.dumps({"id": str(n), "prompt": f"customer {n}"}) + "\n" for n in range(20)]
    (tmp_path / "rows.jsonl").write_text("".join(lines))
    return "rows.jsonl"


def test_sigint_during_a_batch_begins_nothing_new_and_settles_what_is_in_flight(
    desk: Any, server: FaultServer, rows: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXSCOUT_PROVIDERS_TIMEOUT", "8")
    server.script = [hang()] * 30
    with desk.start("batch", rows, "-m", "gpt-4o", "--concurrency", "3", "--out", "out.jsonl") as process:
        server.wait_for(3)
        process.send_signal(signal.SIGINT)
        status, err = ended(process)
    assert status == 130 and "--resume" in err and server.hits == 3
    desk.settled(["unknown"] * 3)


def test_a_second_sigint_leaves_a_batch_at_once_and_the_books_balance_at_the_next_start(
    desk: Any, server: FaultServer, rows: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXSCOUT_PROVIDERS_TIMEOUT", "600")
    server.script = [hang()] * 3
    with desk.start("batch", rows, "-m", "gpt-4o", "--concurrency", "3", "--out", "out.jsonl") as process:
        server.wait_for(3)
        insist(process)
        assert ended(process)[0] == 130
    assert desk.states() == ["sent"] * 3 and server.hits == 3
    assert desk.ask().status == 0
    desk.settled(["unknown"] * 3 + ["posted"], energy=1, energy_held=3 * ENERGY_HELD)


def test_sigpipe_as_a_signal_stops_nothing_that_is_paid_for(desk: Any, server: FaultServer) -> None:
    with desk.start(*ASK) as process:
        until(lambda: desk.states() == ["sent"])
        process.send_signal(signal.SIGPIPE)
        assert ended(process)[0] == 0
    assert server.hits == 1
    desk.settled(["posted"], energy=1)


def test_a_stream_whose_reader_goes_away_is_stopped_and_posted_at_what_was_counted(
    desk: Any, server: FaultServer
) -> None:
    server.script = [stream(then=lambda connection: drip(connection, chunk("word ")))]
    with desk.start(*ASK, "--stream") as process:
        assert process.stdout is not None
        assert process.stdout.read(4) == b"word"
        process.stdout.close()
        process.stdout = None
        assert ended(process)[0] == 0
    assert server.hits == 1 and set(desk.flags()) == {"reader_gone", "estimated"}
    desk.settled(["posted"], energy=1)


def test_a_batch_whose_reader_goes_away_begins_nothing_new_and_settles_what_is_in_flight(
    desk: Any, server: FaultServer, rows: str
) -> None:
    server.script = [fine(), hang()]
    with desk.start("batch", rows, "-m", "gpt-4o", "--concurrency", "1") as process:
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        status, err = ended(process)
    assert status == 130 and "nobody reads" in err and server.hits == 1
    desk.settled(["posted"], energy=1)
