"""``report --html`` as a person and cron meet it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nexscout_cli.cli.app import main
from tests.support.used_store import used_store


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEXSCOUT_HOME", str(tmp_path))
    monkeypatch.setenv("NEXSCOUT_ACTOR", "root")
    for name in ("NEXSCOUT_DB", "NEXSCOUT_USER", "NEXSCOUT_REPORT_TZ"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    used_store(tmp_path / "nexscout.db", datetime.now(UTC), days=3).close()
    return tmp_path


def test_the_page_is_written_whole_for_the_user_alone_and_in_silence(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert main(["report", "--html", "a.html", "--since", "30d", "--tz", "Europe/Berlin"]) == 0
    page = home / "a.html"
    assert page.read_text().rstrip().endswith("</html>") and "Europe/Berlin" in page.read_text()
    assert page.stat().st_mode & 0o077 == 0
    assert capsys.readouterr() == ("", "")
    assert [path.name for path in home.iterdir() if ".a.html" in path.name] == []


def test_a_minus_is_stdout_and_one_user_is_one_user(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--html", "-", "--user", "root"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("<!doctype html>") and "Nothing was recorded" in out


def test_a_link_is_followed_and_stays(home: Path) -> None:
    (home / "real.html").write_text("old")
    (home / "link.html").symlink_to(home / "real.html")
    assert main(["report", "--html", "link.html"]) == 0
    assert (home / "link.html").is_symlink() and (home / "real.html").read_text() != "old"


@pytest.mark.parametrize(
    "argv", [["--json"], ["--format", "csv"], ["models"], ["--user", "nobody"], ["--since", "x"]], ids=" ".join
)
def test_what_contradicts_it_is_refused_and_writes_nothing(home: Path, argv: list[str]) -> None:
    assert main(["report", "--html", "a.html", *argv]) == 2
    assert not (home / "a.html").exists()


@pytest.mark.parametrize("where", ["no/such/folder/a.html", "."])
def test_where_nothing_can_be_written_is_said(home: Path, where: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--html", where]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_a_page_whose_figures_are_the_same_stays_as_it_is(home: Path) -> None:
    argv = ["report", "--html", "a.html", "--since", "2020-01-01", "--until", "2020-02-01", "--if-changed", "--quiet"]
    page = home / "a.html"
    assert main(argv) == 0
    os.utime(page, (1, 1))
    assert main(argv) == 0 and page.stat().st_mtime == 1
    assert main([*argv[:-2], "--quiet"]) == 0 and page.stat().st_mtime > 1
    os.utime(page, (1, 1))
    assert main([*argv, "--since", "30d", "--until", "2099-01-01"]) == 0 and page.stat().st_mtime > 1
    page.write_text("no page of ours")
    assert main(argv) == 0 and page.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("argv", [[], ["--html", "-"]])
def test_if_changed_needs_a_file_to_compare_with(home: Path, argv: list[str]) -> None:
    assert main(["report", "--if-changed", *argv]) == 2


def test_quiet_says_nothing_but_the_report(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    span = ["--since", "2020-01-01", "--until", "2020-02-01"]
    assert main(["report", "models", *span]) == 0 and "nothing was recorded" in capsys.readouterr().err
    assert main(["report", "models", "--quiet", *span]) == 0 and capsys.readouterr().err == ""
