"""A disk that is full under the database from a step of a call on; a database that is replaced, linked to, or locked."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli.engine.planning.planner import Planner
from nexscout_cli.providers import Providers
from nexscout_cli.store.sqlite.ledger import SqliteLedger
from nexscout_cli.store.sqlite.recovery import SqliteRecovery
from tests.faults.conftest import ENERGY_HELD
from tests.faults.test_signals import ended
from tests.faults.test_store_faults import FLOCK, fill, locked
from tests.support.fault_server import USAGE, FaultServer, chunk, stream
from tests.support.waiting import until

STEPS: dict[str, tuple[Any, str, list[str], int]] = {
    "the recovery": (SqliteRecovery, "recover", [], 0),
    "the snapshot": (SqliteLedger, "world", [], 0),
    "the plan": (Planner, "plan", [], 0),
    "the hold": (SqliteLedger, "hold", [], 0),
    "the mark that it is sent": (SqliteLedger, "mark_sent", ["voided"], 0),
    "the call": (Providers, "complete", ["unknown"], 1),
    "the post": (SqliteLedger, "post", ["unknown"], 1),
}
"""What is done when the disk has just become full; what becomes of the attempt, once there is room; requests that arrived."""


def full_from(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, disk: Path) -> None:
    """Fill the disk just before that step."""
    real: Callable[..., Any] = getattr(owner, name)

    def step(*args: Any, **named: Any) -> Any:
        fill(disk)
        return real(*args, **named)

    monkeypatch.setattr(owner, name, step)


@pytest.mark.parametrize("how", ["--no-stream", "--stream"])
@pytest.mark.parametrize("step", STEPS)
def test_a_disk_that_is_full_from_a_step_on_is_said_and_nothing_is_lost(
    on_small_disk: Any,
    server: FaultServer,
    small_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    how: str,
) -> None:
    owner, name, left, hits = STEPS[step]
    with monkeypatch.context() as patch:
        full_from(patch, owner, name, small_disk)
        done = on_small_disk("run", "-m", "gpt-4o", "Hello", how)
    assert done.status == 6 and "no space left" in done.err.lower(), done
    assert 2 <= len(done.err.splitlines()) <= 4 and server.hits == hits, done
    (small_disk / "filler").unlink()
    again = on_small_disk("run", "-m", "gpt-4o", "Hello again", how)
    assert again.status == 0 and again.out == "Hello there.\n", again
    states = on_small_disk.states()
    # Their owner is this very process, which lives on: as held or sent they are for whoever comes after it.
    assert [{"held": "voided", "sent": "unknown"}.get(state, state) for state in states] == [*left, "posted"]
    if not {"held", "sent"} & set(states):
        on_small_disk.settled(states, energy=1, energy_held=ENERGY_HELD * left.count("unknown"))


WRITES = (
    ("energy", "grant", "ada", "5"),
    ("models", "set", "gpt-4o", "--quality", "0.5"),
    ("user", "set-tier", "bob", "pro"),
    ("user", "forget", "ada", "--yes"),
    ("mode", "set", "fast"),
    ("keys", "create", "--name", "app"),
    ("cache", "clear", "--yes"),
    ("db", "backup"),
    ("db", "seal"),
    ("config", "set", "caps.usd.total_day", "5"),
    ("models", "seed", "--current"),
)


@pytest.mark.parametrize("argv", WRITES, ids=" ".join)
def test_a_command_that_writes_to_a_full_disk_says_so_and_leaves_the_books_as_they_were(
    on_small_disk: Any, small_disk: Path, argv: tuple[str, ...]
) -> None:
    assert on_small_disk("run", "-m", "gpt-4o", "Hello").status == 0
    fill(small_disk)
    before = on_small_disk.db.read_bytes()
    done = on_small_disk(*argv)
    assert done.status in (0, 6), done
    if done.status == 6:
        assert "space" in done.err.lower() and len(done.err.splitlines()) <= 3, done
        assert on_small_disk.db.read_bytes() == before
    (small_disk / "filler").unlink()
    assert on_small_disk("db", "check").status == 0


def test_a_database_that_was_replaced_while_a_call_is_under_way_is_told_and_the_new_file_is_left_alone(
    desk: Any, server: FaultServer, tmp_path: Path
) -> None:
    other = tmp_path / "other.db"
    shutil.copy(desk.db, other)
    before = other.read_bytes()
    go_on = tmp_path / "go on"

    def answer(connection: Any) -> None:
        until(go_on.exists)
        connection.send(b"data: [DONE]\n\n")

    events = (chunk("Hello there."), chunk(None, "stop"), chunk(None, choices=[], usage=USAGE))
    server.script = [stream(*events, then=answer)]
    with desk.start("run", "-m", "gpt-4o", "Hello", "--stream") as process:
        server.wait_for(1)
        desk.db.rename(tmp_path / "moved.db")
        other.rename(desk.db)
        go_on.touch()
        _, err = process.communicate(timeout=60)
    assert b"Traceback" not in err and process.returncode in (0, 6), (process.returncode, err)
    assert desk.db.read_bytes() == before
    assert desk("db", "check").status == 0


def test_a_database_behind_a_link_is_the_file_that_the_link_names(
    desk: Any, server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tmp_path / "elsewhere" / "books.db"
    real.parent.mkdir()
    shutil.move(desk.db, real)
    desk.db.symlink_to(real)
    assert desk("run", "-m", "gpt-4o", "Hello").status == 0
    assert desk.db.is_symlink() and desk("db", "check").status == 0
    assert desk("db", "backup").status == 0
    with locked(real, FLOCK):  # both names are one queue
        monkeypatch.setenv("NEXSCOUT_STORE_LOCK_TIMEOUT", "0.3")
        assert desk("run", "-m", "gpt-4o", "--no-cache", "Hello").status == 6
    assert server.hits == 1


@pytest.mark.parametrize("links", ["a circle", "nowhere"])
def test_a_link_that_leads_nowhere_is_refused(desk: Any, server: FaultServer, links: str) -> None:
    desk.db.unlink()
    desk.db.symlink_to(desk.db if links == "a circle" else desk.folder / "no" / "such")
    done = desk("run", "-m", "gpt-4o", "Hello")
    assert (done.status, server.hits) == (6, 0), done
    assert desk.db.is_symlink()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_a_command_waits_for_the_lock_ends_it_and_nothing_is_sent(
    desk: Any, server: FaultServer, number: int
) -> None:
    with locked(desk.db, FLOCK), desk.start("run", "-m", "gpt-4o", "Hello") as process:
        until(lambda: has_open(process.pid, ".lock"))
        process.send_signal(number)
        status, err = ended(process)
    assert (status, server.hits) == (130, 0), err
    desk.settled([])


def has_open(pid: int, end: str) -> bool:
    """Whether a process has a file open whose name ends so (proc(5), fd)."""
    with contextlib.suppress(OSError):
        return any(os.readlink(fd).endswith(end) for fd in Path(f"/proc/{pid}/fd").iterdir())
    return False
