"""The command line inside this process, on a home of its own: where hundreds of runs are needed, or another clock."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli.cli.app import main
from tests.contract.books import SqliteBooks
from tests.support.openai_server import OpenAIServer

PROVIDER_KEYS = ("_API_KEY", "_API_BASE", "_BASE_URL")
SIX = {
    "gpt-4o-mini": "gpt-4o-mini",
    "gpt-4o": "gpt-4o",
    "gpt-4o-mini-high": "gpt-4o-mini",
    "claude-3-haiku": "claude-haiku-test",
    "claude-3-sonnet": "claude-sonnet-test",
    "claude-3-opus": "claude-opus-test",
}
"""Each name of the seeded catalog, and the name its server is asked for."""


class Done:
    """What a command line came to."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def json(self) -> Any:
        """The document on stdout."""
        return json.loads(self.out, parse_float=str)

    def __repr__(self) -> str:
        return f"exit {self.status}\nstdout: {self.out[:2000]}\nstderr: {self.err[:2000]}"


class Home:
    """A home with a database, and the command line over it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.db = folder / "nexscout.db"

    def __call__(self, *argv: str, ok: bool = True) -> Done:
        """Run a command line; with ``ok`` it must succeed."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(list(argv))
        done = Done(status, out.getvalue(), err.getvalue())
        assert not ok or status == 0, (argv, done)
        return done

    @property
    def books(self) -> SqliteBooks:
        """What the database holds, past every right and rule."""
        return SqliteBooks(self.db)

    def sql(self, query: str, *values: Any) -> list[Any]:
        """Rows of the database; bare values where there is one column."""
        with contextlib.closing(sqlite3.connect(self.db)) as connection:
            rows = connection.execute(query, values).fetchall()
        return [row[0] if len(row) == 1 else row for row in rows]

    def serve(self, url: str, names: dict[str, str] = SIX) -> None:
        """Point names of the catalog at a server."""
        for name, target in names.items():
            self(
                "models",
                "set",
                name,
                "--litellm-model",
                f"openai/{target}",
                "--api-base",
                url,
                "--api-key-env",
                "OPENAI_API_KEY",
                "--not-retired",
            )


def _clean(setenv: Callable[[str, str], None], delenv: Callable[[str], None]) -> None:
    for name in list(os.environ):
        if name.endswith(PROVIDER_KEYS) or name.startswith("NEXSCOUT_"):
            delenv(name)
    setenv("NEXSCOUT_ACTOR", "ada")
    setenv("NEXSCOUT_EMBEDDED_MODEL", "/nonexistent/model.gguf")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a fresh database and the tokenizer's table, which take a second to make: copied for each test."""
    folder = tmp_path_factory.mktemp("template") / "home"
    with pytest.MonkeyPatch.context() as patch:
        _clean(patch.setenv, patch.delenv)
        patch.setenv("NEXSCOUT_HOME", str(folder))
        patch.setenv("OPENAI_API_KEY", "x")
        Home(folder)("simulate", "Hello there")
    return folder


@pytest.fixture
def home(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home of ada's, who owns it, without any provider's key."""
    folder = tmp_path / "home"
    shutil.copytree(template, folder)
    _clean(monkeypatch.setenv, monkeypatch.delenv)
    monkeypatch.setenv("NEXSCOUT_HOME", str(folder))
    monkeypatch.chdir(tmp_path)
    return Home(folder)


@pytest.fixture(scope="module")
def module_home(
    template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], contextlib.AbstractContextManager[Home]]:
    """Makes a home that several tests share, for as long as the context lasts."""

    @contextlib.contextmanager
    def make() -> Iterator[Home]:
        folder = tmp_path_factory.mktemp("shared") / "home"
        shutil.copytree(template, folder)
        with pytest.MonkeyPatch.context() as patch:
            _clean(patch.setenv, patch.delenv)
            patch.setenv("NEXSCOUT_HOME", str(folder))
            yield Home(folder)

    return make


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    """A stock OpenAI-compatible server on loopback."""
    with OpenAIServer() as running:
        yield running


@pytest.fixture
def six(home: Home, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home whose six models are all pointed at the server."""
    home.serve(server.url)
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    return home
