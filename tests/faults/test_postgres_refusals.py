"""A server that refuses: before a call nothing is sent; what was answered is posted once, when it takes writes again."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from nexscout_cli.store.postgres import connections
from nexscout_cli.store.postgres.connections import SCHEMA_VERSION, unusable
from nexscout_cli.store.postgres.transaction import BOOKS
from tests.faults.team import APP, END, Team
from tests.support.fault_server import Fault, FaultServer, fine
from tests.support.postgres import Server, own_server, unprivileged
from tests.support.postgres import url as url_of


class Refusal(NamedTuple):
    """What a superuser does to the server, what takes it back, and the code of what a command ends with."""

    sql: str
    undo: str
    code: str


REFUSALS = {
    "read only": Refusal(
        "ALTER ROLE {app} IN DATABASE {db} SET default_transaction_read_only = on",
        "ALTER ROLE {app} IN DATABASE {db} RESET default_transaction_read_only",
        "read_only",
    ),
    "statement timeout": Refusal(
        "ALTER ROLE {app} IN DATABASE {db} SET statement_timeout = '1ms'",
        "ALTER ROLE {app} IN DATABASE {db} RESET statement_timeout",
        "busy",
    ),
    "no connection left": Refusal(
        "ALTER ROLE {app} CONNECTION LIMIT 0", "ALTER ROLE {app} CONNECTION LIMIT -1", "busy"
    ),
    "no login": Refusal("ALTER ROLE {app} NOLOGIN", "ALTER ROLE {app} LOGIN", "unreachable"),
}


def said(team: Team, sql: str) -> str:
    return sql.format(app=APP, db=team.place.split("?")[0].rsplit("/", 1)[1])


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS.keys())
def test_what_a_server_refuses_before_the_hold_is_not_sent(team: Team, refusal: Refusal) -> None:
    team.root(said(team, refusal.sql))
    try:
        team.refuses(refusal.code)
    finally:
        team.root(said(team, refusal.undo))
    assert team.ask().status == 0 and team.provider.hits == 1
    team.settled("posted")


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS.keys())
def test_what_a_server_refuses_during_a_call_is_posted_once_when_it_is_back(team: Team, refusal: Refusal) -> None:
    def act(connection: object) -> None:
        team.root(said(team, refusal.sql), END)
        fine().act(connection)  # type: ignore[arg-type]

    team.provider.script = [Fault(act)]
    try:
        done = team.ask()
    finally:
        team.root(said(team, refusal.undo))
    assert done.status == 6 and done.code == refusal.code, done
    assert team.provider.hits == 1 and team.states() == ["sent"]
    assert team.desk("db", "resolve").status == 0
    team.settled("posted")
    assert team.desk("db", "resolve").status == 0 and team.provider.hits == 1
    team.settled("posted")


def test_a_transaction_that_is_stuck_makes_others_busy_and_nothing_is_sent(team: Team) -> None:
    with closing(psycopg.connect(team.place)) as stuck:
        stuck.execute(f"SELECT pg_advisory_xact_lock({BOOKS}, 0)".encode())
        team.refuses("busy")
    assert team.ask().status == 0
    team.settled("posted")


def test_a_program_whose_connections_are_all_in_use_sends_nothing(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as at_its_limit:
        at_its_limit.setattr(connections, "MOST", 0)
        assert "connections to the database were busy" in team.refuses("busy").out
    assert team.ask().status == 0


def test_what_was_answered_beside_a_transaction_that_is_stuck_is_posted_once_when_that_is_gone(team: Team) -> None:
    with closing(psycopg.connect(team.place)) as stuck:

        def act(connection: object) -> None:
            stuck.execute(f"SELECT pg_advisory_xact_lock({BOOKS}, 0)".encode())
            fine().act(connection)  # type: ignore[arg-type]

        team.provider.script = [Fault(act)]
        done = team.ask()
    assert (done.status, done.code, team.provider.hits, team.states()) == (6, "busy", 1, ["sent"]), done
    assert team.desk("db", "resolve").status == 0 and team.provider.hits == 1
    team.settled("posted")


def test_a_schema_that_is_older_is_refused_to_a_login_that_may_not_change_it(team: Team) -> None:
    team.root(f"DELETE FROM nexscout.migrations WHERE number = {SCHEMA_VERSION}")
    team.refuses("not_owner")
    team.root(f"INSERT INTO nexscout.migrations (number) VALUES ({SCHEMA_VERSION})")
    assert team.ask().status == 0


def test_a_program_that_runs_goes_on_while_a_newer_one_migrates_and_the_next_start_is_refused(team: Team) -> None:
    def act(connection: object) -> None:
        team.root(f"INSERT INTO nexscout.migrations (number) VALUES ({SCHEMA_VERSION + 1})")
        fine().act(connection)  # type: ignore[arg-type]

    team.provider.script = [Fault(act)]
    assert team.ask().status == 0 and team.provider.hits == 1
    team.refuses("newer_schema")
    team.root(f"DELETE FROM nexscout.migrations WHERE number = {SCHEMA_VERSION + 1}")
    team.settled("posted")


def test_what_a_newer_schema_no_longer_takes_of_a_program_that_runs_is_entered_by_the_next_version(team: Team) -> None:
    """The newer version has other functions: those that this one asks for are gone in the middle of its call."""
    changed = {"step(jsonb)": "step", "move_attempt": "move_attempt"}

    def act(connection: object) -> None:
        team.root(*(f"ALTER FUNCTION nexscout.{name} RENAME TO {short}_now" for name, short in changed.items()))
        fine().act(connection)  # type: ignore[arg-type]

    team.provider.script = [Fault(act)]
    done = team.ask()
    assert (done.status, done.code) == (6, "newer_schema") and team.provider.hits == 1
    assert "kept on this machine" in done.out and "upgrade nexscout" in done.out
    assert team.states() == ["sent"]
    back = {name.replace(short, f"{short}_now"): short for name, short in changed.items()}
    team.root(*(f"ALTER FUNCTION nexscout.{name} RENAME TO {short}" for name, short in back.items()))
    assert team.desk("db", "resolve").status == 0
    team.settled("posted")


def test_a_name_that_leads_nowhere_is_told_and_nothing_is_sent(team: Team) -> None:
    good = team.url
    team.at("postgresql://app:hunter2@db.invalid/nexscout?connect_timeout=2")
    done = team.refuses("unreachable")
    assert "hunter2" not in done.out + done.err
    team.at(good)
    assert team.ask().status == 0 and team.provider.hits == 1


@pytest.fixture
def pair() -> Iterator[tuple[Server, Server]]:
    """A server, and a replica without which it commits nothing."""
    first = own_server(wal_level="replica", max_wal_senders="4")
    second = own_server(replica_of=first, wal_level="replica", max_wal_senders="4")
    with closing(psycopg.connect(first.dsn, autocommit=True)) as root:
        root.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        root.execute("SELECT pg_reload_conf()")
    yield first, second
    for one in (first, second):
        one.remove()


def test_the_second_address_serves_once_its_replica_is_promoted_and_has_all_that_was_committed(
    pair: tuple[Server, Server], server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = pair
    both = {"host": f"{first.folder},{second.folder}", "port": "5432,5432", "target_session_attrs": "read-write"}
    team = Team(
        tmp_path,
        url_of(psycopg.conninfo.make_conninfo(user="postgres", dbname="postgres", **both)),
        server,
        monkeypatch,
    )
    team.at(f"{team.url.partition('?')[0]}?{'&'.join(f'{name}={value}' for name, value in both.items())}")
    assert team.ask("Good morning").status == 0 and server.hits == 1

    def act(connection: object) -> None:
        first.stop(signal.SIGQUIT)
        fine().act(connection)  # type: ignore[arg-type]

    server.script = [Fault(act)]
    done = team.ask()
    assert done.status == 6 and server.hits == 2, done  # answered; the replica takes no writes yet
    team.refuses("unreachable")
    with closing(psycopg.connect(second.dsn, autocommit=True)) as root:
        root.execute("SELECT pg_promote()")
    assert team.desk("db", "resolve").status == 0
    team.settled("posted", "posted")
    assert team.ask("Good evening").status == 0 and server.hits == 3
    team.settled("posted", "posted", "posted")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    running = own_server()
    yield running
    running.remove()


def test_a_wrong_password_is_told_and_not_repeated(
    own: Server, server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = Team(tmp_path, url_of(own.dsn), server, monkeypatch)
    rules = own.folder / "data" / "pg_hba.conf"
    rules.write_text(f"local all {APP} scram-sha-256\n{rules.read_text()}")
    team.root("SELECT pg_reload_conf()")
    good = team.url
    team.at(good.replace(f"{APP}:{APP}@", f"{APP}:hunter2@"))
    done = team.refuses("unreachable")
    assert "password authentication failed" in done.out and "hunter2" not in done.out + done.err
    assert "check the user and the password" in done.out
    base, _, rest = good.partition("?")
    team.at(f"{base.rpartition('/')[0]}/nowhere?{rest}")
    assert "createdb" in team.refuses("unreachable").out
    team.at(good)
    assert team.ask().status == 0
    team.settled("posted")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 megabytes that the server's user owns: a tmpfs, where this process may mount one."""
    folder = Path(f"/tmp/nx-disk-{os.getpid()}")  # the server's user can't enter the folder of the tests
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m,mode=0777", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        folder.rmdir()
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


def test_a_disk_that_is_full_takes_no_hold_and_what_was_held_before_stands(
    own: Server, small_disk: Path, server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (small_disk / "data").mkdir()
    if (user := unprivileged().get("user")) is not None:
        os.chown(small_disk / "data", user, user)
    with closing(psycopg.connect(own.dsn, autocommit=True)) as root:
        root.execute(f"CREATE TABLESPACE small LOCATION '{small_disk / 'data'}'".encode())
        root.execute(b"CREATE DATABASE books TABLESPACE small")
    place = url_of(psycopg.conninfo.make_conninfo(own.dsn, dbname="books"))
    team = Team(tmp_path, place, server, monkeypatch)
    full = small_disk / "ballast"

    def fill_up() -> None:
        with full.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * 4096)
            except OSError:
                """It is full."""
        # What pages have room for still goes in; rows that need a new page don't.
        team.root(
            "DO $$ BEGIN FOR n IN 1..5000 LOOP INSERT INTO nexscout.attempts (request_id, n, model, price, estimate, hold, "
            "hold_tokens, state, owner, deadline, plan, created_at) VALUES ('x' || n, 1, 'm', '{}', 0, 0, 0, 'voided', 'o', '', "
            "to_jsonb(repeat(md5(n::text), 60)), ''); END LOOP; EXCEPTION WHEN disk_full THEN NULL; END $$"
        )

    assert team.ask().status == 0
    fill_up()
    done = team.ask()
    while done.status == 0:  # pages of small tables had room for a few
        done = team.ask()
    assert (done.status, done.code) == (6, "disk_full"), done
    full.unlink()
    assert team.desk("db", "check").status == 0
    assert set(team.states()) <= {"posted"}
    assert server.hits == len(team.states())

    def act(connection: object) -> None:
        fill_up()
        fine().act(connection)  # type: ignore[arg-type]

    for n in range(50):  # pages may have room for a few posts
        server.script = [Fault(act)]
        done = team.ask(f"Hello {n}")
        if done.status:
            break
        full.unlink()
    assert (done.status, done.code) == (6, "disk_full"), done
    assert team.states()[-1] == "sent"
    full.unlink()
    assert team.desk("db", "resolve").status == 0
    team.settled(*["posted"] * server.hits)


def test_a_server_that_dies_during_a_call_and_comes_back_has_the_call_once(
    own: Server, server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = Team(tmp_path, url_of(own.dsn), server, monkeypatch)

    def act(connection: object) -> None:
        own.stop(signal.SIGQUIT)
        fine().act(connection)  # type: ignore[arg-type]

    server.script = [Fault(act)]
    done = team.ask()
    assert (done.status, done.code, server.hits) == (6, "unreachable", 1), done
    team.refuses("unreachable")
    own.start()
    assert team.ask().status == 0 and server.hits == 1  # it is answered from the cache
    team.settled("posted")

    with ThreadPoolExecutor(1) as starter:  # a server ends with the thread that has started it

        def restart(connection: object) -> None:
            own.stop(signal.SIGQUIT)
            starter.submit(own.start).result(60)
            fine().act(connection)  # type: ignore[arg-type]

        server.script = [Fault(restart)]
        done = team.ask("Good evening")
        assert (done.status, server.hits) == (0, 2), done  # it was back before the post
        team.settled("posted", "posted")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "server closed the connection unexpectedly\n\tThis probably means …\n\tbefore or while processing it.",
            "closed",
        ),
        (
            "to server at … failed: Connection refused\n\tIs the server running on that host and …?",
            "Connection refused",
        ),
        ("connection failed: FATAL:  starting up\nDETAIL:  Consistent recovery state is not reached.", "starting up"),
        ("", "OperationalError"),
    ],
)
def test_of_what_a_driver_says_the_line_is_told_that_says_something(said: str, told: str) -> None:
    assert told in unusable(psycopg.OperationalError(said)).message
