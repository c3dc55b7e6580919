from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "imports"


def log(home: Path, *rows: dict[str, Any]) -> Path:
    path = home / "log.jsonl"
    head = {"time": "2026-11-01T00:00:00Z", "model": "gpt-4o", "input": 1000, "output": 200, "prompt": "Write to Sarah"}
    path.write_text("\n".join(json.dumps(head | {"id": str(n)} | row) for n, row in enumerate(rows)))
    return path


def replayed(nexscout: Any, path: Path, *argv: str) -> Any:
    ran = nexscout("replay", path, "--from", "csv", *argv, "--json")
    assert ran.exit == 0, ran
    return json.loads(ran.stdout, parse_float=Decimal)


def test_what_was_saved_by_steps_is_what_was_saved_in_all(nexscout: Any, home: Path) -> None:
    later = {"time": "2026-11-02T00:00:00Z"}
    found = replayed(nexscout, log(home, {}, later, {"prompt": "Hi"}, {"prompt": "x " * 4000 + "\n\n\n\n   why?"}))
    assert found["outcomes"] == {"planned": 3, "hit": 1}
    was, low, would, high = (
        Decimal(found[name])
        for name in ("cost_usd", "would_have_cost_usd_low", "would_have_cost_usd", "would_have_cost_usd_high")
    )
    assert sum(map(Decimal, found["saved_usd"].values())) == was - would and low <= would <= high
    assert Decimal(found["saved_usd"]["cache"]) == Decimal("0.0045") and Decimal(found["saved_usd"]["routing"]) > 0


def test_requests_are_met_in_order_of_time_and_an_answer_is_kept_for_its_days(nexscout: Any, home: Path) -> None:
    first, soon, late = ({"time": f"2026-{month}-01T00:00:00Z"} for month in ("08", "08", "11"))
    assert replayed(nexscout, log(home, late, first))["outcomes"] == {"planned": 2}
    assert replayed(nexscout, log(home, late, first, soon | {"id": "again"}))["outcomes"] == {"planned": 2, "hit": 1}


def test_one_users_answer_is_not_anothers(nexscout: Any, home: Path) -> None:
    assert replayed(nexscout, log(home, {"user": "ana"}, {"user": "bob"}))["outcomes"] == {"planned": 2}


def test_what_cannot_be_planned_is_told_and_is_no_saving(nexscout: Any, home: Path) -> None:
    rows = {"prompt": ""}, {"model": "nobodys", "prompt": "a"}, {"prompt": "\ud800"}, {"requests": 5, "cost": 0.5}
    found = replayed(nexscout, log(home, *rows))
    assert found["outcomes"] == {"no prompt": 2, "no price": 1, "refused": 1}
    assert (Decimal(found["cost_usd"]), Decimal(found["not_planned_usd"])) == (0, Decimal("0.509"))


def test_an_answer_longer_than_it_may_be_is_cut_and_said(nexscout: Any, home: Path) -> None:
    found = replayed(nexscout, log(home, {"output": 50_000}))
    assert found["answers_cut"] == 1 and Decimal(found["saved_usd"]["bounds"]) > 0


def test_only_the_latest_are_planned_where_that_is_said(nexscout: Any, home: Path) -> None:
    rows = [{"time": f"2026-11-0{day}T00:00:00Z", "prompt": f"Day {day}"} for day in (3, 1, 2)]
    found = replayed(nexscout, log(home, *rows), "--latest", "2")
    assert found["requests"] == 2 and found["outcomes"] == {"planned": 2}


def test_a_conversation_in_llms_log_is_planned_and_nothing_of_it_is_kept(nexscout: Any, home: Path) -> None:
    path = home / "logs.db"
    with closing(sqlite3.connect(path)) as c:
        c.executescript((FIXTURES / "llm-0.36.sql").read_text())
    ran = nexscout("replay", path, "--from", "llm")
    assert ran.exit == 0 and "3 of 3 requests could be planned; they cost $0.000080700" in ran.stdout
    assert "not known:" in ran.stdout
    with closing(sqlite3.connect(home / "nexscout.db")) as c:
        assert not any("Sarah" in line or "river" in line for line in c.iterdump())
        assert c.execute("SELECT count(*) FROM imported_usage").fetchone() == (0,)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("none.jsonl", "--from", "csv"), "cannot read"),
        (("log.jsonl", "--from", "openai-usage"), "source with prompts"),
        (("empty.jsonl", "--from", "csv"), "no request that could be read"),
        (("log.jsonl", "--from", "csv", "--available"), "no model can be asked here"),
        (("log.jsonl", "--from", "csv", "--latest", "0"), "--latest"),
    ],
)
def test_what_cannot_be_replayed_is_said(nexscout: Any, home: Path, argv: tuple[str, ...], said: str) -> None:
    log(home, {})
    (home / "empty.jsonl").write_text("")
    ran = nexscout("replay", *argv)
    assert ran.exit == 2 and said in ran.stderr and len(ran.stderr.splitlines()) <= 2


def test_a_page_shows_the_figures_that_json_tells_and_nothing_of_a_log_is_markup(nexscout: Any, home: Path) -> None:
    path = log(home, {}, {"model": "gpt-4o-mini", "prompt": "Hi"}, {"user": "<script>x</script>", "prompt": "a"})
    found = replayed(nexscout, path)
    named = path.rename(home / "<b>log.jsonl")
    assert nexscout("replay", named, "--from", "csv", "--html", home / "page.html").exit == 0
    page = (home / "page.html").read_text()
    for figure in (found["cost_usd"], found["would_have_cost_usd"], *found["saved_usd"].values()):
        assert f"{Decimal(figure):,.6f}" in page
    assert "<b>log" not in page and "<script" not in page and "default-src &#39;none&#39;" in page
    assert nexscout("replay", named, "--from", "csv", "--html", home / "nowhere" / "page.html").exit == 2
