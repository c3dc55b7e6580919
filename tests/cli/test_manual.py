"""The man page: every command and option that --help knows, in roff that nothing complains of."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from nexscout_cli.cli.app import main
from nexscout_cli.cli.commands import COMMANDS


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert main(["--install-man"]) == 0
    return tmp_path / "man" / "man1" / "nexscout.1"


def test_the_man_page_has_every_command_and_its_options(page: Path) -> None:
    text = page.read_text()
    assert [name for name in COMMANDS if f".SS nexscout {name}\n" not in text] == []
    for line in (".SS nexscout jobs poll", r"\-\-max\-cost", ".SH EXIT STATUS"):
        assert line in text


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not here")
def test_the_man_page_is_roff_without_a_warning(page: Path) -> None:
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", str(page)], capture_output=True, text=True)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "break" not in line]) == (0, [])


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: object
) -> None:
    (tmp_path / "man").write_text("in the way")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert main(["--install-man"]) == 6
