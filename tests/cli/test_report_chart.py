"""``report --chart``: what is drawn, and that it fits."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from nexscout_cli.cli.app import main
from nexscout_cli.cli.report_chart import columns
from tests.support.used_store import used_store


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEXSCOUT_HOME", str(tmp_path))
    monkeypatch.setenv("NEXSCOUT_ACTOR", "root")
    for name in ("NEXSCOUT_DB", "NEXSCOUT_USER", "NEXSCOUT_REPORT_TZ"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    used_store(tmp_path / "nexscout.db", datetime.now(UTC), days=70).close()
    return tmp_path


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("since", ["3d", "70d"])
def test_it_fits_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int, since: str
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["report", "--chart", "--since", since]) == 0
    out = capsys.readouterr().out
    assert max(len(line) for line in out.splitlines()) <= width
    assert "cost by" in out and "hit rate" in out and "this month" in out


@pytest.mark.usefixtures("home")
def test_a_budget_has_its_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXSCOUT_CAPS_USD_TOTAL_MONTH", "10")
    assert main(["report", "--chart"]) == 0
    assert "of the budget of $10.00" in capsys.readouterr().out


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("argv", [["--json"], ["models"], ["--html", "a.html"], ["--format", "md"]], ids=" ".join)
def test_what_contradicts_it_is_refused(argv: list[str]) -> None:
    assert main(["report", "--chart", *argv]) == 2


def test_columns_stand_as_high_as_their_numbers() -> None:
    days = ["2026-11-01", "2026-11-02", "2026-11-03"]
    drawn = columns(days, [1.0, 2.0, 4.0], str, 60, rows=4)
    heights = [sum(line[11 + 4 * n : 12 + 4 * n] == "█" for line in drawn[:4]) for n in range(3)]
    assert heights == [1, 2, 4]
    assert not [line for line in columns(days, [1.0, 2.0, 4.0], str, 60, unicode=False) if not line.isascii()]
