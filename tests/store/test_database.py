from __future__ import annotations

import _thread
import copy
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlite_utils

from nexscout_cli.errors import StoreError
from nexscout_cli.store.sqlite import database, journal, schema
from nexscout_cli.store.sqlite.database import Database
from nexscout_cli.store.sqlite.journal import wal_is_safe
from nexscout_cli.store.sqlite.queue import QueueLock
from tests.support.bench import Bench
from tests.support.clock import SettableClock


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def python(code: str, home: Path, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "NEXSCOUT_HOME": str(home), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Database]:
    """A database with one table and little patience."""
    db = Database(tmp_path / "small.db", 0.2)
    db.open(lambda c: c.execute("CREATE TABLE t (x)"))
    yield db
    db.close()


@pytest.mark.parametrize(("version", "safe"), [
    ("3.7.0", False), ("3.37.2", False), ("3.40.1", False), ("3.44.5", False), ("3.44.6", True), ("3.44.7", False),
    ("3.45.1", False), ("3.50.6", False), ("3.50.7", True), ("3.51.0", False), ("3.51.2", False), ("3.51.3", True),
    ("3.52.0", True), ("4.0.0", True),
])  # fmt: skip
def test_wal_is_used_only_where_sqlite_does_not_lose_commits(version: str, safe: bool) -> None:
    major, minor, patch = (int(part) for part in version.split("."))
    assert wal_is_safe((major, minor, patch)) is safe


@pytest.mark.parametrize(("safe", "mode"), [(True, "wal"), (False, "delete")])
def test_commits_are_durable_in_either_journal_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, safe: bool, mode: str
) -> None:
    monkeypatch.setattr(journal, "wal_is_safe", lambda: safe)
    bench = Bench(tmp_path / "nexscout.db")
    assert bench.store.db.journal() == mode
    assert bench.sql("PRAGMA synchronous")[0][0] == 3
    assert bench.sql("PRAGMA foreign_keys")[0][0] == 1
    bench.store.close()


@pytest.mark.parametrize("safe", [True, False])
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_the_owner_can_read_the_files_whatever_the_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: int, safe: bool
) -> None:
    monkeypatch.setattr(journal, "wal_is_safe", lambda: safe)
    before = os.umask(umask)
    try:
        bench = Bench(tmp_path / "sub" / "nexscout.db")
        bench.clock.move(seconds=1)
        with bench.store.write(bench.actor):
            files = {path.name: mode(path) for path in (tmp_path / "sub").iterdir()}
        bench.store.db.backup(bench.store.db.backup_path())
    finally:
        os.umask(before)
    files |= {path.name: mode(path) for path in (tmp_path / "sub").iterdir()}
    assert len(files) == (6 if safe else 5)
    assert set(files.values()) == {0o600}
    assert mode(tmp_path / "sub") == 0o700
    bench.store.close()


def sqlite_file(path: Path, version: int) -> None:
    c = sqlite3.connect(path)
    c.execute("CREATE TABLE someone_elses (x)")
    c.execute(f"PRAGMA user_version = {version}")
    c.close()


@pytest.mark.parametrize(("kind", "code"), [
    ("empty", "corrupt"), ("garbage", "corrupt"), ("damaged", "corrupt"), ("newer", "newer_schema"),
    ("foreign", "corrupt")])  # fmt: skip
def test_a_file_that_cannot_be_used_is_refused_and_left_as_it_is(tmp_path: Path, kind: str, code: str) -> None:
    path = tmp_path / "nexscout.db"
    if kind in ("newer", "foreign"):
        sqlite_file(path, 99 if kind == "newer" else 0)
    else:
        path.write_bytes(
            {"empty": b"", "garbage": b"no database" * 99, "damaged": b"SQLite format 3\0" + b"?" * 4096}[kind]
        )
    before = path.read_bytes()
    with pytest.raises(StoreError) as caught:
        Bench(path)
    assert (caught.value.code, caught.value.exit_status) == (code, 6)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["nexscout.db"]


def test_a_folder_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot use"):
        Bench(tmp_path / "file" / "nexscout.db")


OPEN = """
import os, pathlib, time
from nexscout_cli.assemble import open_store
from nexscout_cli.config import home
pathlib.Path(home(), f'ready-{os.getpid()}').touch()
while not pathlib.Path(home(), 'go').exists(): time.sleep(0.001)
store = open_store()
with store.db.read() as c:
    print(*[row['user_id'] for row in c.execute("SELECT user_id FROM users")])
"""


def test_twelve_processes_that_open_at_once_make_one_database_with_one_owner(tmp_path: Path) -> None:
    processes = [python(OPEN, tmp_path, NEXSCOUT_ACTOR=f"user{n}") for n in range(12)]
    deadline = time.monotonic() + 30
    while len(list(tmp_path.glob("ready-*"))) < 12 and time.monotonic() < deadline:
        time.sleep(0.01)
    (tmp_path / "go").touch()
    owners = {process.communicate(timeout=30)[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0] * 12
    assert len(owners) == 1 and owners <= {f"user{n}" for n in range(12)}
    bench = Bench(tmp_path / "nexscout.db", owners.pop(), SettableClock(datetime.now(UTC)))
    assert bench.check() == []
    assert bench.books.count("models") == 7
    assert list(tmp_path.glob("*.new*")) == []


DIE = """
import os, signal
from nexscout_cli.store.sqlite import models, schema
from nexscout_cli.assemble import open_store
target, name = {"early": (schema, "migrate"), "late": (models, "add_missing")}[os.environ["WHEN"]]
real = getattr(target, name)
setattr(target, name, lambda *given: (real(*given), os.kill(os.getpid(), signal.SIGKILL)))
open_store()
"""


@pytest.mark.parametrize("when", ["early", "late"])
def test_a_creator_that_is_killed_leaves_no_half_database(tmp_path: Path, when: str) -> None:
    killed = python(DIE, tmp_path, NEXSCOUT_ACTOR="mallory", WHEN=when)
    killed.communicate(timeout=30)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "nexscout.db").exists()
    bench = Bench(tmp_path / "nexscout.db")
    assert bench.books.listed("users", "user_id") == ["ada"]
    assert bench.check() == []
    assert list(tmp_path.glob("*.new*")) == []


NEWER = database.SCHEMA_VERSION + 1
FIRST_SCHEMA = Path(__file__).parents[2] / "fixtures" / "schema-1.sql"


def newer(monkeypatch: pytest.MonkeyPatch, fails: bool = False) -> None:
    """A program with one migration more than this one."""
    migrations = copy.deepcopy(schema.MIGRATIONS)

    @migrations()
    def more(db: sqlite_utils.Database) -> None:
        db.conn.execute("ALTER TABLE users ADD COLUMN nickname TEXT")
        if fails:
            raise sqlite3.OperationalError("database or disk is full")
        db.conn.execute(f"PRAGMA user_version = {NEWER}")

    monkeypatch.setattr(schema, "MIGRATIONS", migrations)
    monkeypatch.setattr(database, "SCHEMA_VERSION", NEWER)


def test_an_older_schema_is_migrated_after_a_backup(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.post(bench.sent())
    bench.store.close()
    newer(monkeypatch)
    migrated = Bench(bench.path)
    assert migrated.sql("PRAGMA user_version")[0][0] == NEWER
    assert migrated.sql("SELECT nickname FROM users")[0][0] is None
    assert migrated.check() == []
    (backup,) = bench.path.parent.glob("*.bak")
    assert mode(backup) == 0o600
    assert database.schema_version(backup) == NEWER - 1
    assert migrated.account("ada") == Bench(backup_copy(backup)).account("ada") == (5000, 0, 1)
    Bench(bench.path).store.close()
    assert len(list(bench.path.parent.glob("*.bak"))) == 1


def test_the_books_of_a_first_schema_are_whole_after_the_migrations(tmp_path: Path) -> None:
    """The fixture was written by the first schema's own code: requests posted, held, unknown, voided and under a key."""
    path = tmp_path / "nexscout.db"
    path.touch(mode=0o600)
    old = sqlite3.connect(path)
    old.executescript(FIRST_SCHEMA.read_text())
    balances = old.execute("SELECT owner, kind, period, granted, held, spent FROM accounts ORDER BY id").fetchall()
    old.close()
    bench = Bench(path, caps__usd__total_day=5.0)
    assert bench.check() == []
    assert bench.books.listed("accounts", "owner", "kind", "period", "granted", "held", "spent") == balances
    assert dict(bench.books.listed("requests", "request_id", "state")) == {
        "posted": "posted", "held": "open", "unknown": "unknown", "voided": "voided", "keyed": "posted",
    }  # fmt: skip
    bench.clock.move(hours=3)
    bench.post(bench.sent())
    assert bench.store.recovery.recover(bench.actor) == (1, 0, 0)
    bench.store.recovery.resolve(bench.actor, "unknown", None)
    assert bench.check() == []


def backup_copy(backup: Path) -> Path:
    """The backup as a database of its own, so that opening it migrates the copy."""
    folder = backup.parent / "restored"
    folder.mkdir()
    (folder / "nexscout.db").write_bytes(backup.read_bytes())
    return folder / "nexscout.db"


def test_a_migration_that_fails_changes_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.store.close()
    with monkeypatch.context() as patch:
        newer(patch, fails=True)
        with pytest.raises(StoreError) as caught:
            Bench(bench.path)
    assert caught.value.code == "disk_full"
    again = Bench(bench.path)
    assert again.sql("PRAGMA user_version")[0][0] == NEWER - 1
    assert "nickname" not in [row["name"] for row in again.sql("PRAGMA table_info(users)")]


def test_a_writer_gives_up_after_its_deadline_and_the_lock_stays_usable(tmp_path: Path) -> None:
    lock = QueueLock(tmp_path / "lock", 0.1)
    with lock.held():
        start = time.monotonic()
        with pytest.raises(StoreError) as caught, lock.held():
            pass
        assert caught.value.code == "busy"
        assert 0.1 <= time.monotonic() - start < 1
    with lock.held():
        assert mode(tmp_path / "lock") == 0o600


def test_a_writer_that_is_interrupted_while_it_waits_leaves_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupting(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            raise KeyboardInterrupt

    lock = QueueLock(tmp_path / "lock", 5)
    with lock.held(), monkeypatch.context() as patch:
        # Not of the thread's own start, which waits for such an event too.
        patch.setattr(threading.Thread, "start", lambda thread: _thread.start_new_thread(thread.run, ()))
        patch.setattr(threading, "Event", Interrupting)
        with pytest.raises(KeyboardInterrupt), lock.held():
            raise AssertionError
    with lock.held():
        pass


def test_a_writer_that_waits_gets_its_turn(tmp_path: Path) -> None:
    lock = QueueLock(tmp_path / "lock", 5)
    order: list[str] = []

    def second() -> None:
        with lock.held():
            order.append("second")

    thread = threading.Thread(target=second)
    with lock.held():
        thread.start()
        time.sleep(0.05)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from nexscout_cli.store.sqlite.queue import QueueLock\n"
        f"with QueueLock(Path({str(tmp_path / 'lock')!r}), 1).held(): print('held', flush=True); time.sleep(60)"
    )
    process = python(code, tmp_path)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    with pytest.raises(StoreError), QueueLock(tmp_path / "lock", 0.05).held():
        pass
    process.kill()
    process.communicate()
    with QueueLock(tmp_path / "lock", 1).held():
        assert process.returncode == -signal.SIGKILL


def test_the_lock_of_a_killed_process_is_free_though_a_child_of_it_lives(tmp_path: Path) -> None:
    code = (
        "import os, signal, time; from pathlib import Path; from nexscout_cli.store.sqlite.queue import QueueLock\n"
        f"lock = QueueLock(Path({str(tmp_path / 'lock')!r}), 1)\n"
        "with lock.held(): pass\n"
        "child = os.fork()\n"
        "if not child: signal.pause()\n"
        "with lock.held(): print(child, flush=True); time.sleep(60)"
    )
    process = python(code, tmp_path)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.kill()
    process.wait()
    try:
        with QueueLock(tmp_path / "lock", 1).held():
            os.kill(child, 0)
    finally:
        os.kill(child, signal.SIGKILL)
        process.communicate()


def test_a_write_is_rolled_back_on_any_exception(small: Database) -> None:
    with pytest.raises(KeyboardInterrupt), small.write() as c:
        c.execute("INSERT INTO t VALUES (1)")
        raise KeyboardInterrupt
    with small.write() as c:
        c.execute("INSERT INTO t VALUES (2)")
    with small.read() as c:
        assert [row[0] for row in c.execute("SELECT x FROM t")] == [2]


def test_a_commit_that_fails_leaves_the_connection_usable(small: Database) -> None:
    if small.journal() == "wal":
        small.connection.execute("PRAGMA journal_mode = delete")
    reader = sqlite3.connect(small.path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM t").fetchall()
    with pytest.raises(StoreError) as caught, small.write() as c:
        c.execute("INSERT INTO t VALUES (1)")
    assert caught.value.code == "busy"
    reader.execute("ROLLBACK")
    with small.write() as c:
        c.execute("INSERT INTO t VALUES (2)")
    with small.read() as c:
        assert [row[0] for row in c.execute("SELECT x FROM t")] == [2]


def test_a_read_sees_one_state_and_ends_when_it_is_left_by_an_exception(small: Database) -> None:
    with pytest.raises(ZeroDivisionError), small.read() as c:
        c.execute("SELECT * FROM t").fetchall()
        raise ZeroDivisionError
    with small.write() as c:
        c.execute("INSERT INTO t VALUES (1)")
    assert not small.connection.in_transaction


def test_a_backup_never_overwrites_and_gets_a_name_of_its_own(bench: Bench) -> None:
    first = bench.store.db.backup_path()
    bench.store.db.backup(first)
    content = first.read_bytes()
    with pytest.raises(FileExistsError):
        bench.store.db.backup(first)
    assert first.read_bytes() == content
    assert bench.store.db.backup_path() != first
