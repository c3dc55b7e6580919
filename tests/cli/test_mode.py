from __future__ import annotations

import json

import pytest


def test_mode_alone_shows_mode_tier_and_panic(nexscout):
    ran = nexscout("mode")
    assert ran.exit == 0
    assert "mode   auto" in ran.stdout and "elite" in ran.stdout and "panic  off" in ran.stdout
    assert ran.stdout == nexscout("mode", "show").stdout


def test_a_mode_that_is_set_is_shown(nexscout):
    assert nexscout("mode", "set", "expert") == (0, "", "")
    shown = json.loads(nexscout("mode", "show", "--json").stdout)
    assert (shown["user_id"], shown["mode"], shown["model_mode"], shown["panic"]) == (
        "owner",
        "expert",
        "expert",
        False,
    )


def test_an_unknown_mode_gets_the_nearest_one(nexscout):
    ran = nexscout("mode", "set", "fsat")
    assert ran.exit == 2 and "did you mean fast?" in ran.stderr
    assert "panic on" in nexscout("mode", "set", "panic").stderr


def test_a_tier_without_the_mode_refuses_it(nexscout):
    nexscout("user", "set-tier", "bob", "free")
    ran = nexscout("mode", "set", "expert", "--user", "bob")
    assert ran.exit == 8 and "auto, fast" in ran.stderr


def test_panic_is_for_everyone_until_it_is_off(nexscout):
    assert nexscout("mode", "panic", "on").exit == 0
    shown = json.loads(nexscout("mode", "--json").stdout)
    assert (shown["model_mode"], shown["panic"], shown["panic_by"]) == ("panic", True, "admin")
    nexscout("mode", "panic", "off")
    assert json.loads(nexscout("mode", "--json").stdout)["panic"] is False


def test_panic_sets_in_by_itself_when_the_daily_cap_is_nearly_gone(nexscout, monkeypatch):
    monkeypatch.setenv("NEXSCOUT_CAPS_USD_TOTAL_DAY", "0")
    shown = json.loads(nexscout("mode", "--json").stdout)
    assert (shown["panic"], shown["panic_by"]) == (True, "cap")


@pytest.mark.parametrize(
    "argv", [("mode", "panic", "on"), ("mode", "set", "fast", "--user", "owner"), ("mode", "show", "--user", "owner")]
)
def test_who_is_no_admin_may_not(nexscout, monkeypatch, argv):
    nexscout("user", "set-tier", "bob", "free")
    monkeypatch.setenv("NEXSCOUT_ACTOR", "bob")
    assert nexscout(*argv).exit == 8


def test_showing_a_mode_writes_nothing(nexscout, home):
    nexscout("mode")
    before = (home / "nexscout.db").read_bytes()
    nexscout("mode", "show")
    assert (home / "nexscout.db").read_bytes() == before
