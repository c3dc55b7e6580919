"""A database that the program wrote before stores had ports, and people who go on with it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli import assemble
from nexscout_cli.store.sqlite.database import SCHEMA_VERSION, schema_version
from tests.contract.books import SqliteBooks
from tests.support.openai_server import OpenAIServer

DUMP = Path(__file__).parents[2] / "fixtures" / "schema-7.sql"
"""Written by the commands of that program: ada (admin, elite) and bob (pro) asked, on 2026-11-27 at 12:40."""
ANSWERED, KEYED, BOBS, FAILED = (
    "1a21d05683be9bd7ef5b3",
    "1a21d05a09a73d793a52a",
    "1a21d05df03275c0dbbc5",
    "1a21d066903a085705101",
)
UNKNOWN = {"1a21d0623a8b06d45c658": "ada", "1a21d0643b64697372afe": "bob"}
"""Requests that ended in four attempts of unknown outcome each, and whose they are."""
KILLED = "1a21d06876cb80be15150"
"""Its process was killed while the call was under way."""
OLD_ANSWER = "Dear Sarah, thank you for the meeting. See you on Tuesday.\n"
SAID = {"requests": 9, "calls": 5, "hits": 1, "failures": 3, "total_tokens": 255, "energy": 5}
"""What that program's own report said."""
COST = 69_750
DAY = "2026-11-27"


class Clock:
    """The machine's clock, as the test sets it: two hours after the last request, when the killed one is long overdue."""

    now = datetime(2026, 11, 27, 14, 45, tzinfo=UTC)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(assemble.SystemClock, "now", lambda _: clock.now)
    return clock


@pytest.fixture
def old(home: Any, clock: Clock, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A home with that database, in which nothing was opened yet; its models are at the server."""
    home.db.unlink()
    home.db.touch(mode=0o600)
    with contextlib.closing(sqlite3.connect(home.db)) as connection:
        connection.executescript(DUMP.read_text().replace("http://127.0.0.1:9/v1", server.url))
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    return home


@pytest.fixture
def books(old: Any) -> SqliteBooks:
    return SqliteBooks(old.db)


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda name: monkeypatch.setenv("NEXSCOUT_ACTOR", name)


def total(books: SqliteBooks, column: str, kind: str) -> int:
    return sum(row[column] for row in books.accounts() if row["kind"] == kind)


def test_it_is_opened_brought_to_the_newest_schema_and_found_sound(old: Any, books: SqliteBooks) -> None:
    before = books.accounts()
    old("db", "migrate")
    assert schema_version(old.db) == SCHEMA_VERSION
    assert old("db", "check", "--json").json["healthy"] is True
    assert books.accounts() == before
    assert old("db", "migrate").out == f"schema {SCHEMA_VERSION} is the newest; nothing to do\n"


def test_reports_energy_and_users_say_what_the_program_of_then_said(old: Any) -> None:
    report = old("report", "--since", "30d", "--json").json
    shown = json.dumps(report)
    for name, value in SAID.items():
        assert report["totals"][name] == value, (name, shown)
    assert report["totals"]["cost_usd"] == f"{COST / 1e9:.9f}"
    energy = old("energy", "show", "--json").json
    assert (energy["granted"], energy["held"], energy["spent"]) == (5000, 2, 3)
    assert {row["user_id"]: row["tier"] for row in old("user", "list", "--json").json["rows"]} == {
        "ada": "elite",
        "bob": "pro",
    }


def test_log_and_why_tell_of_every_request(old: Any, books: SqliteBooks) -> None:
    listed = {row["request_id"] for row in old("log", "--json", "--limit", "100").json["rows"]}
    asked = {row["request_id"] for row in books.predictions()} | {row["request_id"] for row in books.usage()}
    assert listed == asked and {row["request_id"] for row in books.requests()} <= listed
    for request_id in listed:
        assert old("log", request_id, "--json").json["request"]["request_id"] == request_id
    for request_id in (row["request_id"] for row in books.predictions()):
        assert old("why", request_id).out.startswith(request_id)
    assert "By the rules: row simple_short_prompt" in old("why", ANSWERED).out
    assert "ada said on 2026-11-27 that the answer was bad" in old("why", KEYED).out
    assert "bob said on 2026-11-27 that the answer was good: just right" in old("why", BOBS).out
    assert old("why", FAILED).out.count("is not owed (401: no)") == 3


def test_an_answer_it_kept_is_given_where_whitespace_is_matched_as_then(
    old: Any, books: SqliteBooks, server: OpenAIServer
) -> None:
    old("config", "set", "cache.match", "whitespace")
    before = books.accounts()
    assert old("run", "-f", "ai_message", "Write a follow-up to Sarah about our meeting").out == OLD_ANSWER
    assert server.hits == 0
    after = [row for row in books.accounts() if row["period"] == DAY]
    assert [row["spent"] for row in after] == [row["spent"] for row in before if row["period"] == DAY]
    assert books.usage()[-1]["outcome"] == "hit" and books.cached()[0]["hit_count"] == 2
    assert old("db", "check").status == 0


def test_an_answer_it_kept_under_an_idempotency_key_is_given_again(old: Any, server: OpenAIServer) -> None:
    keyed = ("run", "-f", "ai_message", "--idempotency-key", "order-17")
    assert old(*keyed, "Thank Tom for the order").out == OLD_ANSWER
    other = old(*keyed, "Thank Ben for the order", ok=False)
    assert other.status == 2 and "order-17" in other.err
    assert server.hits == 0


@pytest.mark.parametrize(("request_id", "owner"), UNKNOWN.items())
@pytest.mark.parametrize("cost", [1_000, None])
def test_what_it_left_unknown_is_posted_or_voided(
    old: Any, books: SqliteBooks, request_id: str, owner: str, cost: int | None
) -> None:
    before = books.account(owner, "usd", DAY)
    held = sum(row["hold"] for row in books.attempts(request_id))
    decision = ("--void",) if cost is None else ("--post", f"{cost / 1e9:.9f}")
    old("db", "resolve", request_id, *decision)
    after = books.account(owner, "usd", DAY)
    assert (before.held - after.held, after.spent - before.spent) == (held, cost or 0)
    state = "voided" if cost is None else "posted"
    assert [row["state"] for row in books.attempts(request_id)] == [state] * 4
    posted = [row for row in books.usage(request_id) if row["outcome"] == "posted"]
    assert sum(row["cost_usd"] for row in posted) == (cost or 0) and len(posted) == (0 if cost is None else 4)
    for row, attempt in zip(posted, books.attempts(request_id), strict=False):
        assert (row["input_tokens"], row["output_tokens"]) == (
            attempt["plan"]["max_input_tokens"],
            attempt["plan"]["max_output_tokens"],
        )
    assert old("db", "check").status == 0


def test_a_call_that_its_process_did_not_outlive_is_unknown_and_can_be_resolved(old: Any, books: SqliteBooks) -> None:
    assert [row["state"] for row in books.attempts(KILLED)] == ["sent"]
    assert KILLED in old("db", "resolve").out
    assert [row["state"] for row in books.attempts(KILLED)] == ["unknown"]
    assert books.account("ada").held == 2
    old("db", "resolve", KILLED, "--post", "0.000002")
    assert books.account("ada") == (5000, 0, 3)
    assert old("db", "check").status == 0


def test_after_a_day_what_is_unknown_is_posted_at_its_hold(old: Any, books: SqliteBooks, clock: Clock) -> None:
    held = total(books, "held", "usd")
    clock.now += timedelta(days=1)
    old("cache", "clean")
    assert [row["state"] for row in books.attempts(KILLED)] == ["unknown"]  # since a moment ago, so its day begins now
    clock.now += timedelta(days=1)
    old("cache", "clean")
    assert total(books, "held", "usd") == 0 and total(books, "spent", "usd") == COST + held
    assert {row["state"] for row in books.attempts()} == {"posted", "voided"}
    assert old("db", "check").status == 0


def test_a_new_call_of_each_is_answered_charged_and_learned_of(
    old: Any, books: SqliteBooks, server: OpenAIServer, become: Callable[[str], None]
) -> None:
    server.reply = "By Friday."
    for name in ("ada", "bob"):
        become(name)
        before, learned = books.account(name), books.profile(name)["total_requests"]
        done = old("run", "-f", "ai_message", "Ask Ned for the price", "--json").json
        assert done["result"] == "By Friday." and not done["metadata"]["from_cache"]
        assert books.account(name).spent - before.spent == done["metadata"]["energy_cost"] == 1
        assert books.profile(name)["total_requests"] == learned + 1
        assert old("why", done["metadata"]["request_id"]).out.startswith(done["metadata"]["request_id"])
    become("ada")
    assert server.hits == 2 and old("db", "check").status == 0


def test_a_verdict_on_an_answer_of_then_removes_it_from_the_cache(
    old: Any, books: SqliteBooks, server: OpenAIServer
) -> None:
    server.reply = "A better one."
    old("feedback", ANSWERED, "bad")
    assert ANSWERED not in {row["request_id"] for row in books.cached()}
    assert old("run", "-f", "ai_message", "Write a follow-up to Sarah about our meeting").out == "A better one.\n"
    assert {row["request_id"]: row["good"] for row in books.verdicts()} == {ANSWERED: 0, KEYED: 0, BOBS: 1}


def test_a_user_of_then_is_forgotten(old: Any, books: SqliteBooks) -> None:
    assert {row["user_id"] for row in books.cached()} == {"ada", "bob"}
    old("user", "forget", "bob", "--yes")
    assert {row["user_id"] for row in books.cached()} == {"ada"}
    assert [row["request_id"] for row in books.verdicts()] == [KEYED]  # bob's note is gone
    assert old("db", "check").status == 0
