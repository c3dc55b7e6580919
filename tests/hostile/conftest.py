"""A home whose models are pointed at a server that counts, and a way to tell whether anything changed in it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nexscout_cli.cli.app import main
from tests.contract.books import SqliteBooks
from tests.support.openai_server import OpenAIServer, count_usage

COMMAND = Path(sys.executable).with_name("nexscout")
KEY = "sk-live-Zq81xYw07vUt55Rr"
"""The provider's key in these tests. It may be seen nowhere but in the server's log."""
KINDS = ("users", "accounts", "entries", "models", "requests", "attempts", "usage")


class Done(NamedTuple):
    """What a command line came to."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document on stdout."""
        return json.loads(self.out, parse_float=str)


class Home:
    """A home with a database; ada owns it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.db = folder / "nexscout.db"

    def __call__(self, *argv: str, stdin: bytes = b"") -> Done:
        """Run a command line in this process, with ``stdin`` piped in."""
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
        read, write = os.pipe()
        os.write(write, stdin)
        os.close(write)
        with os.fdopen(read, "r") as source, pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", source)
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                status = main(list(argv))
        shown = []
        for stream in (out, err):
            stream.flush()
            assert isinstance(stream.buffer, io.BytesIO)
            shown.append(stream.buffer.getvalue().decode())
        return Done(status, *shown)

    def process(self, *argv: str | bytes, stdin: Any = subprocess.DEVNULL, **env: str | bytes) -> Done:
        """Run it as a process; ``stdin`` bytes or a file."""
        source: dict[str, Any] = {"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin}
        base: dict[str, Any] = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
        ended = subprocess.run(
            [COMMAND, *argv], env=base | env, cwd=self.folder.parent, capture_output=True, timeout=60, **source
        )
        return Done(ended.returncode, ended.stdout.decode(), ended.stderr.decode())

    @property
    def books(self) -> SqliteBooks:
        """What the database holds, past every right and rule."""
        return SqliteBooks(self.db)

    def sql(self, query: str, *values: Any) -> list[Any]:
        """Rows of the database; bare values where there is one column."""
        with contextlib.closing(sqlite3.connect(self.db)) as connection:
            rows = connection.execute(query, values).fetchall()
        return [row[0] if len(row) == 1 else row for row in rows]

    def bytes(self) -> bytes:
        """Everything that is on disk of the database: the file and what lies beside it."""
        return b"".join(path.read_bytes() for path in sorted(self.folder.glob("nexscout.db*")) if path.is_file())

    def rows(self) -> dict[str, int]:
        """How many rows there are of each kind that a refusal must leave alone."""
        return {kind: self.books.count(kind) for kind in KINDS}

    def sound(self) -> bool:
        """Whether the books balance."""
        return self("db", "check").status == 0


def _clean(patch: pytest.MonkeyPatch, folder: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("NEXSCOUT_", "XDG_", "LITELLM_")) or name.endswith(("_API_KEY", "_API_BASE", "_BASE_URL")):
            patch.delenv(name)
    patch.setenv("NEXSCOUT_HOME", str(folder))
    patch.setenv("HOME", str(folder))
    patch.setenv("NEXSCOUT_ACTOR", "ada")
    patch.setenv("NEXSCOUT_EMBEDDED_MODEL", "/nonexistent/model.gguf")
    patch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture(scope="session")
def one_server() -> Iterator[OpenAIServer]:
    """The server of all tests here."""
    with OpenAIServer() as running:
        yield running


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, one_server: OpenAIServer) -> Path:
    """A home with a database, the tokenizer's table and OpenAI's names pointed at the server: copied for each test."""
    folder = tmp_path_factory.mktemp("template") / "home"
    folder.mkdir(mode=0o700)
    with pytest.MonkeyPatch.context() as patch:
        _clean(patch, folder)
        home = Home(folder)
        assert home("simulate", "Hello there").status == 0
        point(home, one_server.url)
    return folder


@pytest.fixture
def home(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home of ada's with a key, its models pointed at the server; the current folder is the one above it."""
    folder = tmp_path / "home"
    shutil.copytree(template, folder)
    _clean(monkeypatch, folder)
    monkeypatch.chdir(tmp_path)
    return Home(folder)


@pytest.fixture
def server(one_server: OpenAIServer) -> OpenAIServer:
    """The server, as new."""
    one_server.requests.clear()
    one_server.reply, one_server.fail, one_server.usage = "Hello there.", None, count_usage
    return one_server


def point(home: Home, url: str) -> None:
    """Point OpenAI's three names at a server."""
    for name in ("gpt-4o-mini", "gpt-4o", "gpt-4o-mini-high"):
        assert home("models", "set", name, "--api-base", url).status == 0
