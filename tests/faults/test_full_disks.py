"""A disk without room under what is written: a clear error and what to do, nothing lost, what was paid in the books."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.faults.test_store_faults import fill
from tests.support.fault_server import FaultServer, fine, first


def rows(folder: Path, number: int) -> str:
    """A batch file."""
    lines = [json.dumps({"id": str(n), "prompt": f"customer {n}"}) + "\n" for n in range(number)]
    (folder / "rows.jsonl").write_text("".join(lines))
    return str(folder / "rows.jsonl")


def batch(desk: Any, folder: Path, out: Path, *more: str) -> Any:
    return desk.process(
        "batch", rows(folder, 6), "-m", "gpt-4o", "--concurrency", "1", "--no-cache", "--out", str(out), *more
    )


def whole_lines(out: Path) -> list[Any]:
    text = out.read_text()
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def no_room(done: Any) -> None:
    """One clear error, and what to do."""
    assert done.status == 6 and "No space left" in done.err and "Traceback" not in done.err, done
    assert 2 <= len(done.err.splitlines()) <= 3, done.err


def test_a_disk_that_fills_up_under_a_batch_keeps_whole_lines_and_resume_pays_nothing_twice(
    desk: Any, server: FaultServer, small_disk: Path, tmp_path: Path
) -> None:
    out = small_disk / "out.jsonl"
    server.script = [fine(), fine(), first(lambda: fill(small_disk), fine("long " * 3_000))]
    no_room(batch(desk, tmp_path, out))
    assert len(whole_lines(out)) == 2 and server.hits == 3
    desk.settled(["posted"] * 3, energy=sum(desk.books.listed("accounts", "spent", kind="energy")))
    (small_disk / "filler").unlink()
    done = batch(desk, tmp_path, out, "--resume")
    assert done.status == 0, done
    assert len(whole_lines(out)) == 6 and server.hits == 6
    assert desk.states() == ["posted"] * 6
    assert sorted(path.name for path in small_disk.iterdir()) == ["out.jsonl"]


def test_a_disk_that_is_full_under_the_key_file_or_the_answers_refuses_a_batch_before_anything_is_sent(
    desk: Any, server: FaultServer, small_disk: Path, tmp_path: Path
) -> None:
    fill(small_disk)
    no_room(batch(desk, tmp_path, small_disk / "out.jsonl"))
    assert server.hits == 0
    (small_disk / "filler").unlink()
    assert batch(desk, tmp_path, small_disk / "out.jsonl", "--resume").status == 0
    assert len(whole_lines(small_disk / "out.jsonl")) == 6


def test_a_disk_that_is_full_under_resume_loses_no_answer(
    desk: Any, server: FaultServer, small_disk: Path, tmp_path: Path
) -> None:
    out = small_disk / "out.jsonl"
    assert batch(desk, tmp_path, out).status == 0
    before = out.read_bytes()
    (small_disk / ".out.jsonl.batch").write_text("0123456789abcdef")
    fill(small_disk)
    no_room(batch(desk, tmp_path, out, "--resume"))
    assert out.read_bytes() == before and server.hits == 6
    assert not list(small_disk.glob("*.tmp"))


def test_a_disk_that_is_full_under_a_report_page_leaves_the_old_page(desk: Any, small_disk: Path) -> None:
    page = small_disk / "report.html"
    page.write_text("old")
    fill(small_disk)
    no_room(desk.process("report", "--html", str(page)))
    assert page.read_text() == "old" and {path.name for path in small_disk.iterdir()} == {"report.html", "filler"}


def test_a_disk_that_is_full_under_the_configuration_leaves_the_old_one(
    desk: Any, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(desk.folder, small_disk / "home", ignore=lambda _, names: [n for n in names if n != "nexscout.db"])
    monkeypatch.setenv("NEXSCOUT_HOME", str(small_disk / "home"))
    assert desk("config", "set", "report.tz", "UTC").status == 0
    [config] = (small_disk / "home").rglob("*.toml")
    before = config.read_text()
    fill(small_disk)
    no_room(desk.process("config", "set", "report.tz", "Europe/Vienna"))
    assert config.read_text() == before and not list(small_disk.rglob("*.tmp"))


def test_a_disk_that_is_full_under_a_backup_leaves_no_half_of_one(desk: Any, small_disk: Path) -> None:
    fill(small_disk)
    done = desk.process("db", "backup", str(small_disk / "copy.db"))
    assert done.status == 6 and "space" in done.err and "Traceback" not in done.err, done
    assert {path.name for path in small_disk.iterdir()} == {"filler"}


READS = [
    ("report",),
    ("models", "list"),
    ("report", "--format", "csv"),
    ("log", "--json"),
    ("doctor",),
    ("--help",),
    ("run", "--help"),
]
WORKS = [
    ("run", "-m", "gpt-4o", "Hello"),
    ("run", "-m", "gpt-4o", "--json", "Hello"),
    ("run", "-m", "gpt-4o", "--stream", "Hello"),
    ("energy", "grant", "ada", "5"),
    ("user", "set-tier", "ada", "pro"),
    ("config", "set", "report.tz", "UTC"),
    ("db", "backup"),
    ("cache", "clean"),
    ("--version",),
]


def written_to(desk: Any, argv: tuple[str, ...], out: str, err: str) -> tuple[int, str]:
    """Exit status and stderr of a command by a shell that redirects it."""
    words = " ".join(f"'{word}'" for word in argv)
    streams = f"{out} {err}".strip()
    done = subprocess.run(
        ["sh", "-c", f"exec '{Path(desk_command())}' {words} {streams}"], capture_output=True, timeout=60
    )
    return done.returncode, done.stderr.decode()


def desk_command() -> str:
    from tests.faults.conftest import COMMAND

    return str(COMMAND)


@pytest.mark.parametrize("argv", WORKS, ids=" ".join)
@pytest.mark.parametrize(("out", "err"), [(">/dev/full", ""), (">&-", ""), ("", "2>/dev/full"), (">&-", "2>&- <&-")])
def test_streams_that_cannot_be_written_change_no_exit_status_of_a_command_that_did_its_work(
    desk: Any, argv: tuple[str, ...], out: str, err: str
) -> None:
    status, shown = written_to(desk, argv, out, err)
    assert status == 0 and "Traceback" not in shown and "Exception ignored" not in shown, shown
    if argv[0] == "run" and len(argv) > 2:
        assert set(desk.states()) == {"posted"}
    assert desk("db", "check").status == 0


@pytest.mark.parametrize("argv", READS, ids=" ".join)
def test_what_only_prints_and_has_no_room_ends_with_six(desk: Any, argv: tuple[str, ...]) -> None:
    status, shown = written_to(desk, argv, ">/dev/full", "")
    assert status == 6 and "cannot write to stdout" in shown and "Traceback" not in shown


def test_an_error_keeps_its_status_where_stderr_cannot_be_written(desk: Any) -> None:
    assert written_to(desk, ("run", "-m", "no-such-model", "Hello"), "", "2>/dev/full")[0] == 2
    assert written_to(desk, ("run", "--no-such-flag"), ">&-", "2>&-")[0] == 2
