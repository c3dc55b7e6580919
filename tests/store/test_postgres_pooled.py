"""Behind a pool of connections that gives each transaction another session (PgBouncer's transaction mode), everything works."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from nexscout_cli.store.postgres.connections import Connection, Connections, is_shared
from tests.support.postgres import new_database, unprivileged
from tests.support.steps import Steps, at

PLENTY = {"tiers__elite__energy": 10**6, "tiers__elite__daily_tokens": 10**9}


def use(programs: list[Steps]) -> None:
    """Calls of both at once, whose books add up."""
    plan = programs[0].plan()

    def call(n: int) -> None:
        program = programs[n % len(programs)]
        program.post(program.sent(plan))

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(call, range(36)))
    programs[0].store.users.set_tier("ada", "bob", "pro")
    with programs[1].store.read("ada") as t:  # type: ignore[attr-defined]
        row = t.execute("SELECT total_requests FROM user_efficiency_profiles WHERE user_id = ?", ("ada",)).fetchone()
    assert row[0] == 36
    assert programs[1].check() == []


def test_nothing_is_kept_in_a_session_that_others_have_too(
    opened: list[Steps], monkeypatch: pytest.MonkeyPatch
) -> None:
    plainly = Connections.connect

    def shared(self: Connections) -> Connection:
        connection = plainly(self)
        connection.prepare_threshold = connection.prepared = None
        connection.execute("DISCARD ALL")  # as another session has it
        return connection

    monkeypatch.setattr(Connections, "connect", shared)
    place = new_database()
    use([at(place, opened, **PLENTY), at(place, opened, **PLENTY)])


def test_calls_go_through_a_pool_in_transaction_mode_with_fewer_sessions_than_programs_want(
    opened: list[Steps],
) -> None:
    program = shutil.which("pgbouncer") or os.environ.get("NEXSCOUT_TEST_PGBOUNCER")
    if program is None:
        pytest.skip("no PgBouncer here")
    behind = psycopg.conninfo.conninfo_to_dict(new_database())
    folder = Path(tempfile.mkdtemp(prefix="nx-pool-", dir="/tmp"))
    folder.chmod(0o777)
    words = " ".join(f"{name}={behind[name]}" for name in ("host", "dbname", "user"))
    (folder / "ini").write_text(
        f"[databases]\nbooks = {words}\n[pgbouncer]\nlisten_addr =\nunix_socket_dir = {folder}\nauth_type = any\n"
        "pool_mode = transaction\ndefault_pool_size = 3\n"
    )
    running = subprocess.Popen([program, str(folder / "ini")], stderr=subprocess.DEVNULL, **unprivileged())
    try:
        while not (folder / ".s.PGSQL.6432").exists():
            assert running.poll() is None
            time.sleep(0.02)
        place = f"postgresql://postgres@/books?host={folder}&port=6432"
        with Connections(place, 5.0).one() as connection:
            assert is_shared(connection)
        use([at(place, opened, **PLENTY), at(place, opened, **PLENTY)])
    finally:
        running.terminate()
        running.wait()
        shutil.rmtree(folder)
