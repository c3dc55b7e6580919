from __future__ import annotations

import json
import sqlite3

import pytest


def test_list_shows_everyone_to_an_admin(nexscout):
    nexscout("user", "set-tier", "bob", "pro")
    rows = json.loads(nexscout("user", "list", "--json").stdout)["rows"]
    assert [(r["user_id"], r["tier"], r["role"], r["balance"]) for r in rows] == [
        ("bob", "pro", "user", 1000),
        ("owner", "elite", "admin", 5000),
    ]
    assert "bob" in nexscout("user", "list").stdout


def test_who_is_no_admin_sees_themselves(nexscout, monkeypatch):
    nexscout("user", "set-tier", "bob", "free")
    monkeypatch.setenv("NEXSCOUT_ACTOR", "bob")
    assert [r["user_id"] for r in json.loads(nexscout("user", "list", "--json").stdout)["rows"]] == ["bob"]
    assert nexscout("user", "show").exit == 0
    assert nexscout("user", "show", "owner").exit == 8
    assert nexscout("user", "set-tier", "bob", "elite").exit == 8
    assert nexscout("user", "forget", "owner", "--yes").exit == 8


@pytest.fixture
def learned(nexscout, home):
    nexscout("user", "set-tier", "bob", "free")
    hours = [0] * 24
    hours[9], hours[14], hours[15], hours[3] = 9, 5, 5, 1
    with sqlite3.connect(home / "nexscout.db") as c:
        c.execute(
            "UPDATE user_efficiency_profiles SET predicted_daily_usage = 60000, peak_usage_hours = ?, "
            "common_patterns = ?, writing_style_profile = ?, model_preference_score = ?, cache_hit_rate = 0.25, "
            "total_requests = 20 WHERE user_id = 'bob'",
            (
                json.dumps(hours),
                json.dumps(["write a follow-up"]),
                json.dumps({"sentence_length": 9.5, "formality": 0.5, "n": 20}),
                json.dumps({"gpt-4o": 0.9, "gpt-4o-mini": 0.7}),
            ),
        )
        c.execute(
            "INSERT INTO cached_ai_responses (prompt_hash, user_id, feature, model_used, quality, response_text, "
            "input_tokens, output_tokens, cost_usd, created_at, last_used_at, expires_at) "
            "VALUES ('h', 'bob', 'ai_message', 'gpt-4o', 1, 't', 1, 1, 1, '2026', '2026', '2999')"
        )


def test_show_has_the_profile_and_a_forecast(nexscout, learned):
    facts = json.loads(nexscout("user", "show", "bob", "--json").stdout)
    assert facts["forecast"] == {
        "predicted_daily_usage": 60000,
        "daily_token_budget": 50000,
        "share_of_budget": 1.2,
        "within_budget": False,
        "tokens_left_today": 50000,
        "peak_hours": ["09:00–10:00", "14:00–15:00", "15:00–16:00"],
    }
    assert facts["profile"]["common_patterns"] == ["write a follow-up"] and facts["profile"]["peak_usage_hours"][9] == 9
    assert (facts["tier"], facts["role"], facts["balance"]) == ("free", "user", 100)


def test_show_reads_well(nexscout, learned):
    text = nexscout("user", "show", "bob").stdout
    for part in (
        "60,000 tokens a day of 50,000 (120%)",
        "09:00–10:00",
        "write a follow-up",
        "words a sentence 9.5",
        "gpt-4o 0.90, gpt-4o-mini 0.70",
        "25%",
    ):
        assert part in text


def test_a_mistyped_user_gets_the_nearest(nexscout):
    nexscout("user", "set-tier", "alice", "free")
    for command in (("show", "alcie"), ("forget", "alcie", "--yes")):
        ran = nexscout("user", *command)
        assert ran.exit == 2 and "did you mean alice?" in ran.stderr


def test_an_unknown_tier_gets_the_nearest(nexscout):
    ran = nexscout("user", "set-tier", "bob", "elit")
    assert ran.exit == 2 and "did you mean elite?" in ran.stderr


def test_forget_asks_and_removes_every_text(nexscout, learned):
    assert nexscout("user", "forget", "bob").exit == 2
    assert json.loads(nexscout("user", "forget", "bob", "--dry-run", "--json").stdout)["cached_answers"] == 1
    assert json.loads(nexscout("user", "show", "bob", "--json").stdout)["profile"]["common_patterns"]
    assert json.loads(nexscout("user", "forget", "bob", "--yes", "--json").stdout)["cached_answers"] == 1
    facts = json.loads(nexscout("user", "show", "bob", "--json").stdout)
    assert facts["profile"]["common_patterns"] == [] and facts["profile"]["writing_style_profile"] == {}
    assert facts["balance"] == 100
