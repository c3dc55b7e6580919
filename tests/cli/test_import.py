from __future__ import annotations

import gzip
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli.cli.report import COLUMNS
from nexscout_cli.engine.reports.build import OF_IMPORTED

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "imports"
MINI = "gpt-4o-mini-2024-07-18"


@pytest.fixture
def logs(home: Path) -> Path:
    """A log that llm 0.36 wrote: three requests, the second partly from the cache and thought about."""
    path = home / "logs.db"
    with closing(sqlite3.connect(path)) as c:
        c.executescript((FIXTURES / "llm-0.36.sql").read_text())
    return path


def spend(n: int, **more: Any) -> dict[str, Any]:
    row = {"request_id": f"r{n}", "startTime": "2026-11-03T10:00:00Z", "model": "gpt-4o-mini", "prompt_tokens": 1000}
    return row | {"completion_tokens": 100, "spend": 0.001, "end_user": "ana", "custom_llm_provider": "openai"} | more


@pytest.fixture
def spent(home: Path) -> Path:
    path = home / "spend.json"
    path.write_text(json.dumps([spend(1), spend(2), spend(3, status="failure")]))
    return path


def brought(nexscout: Any, *argv: object) -> Any:
    ran = nexscout("import", *argv, "--json")
    assert (ran.exit, ran.stderr) == (0, ""), ran
    return json.loads(ran.stdout)


def models(nexscout: Any, *argv: object) -> dict[str, Any]:
    ran = nexscout("report", "models", "--since", "2020-01-01", "--imported", "only", "--json", *argv)
    assert ran.exit == 0, ran
    return {row["model_used"]: row for row in json.loads(ran.stdout)["rows"]}


def test_the_log_of_llm_costs_what_a_hand_reckons(nexscout: Any, logs: Path) -> None:
    found = brought(nexscout, logs, "--from", "llm")
    # 101 + 103 and 102 of which 64 from the cache at 0.15 and 0.075, 21 + 22 + 23 at 0.60 dollars a million.
    (line,) = found["models"]
    assert line["model"] == MINI and (line["requests"], line["tokens_in"], line["tokens_out"]) == (3, 306, 66)
    nano = [101 * 150 + 21 * 600, 38 * 150 + 64 * 75 + 22 * 600, 103 * 150 + 23 * 600]
    assert line["cost"] == sum(nano) / 1e9 and line["table_priced"] == 3
    (row,) = models(nexscout).values()
    assert (row["requests"], row["input_tokens"], row["output_tokens"]) == (3, 306, 66) and row["cost_usd"] == sum(
        nano
    ) / 1e9


def test_what_is_imported_twice_is_counted_once(nexscout: Any, spent: Path) -> None:
    assert brought(nexscout, spent, "--from", "litellm")["known"] == 0
    again = brought(nexscout, spent, "--from", "litellm")
    assert again["known"] == 2 and again["import"]["rows"] == 0
    assert models(nexscout)["gpt-4o-mini"]["requests"] == 2


def test_the_sources_own_cost_counts_and_which_one_did_is_said(nexscout: Any, home: Path) -> None:
    rows = (spend(1), spend(2, spend=None), spend(3, spend=None, model="x"))
    (home / "s.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = brought(nexscout, "s.jsonl", "--from", "litellm")
    lines = {line["model"]: line for line in found["models"]}
    assert (lines["gpt-4o-mini"]["source_priced"], lines["gpt-4o-mini"]["table_priced"], lines["x"]["unpriced"]) == (
        1,
        1,
        1,
    )
    assert lines["gpt-4o-mini"]["cost"] == 0.00121
    with closing(sqlite3.connect(home / "nexscout.db")) as c:
        kept = c.execute("SELECT source_cost, table_cost FROM imported_usage ORDER BY rowid").fetchall()
    assert kept == [(1_000_000, 210_000), (None, 210_000), (None, None)]
    told = nexscout("import", "s.jsonl", "--from", "litellm", "--dry-run").stdout
    assert "the source (1), the price table (1)" in told and "no price is known" in told


def test_a_dry_run_says_what_it_understood_and_what_it_left_and_makes_no_database(
    nexscout: Any, spent: Path, home: Path
) -> None:
    ran = nexscout("import", spent, "--from", "litellm", "--dry-run")
    assert ran.exit == 0 and not (home / "nexscout.db").exists()
    assert "2 records, from 2026-11-03 to 2026-11-03" in ran.stdout and "1 left out: the request failed" in ran.stdout
    brought(nexscout, spent, "--from", "litellm")
    found = brought(nexscout, spent, "--from", "litellm", "--dry-run")
    assert found["known"] == 2 and len(json.loads(nexscout("import", "list", "--json").stdout)["rows"]) == 1


def test_an_answer_that_was_logged_while_it_grew_counts_as_it_was_in_the_end(nexscout: Any, home: Path) -> None:
    usage = {"input_tokens": 10, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    line = {"timestamp": "2026-11-02T08:00:00Z", "sessionId": "s", "requestId": "q"}
    grown = [
        line | {"message": {"id": "m", "model": "claude-sonnet-4-5", "usage": usage | {"output_tokens": made}}}
        for made in (1, 40, 40, 1)
    ]
    (home / "p").mkdir()
    (home / "p" / "one.jsonl").write_text("\n".join(map(json.dumps, grown[:2])))
    (home / "p" / "resumed.jsonl").write_text("\n".join(map(json.dumps, grown[2:])))
    found = brought(nexscout, "p", "--from", "ccusage")
    assert (found["records"], found["import"]["rows"]) == (4, 1)
    assert models(nexscout)["claude-sonnet-4-5"]["output_tokens"] == 40


def test_no_text_of_a_prompt_or_an_answer_is_kept(nexscout: Any, logs: Path, home: Path) -> None:
    brought(nexscout, logs, "--from", "llm")
    assert not any(word in path.read_bytes() for path in home.glob("nexscout.db*") for word in (b"Sarah", b"Answer"))


def test_an_import_is_listed_and_can_be_forgotten_and_made_anew(nexscout: Any, spent: Path) -> None:
    number = brought(nexscout, spent, "--from", "litellm")["import"]["id"]
    assert "spend.json" in nexscout("import", "list").stdout
    assert json.loads(nexscout("import", "forget", number, "--json").stdout) == {"import": number, "rows": 2}
    assert models(nexscout) == {} and nexscout("import", "forget", number).exit == 2
    assert brought(nexscout, spent, "--from", "litellm")["import"]["rows"] == 2


def test_a_packed_file_and_a_mapped_csv_are_read(nexscout: Any, home: Path) -> None:
    with gzip.open(home / "u.csv.gz", "wt") as file:
        file.write("when,engine,in,out\n2026-11-06,gpt-4o-mini,1000,100\n")
    found = brought(nexscout, "u.csv.gz", "--from", "csv", "--columns", "time=when,model=engine,input=in,output=out")
    assert found["import"]["cost_usd"] == 0.00021


def test_a_report_shows_imported_usage_beside_ones_own(nexscout: Any, spent: Path) -> None:
    brought(nexscout, spent, "--from", "litellm")
    argv = ("report", "models", "--since", "2020-01-01", "--imported", "beside")
    document = json.loads(nexscout(*argv, "--json").stdout)
    assert document["rows"] == [] and document["imported"]["totals"]["requests"] == 2
    assert "imported" in nexscout(*argv).stdout
    assert nexscout(*argv, "--format", "csv").stdout.splitlines()[1].startswith("imported,gpt-4o-mini,2")


@pytest.mark.parametrize("name", COLUMNS)
def test_each_report_has_imported_usage_or_says_that_it_cannot(nexscout: Any, spent: Path, name: str) -> None:
    brought(nexscout, spent, "--from", "litellm")
    for tz in ("UTC", "Asia/Tokyo"):
        ran = nexscout("report", name, "--since", "2020-01-01", "--imported", "only", "--tz", tz, "--json")
        assert ran.exit == (0 if name in OF_IMPORTED else 2)
        if ran.exit == 0:
            assert json.loads(ran.stdout)["totals"]["cost_usd"] == 0.002


def test_who_is_no_admin_imports_nothing_and_sees_of_it_what_is_theirs(
    nexscout: Any, spent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought(nexscout, spent, "--from", "litellm")
    for user in ("ana", "bob"):
        assert nexscout("user", "set-tier", user, "free").exit == 0
    for user, seen in (("ana", 1), ("bob", 0)):
        monkeypatch.setenv("NEXSCOUT_ACTOR", user)
        assert len(models(nexscout)) == seen
        for argv in ((spent, "--from", "litellm"), ("list",), ("forget", "1")):
            assert nexscout("import", *argv).exit == 8


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("none.json", "--from", "litellm"), "cannot read none.json"),
        (("spend.json", "--from", "lightllm"), "did you mean litellm"),
        (("spend.json", "--from", "llm"), "cannot be read as llm's database"),
        (("spend.json", "--from", "litellm", "--columns", "time=x"), "for --from csv"),
        (("empty", "--from", "litellm"), "has no file that ends with"),
        (("pipe", "--from", "litellm"), "not a regular file"),
        (("logs.db", "--from", "litellm"), "not a text file"),
        (("folder", "--from", "litellm"), "not a text file"),
        (("false.csv.gz", "--from", "csv"), "damaged"),
        (("cut.csv.gz", "--from", "csv"), "damaged"),
    ],
)
def test_what_cannot_be_read_is_said_in_two_lines_and_changes_nothing(
    nexscout: Any, spent: Path, logs: Path, home: Path, argv: tuple[str, ...], said: str
) -> None:
    (home / "empty").mkdir()
    (home / "folder").mkdir()
    (home / "folder" / "a.json").write_text(json.dumps([spend(7)]))
    (home / "folder" / "b.json").write_bytes(b"\0")
    os.mkfifo(home / "pipe")
    (home / "false.csv.gz").write_text("time,model\n")
    packed = gzip.compress(b"time,model,input\n" + b"2026-11-06,gpt-4o,1\n" * 50_000)
    (home / "cut.csv.gz").write_bytes(packed[: len(packed) // 2])
    ran = nexscout("import", *argv)
    assert (ran.exit, ran.stdout) == (2, "") and said in ran.stderr and len(ran.stderr.splitlines()) <= 2
    assert models(nexscout) == {} and json.loads(nexscout("import", "list", "--json").stdout)["rows"] == []


def test_an_import_that_was_killed_is_marked_and_completed_by_the_next(nexscout: Any, home: Path) -> None:
    rows = 200_000
    with (home / "big.csv").open("w") as file:
        file.write("id,time,model,input,output,cost\n")
        file.writelines(f"{n},2026-11-06,gpt-4o-mini,10,5,0.000001\n" for n in range(rows))
    assert nexscout("user", "list").exit == 0  # makes the database
    line = [sys.executable, "-m", "nexscout_cli", "import", "big.csv", "--from", "csv"]
    running = subprocess.Popen(line, stdout=subprocess.DEVNULL)
    while running.poll() is None:
        time.sleep(0.05)
        with closing(sqlite3.connect(home / "nexscout.db")) as c:
            if c.execute("SELECT 1 FROM imported_usage LIMIT 1").fetchone():
                running.kill()
    running.wait()
    assert running.returncode == -signal.SIGKILL
    assert "cut short" in nexscout("import", "list").stdout
    brought(nexscout, "big.csv", "--from", "csv")
    assert models(nexscout)["gpt-4o-mini"]["requests"] == rows
    assert nexscout("db", "check").exit == 0
