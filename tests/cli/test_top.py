"""``nexscout top``: what goes on, from the books, and that it fits."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nexscout_cli.cli.app import main
from nexscout_cli.cli.sparkline import sparkline
from nexscout_cli.cli.top import lines
from nexscout_cli.engine.book_types import InFlight, Live, Minute
from tests.support.used_store import used_store

NOW = datetime(2026, 11, 20, 15, 0, 30, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEXSCOUT_HOME", str(tmp_path))
    monkeypatch.setenv("NEXSCOUT_ACTOR", "root")
    for name in ("NEXSCOUT_DB", "NEXSCOUT_USER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    used_store(tmp_path / "nexscout.db", datetime.now(UTC), days=2).close()
    return tmp_path


def call(n: int, state: str = "sent", user: str = "ana") -> InFlight:
    return InFlight(f"r{n}", 1, user, "gpt-4o-mini", state, 2_000_000, NOW - timedelta(seconds=n))


def quiet(n: int) -> list[Minute]:
    return [Minute(0, 0, 0, 0)] * n


def test_it_tells_calls_holds_spending_and_errors() -> None:
    busy = [Minute(5_000_000_000, 10, 2, 1)] * 6
    text = "\n".join(lines(Live(NOW, [call(9), call(3, "held"), call(1, "unknown")], quiet(54) + busy), 100, None))
    assert "in flight        2   holding $0.0040" in text
    assert "$5.0000 a minute" in text and "$30.0000 in the hour" in text
    assert "10.0 a minute; 60 in the hour, 12 from the cache" in text and "5 in five minutes; 6 in the hour" in text
    assert "unknown          1" in text and "db resolve" in text
    assert "9.0     $0.0020  sent   gpt-4o-mini           ana" in text


@pytest.mark.parametrize("width", [40, 80, 200])
def test_it_fits_the_terminal_and_tells_how_many_it_leaves_out(width: int) -> None:
    shown = lines(Live(NOW, [call(n, user="x" * 150) for n in range(90)], quiet(60)), width, 24)
    assert max(map(len, shown)) <= width and len(shown) <= 24 and shown[-1].startswith("and ")


def test_a_name_that_would_steer_the_terminal_is_harmless() -> None:
    assert not [line for line in lines(Live(NOW, [call(1, user="a\x1b[2Jb")], quiet(60)), 80, None) if "\x1b" in line]


@pytest.mark.usefixtures("home")
def test_once_and_json_print_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "--once"]) == 0
    assert "in flight" in capsys.readouterr().out
    assert main(["top"]) == 0  # no terminal
    assert "in flight" in capsys.readouterr().out
    assert main(["top", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["minutes"]) == 60 and found["calls"] == []


def test_on_a_terminal_it_is_drawn_again_until_ctrl_c(home: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "nexscout_cli", "top", "--every", "0.2"]
    env = os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, cwd=home)
    os.close(theirs)
    said, until = b"", time.monotonic() + 30
    while said.count(b"in flight") < 3 and time.monotonic() < until:
        if select.select([ours], [], [], 1)[0]:
            said += os.read(ours, 65536)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0 and said.count(b"in flight") >= 3
    os.close(ours)


def test_a_sparkline_is_as_high_as_its_numbers_and_as_long_as_it_may_be() -> None:
    assert sparkline([0, 1, 4, 8], 8) == " ▂▅█" and sparkline([], 8) == ""
    assert len(sparkline(list(range(100)), 8)) <= 8 and sparkline([0, 0], 8) == "  "
