"""The fault table's rows about the database: locked, read-only, damaged, of another age, on a full disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli.store.sqlite.database import SCHEMA_VERSION
from tests.faults.conftest import ENERGY_HELD
from tests.support.fault_server import FaultServer, fine, first

FLOCK = "import fcntl; f = open(sys.argv[1] + '.lock', 'a'); fcntl.flock(f, fcntl.LOCK_EX)"
EXCLUSIVE = "import sqlite3; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN EXCLUSIVE')"


@contextlib.contextmanager
def locked(db: Path, how: str) -> Iterator[subprocess.Popen[str]]:
    """Another process holds the database until the context ends, or a line is written to it."""
    code = f"import sys; {how}; print('held', flush=True); sys.stdin.readline()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(db)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdin is not None
        assert other.stdout.readline() == "held\n"
        try:
            yield other
        finally:
            other.kill()


@pytest.mark.parametrize("how", [FLOCK, EXCLUSIVE], ids=["queue", "sqlite"])
def test_a_database_locked_for_longer_than_the_deadline_is_busy_and_nothing_is_sent(
    desk: Any, server: FaultServer, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setenv("NEXSCOUT_STORE_LOCK_TIMEOUT", "0.3")
    with locked(desk.db, how):
        done = desk.ask()
        assert (done.status, done.code, server.hits) == (6, "busy", 0), done
    desk.settled([])
    assert desk.ask().status == 0
    desk.settled(["posted"], energy=1)


def test_a_database_locked_for_a_while_is_waited_for_and_nothing_is_sent_meanwhile(
    desk: Any, server: FaultServer
) -> None:
    with locked(desk.db, FLOCK) as other, desk.start("run", "-m", "gpt-4o", "Hello") as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(3)
        assert server.hits == 0 and desk.states() == []
        other.communicate("go on\n", timeout=30)
        assert process.wait(60) == 0
    assert server.hits == 1
    desk.settled(["posted"], energy=1)


def read_only(path: Path) -> None:
    """Take the right to write away, of root too."""
    if os.geteuid():
        path.chmod(0o400)
    elif subprocess.run(["mount", "-o", "remount,ro", str(path.parent)], capture_output=True).returncode:
        pytest.skip("no file system can be made read-only here")


def test_a_read_only_database_is_refused_before_anything_is_sent(
    desk: Any, server: FaultServer, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = small_disk / "nexscout.db"
    shutil.copy(desk.db, moved)
    before = moved.read_bytes()
    read_only(moved)
    monkeypatch.setenv("NEXSCOUT_DB", str(moved))
    done = desk.ask()
    assert (done.status, server.hits) == (6, 0), done
    assert moved.read_bytes() == before


def newer(db: Path) -> None:
    with contextlib.closing(sqlite3.connect(db)) as c:
        c.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        pytest.param(lambda db: db.write_bytes(b""), "corrupt", id="empty"),
        pytest.param(lambda db: db.write_bytes(b"not a database at all" * 99), "corrupt", id="another file"),
        pytest.param(lambda db: db.write_bytes(db.read_bytes()[:100] + b"?" * 4096), "corrupt", id="corrupt"),
        pytest.param(newer, "newer_schema", id="newer schema"),
    ],
)
def test_a_file_empty_corrupt_or_of_a_newer_schema_is_refused_before_anything_is_sent_and_never_made_anew(
    desk: Any, server: FaultServer, spoil: Any, code: str
) -> None:
    spoil(desk.db)
    before = desk.db.read_bytes()
    done = desk.ask()
    assert (done.status, done.code, server.hits) == (6, code, 0), done
    assert desk.db.read_bytes() == before


def fill(disk: Path) -> None:
    """Leave no room on the disk."""
    with (disk / "filler").open("ab", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(b"\0" * 4096)


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_disk_that_is_full_before_the_hold_is_refused_and_nothing_is_sent(
    on_small_disk: Any, server: FaultServer, small_disk: Path, journal: str
) -> None:
    with contextlib.closing(sqlite3.connect(on_small_disk.db)) as c:
        c.execute(f"PRAGMA journal_mode = {journal}")
    fill(small_disk)
    done = on_small_disk.ask()
    assert (done.status, done.code, server.hits) == (6, "disk_full", 0), done
    (small_disk / "filler").unlink()
    on_small_disk.settled([])


def test_a_disk_that_fills_up_while_the_provider_answers_leaves_one_hold_that_is_recovered_as_unknown(
    on_small_disk: Any, server: FaultServer, small_disk: Path
) -> None:
    server.script = [first(lambda: fill(small_disk), fine())]
    done = on_small_disk.process("run", "-m", "gpt-4o", "--json", "Hello")
    assert (done.status, done.code, server.hits) == (6, "disk_full", 1), done
    assert "Traceback" not in done.err
    (small_disk / "filler").unlink()
    assert on_small_disk.states() == ["sent"]
    assert on_small_disk.ask().status == 0
    on_small_disk.settled(["unknown", "posted"], energy=1, energy_held=ENERGY_HELD)
