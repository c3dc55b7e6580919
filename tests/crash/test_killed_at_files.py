"""Killed with SIGKILL while a file is made: a migration, a backup, a batch's answers. What is left is the old or the new."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli.store.sqlite import database

FIRST_SCHEMA = Path(__file__).parents[2] / "fixtures" / "schema-1.sql"


def mortal(home: Any, point: str, *argv: str) -> Any:
    """Run a command that dies at the point, if it comes there."""
    process = home.start(*argv, module="tests.crash.mortal", MORTAL=point)
    _, err = process.communicate(timeout=100)
    assert process.returncode in (0, -signal.SIGKILL), (point, process.returncode, err)
    assert "Traceback" not in err
    return process.returncode == 0


def grown_old(folder: Path) -> None:
    """Nobody has written to what lies there for an hour."""
    for path in folder.iterdir():
        if path.suffix in (".part", ".tmp"):
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 3600))


@pytest.fixture
def old(home: Any) -> Any:
    """A home whose database the first version of this program has written."""
    home.db.unlink()
    home.db.touch(mode=0o600)
    with closing(sqlite3.connect(home.db)) as c:
        c.executescript(FIRST_SCHEMA.read_text())
    return home


@pytest.mark.parametrize("nth", [2, 9, 40, 90, 150, 220, 300])
def test_a_migration_that_is_killed_goes_on_at_the_next_start(old: Any, nth: int) -> None:
    with closing(sqlite3.connect(old.db)) as c:
        balances = c.execute("SELECT owner, kind, period, granted, held, spent FROM accounts ORDER BY id").fetchall()
    done = mortal(old, f"statement:{nth}", "energy", "show")
    assert not done, "there are fewer statements than that"
    grown_old(old.folder)
    assert old("energy", "show").status == 0
    assert database.schema_version(old.db) == database.SCHEMA_VERSION
    assert old.check() == []
    assert old.sql("SELECT owner, kind, period, granted, held, spent FROM accounts ORDER BY id") == balances
    assert len(list(old.folder.glob("*.bak"))) >= 1 and not list(old.folder.glob("*.part"))


@pytest.mark.parametrize("point", ["fsync:1", "link:1"])
def test_a_backup_that_is_killed_leaves_nothing_that_looks_like_one(home: Any, point: str) -> None:
    for argv in (("db", "backup"), ("db", "backup", str(home.folder / "copy.db"))):
        assert not mortal(home, point, *argv)
    assert not list(home.folder.glob("*.bak")) and not (home.folder / "copy.db").exists()
    grown_old(home.folder)
    assert home("db", "backup", str(home.folder / "copy.db")).status == 0
    assert home("db", "backup").status == 0
    assert not list(home.folder.glob("*.part"))
    assert len(list(home.folder.glob("*.bak"))) == 1 and home.check() == []


@pytest.mark.parametrize("point", ["write:1", "write:3", "replace:1", "fsync:1", "fsync:4"])
def test_a_batch_that_is_killed_keeps_whole_lines_and_resume_pays_nothing_twice(
    home: Any, server: Any, point: str
) -> None:
    rows = [{"id": str(n), "prompt": f"customer {n}"} for n in range(4)]
    (home.folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    line = ("batch", "rows.jsonl", "-m", "gpt-4o-mini", "--concurrency", "1", "--no-cache", "--out", "out.jsonl")
    mortal(home, point, *line)
    out = home.folder / "out.jsonl"
    for text in out.read_text().splitlines() if out.exists() else ():
        assert json.loads(text)["success"]
    grown_old(home.folder)
    done = home(*line, "--resume")
    assert done.status == 0, done
    assert sorted(json.loads(text)["id"] for text in out.read_text().splitlines()) == ["0", "1", "2", "3"]
    assert server.hits == 4 and home.states()[1:].count("posted") == 4
    assert home.check() == [] and not [path for path in home.folder.iterdir() if path.name.endswith(".tmp")]
