"""Two accounts of one machine at one database: where the file may not be shared it is said, where it may both are served."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import COMMAND
from tests.support.fault_server import FaultServer

UID = "12345"
# The interpreter may lie in a folder of root's: in a mount namespace of its own it is put where anybody can read it.
AS_OTHER = """set -e
if [ -n "$1" ]; then
  mount --make-rprivate / && mount --bind "$1" /mnt && mount -t tmpfs -o mode=755 none "$2"
  mkdir -p "$1" && mount --bind /mnt "$1"
fi
shift 2; cd /; exec setpriv --reuid UID --regid UID --clear-groups "$@"
""".replace("UID", UID)


class Other:
    """The command line as another account's, bob's."""

    def __init__(self) -> None:
        base, top = Path(sys.base_prefix).resolve(), Path("/", *Path(sys.base_prefix).resolve().parts[1:2])
        self._places = (str(base), str(top)) if not top.stat().st_mode & 1 else ("", "")

    def __call__(self, *argv: str) -> Any:
        return subprocess.run(
            ["unshare", "-m", "sh", "-c", AS_OTHER, "sh", *self._places, str(COMMAND), *argv],
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ | {"NEXSCOUT_ACTOR": "bob", "HOME": "/tmp"},
        )


@pytest.fixture
def bob(desk: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Other]:
    """Another account, and a home where it may look in."""
    if os.geteuid() or not shutil.which("unshare") or not shutil.which("setpriv"):
        pytest.skip("only root can be two accounts")
    other = Other()
    if other("--version").returncode:
        pytest.skip(f"no other account can run this interpreter here: {other('--version').stderr[-200:]}")
    with tempfile.TemporaryDirectory(prefix="shared-") as folder:
        Path(folder).chmod(0o755)
        shutil.copytree(desk.folder, Path(folder, "home"))
        desk.folder = Path(folder, "home")
        desk.db = desk.folder / "nexscout.db"
        monkeypatch.setenv("NEXSCOUT_HOME", str(desk.folder))
        for line in (("user", "set-tier", "bob", "pro"), ("energy", "grant", "bob", "100")):
            assert desk(*line).status == 0
        yield other


def shared(desk: Any, mode: int, *, locks: bool) -> None:
    """Let other accounts at the files of the database."""
    desk.folder.chmod(0o755 | (0o022 if mode & 2 else 0))
    for path in desk.folder.glob("nexscout.db*"):
        path.chmod(mode if locks or path == desk.db else 0o600)


@pytest.mark.parametrize(
    ("mode", "locks"), [(None, False), (0o644, False), (0o666, False)], ids=["closed", "to read", "but its locks"]
)
def test_an_account_that_may_not_write_the_database_is_told_and_sends_nothing(
    desk: Any, bob: Other, server: FaultServer, mode: int | None, locks: bool
) -> None:
    desk.folder.chmod(0o700)
    if mode is not None:
        shared(desk, mode, locks=locks)
    done = bob("run", "-m", "gpt-4o-mini", "Hello")
    assert (done.returncode, server.hits) == (6, 0), done
    assert "Permission denied" in done.stderr and "Traceback" not in done.stderr
    assert bob("report").returncode == (6 if mode is None else 0)


def test_two_accounts_that_share_the_files_are_both_served_and_neither_takes_the_other_for_dead(
    desk: Any, bob: Other, server: FaultServer
) -> None:
    shared(desk, 0o666, locks=True)
    done = bob("run", "-m", "gpt-4o-mini", "Hello")
    assert (done.returncode, done.stdout) == (0, "Hello there.\n"), done
    assert desk("run", "-m", "gpt-4o-mini", "Hello").status == 0
    assert desk.states() == ["posted", "posted"] and server.hits == 2
    shared(desk, 0o600, locks=True)
    assert desk("db", "check").status == 0
