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
    assert row["value"] == 5.0 and row["source"] == "database"
    nexscout("config", "set", "caps.usd.total_day", "none")
    assert one(nexscout, "caps.usd.total_day") == row | {"value": None, "source": "default"}
    nexscout("config", "set", "cache.days", "5")
    assert one(nexscout, "cache.days")["source"] == str(home / "config.toml")


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


def test_a_mistyped_variable_is_said_once_with_the_nearest_name(nexscout, monkeypatch):
    monkeypatch.setenv("NEXSCOUT_CACH_DAYS", "9")
    for line in (("mode", "show"), ("simulate", "Hello"), ("config", "show"), ("log",)):
        said = nexscout(*line).stderr.splitlines()
        assert [text for text in said if "NEXSCOUT_" in text] == [
            "warning: NEXSCOUT_CACH_DAYS is not a setting, so it has no effect: did you mean NEXSCOUT_CACHE_DAYS?"
        ]


def test_several_mistyped_variables_are_one_line(nexscout, monkeypatch):
    for name in ("NEXSCOUT_CACH_DAYS", "NEXSCOUT_DBB", "nexscout_user"):
        monkeypatch.setenv(name, "9")
    said = nexscout("mode", "show").stderr
    assert said.count("\n") == 1 and "(and 1 more; `nexscout doctor` lists them)" in said


def test_a_variable_that_is_like_no_setting_is_said_without_a_guess(nexscout, monkeypatch):
    monkeypatch.setenv("NEXSCOUT_ZZZZZZZZZZ", "1")
    assert "did you mean" not in nexscout("mode", "show").stderr
    assert "NEXSCOUT_ZZZZZZZZZZ is not a setting" in nexscout("mode", "show").stderr


def test_variables_that_are_read_or_empty_or_for_tests_are_not_spoken_of(nexscout, monkeypatch):
    for name in ("NEXSCOUT_CACHE_DAYS", "NEXSCOUT_TEST_MODEL_DIR", "NEXSCOUT_EMBEDDED_MODEL"):
        monkeypatch.setenv(name, "9")
    monkeypatch.setenv("NEXSCOUT_CACH_DAYS", "")
    assert nexscout("mode", "show").stderr == ""


def test_quiet_commands_say_nothing_of_mistyped_variables(nexscout, monkeypatch):
    monkeypatch.setenv("NEXSCOUT_CACH_DAYS", "9")
    assert nexscout("cache", "clean", "--quiet").stderr == ""
    assert "NEXSCOUT_CACH_DAYS" in nexscout("cache", "clean").stderr


def test_doctor_and_config_show_list_every_mistyped_variable(nexscout, monkeypatch):
    monkeypatch.setenv("NEXSCOUT_CACH_DAYS", "9")
    monkeypatch.setenv("NEXSCOUT_DBB", "9")
    checks = json.loads(nexscout("doctor", "--json").stdout)["checks"]
    told = {check["message"].split()[0]: check for check in checks if "NEXSCOUT_" in check["message"].split()[0]}
    assert told["NEXSCOUT_CACH_DAYS"]["fix"] == "did you mean NEXSCOUT_CACHE_DAYS?"
    assert told["NEXSCOUT_DBB"]["fix"] == "did you mean NEXSCOUT_DB?"
    assert {check["status"] for check in told.values()} == {"warn"}
    shown = json.loads(nexscout("config", "show", "--json").stdout)
    assert shown["unknown_environment"] == ["NEXSCOUT_CACH_DAYS", "NEXSCOUT_DBB"]


def test_every_variable_that_the_package_reads_is_known():
    import re
    from pathlib import Path

    import nexscout_cli
    from nexscout_cli.config import SETTINGS, env_name
    from nexscout_cli.config.settings import SPECIAL

    text = "".join(path.read_text() for path in Path(nexscout_cli.__file__).parent.rglob("*.py"))
    named = set(re.findall(r"\"(NEXSCOUT_[A-Z0-9_]*[A-Z0-9])\"", text))
    assert named <= {*SPECIAL, *map(env_name, SETTINGS)} and set(SPECIAL) <= named


def test_tiers_and_modes_of_the_settings_are_the_words_of_the_product():
    from nexscout_cli.config import SETTINGS, TIER_DEFAULTS
    from nexscout_cli.terms import COMPRESS, FEATURES, MODES, POLICIES, TIERS

    assert tuple(TIER_DEFAULTS) == TIERS
    assert all(set(SETTINGS[f"tiers.{tier}.modes"].default) <= set(MODES) for tier in TIERS)
    assert SETTINGS["compress"].choices == COMPRESS and SETTINGS["routing.policy"].choices == POLICIES
    assert set(SETTINGS["cache.features"].default) <= set(FEATURES) and SETTINGS["feature"].default in FEATURES
