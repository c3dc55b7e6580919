from __future__ import annotations

import json
import sqlite3

import pytest

from tests.contract.books import SqliteBooks


@pytest.fixture
def kept(nexscout, home):
    """Four answers: owner's of two features and an expired one, and bob's."""
    nexscout("user", "set-tier", "bob", "free")
    connection = sqlite3.connect(home / "nexscout.db")
    for number, (user, feature, expires) in enumerate(
        (
            ("owner", "ai_message", "2999"),
            ("owner", "ai_chatbot", "2999"),
            ("owner", "ai_message", "2000"),
            ("bob", "ai_message", "2999"),
        )
    ):
        connection.execute(
            "INSERT INTO cached_ai_responses (prompt_hash, user_id, feature, model_used, quality, response_text, "
            "input_tokens, output_tokens, cost_usd, created_at, last_used_at, expires_at) "
            "VALUES (?, ?, ?, 'gpt-4o', 0.9, ?, 10, 20, 1500, ?, ?, ?)",
            (
                f"h{number}",
                user,
                feature,
                f"answer {number}\x1b[31m [b]",
                *["2026-01-01T00:00:00.000000Z"] * 2,
                f"{expires}-01-01T00:00:00.000000Z",
            ),
        )
    connection.commit()
    connection.close()


def left(home):
    return SqliteBooks(home / "nexscout.db").listed("cached", "prompt_hash")


@pytest.mark.parametrize("argv", [("--quiet",), ("-q",), ()])
def test_clean_removes_what_is_expired_and_is_silent_without_a_terminal(nexscout, kept, home, argv):
    assert nexscout("cache", "clean", *argv) == (0, "", "")
    assert left(home) == ["h0", "h1", "h3"]


def test_clean_reports_as_json(nexscout, kept):
    assert json.loads(nexscout("cache", "clean", "--json").stdout) == {
        "removed": 1,
        "expired": 1,
        "evicted": 0,
        "dry_run": False,
    }
    assert json.loads(nexscout("cache", "clean", "--json").stdout)["removed"] == 0


def test_a_dry_run_of_clean_removes_nothing(nexscout, kept, home):
    assert nexscout("cache", "clean", "--dry-run").stdout == "1 cached answer would be removed\n"
    assert len(left(home)) == 4


def test_list_shows_what_is_kept_and_show_its_text(nexscout, kept):
    rows = json.loads(nexscout("cache", "list", "--json").stdout)["rows"]
    assert [row["id"] for row in rows] == [4, 3, 2, 1] and "response_text" not in rows[0]
    assert "ai_chatbot" in nexscout("cache", "list").stdout
    assert nexscout("cache", "show", 1).stdout == "answer 0\x1b[31m [b]\n"
    shown = nexscout("cache", "show", 1, "--json").stdout
    assert '"cost_usd": 0.000001500' in shown and json.loads(shown)["feature"] == "ai_message"


def test_list_is_limited_and_filtered_by_user(nexscout, kept):
    assert len(json.loads(nexscout("cache", "list", "--limit", 2, "--json").stdout)["rows"]) == 2
    rows = json.loads(nexscout("cache", "list", "--user", "bob", "--json").stdout)["rows"]
    assert [row["user_id"] for row in rows] == ["bob"]


def test_an_answer_that_is_not_there_is_a_usage_error(nexscout):
    ran = nexscout("cache", "show", 99)
    assert ran.exit == 2 and "nexscout cache list" in ran.stderr
    assert nexscout("cache", "show", "x").exit == 2


def test_clear_without_a_terminal_needs_yes(nexscout, kept, home):
    ran = nexscout("cache", "clear")
    assert ran.exit == 2 and "--yes" in ran.stderr and len(left(home)) == 4


def test_clear_removes_by_user_and_feature(nexscout, kept, home):
    assert nexscout("cache", "clear", "--feature", "ai_message", "--dry-run").stdout.startswith("3 cached answers")
    assert nexscout("cache", "clear", "--user", "owner", "--feature", "ai_message", "--yes") == (0, "", "")
    assert left(home) == ["h1", "h3"]


def test_who_is_no_admin_sees_and_clears_their_own_alone(nexscout, kept, home, monkeypatch):
    monkeypatch.setenv("NEXSCOUT_ACTOR", "bob")
    assert [row["user_id"] for row in json.loads(nexscout("cache", "list", "--json").stdout)["rows"]] == ["bob"]
    assert nexscout("cache", "show", 1).exit == 2
    assert nexscout("cache", "list", "--user", "owner").exit == 8
    assert nexscout("cache", "clear", "--user", "owner", "--yes").exit == 8
    assert json.loads(nexscout("cache", "clear", "--yes", "--json").stdout)["removed"] == 1
    assert left(home) == ["h0", "h1", "h2"]


def test_stats_count_what_is_kept(nexscout, kept):
    stats = json.loads(nexscout("cache", "stats", "--json").stdout)
    assert stats["totals"]["answers"] == 4 and stats["totals"]["expired"] == 1
    assert {row["feature"]: row["answers"] for row in stats["rows"]} == {"ai_chatbot": 1, "ai_message": 3}
    assert "ai_message" in nexscout("cache", "stats").stdout


def test_answers_to_one_question_in_other_words_are_near_misses(nexscout, kept, home):
    assert json.loads(nexscout("cache", "stats", "--json").stdout)["near_misses"] == []
    with sqlite3.connect(home / "nexscout.db") as connection:
        connection.execute("UPDATE cached_ai_responses SET form_hash = 'the same'")  # owner's expired one and bob's too
    connection.close()
    assert json.loads(nexscout("cache", "stats", "--json").stdout)["near_misses"] == []
    with sqlite3.connect(home / "nexscout.db") as connection:
        connection.execute("UPDATE cached_ai_responses SET feature = 'ai_message', form_hash = 'the same'")
    connection.close()
    found = nexscout("cache", "stats", "--json")
    assert json.loads(found.stdout)["near_misses"] == [{"feature": "ai_message", "answers": 1}]
    assert "near misses: 1 kept answers" in nexscout("cache", "stats").stderr
