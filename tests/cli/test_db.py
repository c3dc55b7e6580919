from __future__ import annotations

import json
import stat
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli import config
from nexscout_cli.engine.settlement import Attempt
from nexscout_cli.store.sqlite.database import SCHEMA_VERSION
from tests.support.bench import Bench
from tests.support.clock import SettableClock


@pytest.fixture
def bench(home: Path) -> Bench:
    """The installation's database, used once."""
    bench = Bench(home / "nexscout.db", "owner", SettableClock(datetime.now(UTC)))
    bench.post(bench.sent())
    return bench


@pytest.fixture
def lost(bench: Bench) -> Attempt:
    return bench.unknown()


def test_path_says_where_the_database_is_and_makes_none(nexscout: Any, home: Path) -> None:
    assert nexscout("db", "path") == (0, f"{home}/nexscout.db\n", "")
    assert json.loads(nexscout("db", "path", "--json").stdout) == {"path": f"{home}/nexscout.db", "exists": False}
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("command", ["check", "backup", "resolve"])
def test_what_needs_a_database_makes_none(nexscout: Any, home: Path, command: str) -> None:
    ran = nexscout("db", command)
    assert (ran.exit, ran.stdout) == (6, "")
    assert "there is no database" in ran.stderr
    assert list(home.iterdir()) == []


def test_a_sound_database_is_passed_in_silence(nexscout: Any, bench: Bench) -> None:
    assert nexscout("db", "check") == (0, "", "")
    assert json.loads(nexscout("db", "check", "--json").stdout) == {
        "path": str(bench.path),
        "healthy": True,
        "problems": [],
    }


def test_damage_is_told_with_what_to_do_and_exits_6(nexscout: Any, bench: Bench) -> None:
    bench.damage("UPDATE accounts SET spent = 77 WHERE kind = 'energy'")
    ran = nexscout("db", "check")
    assert ran.exit == 6
    assert "spent is 77, its entries say 1" in ran.stdout and "restore" in ran.stdout
    ran = nexscout("db", "check", "--json")
    shown = json.loads(ran.stdout)
    assert (ran.exit, shown["healthy"], shown["problems"][0]["name"]) == (6, False, "accounts")


@pytest.mark.parametrize("content", [b"", b"garbage" * 100])
def test_a_file_that_cannot_be_opened_is_a_problem_too(nexscout: Any, home: Path, content: bytes) -> None:
    (home / "nexscout.db").write_bytes(content)
    ran = nexscout("db", "check", "--json")
    shown = json.loads(ran.stdout)
    assert (ran.exit, shown["healthy"], shown["problems"][0]["name"]) == (6, False, "corrupt")
    assert (home / "nexscout.db").read_bytes() == content


def test_a_backup_is_a_sound_copy_that_only_its_owner_can_read(nexscout: Any, bench: Bench, home: Path) -> None:
    ran = nexscout("db", "backup")
    made = Path(ran.stdout.strip())
    assert (ran.exit, made.parent, made.suffix) == (0, home, ".bak")
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    copy = Bench(made, "owner", bench.clock)
    assert copy.check() == []
    assert copy.account("owner") == bench.account("owner")


def test_a_backup_goes_where_it_is_told_and_overwrites_nothing(nexscout: Any, bench: Bench, home: Path) -> None:
    shown = json.loads(nexscout("db", "backup", home / "copy", "--json").stdout)
    assert shown == {"path": f"{home}/copy", "bytes": (home / "copy").stat().st_size}
    (home / "taken").write_text("mine")
    ran = nexscout("db", "backup", home / "taken")
    assert ran.exit == 2 and "exists already" in ran.stderr
    assert (home / "taken").read_text() == "mine"
    ran = nexscout("db", "backup", home / "no" / "folder")
    assert ran.exit == 6 and "cannot write" in ran.stderr


def test_migrate_says_what_schema_the_database_has(nexscout: Any, home: Path) -> None:
    assert "made" in nexscout("db", "migrate").stdout
    assert nexscout("db", "migrate") == (0, f"schema {SCHEMA_VERSION} is the newest; nothing to do\n", "")
    assert json.loads(nexscout("db", "migrate", "--json").stdout) == {
        "path": f"{home}/nexscout.db",
        "schema_version": SCHEMA_VERSION,
        "migrated_from": None,
    }


def test_resolve_lists_what_is_unresolved(nexscout: Any, bench: Bench, lost: Attempt) -> None:
    ran = nexscout("db", "resolve")
    assert ran.exit == 0
    assert lost.request_id in ran.stdout and "gpt-4o-mini" in ran.stdout and "it hung" in ran.stdout
    (row,) = json.loads(nexscout("db", "resolve", "--json").stdout)["rows"]
    assert (row["request_id"], row["user_id"]) == (lost.request_id, "owner")
    assert row["hold_usd"] == lost.hold / 1e9


def test_resolve_lists_nothing_where_nothing_is_unresolved(nexscout: Any, bench: Bench) -> None:
    assert nexscout("db", "resolve") == (0, "", "")
    assert json.loads(nexscout("db", "resolve", "--json").stdout) == {"rows": []}


def test_resolve_posts_at_a_cost_in_dollars(nexscout: Any, bench: Bench, lost: Attempt) -> None:
    ran = nexscout("db", "resolve", lost.request_id, "--post", "0.000001234", "--json")
    assert '"cost_usd": 0.000001234' in ran.stdout
    assert json.loads(ran.stdout) == {
        "request_id": lost.request_id,
        "attempts": 1,
        "state": "posted",
        "cost_usd": 0.000001234,
    }
    assert bench.books.listed("attempts", "actual", id=lost.id) == [1234]
    assert nexscout("db", "check").exit == 0


def test_resolve_voids(nexscout: Any, bench: Bench, lost: Attempt) -> None:
    assert nexscout("db", "resolve", lost.request_id, "--void") == (0, "", "")
    assert bench.state(lost) == "voided"
    assert nexscout("db", "resolve", lost.request_id, "--void").exit == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "say what became of it"),
        (("--post", "1", "--void"), "exclude"),
        (("--post", "-1"), "--post"),
        (("--post", "much"), "--post"),
        (("--clock",), "stands alone"),
    ],
)
def test_resolve_refuses_what_decides_nothing(
    nexscout: Any, bench: Bench, lost: Attempt, options: tuple[str, ...], said: str
) -> None:
    ran = nexscout("db", "resolve", lost.request_id, *options)
    assert ran.exit == 2 and said in ran.stderr
    assert bench.state(lost) == "unknown"
    assert nexscout("db", "resolve", "--void").exit == 2


def test_resolve_first_finds_what_a_dead_process_left(nexscout: Any, bench: Bench) -> None:
    attempt = bench.sent()
    bench.sql("UPDATE attempts SET owner = ?", "/".join([attempt_host(bench), "another-boot", "1", "1"]))
    assert attempt.request_id in nexscout("db", "resolve").stdout


def attempt_host(bench: Bench) -> str:
    return str(bench.books.attempts()[-1]["owner"]).split("/")[0]


def test_resolve_clock_ends_a_last_seen_time_in_the_future(nexscout: Any, bench: Bench) -> None:
    bench.clock.move(days=30)
    bench.post(bench.sent())
    ran = nexscout("db", "check")
    assert ran.exit == 6 and "nexscout db resolve --clock" in ran.stdout
    assert nexscout("db", "resolve", "--clock") == (0, "", "")
    assert nexscout("db", "check").exit == 0


def test_who_is_no_admin_resolves_and_sees_nothing_of_others(
    nexscout: Any, bench: Bench, lost: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.post(bench.sent(bench.plan(user="bob")))
    monkeypatch.setenv("NEXSCOUT_ACTOR", "bob")
    assert nexscout("db", "resolve") == (0, "", "")
    for argv in (("check",), ("backup",), ("resolve", "--clock"), ("resolve", lost.request_id, "--void")):
        assert nexscout("db", *argv).exit == 8
    assert bench.state(lost) == "unknown"
    assert list(bench.path.parent.glob("*.bak")) == []


@pytest.mark.parametrize("command", ["", "path", "check", "backup", "migrate", "resolve"])
def test_help_leads_with_examples(nexscout: Any, command: str) -> None:
    ran = nexscout("db", *command.split(), "--help")
    assert ran.exit == 0
    assert ran.stdout.index(f"  nexscout db {command}") < ran.stdout.index("Options:")


def test_seals_are_printed_once_and_compared_with_what_was_kept(nexscout: Any, bench: Bench, home: Path) -> None:
    assert nexscout("db", "seal") == (0, "", "")
    earlier = Bench(home / "other.db", "owner", SettableClock(datetime(2026, 1, 1, tzinfo=UTC)))
    earlier.post(earlier.sent())
    earlier.store.close()
    (home / "other.db").replace(home / "nexscout.db")
    ran = nexscout("db", "seal")
    assert ran.exit == 0 and ran.stdout.startswith("2026-01-01 ") and len(ran.stdout) == 76
    assert nexscout("db", "seal") == (0, "", "")
    assert nexscout("db", "seal", "--all") == ran
    (home / "seals").write_text(ran.stdout)
    assert nexscout("db", "check", "--seal", home / "seals").exit == 0
    (home / "seals").write_text("2026-01-01 " + 64 * "0" + "\n")
    ran = nexscout("db", "check", "--seal", home / "seals")
    assert ran.exit == 6 and "is not the one that was kept" in ran.stdout


@pytest.mark.parametrize(("content", "said"), [("", "has no seals"), ("2026-01-01 abc\n", "line 1")])
def test_a_file_that_holds_no_seals_is_refused(
    nexscout: Any, bench: Bench, home: Path, content: str, said: str
) -> None:
    (home / "seals").write_text(content)
    ran = nexscout("db", "check", "--seal", home / "seals")
    assert ran.exit == 2 and said in ran.stderr
    assert nexscout("db", "check", "--seal", home / "nothing").exit == 2


def test_old_backups_are_removed_and_said_beforehand(nexscout: Any, bench: Bench, home: Path) -> None:
    first = Path(nexscout("db", "backup").stdout.strip())
    said = json.loads(nexscout("db", "backup", "--prune", "1", "--dry-run", "--json").stdout)
    assert said == {"path": None, "removed": [str(first)], "dry_run": True} and first.exists()
    shown = json.loads(nexscout("db", "backup", "--prune", "1", "--json").stdout)
    assert shown["removed"] == [str(first)] and not first.exists() and Path(shown["path"]).exists()
    assert nexscout("db", "backup", "--prune", "0").exit == 2


def test_forgetting_names_the_backups_that_still_hold_the_texts(nexscout: Any, bench: Bench, home: Path) -> None:
    nexscout("db", "backup", home / "whole")
    nexscout("db", "backup", home / "bare", "--without-text")
    ran = nexscout("user", "forget", "owner", "--yes")
    assert ran.exit == 0 and f"still holds texts of owner's: {home}/whole" in ran.stderr and "bare" not in ran.stderr
    shown = json.loads(nexscout("user", "forget", "owner", "--yes", "--json").stdout)
    assert [one["path"] for one in shown["backups"]] == [str(home / "whole")]


@pytest.fixture
def old(home: Path) -> Bench:
    """The installation's database, used in September and since."""
    bench = Bench(home / "nexscout.db", "owner", SettableClock(datetime(2026, 9, 7, tzinfo=UTC)))
    bench.post(bench.sent())
    bench.clock.time = datetime(2026, 10, 7, tzinfo=UTC)
    bench.post(bench.sent())
    bench.clock.time = datetime(2026, 11, 7, tzinfo=UTC)
    bench.store.recovery.recover("owner")
    return bench


def test_archive_says_what_would_go_then_moves_it_and_lists_say_where_it_is(
    nexscout: Any, old: Bench, home: Path, tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow", reason="archives are not installed: nexscout[archive]")
    command = ("db", "archive", "--before", "2026-10")
    told = nexscout(*command, "--dry-run")
    assert told.exit == 0 and told.stdout.startswith("2026-09: 1 requests, 1 attempts, ")
    assert json.loads(nexscout(*command, "--dry-run", "--json").stdout)["months"][0]["usage"] == 1
    assert nexscout(*command, "--to", str(tmp_path / "old")) == (0, "", "")
    assert (tmp_path / "old" / "2026-09.requests.parquet").exists()
    assert json.loads(nexscout(*command, "--json").stdout) == {"months": []} and not (home / "archives").exists()
    assert nexscout("db", "check") == (0, "", "")
    for listing in (("log",), ("energy", "history")):
        assert f"from before 2026-10-01 are archived in {tmp_path}/old" in nexscout(*listing).stderr
    shown = nexscout("report", "days", "--since", "2026-09-01", "--until", "2026-10-01").stdout
    assert "2026-09-07" in shown and "the calls are archived in" in shown
    ran = nexscout("why", "1992f0a0a0a0")
    assert ran.exit == 2 and "archived in" in ran.stderr


def test_archive_refuses_what_is_no_day_and_names_the_extra_it_needs(
    nexscout: Any, old: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in ("soon", "2026-13-01", "2026-1"):
        ran = nexscout("db", "archive", "--before", day, "--to", str(tmp_path / "old"))
        assert ran.exit == 2 and "is no day" in ran.stderr
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    ran = nexscout("db", "archive", "--before", "2026-10-01", "--to", str(tmp_path / "old"))
    assert ran.exit == 6 and 'pip install "nexscout[archive]"' in ran.stderr
    assert not (tmp_path / "old").exists()


def test_a_servers_address_is_shown_without_its_password() -> None:
    url = "postgresql://ana:s3cret@/books?host=/run/pg&password=s3cret&sslmode=require&port=6432"
    assert config.without_password(url) == "postgresql://ana@/books?host=/run/pg&port=6432"
    assert config.without_password("postgresql://ana@one,two/books?passfile=x") == "postgresql://ana@one,two/books"
