"""Every command over books in PostgreSQL, as a person or a script calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.contract.books import PostgresBooks
from tests.support.openai_server import OpenAIServer
from tests.support.postgres import binaries, new_database

REPORTS = (
    "overview",
    "models",
    "features",
    "users",
    "days",
    "weeks",
    "months",
    "accuracy",
    "savings",
    "cache",
    "unprofitable",
)
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
    for name in REPORTS:
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
