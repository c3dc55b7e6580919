"""Commands that meet a row that no program of ours wrote: one line that says what, exit 6, and no money in the air."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest

from nexscout_cli.store.sqlite.checking.shapes import FORMS, JSON
from tests.hostile.conftest import Home
from tests.support.openai_server import OpenAIServer

COMMANDS = (
    ("run", "-f", "ai_message", "Write a note to Sarah"),
    ("run", "-f", "ai_message", "--policy", "cascade", "What is 3 + 4?"),
    ("simulate", "-f", "ai_message", "Write a note to Tom"),
    ("batch", "rows.jsonl", "--yes"),
    ("mode", "show"),
    ("cache", "stats"),
    ("cache", "clean"),
    ("models", "list"),
    ("energy", "show"),
    ("energy", "history"),
    ("user", "list"),
    ("user", "show"),
    ("user", "set-tier", "bob", "free"),
    ("user", "forget", "ada", "--yes"),
    ("report", "--since", "30d"),
    ("report", "users", "--since", "30d"),
    ("conversation", "list"),
    ("conversation", "show"),
    ("log",),
    ("log", "REQUEST"),
    ("why", "REQUEST"),
    ("feedback", "REQUEST", "good"),
    ("keys", "list"),
    ("budget", "list"),
    ("db", "resolve"),
    ("db", "backup"),
    ("db", "migrate"),
    ("doctor",),
    ("jobs", "list"),
    ("jobs", "show", "job"),
    ("jobs", "poll"),
)
JUNK = ('{"a": {}}', "[1]", "7")
NUMBERS = (
    "daily_token_budget",
    "total_requests",
    "cache_hits",
    "usage_day_tokens",
    "predicted_daily_usage",
    "avg_token_per_request",
    "avg_output_tokens",
)
EMPTY = ("input_factors", "thinking", "seals", "backups", "job_parts", "deployments", "deployment_states")
"""Tables that nothing here fills."""
DAMAGE = {
    **{
        f"{table}.{column}={junk}": f"UPDATE {table} SET {column} = '{junk}'"
        for (table, column), (_, holds) in JSON.items()
        if table not in EMPTY
        for junk in ("{", next(junk for junk in JUNK if not holds(json.loads(junk))))
    },
    **{
        f"{table}.{column}": f"UPDATE {table} SET {column} = {'-1' if column in NUMBERS else chr(39) + 'soon' + chr(39)}"
        for table, column in FORMS
        if table not in EMPTY
    },
    **{
        f"meta.{key}": f"UPDATE meta SET value = 'soon' WHERE key = '{key}'"
        for key in ("last_seen", "panic", "world_version")
    },
    **{f"no {key}": f"DELETE FROM meta WHERE key = '{key}'" for key in ("last_seen", "panic", "world_version")},
    "no profile": "DELETE FROM user_efficiency_profiles",
    "not UTF-8": "UPDATE users SET granted_period = CAST(x'ff' AS TEXT)",
    "a negative sum": "UPDATE accounts SET spent = -5",
}


@pytest.fixture
def used(home: Home, server: OpenAIServer) -> Home:
    """A home whose database has been used: an answer with a key, feedback, a key of the server, an unknown attempt."""
    home("keys", "create", "--name", "app", "--expires", "90d")
    home("config", "set", "conversations.keep", "on")
    home("run", "-f", "ai_message", "--idempotency-key", "k", "--policy", "learned", "Write to Ann")
    request = home.books.listed("requests", "request_id")[0]
    home("feedback", request, "good")
    server.fail = (400, {}, "no")
    home("run", "-f", "ai_message", "Write to Ben")
    server.fail = None
    lines = [json.dumps({"feature": "ai_message", "prompt": f"Write to {name}"}) for name in ("Cy", "Di")]
    Path("rows.jsonl").write_text("\n".join(lines))
    away = ("models", "add", "away", "--litellm-model", "openai/gpt-4o-mini", "--api-key-env", "OPENAI_API_KEY")
    home(*away, "--api-base", "http://127.0.0.1:1/v1")
    home("batch", "rows.jsonl", "--later", "-m", "away", "--quiet")  # nobody takes it: the job waits with its texts
    assert home.sound()
    return home


def damage(home: Home, statement: str) -> None:
    """Run a statement as a program would that keeps none of our rules."""
    with contextlib.closing(sqlite3.connect(home.db, isolation_level=None)) as c:
        c.execute("PRAGMA ignore_check_constraints = ON")
        triggers = c.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            c.execute(f"DROP TRIGGER {name}")
        assert c.execute(statement).rowcount
        for _, sql in triggers:
            c.execute(sql)


def settled(home: Home) -> bool:
    """Whether every call that was sent is posted, voided or unknown."""
    return not home.sql("SELECT 1 FROM attempts WHERE state IN ('held', 'sent')")


@pytest.mark.slow
@pytest.mark.parametrize("name", DAMAGE)
def test_no_command_fails_in_a_way_that_says_nothing(used: Home, name: str) -> None:
    request = used.books.listed("requests", "request_id")[0]
    damage(used, DAMAGE[name])
    whole = used.db.read_bytes()
    wrong = []
    for command in COMMANDS:
        used.db.write_bytes(whole)
        done = used(*(request if word == "REQUEST" else word for word in command))
        lines = done.err.splitlines()
        if done.status == 1 or "unexpected" in done.err or "Traceback" in done.err:
            wrong.append((command, done.status, done.err))
        if done.status == 6 and command != ("doctor",) and ("db check" not in done.err + done.out or len(lines) > 2):
            wrong.append((command, done.status, done.err))
        if name != "a negative sum" and not settled(used):  # no post can be booked there
            wrong.append((command, "left in flight"))
    assert wrong == []
    assert used("db", "check").status == 6


def test_a_process_says_in_two_lines_what_is_wrong_and_what_to_type(used: Home) -> None:
    damage(used, "UPDATE user_efficiency_profiles SET peak_usage_hours = '{'")
    done = used.process("run", "-f", "ai_message", "Write a note to Sarah")
    assert done.status == 6 and done.out == ""
    assert done.err.splitlines() == [
        "nexscout: the database cannot be used as it is: "
        "user_efficiency_profiles ada has a peak_usage_hours that is no JSON: '{'",
        "  `nexscout db check` says what else, and what to do",
    ]


def test_a_failure_of_our_own_is_not_blamed_on_a_sound_database(used: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("nexscout_cli.store.sqlite.users.SqliteUsers.listing", broken)
    done = used("user", "list")
    assert done.status == 1 and "this is a bug" in done.err


def test_a_time_last_seen_that_is_none_is_set_by_the_command_that_is_named(used: Home) -> None:
    damage(used, "UPDATE meta SET value = 'soon' WHERE key = 'last_seen'")
    done = used("run", "-f", "ai_message", "Write a note to Sarah")
    assert done.status == 6 and "nexscout db resolve --clock" in done.err
    assert used("db", "resolve", "--clock").status == 0
    assert used.sound()


@pytest.mark.parametrize("trigger", ["profile_of_new_user", "usage_by_user_day_kept", "entries_stay"])
def test_a_trigger_that_is_gone_is_named_with_what_puts_it_back(used: Home, trigger: str) -> None:
    used.sql(f"DROP TRIGGER {trigger}")
    assert used("user", "set-tier", "bob", "free").status in (0, 6)
    done = used("db", "check", "--json")
    problem = next(problem for problem in done.json["problems"] if problem["name"] == "schema")
    assert problem["message"] == f"the trigger {trigger} is missing"
    used.sql(problem["fix"].partition(": ")[2])
    assert "schema" not in {problem["name"] for problem in used("db", "check", "--json").json["problems"]}
