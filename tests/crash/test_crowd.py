"""Crowds on one database: nothing is overspent, nothing forgotten, nothing charged twice, whoever is killed when."""

from __future__ import annotations

import json
import os
import re
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli import assemble
from nexscout_cli.store.sqlite.database import SCHEMA_VERSION
from tests.crash.conftest import in_both
from tests.crash.crowd import FileClock, outcomes
from tests.support.openai_server import Body

PROCESSES = 10
CALLS = 100
SEEDS = range(int(os.environ.get("CROWD_SEEDS", "1")))
"""One seed takes some ten seconds on two cores; ``CROWD_SEEDS=20`` runs twenty."""
KILLS = 15


def crowd(home: Any, **asked: Any) -> dict[str, int]:
    """Let a crowd do its work; how many were killed, none having failed."""
    process = home.start(json.dumps(asked), module="tests.crash.crowd")
    out, err = process.communicate(timeout=500)
    assert process.returncode == 0, err
    done = json.loads(out)
    assert done["failed"] == 0, err
    return dict(done)


def asked_for(server: Any) -> Counter[str]:
    """How often each call reached the server."""
    return Counter(
        found.group() for r in server.requests if (found := re.search(r"p\d+-\d+", r.body["messages"][-1]["content"]))
    )


@in_both
@pytest.mark.parametrize("seed", SEEDS)
def test_a_crowd_with_kills_overspends_forgets_and_doubles_nothing(home: Any, server: Any, seed: int) -> None:
    total = PROCESSES * CALLS
    grant = total * 9 // 10
    home.granted(grant)
    (spent_before,) = home.books.listed("accounts", "spent", kind="energy", owner="ada")
    tasks = [{"do": "call", "user": "ada", "name": f"p{n}", "calls": CALLS} for n in range(PROCESSES)]
    assert crowd(home, tasks=tasks, kills=KILLS, seed=seed)["killed"] == KILLS
    assert home("cache", "clean").status == 0
    assert home.check() == []

    reached = asked_for(server)
    assert reached.total() == server.hits
    assert max(reached.values()) == 1  # nothing is sent twice
    keys = dict(home.books.listed("requests", "request_id", "key"))
    states = {
        keys[request_id]: state
        for request_id, state in home.books.listed("attempts", "request_id", "state")
        if state != "voided" and keys[request_id] is not None
    }
    forgotten = [key for key in reached if states.get(key) not in ("posted", "unknown")]
    assert forgotten == []
    assert set(states.values()) <= {"posted", "unknown"}
    counted = Counter(states.values())
    assert counted["unknown"] <= KILLS
    billed = [row["request_id"] for row in home.books.usage() if row["n"] > 0]
    assert len(billed) == len(set(billed)) == counted["posted"] + 1

    granted, held, spent = home.books.listed("accounts", "granted", "held", "spent", kind="energy", owner="ada")[0]
    assert granted - spent_before == grant
    assert (spent - spent_before, held) == (counted["posted"], counted["unknown"])
    assert spent - spent_before + held == grant  # all of it was wanted, and not a unit more was given
    assert server.hits <= grant
    said = Counter(outcome["status"] for outcome in outcomes())
    assert set(said) <= {0, 4, 9} and said[0] == counted["posted"] and said.total() == total


@in_both
@pytest.mark.parametrize("wanted", ["energy", "dollars"])
def test_the_last_unit_wanted_by_twenty_processes_goes_to_one(home: Any, server: Any, wanted: str) -> None:
    server.delay = 0.2
    plan = json.loads(home("simulate", "-f", "ai_message", "-m", "gpt-4o-mini", "p0-0", "--json").out)
    if wanted == "energy":
        home.granted(1)
    else:
        (spent,) = [home.books.total("accounts", "spent", kind="usd", owner="ada")]
        home.env["NEXSCOUT_CAPS_USD_TOTAL_MONTH"] = str(spent / 1e9 + plan["max_cost_usd"] * 1.01)
        # What the call does not use of its hold would be there for the next one.
        server.usage = lambda body, text: {"prompt_tokens": 40, "completion_tokens": body["max_tokens"]}
    tasks = [{"do": "call", "user": "ada", "name": f"p{n}", "calls": 1} for n in range(20)]
    crowd(home, tasks=tasks)
    said = Counter(outcome["status"] for outcome in outcomes())
    assert said == {0: 1, (4 if wanted == "energy" else 3): 19}
    assert server.hits == 1 and home.check() == []
    assert [
        a for a in home.books.accounts() if a["granted"] is not None and a["granted"] < a["held"] + a["spent"]
    ] == []


@in_both
def test_caps_by_day_and_month_hold_across_midnight_and_when_the_clock_goes_back(
    home: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    caps = {"USER_DAY": 0.010, "TOTAL_DAY": 0.016, "USER_MONTH": 0.017, "TOTAL_MONTH": 0.027}
    for name, dollars in caps.items():
        home.env[f"NEXSCOUT_CAPS_USD_{name}"] = str(dollars)
        monkeypatch.setenv(f"NEXSCOUT_CAPS_USD_{name}", str(dollars))
    clock = FileClock(home.folder / "time")
    month = (datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=70)).replace(
        day=1
    )
    yesterday, today = month - timedelta(days=2), month - timedelta(days=1)
    late = timedelta(hours=23, minutes=59, seconds=59)

    midnight = threading.Lock()

    def use(body: Body, text: str) -> dict[str, int]:
        if server.hits >= 4 and midnight.acquire(blocking=False):
            clock.set(today)  # it passes while calls are in flight
        return {"prompt_tokens": 1, "completion_tokens": body["max_tokens"]}

    def used_up() -> int:
        before = server.hits
        tasks = [
            {"do": "call", "user": user, "name": f"p{n}{user}", "calls": 30, "clock": str(clock.file), "until": 3}
            for n in range(3)
            for user in ("ada", "bob")
        ]
        crowd(home, tasks=tasks)
        ends = {outcome["name"]: outcome["status"] for outcome in outcomes()}
        assert set(ends.values()) == {3} and len(ends) == 6
        limited = [account for account in home.books.accounts() if account["granted"] is not None]
        assert [account for account in limited if account["held"] + account["spent"] > account["granted"]] == []
        return int(server.hits - before)

    home("user", "set-tier", "bob", "elite")
    server.usage, server.delay = use, 0.02
    clock.set(yesterday + late)
    assert used_up() > 4
    for back in (timedelta(seconds=1), timedelta(days=1), timedelta(days=20)):
        clock.set(today - back)
        assert used_up() == 0
    clock.set(month - timedelta(seconds=1))
    assert used_up() == 0
    clock.set(month)
    assert used_up() > 4
    clock.set(month - timedelta(seconds=1))
    assert used_up() == 0
    days = [moment.strftime("%Y-%m-%d") for moment in (yesterday, today, month)]
    months = [moment.strftime("%Y-%m") for moment in (yesterday, month)]
    drawn = home.books.listed("accounts", "period", "spent", kind="usd", owner="*")
    assert {period for period, spent in drawn if period >= months[0] and spent} == {*days, *months}
    store = assemble.open_store(actor="ada", clock=clock)
    assert store.maintenance.check("ada") == []
    store.close()


OPENERS = 30


@pytest.mark.parametrize("killed", [False, True])
def test_thirty_processes_that_open_at_once_make_one_new_database(home: Any, killed: bool) -> None:
    home.db.unlink()
    if killed:
        (home.folder / "die").touch()
    done = crowd(home, tasks=[{"do": "open", "user": f"user{n}"} for n in range(OPENERS)])
    assert done["killed"] == killed
    said = outcomes()
    assert len(said) == OPENERS and len({tuple(outcome["owners"]) for outcome in said}) == 1
    (owner,) = said[0]["owners"]
    assert owner.startswith("user") and home.books.listed("users", "user_id") == [owner]
    assert list(home.folder.glob("*.new*")) == []


@pytest.mark.parametrize("killed", [False, True])
def test_thirty_processes_that_open_an_old_database_at_once_migrate_it_once(home: Any, killed: bool) -> None:
    before = home.books.listed("usage", "request_id", "cost_usd")
    if killed:
        (home.folder / "die").touch()
    done = crowd(home, newer=True, tasks=[{"do": "open", "user": "ada"} for _ in range(OPENERS)])
    assert done["killed"] == killed
    said = outcomes()
    assert [(outcome["owners"], outcome["version"]) for outcome in said] == [(["ada"], SCHEMA_VERSION + 1)] * OPENERS
    assert "nickname" in home.sql("SELECT name FROM pragma_table_info('users')")
    assert home.books.listed("usage", "request_id", "cost_usd") == before
    # Whoever migrates makes a copy first, and so does the one who comes after a migration that was killed.
    assert len(list(home.folder.glob("*.bak"))) == 1 + killed


def test_writers_queue_in_turn_and_none_starves(home: Any) -> None:
    from nexscout_cli.store.sqlite.database import Database

    db = Database(Path("queue.db"))
    db.open(lambda c: None)
    with db.write() as c:
        c.execute("CREATE TABLE t (name, number)")
    db.close()
    rows = 60
    crowd(home, tasks=[{"do": "write", "name": f"w{n}", "calls": rows} for n in range(PROCESSES)])
    home.db = Path("queue.db")
    order = home.sql("SELECT name FROM t ORDER BY rowid")
    assert Counter(order) == {f"w{n}": rows for n in range(PROCESSES)}
    written: Counter[str] = Counter()
    for name in order:
        written[name] += 1
        if written[name] == rows:
            break
    # When the first of ten has written all of its rows, every other has written at least half of its own.
    assert len(written) == PROCESSES and min(written.values()) >= rows // 2


@in_both
def test_a_key_used_by_ten_processes_at_once_is_sent_once(home: Any, server: Any) -> None:
    server.delay = 0.3
    task = {"do": "call", "user": "ada", "calls": 2, "key": "order 7", "prompt": "p0-0"}
    crowd(home, tasks=[task | {"name": f"p{n}"} for n in range(PROCESSES)])
    said = outcomes()
    assert server.hits == 1 and len(said) == 2 * PROCESSES
    assert {(outcome["status"], outcome["code"]) for outcome in said} <= {(0, None), (9, "in_progress")}
    answered = [outcome["request"] for outcome in said if outcome["status"] == 0]
    assert answered and len(set(answered)) == 1
    assert home.check() == [] and home.held("energy") == 0
