"""A home whose command runs in processes of its own, to be killed; what comes after runs in this process."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nexscout_cli import assemble
from nexscout_cli.cli.app import main
from nexscout_cli.providers import Providers
from tests.contract.books import PostgresBooks, SqliteBooks
from tests.crash.launcher import stand_in
from tests.support.openai_server import Body, OpenAIServer
from tests.support.postgres import new_database

ROOT = Path(__file__).resolve().parents[2]
PROMPT = "Write to Sarah about our meeting"
CACHED = "Write to Tom about the invoice"


class Done(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out, parse_float=str)


class Home:
    """A home of ada's. ``launch`` runs a command in a process of its own, calling it runs one here."""

    def __init__(self, folder: Path, server: OpenAIServer) -> None:
        self.folder, self.server = folder, server
        self.db = folder / "nexscout.db"
        kept = ("PATH", "LANG", "TMPDIR", "LD_LIBRARY_PATH")
        self.env = {name: os.environ[name] for name in kept if name in os.environ} | {
            "HOME": str(folder),
            "NEXSCOUT_HOME": str(folder),
            "NEXSCOUT_ACTOR": "ada",
            "NEXSCOUT_EMBEDDED_MODEL": "/nonexistent/model.gguf",
            "NEXSCOUT_PROVIDERS_BACKOFF_MIN": "0.01",
            "NEXSCOUT_PROVIDERS_BACKOFF_MAX": "0.01",
            "OPENAI_API_KEY": "x",
            "PYTHONPATH": str(ROOT),
            "CRASH_SERVER": server.url,
        }

    def start(self, *argv: str, module: str = "tests.crash.launcher", **env: str) -> subprocess.Popen[str]:
        """Start a module of the tests as a process."""
        return subprocess.Popen(
            [sys.executable, "-m", module, *argv],
            env=self.env | env,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def launch(self, *argv: str, **env: str) -> Done:
        """Run a command in a process of its own to its end."""
        process = self.start(*argv, **env)
        out, err = process.communicate(timeout=100)
        return Done(process.returncode, out, err)

    def killed(self, point: str, *argv: str, nth: int = 1, **env: str) -> Done:
        """Run a command that dies at the point."""
        done = self.launch(*argv, CRASH_POINT=point, CRASH_NTH=str(nth), **env)
        assert done.status == -signal.SIGKILL, (point, done)
        return done

    def __call__(self, *argv: str) -> Done:
        """Run a command line in this process."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(list(argv))
        return Done(status, out.getvalue(), err.getvalue())

    @property
    def books(self) -> SqliteBooks | PostgresBooks:
        """What the database holds, past every right and rule."""
        url = self.env.get("NEXSCOUT_DB")
        return SqliteBooks(self.db) if url is None else PostgresBooks(lambda: url)

    def sql(self, query: str, *values: Any) -> list[Any]:
        """Rows of the database; bare values where there is one column."""
        with contextlib.closing(sqlite3.connect(self.db)) as connection:
            rows = connection.execute(query, values).fetchall()
        return [row[0] if len(row) == 1 else row for row in rows]

    def check(self) -> list[Any]:
        """What is wrong with the books."""
        store = assemble.open_store()
        try:
            return store.maintenance.check("ada")
        finally:
            store.close()

    def states(self) -> list[str]:
        """The attempts' states, in order."""
        return self.books.listed("attempts", "state")

    def requests(self) -> list[str]:
        """The requests' states, in order."""
        return self.books.listed("requests", "state")

    def held(self, kind: str, period: str = "*") -> int:
        """What is held of a kind by ada: energy, or dollars or tokens in each period that is like that."""
        accounts = self.books.listed("accounts", "period", "held", kind=kind, owner="ada")
        return max((int(held) for name, held in accounts if fnmatch(name, period)), default=0)

    def granted(self, amount: int) -> None:
        """Give ada that balance."""
        assert self("energy", "set", "ada", str(amount), "--reason", "test").status == 0


def usage(body: Body, text: str) -> dict[str, Any]:
    """What the server bills for every call."""
    return {"prompt_tokens": 40, "completion_tokens": 8, "total_tokens": 48}


def _clean(patch: pytest.MonkeyPatch, home: Home) -> None:
    for name in list(os.environ):
        if name.startswith(("NEXSCOUT_", "XDG_")) or name.endswith(("_API_KEY", "_API_BASE", "_BASE_URL")):
            patch.delenv(name)
    for name, value in home.env.items():
        if name.startswith(("NEXSCOUT_", "OPENAI_", "CRASH_")) or name == "HOME":
            patch.setenv(name, value)
    patch.chdir(home.folder)
    patch.setattr(Providers, "complete", stand_in)


in_both = pytest.mark.parametrize("home", ["sqlite", "postgres"], indirect=True)
"""The test is one for both databases."""


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a database, the tokenizer's table and one cached answer, which take a second: copied for each test."""
    folder = tmp_path_factory.mktemp("template") / "home"
    folder.mkdir()
    with OpenAIServer("Dear Tom.", usage=usage) as server, pytest.MonkeyPatch.context() as patch:
        home = Home(folder, server)
        _clean(patch, home)
        assert home("run", "-f", "ai_message", "-m", "gpt-4o-mini", CACHED).status == 0
    return folder


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    """A server whose every answer costs the same."""
    with OpenAIServer("Dear Sarah, see you.", usage=usage) as running:
        yield running


@pytest.fixture
def home(
    request: pytest.FixtureRequest,
    template: Path,
    tmp_path: Path,
    server: OpenAIServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Home:
    """A home of ada's with a cached answer, and the server for a provider; its books are where ``in_both`` says."""
    folder = tmp_path / "home"
    shutil.copytree(template, folder)
    home = Home(folder, server)
    if getattr(request, "param", "sqlite") == "postgres":
        home.env["NEXSCOUT_DB"] = new_database()
    _clean(monkeypatch, home)
    if "NEXSCOUT_DB" in home.env:
        said, server.reply = server.reply, "Dear Tom."
        assert home("run", "-f", "ai_message", "-m", "gpt-4o-mini", CACHED).status == 0
        server.reply = said
        server.requests.clear()
    return home
