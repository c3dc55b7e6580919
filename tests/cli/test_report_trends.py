"""Small drawings of cost by day beside a report's rows: on a terminal with room, and nowhere else."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from nexscout_cli.cli import output
from nexscout_cli.cli.app import main
from tests.support.used_store import used_store

BLOCKS = set("▁▂▃▄▅▆▇")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXSCOUT_HOME", str(tmp_path))
    monkeypatch.setenv("NEXSCOUT_ACTOR", "root")
    for name in ("NEXSCOUT_DB", "NEXSCOUT_USER", "NEXSCOUT_REPORT_TZ"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    used_store(tmp_path / "nexscout.db", datetime.now(UTC), days=20).close()


@pytest.mark.parametrize("name", ["users", "models", "features"])
def test_a_wide_terminal_shows_them(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "stdout_is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "600")  # names there are 300 characters long
    assert main(["report", name, "--since", "30d"]) == 0
    out = capsys.readouterr().out
    assert "cost by day" in out and BLOCKS & set(out)


@pytest.mark.parametrize(("terminal", "columns"), [(False, "180"), (True, "70")])
def test_a_narrow_terminal_and_a_pipe_do_not(
    terminal: bool, columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "stdout_is_terminal", lambda: terminal)
    monkeypatch.setenv("COLUMNS", columns)
    assert main(["report", "models", "--since", "30d"]) == 0
    assert not BLOCKS & set(capsys.readouterr().out)


def test_too_few_days_make_no_trend(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(output, "stdout_is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "180")
    assert main(["report", "models", "--since", "24h"]) == 0
    assert not BLOCKS & set(capsys.readouterr().out)
