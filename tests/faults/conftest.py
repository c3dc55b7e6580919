"""A home with two models at a server that misbehaves, and what its books must say afterwards."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nexscout_cli.assemble import open_store
from nexscout_cli.cli.app import main
from tests.contract.books import SqliteBooks
from tests.support.fault_server import FaultServer

if TYPE_CHECKING:
    from tests.faults.team import Team

COMMAND = Path(sys.executable).with_name("nexscout")
MODELS = ("gpt-4o", "gpt-4o-mini")
"""Asked for in this order: the second is what the ladder has after the first."""
ENERGY_HELD = 3
"""What a call to gpt-4o may cost at the most, in energy."""
LIVE = ("held", "sent", "unknown")


class Done:
    """What a command line came to."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def json(self) -> Any:
        """The document on stdout."""
        return json.loads(self.out, parse_float=str)

    @property
    def code(self) -> str | None:
        """The error's code in the document on stdout."""
        error = self.json["error"]
        return None if error is None else str(error["code"])

    def __repr__(self) -> str:
        return f"exit {self.status}\nstdout: {self.out[:2000]}\nstderr: {self.err[:2000]}"


class Desk:
    """A home of ada's, who owns it; the command line over it, in this process or as one of its own; and its books."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.db = folder / "nexscout.db"

    def __call__(self, *argv: str) -> Done:
        """Run a command line in this process."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(list(argv))
        assert "Traceback" not in err.getvalue(), err.getvalue()
        return Done(status, out.getvalue(), err.getvalue())

    def ask(self, *argv: str) -> Done:
        """``run`` for gpt-4o; the answer as JSON."""
        return self("run", "-m", "gpt-4o", "--json", "Hello", *argv)

    def point(self, url: str, *names: str) -> None:
        """Send calls of models there."""
        for name in names:
            assert self("models", "set", name, "--api-base", url).status == 0

    def start(self, *argv: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start a command line as a process of its own."""
        streams: dict[str, Any] = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
        return subprocess.Popen([COMMAND, *argv], stdin=subprocess.DEVNULL, **(streams | options))

    def process(self, *argv: str) -> Done:
        """Run a command line as a process of its own, to its end."""
        with self.start(*argv) as process:
            out, err = process.communicate(timeout=90)
        return Done(process.returncode, out.decode(), err.decode())

    @property
    def books(self) -> SqliteBooks:
        """What the database holds, past every right and rule."""
        return SqliteBooks(self.db)

    def states(self) -> list[str]:
        """The states of all attempts, in their order."""
        return self.books.listed("attempts", "state")

    def flags(self) -> list[str]:
        """The flags of all that was posted."""
        return [f for row in self.books.listed("usage", "metadata") for f in row.get("flags", [])]

    def settled(self, states: list[str], *, energy: int = 0, energy_held: int = 0) -> None:
        """The attempts are in these states; every account holds what is live, has spent what was posted; nothing is wrong."""
        assert self.states() == states
        live = [row for row in self.books.attempts() if row["state"] in LIVE]
        held, tokens = (sum(row[name] for row in live) for name in ("hold", "hold_tokens"))
        spent = self.books.total("attempts", "actual")
        assert set(self.books.listed("accounts", "held", kind="usd")) <= {held}
        assert set(self.books.listed("accounts", "spent", kind="usd")) <= {spent}
        assert set(self.books.listed("accounts", "held", kind="tokens")) <= {tokens}
        balance = self.books.listed("accounts", "held", "spent", kind="energy") or [(0, 0)]
        assert balance == [(energy_held, energy)]
        assert self.books.total("usage", "cost_usd") == spent
        store = open_store(path=self.db)
        try:
            assert store.maintenance.check("ada") == []
        finally:
            store.close()


def _clean(setenv: Callable[[str, str], None], delenv: Callable[[str], None]) -> None:
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_API_BASE", "_BASE_URL")) or name.startswith("NEXSCOUT_"):
            delenv(name)
    setenv("NEXSCOUT_ACTOR", "ada")
    setenv("NEXSCOUT_EMBEDDED_MODEL", "/nonexistent/model.gguf")
    # Other models may answer here, also for the forced one: what follows each fault is what these tests look at.
    setenv("NEXSCOUT_FALLBACK_MODELS", "always")
    setenv("NEXSCOUT_FALLBACK_REFUSED_KEY", "next")
    setenv("NEXSCOUT_PROVIDERS_BACKOFF_MIN", "0")
    setenv("NEXSCOUT_PROVIDERS_BACKOFF_MAX", "0")
    setenv("OPENAI_API_KEY", "sk-of-the-tests")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the two models; the first call of this process, which is slow, has been made elsewhere."""
    folder, practice = tmp_path_factory.mktemp("template") / "home", tmp_path_factory.mktemp("practice")
    with pytest.MonkeyPatch.context() as patch, FaultServer() as server:
        _clean(patch.setenv, patch.delenv)
        patch.setenv("NEXSCOUT_HOME", str(practice))
        Desk(practice).point(server.url, "gpt-4o")
        assert Desk(practice).ask().status == 0
        patch.setenv("NEXSCOUT_HOME", str(folder))
        desk = Desk(folder)
        for name in desk_models(desk):
            if name not in MODELS:
                desk("models", "disable", name)
        assert desk("simulate", "-m", "gpt-4o", "Hello").status == 0
    return folder


def desk_models(desk: Desk) -> list[str]:
    """The catalog's names."""
    assert desk("models", "list", "--json").status == 0
    return desk.books.listed("models", "model")


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """Does what its script says; without one, all is well."""
    with FaultServer() as running:
        yield running


@pytest.fixture
def team(tmp_path: Path, server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> Team:
    """A desk whose books are on a server, as the application's login; its model is at the provider ``server``."""
    from tests.faults.team import Team
    from tests.support.postgres import new_database

    return Team(tmp_path, new_database(), server, monkeypatch)


@pytest.fixture
def desk(template: Path, tmp_path: Path, server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A home whose two models are at the server."""
    shutil.copytree(template, tmp_path / "home")
    _clean(monkeypatch.setenv, monkeypatch.delenv)
    monkeypatch.setenv("NEXSCOUT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    made = Desk(tmp_path / "home")
    made.point(server.url, *MODELS)
    return made


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The engine's pauses, which take no time here."""
    taken: list[float] = []
    monkeypatch.setattr("nexscout_cli.assemble.SystemClock.sleep", lambda clock, seconds: taken.append(seconds))
    return taken


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte: a tmpfs, where this process may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def on_small_disk(desk: Desk, small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The desk with its database on the small disk."""
    shutil.copy(desk.db, small_disk / "nexscout.db")
    desk.db = small_disk / "nexscout.db"
    desk.db.chmod(0o600)
    monkeypatch.setenv("NEXSCOUT_DB", str(desk.db))
    return desk
