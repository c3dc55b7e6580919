"""A server's database has a write-ahead log, with any SQLite: every commit and checkpoint is made in the writers' queue."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from nexscout_cli.store.sqlite import journal
from nexscout_cli.store.sqlite.database import Database
from nexscout_cli.store.sqlite.journal import is_local
from tests.support.bench import Bench

MOUNTS = """\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 22 0:40 / /home rw,relatime shared:1 - nfs4 server:/home rw
31 30 8:2 / /home/ana/my\\040disk rw - xfs /dev/sdb1 rw
32 22 0:41 / /mnt/share rw - cifs //server/share rw
33 22 0:42 / /twice rw - ext4 /dev/sdc1 rw
34 22 0:43 / /twice rw - fuse.sshfs host:/ rw
"""

CROWD = """
import json, os, random, sys, time
from pathlib import Path
from nexscout_cli.store.sqlite.database import Database

path, each = Path(sys.argv[1]), int(sys.argv[2])
children = []
for number in range(4):
    if (pid := os.fork()):
        children.append(pid)
        continue
    db = Database(path)
    db.open(lambda c: None)
    db.log_ahead()
    db.connection.execute("PRAGMA wal_autocheckpoint = 3")
    told = os.open(f"{path}.{number}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for n in range(each):
        db.together(lambda c: c.execute("INSERT INTO t VALUES (?, ?)", (f"{number}-{n}", "x" * 3_000)))
        os.write(told, f"{number}-{n}\\n".encode())
        with db.read() as c:
            assert c.execute("SELECT count(*) FROM t WHERE name LIKE ?", (f"{number}-%",)).fetchone()[0] == n + 1
        if number == 3 and n == each // 2:
            os.kill(os.getpid(), 9)
    db.close()
    os._exit(0)
print(json.dumps([os.waitpid(pid, 0)[1] for pid in children]))
"""


@pytest.fixture
def db(bench: Bench) -> Database:
    bench.sql("CREATE TABLE t (name TEXT PRIMARY KEY, text TEXT)")
    return bench.store.db


def test_it_is_there_once_a_server_asked_for_it_and_stays(bench: Bench, db: Database) -> None:
    bench.store.for_many_commits()
    assert db.journal() == "wal"
    other = Database(db.path)
    other.open(lambda c: None)
    assert other.journal() == "wal" and other.connection.execute("PRAGMA synchronous").fetchone()[0] == 3
    other.close()


def test_nobody_who_reads_waits_for_a_commit(db: Database) -> None:
    db.log_ahead()
    with db.gate.committing(), db.read() as c:
        assert c.execute("SELECT count(*) FROM t").fetchone()[0] == 0


def test_a_commit_of_another_process_ends_what_was_kept_of_the_books(bench: Bench, db: Database) -> None:
    db.log_ahead()
    before = bench.store.state()
    other = sqlite3.connect(db.path)
    other.execute("INSERT INTO t VALUES ('a', 'b')")
    other.commit()
    assert bench.store.state() != before
    other.close()


@pytest.mark.parametrize(
    ("path", "local"),
    [
        ("/var/lib/nexscout.db", True),
        ("/home/ana/nexscout.db", False),
        ("/home/ana/my disk/nexscout.db", True),
        ("/mnt/share/x/nexscout.db", False),
        ("/mnt/shared/nexscout.db", True),
        ("/twice/nexscout.db", False),
    ],
)
def test_the_file_system_of_a_network_is_told_from_the_machines_own(tmp_path: Path, path: str, local: bool) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert is_local(Path(path), mounts) is local
    assert is_local(Path(path), tmp_path / "there is none")


def test_on_the_file_system_of_a_network_nobody_has_it(
    bench: Bench, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    db.log_ahead()
    bench.store.close()
    monkeypatch.setattr(journal, "is_local", lambda path: False)
    moved = Database(db.path)
    moved.open(lambda c: None)
    assert moved.journal() == "delete" and moved.gate.shuts
    moved.log_ahead()
    assert moved.journal() == "delete"
    moved.close()


def test_processes_that_commit_and_checkpoint_all_the_time_lose_nothing_whoever_is_killed(
    bench: Bench, db: Database
) -> None:
    path, each = db.path, 40
    bench.store.close()
    done = subprocess.run(
        [sys.executable, "-c", CROWD, str(path), str(each)], capture_output=True, text=True, timeout=120
    )
    assert json.loads(done.stdout) == [0, 0, 0, 9], done.stderr
    told = [name for n in range(4) for name in path.with_name(f"{path.name}.{n}").read_text().split()]
    with sqlite3.connect(path) as after:
        assert after.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        kept = {row[0] for row in after.execute("SELECT name FROM t")}
    assert len(told) == 3 * each + each // 2 + 1 and kept >= set(told) and len(kept) <= len(told) + 1
