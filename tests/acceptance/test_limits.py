"""Limits live in the database: environment and files can lower them, and only admins raise them. Folders are trusted once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.config import SETTINGS, Settings
from nexscout_cli.config.limits import within
from tests.support.openai_server import OpenAIServer


def value(home: Any, key: str) -> tuple[Any, str]:
    row = home("config", "show", key, "--json").json
    return row["value"], row["source"]


@pytest.fixture
def as_bob(six: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A member at the keyboard."""
    six("user", "set-tier", "bob", "free")
    monkeypatch.setenv("NEXSCOUT_ACTOR", "bob")
    return six


def test_a_member_cannot_lift_a_cap_by_the_environment_nor_by_a_file(
    six: Any, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    six("config", "set", "caps.usd.user_day", "0.00000001")
    six("user", "set-tier", "bob", "pro")
    monkeypatch.setenv("NEXSCOUT_ACTOR", "bob")
    monkeypatch.setenv("NEXSCOUT_CAPS_USD_USER_DAY", "1000")
    done = six("run", "Hello", ok=False)
    assert done.status == 3 and server.hits == 0
    assert (
        "caps.usd.user_day from environment NEXSCOUT_CAPS_USD_USER_DAY is beyond what the database allows" in done.err
    )
    monkeypatch.delenv("NEXSCOUT_CAPS_USD_USER_DAY")
    (six.folder / "config.toml").write_text("[caps.usd]\nuser_day = 1000\n")
    assert six("run", "Hello", ok=False).status == 3 and server.hits == 0


def test_a_member_cannot_give_their_tier_more_rights(as_bob: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXSCOUT_TIERS_FREE_MODES", "auto,fast,expert")
    monkeypatch.setenv("NEXSCOUT_TIERS_FREE_ENERGY", "999999")
    assert as_bob("mode", "set", "expert", ok=False).status == 8
    assert as_bob("energy", "show", "--json").json["balance"] == 100
    assert value(as_bob, "tiers.free.modes") == (["auto", "fast"], "default")
    monkeypatch.setenv("NEXSCOUT_TIERS_FREE_MODES", "auto")
    assert value(as_bob, "tiers.free.modes")[0] == ["auto"]


def test_the_environment_can_lower_what_the_database_allows(six: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    six("config", "set", "caps.usd.total_day", "5")
    monkeypatch.setenv("NEXSCOUT_CAPS_USD_TOTAL_DAY", "3")
    assert value(six, "caps.usd.total_day") == ("3.0", "environment NEXSCOUT_CAPS_USD_TOTAL_DAY")
    monkeypatch.setenv("NEXSCOUT_CAPS_USD_TOTAL_DAY", "7")
    assert value(six, "caps.usd.total_day") == ("5.0", "database")


def test_limits_are_for_admins_to_write(as_bob: Any) -> None:
    assert as_bob("config", "set", "caps.usd.user_day", "9", ok=False).status == 8
    assert as_bob("config", "set", "tiers.free.energy", "none", ok=False).status in (2, 8)
    as_bob("config", "set", "cache.days", "9")


def test_a_limit_in_the_database_holds_for_the_next_program_and_none_takes_it_back(
    six: Any, server: OpenAIServer
) -> None:
    six("config", "set", "caps.usd.total_day", "0.00000001")
    assert six("run", "Hello", ok=False).status == 3
    six("config", "set", "caps.usd.total_day", "none")
    assert six("run", "Hello").status == 0
    assert six("db", "check").status == 0


def test_a_new_database_begins_with_the_limits_of_the_file(home: Any) -> None:
    home.db.unlink()
    (home.folder / "config.toml").write_text("[caps.usd]\nuser_day = 4\n[cache]\ndays = 3\n")
    home("user", "list")
    assert home.sql("SELECT name, value FROM limits") == [("caps.usd.user_day", "4.0")]
    (home.folder / "config.toml").write_text("[caps.usd]\nuser_day = 9\n")
    assert value(home, "caps.usd.user_day") == ("4.0", "database")


SOME = st.dictionaries(
    st.sampled_from(["caps.usd.user_day", "tiers.pro.energy", "tiers.pro.modes", "tiers.pro.price"]), st.integers(0, 9)
)


@given(SOME, SOME, st.booleans())
def test_nothing_asked_for_is_ever_more_than_what_is_allowed(
    rows: dict[str, int], asked: dict[str, int], is_admin: bool
) -> None:
    def made(key: str, n: int) -> Any:
        return ["auto", "fast", "pro", "expert"][: n % 5] if key.endswith("modes") else n

    allowed = {key: made(key, n) for key, n in rows.items()}
    wanted = Settings({key: (made(key, n), "environment X") for key, n in asked.items()})
    found = within(wanted, allowed, is_admin=is_admin)
    for key in {*rows, *([] if is_admin else asked)}:
        most, used = allowed.get(key, SETTINGS[key].default), found[key]
        if key.endswith("modes"):
            assert set(used) <= set(most)
        elif key.endswith("price"):
            assert used == most
        else:
            assert most is None or used <= most
    if is_admin:
        assert all(found[key] == wanted[key] for key in asked if key not in rows)


# Folders


def test_a_folders_file_may_choose_nothing_that_costs_until_it_is_trusted(
    six: Any, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "nexscout.toml"
    file.write_text(
        "feature = 'ai_pitchdeck'\nuser = 'bob'\n[cache]\nenabled = false\n[report]\ntz = 'Europe/Berlin'\n"
    )
    done = six("run", "--json", "Hello")
    assert "nexscout.toml sets feature, user, cache.enabled: not used until `nexscout trust`" in done.err
    assert six.books.listed("usage", "user_id", "feature") == [("ada", "ai_chatbot")]
    assert value(six, "report.tz")[0] == "Europe/Berlin"
    six("trust")
    assert six("trust", "--list").out.strip() == str(file)
    assert six("run", "--no-cache", "Hello").err == ""
    assert six.books.listed("usage", "user_id", "feature")[-1] == ("bob", "ai_pitchdeck")
    file.write_text("compress = 'off'\n" + file.read_text())
    assert "not used until" in six("run", "Hello").err
    six("trust")
    six("trust", "--remove")
    assert "not used until" in six("run", "Hello").err
    assert six("trust", "--remove", ok=False).status == 2


def test_there_must_be_a_file_to_trust_and_it_must_be_one(home: Any, tmp_path: Path) -> None:
    assert home("trust", ok=False).status == 2
    (tmp_path / "nexscout.toml").write_text("nonsense = 1\n")
    assert home("trust", ok=False).status == 6
    assert home("trust", "--list").out == ""
