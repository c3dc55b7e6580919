"""A system without POSIX, as Windows is: the same commands and books, on locks and processes as a library has them.

There is no Windows here. What can be tried is that nothing asks for a module, function or flag that Windows lacks, and that the
libraries that stand in for them keep writers apart.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.openai_server import OpenAIServer

pytest.importorskip("portalocker")
pytest.importorskip("psutil")

WITHOUT = """
import sys, os, signal
import asyncio, concurrent.futures, importlib.metadata, logging, multiprocessing, platform, random, socket, subprocess, tempfile
import http.client, urllib.request, uuid, sqlite3, tomllib, zoneinfo, pathlib, shutil, gzip, zipfile, ssl, getpass, webbrowser
import httpcore, jinja2, regex, rich.console, sqlite_utils, tiktoken, typer  # these know Windows themselves
import portalocker, psutil  # they have what is taken away from here on
sys.modules.update(dict.fromkeys(("fcntl", "pwd", "grp", "resource", "termios", "tty", "pty", "readline", "syslog")))
for name in ("fork", "forkpty", "register_at_fork", "uname", "getuid", "geteuid", "getgid", "getpgid", "setsid", "killpg",
    "pread", "pwrite", "fchmod", "fchown", "chown", "mkfifo", "getloadavg", "openpty", "sysconf", "nice", "sync",
    "O_CLOEXEC", "O_NONBLOCK", "O_DIRECTORY", "O_NOFOLLOW", "O_SYNC"):
    vars(os).pop(name, None)
for name in ("SIGHUP", "SIGPIPE", "SIGALRM", "SIGQUIT", "SIGUSR1", "SIGCHLD", "alarm", "setitimer", "pthread_sigmask"):
    vars(signal).pop(name, None)
def kill(pid, number, kill=os.kill):
    assert sys._getframe(1).f_globals["__name__"].startswith("psutil"), "on Windows this ends the process"
    kill(pid, number)
os.kill = kill
"""
"""What an interpreter on Windows does not have."""


def without_posix(code: str, *words: str, home: Path) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "USERNAME": "Ada", "NEXSCOUT_HOME": str(home), "HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-c", WITHOUT + code, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=home,
        env=env | {"OPENAI_API_KEY": "x"},
        stdin=subprocess.DEVNULL,
    )


def command(home: Path, *words: str, status: int = 0) -> str:
    ended = without_posix("from nexscout_cli.__main__ import main\nmain()", *words, home=home)
    assert (ended.returncode, "Traceback" in ended.stderr) == (status, False), ended.stderr
    return ended.stdout


def test_everyday_commands_do_what_they_do_elsewhere(tmp_path: Path) -> None:
    with OpenAIServer() as server:
        command(tmp_path, "models", "set", "gpt-4o-mini", "--api-base", server.url)
        line = ("run", "--feature", "ai_message", "--model", "gpt-4o-mini", "--json", "Write to Sarah")
        assert [json.loads(command(tmp_path, *line))["success"] for _ in range(2)] == [True, True]
        rows = tmp_path / "rows.jsonl"
        rows.write_text("".join(json.dumps({"id": n, "prompt": f"Write to customer {n}"}) + "\n" for n in range(4)))
        command(tmp_path, "batch", "rows.jsonl", "--feature", "ai_message", "--out", "answers.jsonl")
        assert len((tmp_path / "answers.jsonl").read_text().splitlines()) == 4
        assert "Ada" in command(tmp_path, "user", "list")
        totals = json.loads(command(tmp_path, "report", "--json"))["totals"]
        assert (totals["calls"], totals["hits"]) == (5, 1)
    assert command(tmp_path, "report", "--html", "page.html") == "" and (tmp_path / "page.html").stat().st_size > 9_000
    command(tmp_path, "config", "set", "report.tz", "Europe/Berlin")
    command(tmp_path, "models", "key", "set", "openai", "--file", status=2)
    command(tmp_path, "db", "check")
    assert json.loads(command(tmp_path, "doctor", "--json"))
    command(tmp_path, "db", "backup", "copy.db")
    command(tmp_path, "no-such-command", status=2)


HOLD = """
from pathlib import Path
from nexscout_cli.store.sqlite.queue import QueueLock
lock, counted = QueueLock(Path("queue.lock"), 30), Path("counted")
for _ in range(25):
    with lock.held():
        before = int(counted.read_text())
        counted.write_text(str(before + 1))
"""


def test_writers_queue_on_the_locks_of_the_library(tmp_path: Path) -> None:
    (tmp_path / "counted").write_text("0")
    argv = [sys.executable, "-c", WITHOUT + HOLD]
    writers = [subprocess.Popen(argv, cwd=tmp_path, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [(writer.communicate()[1], writer.returncode) for writer in writers] == [("", 0)] * 3
    assert (tmp_path / "counted").read_text() == "75"


def test_a_lock_ends_with_a_killed_program_and_its_owner_is_known_to_be_dead(tmp_path: Path) -> None:
    begun = """
import time
from pathlib import Path
from nexscout_cli.store import owner
from nexscout_cli.store.sqlite.queue import QueueLock
with QueueLock(Path("queue.lock"), 1).held():
    print(owner.me(), flush=True)
    time.sleep(60)
"""
    asked = """
import sys
from pathlib import Path
from nexscout_cli.errors import StoreError
from nexscout_cli.store import owner
from nexscout_cli.store.sqlite.queue import QueueLock
try:
    with QueueLock(Path("queue.lock"), 0.3).held():
        print("free", owner.alive(sys.argv[1]), owner.alive(owner.me()))
except StoreError as error:
    print(error.code, owner.alive(sys.argv[1]))
"""
    with subprocess.Popen(
        [sys.executable, "-c", WITHOUT + begun], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        name = holder.stdout.readline().strip()
        assert without_posix(asked, name, home=tmp_path).stdout == "busy True\n"
        holder.kill()
        holder.wait()
        assert without_posix(asked, name, home=tmp_path).stdout == "free False True\n"


def test_types_and_functions_can_be_imported(tmp_path: Path) -> None:
    code = """
from nexscout_cli import AIRequest, Options, budget, open_engine, openai_client, run_ai_optimized
import nexscout_cli.server.rates, nexscout_cli.store.postgres.journal, nexscout_cli.providers.embedded.pull, nexscout_cli.notify
print(AIRequest("ana", "ai_message", "Hi").prompt)"""
    ended = without_posix(code, home=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "Hi\n", "")
