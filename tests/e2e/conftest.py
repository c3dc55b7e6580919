"""The installed command as a process, on a home of its own, with a stock OpenAI-compatible server beside it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.books import SqliteBooks
from tests.support.openai_server import OpenAIServer

COMMAND = Path(sys.executable).with_name("nexscout")
EMBEDDED_FILE = os.environ.get("NEXSCOUT_EMBEDDED_MODEL", "")


class Done:
    """What a process came to."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def json(self) -> Any:
        """The document on stdout."""
        return json.loads(self.out, parse_float=str)

    def __repr__(self) -> str:
        return f"exit {self.status}\nstdout: {self.out[:2000]}\nstderr: {self.err[:2000]}"


class Command:
    """``nexscout`` as a process. ``env`` is the whole environment it gets; ``folder`` is where it is started."""

    def __init__(self, home: Path, folder: Path) -> None:
        kept = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "LD_LIBRARY_PATH")
        self.env = {name: os.environ[name] for name in kept if name in os.environ} | {
            "HOME": str(folder),
            "NEXSCOUT_HOME": str(home),
            "NEXSCOUT_ACTOR": "ada",
            "NEXSCOUT_EMBEDDED_MODEL": "/nonexistent/model.gguf",
        }
        self.folder = folder
        self.db = home / "nexscout.db"

    def __call__(self, *argv: str, stdin: str | bytes | None = None, ok: bool = True, **env: str) -> Done:
        """Run it to its end; with ``ok`` it must succeed. Without ``stdin`` there is none (/dev/null)."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        source: Any = {"stdin": subprocess.DEVNULL} if data is None else {"input": data}
        ended = subprocess.run(
            [COMMAND, *argv],
            env=self.env | env,
            cwd=self.folder,
            capture_output=True,
            timeout=120,
            check=False,
            **source,
        )
        done = Done(ended.returncode, ended.stdout.decode(), ended.stderr.decode())
        assert not ok or done.status == 0, (argv, done)
        return done

    def start(self, *argv: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start it and leave it running."""
        return subprocess.Popen(
            [COMMAND, *argv], env=self.env, cwd=self.folder, **({"stdin": subprocess.DEVNULL} | options)
        )

    @property
    def books(self) -> SqliteBooks:
        """What the database holds, past every right and rule."""
        return SqliteBooks(self.db)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a fresh database and the tokenizer's table, which take a second to make: copied for each test."""
    folder = tmp_path_factory.mktemp("template")
    command = Command(folder / "home", folder)
    command.env["OPENAI_API_KEY"] = "x"
    command("simulate", "Hello there")
    return folder / "home"


@pytest.fixture
def nexscout(template: Path, tmp_path: Path) -> Command:
    """The command on a home of ada's, who owns it, without any provider's key."""
    shutil.copytree(template, tmp_path / "home")
    return Command(tmp_path / "home", tmp_path)


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    """A stock OpenAI-compatible server on loopback."""
    with OpenAIServer() as running:
        yield running


@pytest.fixture
def served(nexscout: Command, server: OpenAIServer) -> Command:
    """The command with a key, and OpenAI's three names pointed at the server."""
    for name in ("gpt-4o-mini", "gpt-4o", "gpt-4o-mini-high"):
        nexscout("models", "set", name, "--api-base", server.url)
    nexscout.env["OPENAI_API_KEY"] = "x"
    return nexscout


@pytest.fixture
def embedded() -> str:
    """The embedded model's file."""
    if not EMBEDDED_FILE or not Path(EMBEDDED_FILE).is_file():
        pytest.skip("the embedded model's file is not here (NEXSCOUT_EMBEDDED_MODEL)")
    return EMBEDDED_FILE
