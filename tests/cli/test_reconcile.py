from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.bench import Bench
from tests.support.clock import SettableClock

NOW = datetime.now(UTC)
START = int(NOW.replace(hour=0, minute=0, second=0, microsecond=0).timestamp())


@pytest.fixture
def bench(home: Path) -> Bench:
    """A database with two calls of 100 and 50 tokens, 0.000045 dollars each, today."""
    bench = Bench(home / "nexscout.db", "owner", SettableClock(NOW))
    for _ in range(2):
        bench.post(bench.sent())
    return bench


def usage(home: Path, **changes: Any) -> Path:
    result = {"input_tokens": 200, "output_tokens": 100, "num_model_requests": 2, "model": "gpt-4o-mini-2024-07-18"}
    bucket = {"start_time": START, "results": [result | changes]}
    (home / "usage.json").write_text(json.dumps({"object": "page", "data": [{"object": "bucket", **bucket}]}, indent=1))
    return home / "usage.json"


def spent(home: Path, *rows: dict[str, Any]) -> Path:
    head = {"startTime": NOW.isoformat(), "model": "gpt-4o-mini", "custom_llm_provider": "openai"}
    (home / "spend.jsonl").write_text("\n".join(json.dumps(head | row) for row in rows))
    return home / "spend.jsonl"


def test_books_that_agree_with_the_export_end_with_0(nexscout: Any, bench: Bench, home: Path) -> None:
    ran = nexscout("reconcile", usage(home), "--tolerance", "0")
    assert (ran.exit, ran.stderr) == (0, "") and "1 of 1 days and models agree" in ran.stdout


def test_books_that_do_not_end_with_1_and_one_line_why(nexscout: Any, bench: Bench, home: Path) -> None:
    ran = nexscout("reconcile", usage(home, output_tokens=200, num_model_requests=3))
    assert ran.exit == 1 and len(ran.stderr.splitlines()) == 1
    assert "usage.json and the ledger differ by 40.00% of the cost" in ran.stderr and "gpt-4o-mini" in ran.stderr
    document = json.loads(nexscout("reconcile", home / "usage.json", "--json").stdout)
    (row,) = document["rows"]
    assert (document["within"], row["ledger"]["cost_usd"], row["export"]["cost_usd"]) == (False, 0.00009, 0.00015)
    assert nexscout("reconcile", home / "usage.json", "--tolerance", "40%").exit == 0


def test_a_cost_export_is_compared_by_its_amounts(nexscout: Any, bench: Bench, home: Path) -> None:
    (home / "costs.csv").write_text(
        "start_time,amount_value,amount_currency,line_item\n"
        f'{START},0.00003,usd,"gpt-4o-mini-2024-07-18, input"\n'
        f'{START},0.00006,usd,"gpt-4o-mini-2024-07-18, output"\n'
        f"{START},-5,usd,credit grant\n"
    )
    ran = nexscout("reconcile", "costs.csv", "--tolerance", "0")
    assert ran.exit == 0 and "credits of $5.000000000" in ran.stdout


def test_calls_of_another_provider_are_not_missed_in_an_export(nexscout: Any, bench: Bench, home: Path) -> None:
    bench.post(bench.sent(bench.plan(model="claude-3-haiku")))
    assert nexscout("reconcile", usage(home), "--tolerance", "0").exit == 0


def test_an_unknown_attempt_is_settled_at_what_the_export_shows_once_somebody_agrees(
    nexscout: Any, bench: Bench, home: Path
) -> None:
    lost = bench.unknown()
    row = {"request_id": "b", "prompt_tokens": 10, "completion_tokens": 20, "spend": 0.000013501}
    file = spent(home, row)
    assert "--settle posts them" in nexscout("reconcile", file).stdout
    ran = nexscout("reconcile", file, "--settle")
    assert ran.exit == 2 and "--yes" in ran.stderr and bench.state(lost) == "unknown"
    document = json.loads(nexscout("reconcile", file, "--settle", "--yes", "--json").stdout)
    assert (document["settled"], document["unknown"][0]["cost_usd"]) == (1, 0.000013501)
    assert bench.books.listed("attempts", "actual", id=lost.id) == [13501] and bench.check() == []


def test_two_rows_that_an_attempt_could_be_settle_nothing(nexscout: Any, bench: Bench, home: Path) -> None:
    lost = bench.unknown()
    row = {"prompt_tokens": 10, "completion_tokens": 20, "spend": 0.00001}
    file = spent(home, row | {"request_id": "a"}, row | {"request_id": "b"})
    assert json.loads(nexscout("reconcile", file, "--settle", "--yes", "--json").stdout)["settled"] == 0
    assert bench.state(lost) == "unknown"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("none.json",), "cannot read"),
        (("empty.json",), "nothing to compare"),
        (("usage.json", "--tolerance", "much"), "--tolerance"),
        (("usage.json", "--tolerance", "nan"), "--tolerance"),
        (("usage.json", "--tz", "Mars"), "time zone"),
        (("usage.json", "--from", "open-ai"), "did you mean openai-usage"),
        (("usage.json", "--from", "csv"), "nothing to compare"),
    ],
)
def test_what_cannot_be_compared_is_said(
    nexscout: Any, bench: Bench, home: Path, argv: tuple[str, ...], said: str
) -> None:
    usage(home)
    (home / "empty.json").write_text("")
    ran = nexscout("reconcile", *argv)
    assert ran.exit == 2 and said in ran.stderr and len(ran.stderr.splitlines()) <= 2


def test_comparing_is_for_admins(nexscout: Any, bench: Bench, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nexscout("user", "set-tier", "bob", "free")
    monkeypatch.setenv("NEXSCOUT_ACTOR", "bob")
    assert nexscout("reconcile", usage(home)).exit == 8
