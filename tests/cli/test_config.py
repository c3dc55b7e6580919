from __future__ import annotations

import json


def one(nexscout, key):
    return json.loads(nexscout("config", "show", key, "--json").stdout)


def test_show_lists_every_setting_with_value_source_and_meaning(nexscout):
    from nexscout_cli.config import SETTINGS

    rows = json.loads(nexscout("config", "show", "--json").stdout)["rows"]
    assert [row["key"] for row in rows] == list(SETTINGS)
    assert all(row["source"] == "default" and row["doc"] for row in rows)
    assert "caps.usd.total_day" in nexscout("config", "show").stdout


def test_a_setting_that_is_set_comes_from_the_users_file(nexscout, home):
    assert nexscout("config", "set", "caps.usd.total_day", "5") == (0, "", "")
    row = one(nexscout, "caps.usd.total_day")
    assert row["value"] == 5.0 and row["source"] == str(home / "config.toml")
    nexscout("config", "set", "caps.usd.total_day", "none")
    assert one(nexscout, "caps.usd.total_day") == row | {"value": None, "source": "default"}


def test_comments_in_the_file_stay(nexscout, home):
    (home / "config.toml").write_text("# mine\n[cache]\ndays = 3  # short\n")
    nexscout("config", "set", "cache.features", "ai_message,ai_chatbot")
    text = (home / "config.toml").read_text()
    assert "# mine" in text and "# short" in text
    assert one(nexscout, "cache.features")["value"] == ["ai_message", "ai_chatbot"]


def test_the_environment_wins_and_is_named(nexscout, monkeypatch):
    monkeypatch.setenv("NEXSCOUT_CACHE_DAYS", "9")
    ran = nexscout("config", "set", "cache.days", "4")
    assert ran.exit == 0 and "NEXSCOUT_CACHE_DAYS" in ran.stderr
    assert (one(nexscout, "cache.days")["value"], one(nexscout, "cache.days")["source"]) == (
        9,
        "environment NEXSCOUT_CACHE_DAYS",
    )


def test_a_wrong_key_or_value_is_a_usage_error(nexscout, home):
    ran = nexscout("config", "set", "cache.dayz", "4")
    assert ran.exit == 2 and "did you mean cache.days?" in ran.stderr
    assert nexscout("config", "show", "cache.dayz").exit == 2
    for value in ("many", "0", "99999"):
        assert nexscout("config", "set", "cache.days", value).exit == 2
    assert not (home / "config.toml").exists()


def test_a_broken_file_is_a_configuration_problem(nexscout, home):
    (home / "config.toml").write_text("cache.days = ")
    assert nexscout("config", "show").exit == 6
    (home / "config.toml").write_text("cache.days = 'many'")
    assert nexscout("config", "show").exit == 6
    assert nexscout("config", "set", "cache.days", "4").exit == 0
    assert nexscout("config", "show").exit == 0


def test_path_names_the_files_and_folders(nexscout, home):
    rows = {row["what"]: row for row in json.loads(nexscout("config", "path", "--json").stdout)["rows"]}
    assert rows["database"]["path"] == str(home / "nexscout.db") and rows["database"]["exists"] is False
    assert rows["user_file"]["path"] == str(home / "config.toml")
    assert str(home) in nexscout("config", "path").stdout
