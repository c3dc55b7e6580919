"""A database on a server without books of ours: what reads leaves it alone, and everything does where it is another's."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.faults.conftest import Desk
from tests.support.postgres import new_database

READS = (
    "db check",
    "db seal",
    "db resolve",
    "db backup",
    "db copy --to copy.db",
    "db archive --before 2026-01",
    "report",
    "log",
    "why 0199f2c3a4b5",
    "user list",
    "models list",
    "energy show",
    "cache stats",
    "keys list",
    "budget list",
    "simulate hi",
    "doctor",
)


def test_what_only_reads_makes_no_books_in_a_database_and_what_writes_does(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_database()
    monkeypatch.setenv("NEXSCOUT_DB", url)
    for command in READS:
        done = desk(*command.split())
        assert done.status == 6 and "there are no books in the database" in done.out + done.err, command
    with psycopg.connect(url) as root:
        assert root.execute("SELECT to_regnamespace('nexscout')").fetchone() == (None,)
    assert desk("db", "path", "--json").json["exists"] is False
    desk("run", "hi", "-m", "none-such")
    assert desk("db", "path", "--json").json["exists"] is True


FOREIGN = {
    "a table": "CREATE TABLE nexscout.orders (id int)",
    "migrations of another kind": "CREATE TABLE nexscout.migrations (id int, name text)",
    "names of migrations": "CREATE TABLE nexscout.migrations AS SELECT 'first' AS number",
    "migrations of the same kind": "CREATE TABLE nexscout.migrations AS SELECT 3 AS number",
}


def test_a_schema_of_that_name_which_is_another_programs_is_refused_and_left_as_it_is(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    books = str(desk.db)
    for what, sql in FOREIGN.items():
        place = new_database()
        with psycopg.connect(place, autocommit=True) as root:
            root.execute("CREATE SCHEMA nexscout")
            root.execute(sql.encode())
            for command, db in (
                (("db", "migrate"), place),
                (("run", "hi"), place),
                (("db", "copy", "--to", place), books),
            ):
                monkeypatch.setenv("NEXSCOUT_DB", db)
                told = desk(*command).err.splitlines()
                assert len(told) == 2 and "is another program's" in told[0], (what, command, told)
            found = root.execute(
                "SELECT count(*) FROM pg_class WHERE relnamespace = 'nexscout'::regnamespace"
            ).fetchone()
            assert found == (1,), what


@pytest.mark.parametrize(
    "place", ["mysql://u:hunter2@db/x", "postgresql+psycopg://u:hunter2@db/x", "postgresql://[bad"]
)
def test_books_are_not_copied_to_what_is_no_place_of_books(desk: Desk, place: str) -> None:
    done = desk("db", "copy", "--to", place)
    assert done.status in (2, 6) and len(done.err.splitlines()) == 2 and "hunter2" not in done.err
    assert not [path for path in Path().iterdir() if ":" in path.name]
