"""Every command over books in PostgreSQL, as a person or a script calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from nexscout_cli.engine.reports.build import COLUMNS
from tests.contract.books import PostgresBooks
from tests.support.openai_server import OpenAIServer
from tests.support.postgres import binaries, new_database

FOLLOW_UP = ("run", "--feature", "ai_message", "Write a follow-up message to Sarah about our meeting")


@pytest.fixture
def url() -> str:
    return new_database()


@pytest.fixture
def team(nexscout: Any, server: OpenAIServer, url: str) -> Any:
    """The command of ada, who makes the books; the file that the template has is not theirs."""
    nexscout.env |= {"NEXSCOUT_DB": url, "OPENAI_API_KEY": "x", "PATH": f"{binaries()}:{nexscout.env['PATH']}"}
    for name in ("gpt-4o-mini", "gpt-4o", "gpt-4o-mini-high"):
        nexscout("models", "set", name, "--api-base", server.url)
    return nexscout


def test_a_request_is_answered_once_then_given_from_the_cache_and_reported(
    team: Any, server: OpenAIServer, url: str
) -> None:
    first = team(*FOLLOW_UP, "--json").json
    again = team(*FOLLOW_UP, "--json").json
    assert again["result"] == first["result"] and again["metadata"]["from_cache"] is True
    assert len(server.requests) == 1
    books = PostgresBooks(lambda: url)
    assert books.listed("usage", "outcome") == ["posted", "hit"]
    for name in COLUMNS:
        team("report", name, "--since", "7d")
    assert "gpt-4o-mini" in team("report", "models", "--since", "7d", "--tz", "Asia/Tokyo", "--json").out
    assert team("db", "check", "--json").json["healthy"] is True


def test_commands_that_look_and_those_that_change_work(team: Any, server: OpenAIServer) -> None:
    answered = team(*FOLLOW_UP, "--json").json["metadata"]["request_id"]
    assert team("simulate", "Hello there", "--json").json
    assert answered[:12] in team("log").out and answered in team("log", answered, "--json").out
    assert team("why", answered, "--json").json["request"]["request_id"] == answered
    team("feedback", answered, "good")
    team("feedback", answered, "bad", "--note", "too long")
    assert team("cache", "stats", "--json").json
    team("cache", "clean")
    team("user", "set-tier", "bob", "pro")
    assert "bob" in team("user", "list").out
    team("energy", "grant", "bob", "10", "--reason", "welcome")
    assert (
        "10" in team("energy", "show", "--user", "bob").out
        and "welcome" in team("energy", "history", "--user", "bob").out
    )
    team("mode", "set", "fast")
    team("mode", "panic", "on")
    team("mode", "panic", "off")
    team("budget", "set", "1/day", "--user", "bob")
    team(*FOLLOW_UP, "--user", "bob")
    assert "bob" in team("budget", "list").out
    team("keys", "create", "--user", "bob", "--name", "app", "--budget", "2/day")
    assert "app" in team("keys", "list").out
    team("keys", "rotate", "app")
    team("keys", "revoke", "app")
    team("db", "resolve")
    assert team("models", "list", "--json").json
    team("user", "forget", "bob", "--yes")
    assert team("doctor", ok=False).status in (0, 6)
    assert team("db", "check", "--json").json["healthy"] is True


def test_a_batch_runs(team: Any, server: OpenAIServer, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"prompt": f"Write to person {n}"}) + "\n" for n in range(6)))
    done = team("batch", str(rows), "--out", str(tmp_path / "out.jsonl"))
    assert done.status == 0 and len(server.requests) == 6
    assert team("db", "check", "--json").json["healthy"] is True


def test_the_database_is_named_without_its_password(team: Any, url: str) -> None:
    with_password = url.replace("://postgres@", "://postgres:geheim@")
    for argv in (("db", "path"), ("db", "path", "--json"), ("config", "path"), ("doctor",), ("db", "check", "--json")):
        done = team(*argv, ok=False, NEXSCOUT_DB=with_password)
        assert ("geheim" not in done.out + done.err and "postgres@" in done.out) or argv == ("doctor",)


@pytest.mark.parametrize(
    "wrong",
    [
        "postgresql://nobody:geheim@127.0.0.1:1/none?connect_timeout=2",
        "postgresql://x:geheim%zz@/none",
        "postgresql://x:gehe im@/a b",
    ],
)
def test_a_server_that_cannot_be_reached_is_told_at_once_and_nothing_is_sent(
    team: Any, server: OpenAIServer, wrong: str
) -> None:
    done = team(*FOLLOW_UP, ok=False, NEXSCOUT_DB=wrong)
    assert done.status == 6 and "geheim" not in done.out + done.err and "zz" not in done.err
    assert not server.requests


def test_a_copy_is_made_by_pg_dump_and_migrating_says_what_it_did(team: Any, tmp_path: Path) -> None:
    made = team("db", "backup", "--json").json
    assert Path(made["path"]).stat().st_mode & 0o777 == 0o600 and int(made["bytes"]) > 1000
    assert "newest" in team("db", "migrate").out
    named = tmp_path / "copy.dump"
    team("db", "backup", str(named))
    assert named.exists() and team("db", "backup", str(named), ok=False).status == 2


def test_no_pg_dump_is_said_plainly(team: Any, tmp_path: Path) -> None:
    done = team("db", "backup", ok=False, PATH=str(tmp_path))
    assert done.status == 6 and "pg_dump" in done.err and "db copy" in done.err


def test_books_move_to_a_server_and_back(nexscout: Any, server: OpenAIServer, url: str, tmp_path: Path) -> None:
    nexscout.env["OPENAI_API_KEY"] = "x"
    nexscout("models", "set", "gpt-4o-mini", "--api-base", server.url)
    answered = nexscout(*FOLLOW_UP, "--json").json["metadata"]["request_id"]
    moved = nexscout("db", "copy", "--to", url, "--json").json
    assert moved["healthy"] is True and int(moved["rows"]["ai_model_usage"]) == 1
    nexscout.env["NEXSCOUT_DB"] = url
    assert nexscout(*FOLLOW_UP, "--json").json["metadata"]["from_cache"] is True
    assert answered[:12] in nexscout("log").out
    back = tmp_path / "back.db"
    nexscout("db", "copy", "--to", str(back))
    assert nexscout("db", "copy", "--to", str(back), ok=False).status == 2
    assert answered[:12] in nexscout("log", NEXSCOUT_DB=str(back)).out


def test_failures_are_reported_by_provider_and_every_report_is_a_page(
    team: Any, server: OpenAIServer, tmp_path: Path
) -> None:
    team(*FOLLOW_UP)
    server.fail = lambda body: (500, {}, "down") if body["model"] == "gpt-4o-mini" else None
    team("run", "--no-cache", "--feature", "ai_message", "Another message to Sarah", ok=False)
    rows = team("report", "providers", "--since", "7d", "--json").json["rows"]
    assert sum(row["calls"] for row in rows) >= 1 and any(value for row in rows for value in row.values())
    page = tmp_path / "page.html"
    team("report", "--html", str(page))
    assert "<svg" in page.read_text() and "gpt-4o-mini" in page.read_text()
    assert team("db", "check", "--json").json["problems"] == []


def test_an_alert_goes_off_once_and_is_told(team: Any, tmp_path: Path) -> None:
    told = tmp_path / "told.txt"
    team("alerts", "add", "--when", "spend day > 0.0000001", "--notify", f"file:{told}")
    team(*FOLLOW_UP)
    team("alerts", "check")
    rows = team("alerts", "history", "--json").json["rows"]
    assert len([row for row in rows if "spend" in row["when"]]) == 1
    team("alerts", "send")
    assert "spend day" in told.read_text()
    assert {row["state"] for row in team("alerts", "history", "--json").json["rows"]} == {"sent"}
    team("alerts", "remove", "1")


def test_what_another_tool_kept_is_imported_once_reported_and_forgotten(team: Any, tmp_path: Path) -> None:
    spent = tmp_path / "spend.json"
    row = {"startTime": "2026-11-03T10:00:00Z", "model": "gpt-4o-mini", "prompt_tokens": 1000, "completion_tokens": 100}
    more = {"spend": 0.001, "end_user": "ana", "custom_llm_provider": "openai"}
    spent.write_text(json.dumps([{"request_id": f"r{n}", **row, **more} for n in range(3)]))
    assert team("import", str(spent), "--from", "litellm", "--dry-run", "--json").json["records"] == 3
    for known in (0, 3):
        assert team("import", str(spent), "--from", "litellm", "--json").json["known"] == known
    for name in ("overview", "models", "users", "days"):
        team("report", name, "--since", "2020-01-01", "--imported", "only")
    rows = team("report", "models", "--since", "2020-01-01", "--imported", "only", "--json").json["rows"]
    assert [(row["model_used"], row["requests"]) for row in rows] == [("gpt-4o-mini", 3)]
    team("import", "forget", "1")
    assert team("report", "models", "--since", "2020-01-01", "--imported", "only", "--json").json["rows"] == []


def test_a_batch_holds_to_its_bound_however_often_it_goes_on(
    team: Any, server: OpenAIServer, url: str, tmp_path: Path
) -> None:
    server.fill = True
    rows = tmp_path / "rows.jsonl"
    asked = ({"id": str(n), "prompt": f"Hello {n}", "options": {"max_tokens": 500}} for n in range(20))
    rows.write_text("".join(json.dumps({"feature": "ai_message", **one}) + "\n" for one in asked))
    line = ("batch", str(rows), "--out", str(tmp_path / "out.jsonl"), "--max-cost", "0.002", "--resume")
    for _ in range(2):
        assert team(*line, ok=False).status == 7
    assert 1_000_000 < PostgresBooks(lambda: url).total("usage", "cost_usd") <= 2_000_000
    assert team("db", "check", "--json").json["problems"] == []


def test_an_option_that_is_refused_is_remembered(team: Any, server: OpenAIServer) -> None:
    error = {"message": "Unsupported parameter: 'seed' is not supported with this model.", "param": "seed"}
    body = json.dumps({"error": {"type": "invalid_request_error", **error}})
    server.fail = lambda asked: (400, {"Content-Type": "application/json"}, body) if "seed" in asked else None
    line = ("run", "-m", "gpt-4o", "--no-cache", "--seed", "7")
    assert "refused seed" in team(*line, "Hello").err
    assert team("models", "show", "gpt-4o", "--json").json["refused_options"] == ["seed"]
    hits = server.hits
    team(*line, "Hello again")
    assert server.hits == hits + 1
    # What another place takes is its own affair.
    team("models", "deploy", "gpt-4o", "--name", "eu", "--api-base", server.url)
    team("models", "deploy", "gpt-4o", "--name", "default", "--weight", "0")
    assert "refused seed" in team(*line, "Hello once more").err
    assert team("models", "show", "gpt-4o", "--json").json["refused_options"] == ["seed", "eu: seed"]


def test_days_are_sealed_and_what_is_not_supported_is_said_in_one_line(team: Any, tmp_path: Path) -> None:
    team(*FOLLOW_UP)
    assert team("db", "seal").out == ""  # today is not over
    for argv in (("--without-text",), ("--prune", "3"), ("--prune", "3", "--dry-run")):
        done = team("db", "backup", *argv, ok=False)
        assert done.status == 2 and "not supported over PostgreSQL" in done.err and done.out == ""
    made = team("db", "backup", "--json").json["path"]
    team("user", "set-tier", "bob", "pro")
    told = team("user", "forget", "bob", "--yes").err
    assert made in told and "--prune" not in told


def test_a_limit_that_an_admin_writes_stands_on_the_server(team: Any, url: str) -> None:
    told = team("config", "set", "caps.usd.total_day", "5", "--json").json
    assert told["path"].startswith("postgresql://")
    assert team("config", "show", "caps.usd.total_day", "--json").json["value"] == "5.0"
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT name, value FROM nexscout.limits").fetchall() == [
            ("caps.usd.total_day", "5.0")
        ]
