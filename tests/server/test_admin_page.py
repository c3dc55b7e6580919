"""The Admin page: who reaches it, that each action asks, is done once, and is what the command line would have done."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.server.browsing import Browser, Got, hidden, token
from tests.server.conftest import Scout

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def admin(shared: Scout) -> Browser:
    """Signed in by a link, as the admin."""
    one = Browser(shared.url)
    port = shared.url.rpartition(":")[2]
    one(json.loads(shared("open", "--port", port, "--json").stdout)["url"].removeprefix(shared.url))
    return one


def ask(browser: Browser, **fields: str) -> Got:
    return browser("/admin", {"form": token(browser("/admin").text), **fields})


def do(browser: Browser, **fields: str) -> Got:
    """Ask, and say yes."""
    asked = ask(browser, **fields)
    assert asked.status == 200 and "Are you sure?" in asked.text, asked.text
    return browser("/admin/do", hidden(asked.text, "/admin/do"))


def told(browser: Browser) -> str:
    found = re.search(r'class="said" role="status">([^<]*)', browser("/admin").text)
    return found[1] if found else ""


def state(shared: Scout, *argv: str) -> Any:
    return json.loads(shared(*argv, "--json").stdout)


def test_members_neither_see_nor_reach_it(shared: Scout) -> None:
    browser = Browser(shared.url)
    browser.sign_in(shared.key("--user", "mem", "--name", "admin-mem"))
    page = browser("/try").text
    assert 'href="/admin"' not in page and browser("/admin").status == 403
    form = {"form": token(page), "do": "panic", "panic": "on"}
    assert browser("/admin", form).status == 403 and browser("/admin/do", form).status == 403
    assert state(shared, "mode")["panic"] is False


@pytest.mark.parametrize("bound", [("--models", "gpt-4o-mini"), ("--rpm", "9"), ("--budget", "5/day")])
def test_a_key_with_bounds_cannot_administer(shared: Scout, bound: tuple[str, str]) -> None:
    browser = Browser(shared.url)
    browser.sign_in(shared.key("--user", "ada", "--name", f"bounded-{bound[0][2:]}", *bound))
    assert browser("/").status == 200 and browser("/admin").status == 403


def test_nothing_is_done_before_the_yes(admin: Browser, shared: Scout) -> None:
    asked = ask(admin, do="tier", user="uma", tier="elite")
    assert "Give uma the tier elite?" in asked.text
    assert "uma" not in [row["user_id"] for row in state(shared, "user", "list")["rows"]]
    assert told(admin) == ""


def test_a_tier_a_mode_a_role_and_energy_are_given_and_it_is_said(admin: Browser, shared: Scout) -> None:
    assert do(admin, do="tier", user="una", tier="elite").headers["location"] == "/admin"
    assert told(admin) == "una is now in tier elite." and told(admin) == ""
    do(admin, do="mode", user="una", mode="fast")
    do(admin, do="role", user="una", role="reader")
    before = state(shared, "energy", "show", "--user", "una")["balance"]
    do(admin, do="grant", user="una", energy="1,500", reason="a test")
    shown = state(shared, "user", "show", "una")
    assert (shown["tier"], shown["mode"], shown["role"]) == ("elite", "fast", "reader")
    assert shown["balance"] == before + 1500
    entry = state(shared, "energy", "history", "--user", "una")["rows"][0]
    assert (entry["actor"], entry["reason"]) == ("ada", "a test")


def test_a_yes_that_is_sent_twice_is_done_once(admin: Browser, shared: Scout) -> None:
    shared("user", "set-tier", "ulf", "pro")
    before = state(shared, "energy", "show", "--user", "ulf")["balance"]
    asked = ask(admin, do="grant", user="ulf", energy="10")
    form = hidden(asked.text, "/admin/do")
    assert [admin("/admin/do", form).status for _ in range(3)] == [303, 409, 409]
    assert admin("/admin/do", form | {"once": "guess"}).status == 409
    assert state(shared, "energy", "show", "--user", "ulf")["balance"] == before + 10


def test_a_yes_of_another_session_does_not_count(admin: Browser, shared: Scout) -> None:
    form = hidden(ask(admin, do="panic", panic="on").text, "/admin/do")
    other = Browser(shared.url)
    other.sign_in(shared.key("--user", "ada", "--name", "admin-other"))
    assert other("/admin/do", form).status == 403
    assert other("/admin/do", form | {"form": token(other("/admin").text)}).status == 409
    assert state(shared, "mode")["panic"] is False


def test_panic_is_a_switch(admin: Browser, shared: Scout) -> None:
    do(admin, do="panic", panic="on")
    assert "Turn panic off" in admin("/admin").text and state(shared, "mode")["panic_by"] == "admin"
    do(admin, do="panic", panic="off")
    assert state(shared, "mode")["panic"] is False


def test_a_model_is_disabled_and_enabled(admin: Browser, shared: Scout) -> None:
    for word, on in (("off", False), ("on", True)):
        do(admin, do="model", model="claude-3-haiku", state=word)
        assert state(shared, "models", "show", "claude-3-haiku")["enabled"] is on


def test_a_key_is_made_shown_once_and_revoked(admin: Browser, shared: Scout) -> None:
    made = do(
        admin, do="new-key", user="uwe", models="gpt-4o-mini, auto", budget="5/day, 50/month", rpm="7", expires="9d"
    )
    found = re.search(r"<code>(nxs-[\w-]+)</code>", made.text)
    assert made.status == 200 and found is not None
    row = next(row for row in state(shared, "keys", "list")["rows"] if row["user_id"] == "uwe")
    assert (row["models"], row["rpm"], len(row["budgets"])) == (["gpt-4o-mini", "auto"], 7, 2) and row["expires_at"]
    assert found[1] not in admin("/admin").text and shared.ask("/v1/models", key=found[1]).status == 200
    do(admin, do="revoke", key=row["key_id"])
    browser = Browser(shared.url)
    assert browser.sign_in(found[1]).status == 401


def test_a_budget_is_set_and_taken_away(admin: Browser, shared: Scout) -> None:
    do(admin, do="budget", of="tag", name="project-u", amount="3/week")
    rows = [row for row in state(shared, "budget", "list")["rows"] if row["of"] == "tag:project-u"]
    assert [(row["window"], row["unit"]) for row in rows] == [("week", "usd")]
    do(admin, do="no-budget", owner="*tag:project-u", unit="usd", window="week")
    assert all(row["of"] != "tag:project-u" for row in state(shared, "budget", "list")["rows"])


@pytest.mark.parametrize(
    "fields",
    [
        {"do": "nothing"},
        {"do": "tier", "user": "", "tier": "pro"},
        {"do": "tier", "user": "una", "tier": EVIL},
        {"do": "grant", "user": "una", "energy": "-5"},
        {"do": "grant", "user": "una", "energy": "9" * 5_000},
        {"do": "revoke", "key": EVIL},
        {"do": "model", "model": EVIL, "state": "off"},
        {"do": "new-key", "user": "una", "expires": "yesterday"},
        {"do": "budget", "of": "user", "name": "*", "amount": "5/day"},
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_asked(admin: Browser, fields: dict[str, str]) -> None:
    got = ask(admin, **fields)
    assert got.status in (400, 404) and "That did not work" in got.text and "<img" not in got.text


def test_names_that_would_run_are_text(admin: Browser) -> None:
    asked = ask(admin, do="tier", user=EVIL, tier="pro")
    assert "<img" not in asked.text and "&lt;img" in asked.text
    admin("/admin/do", hidden(asked.text, "/admin/do"))
    page = admin("/admin").text
    assert "<img" not in page and "&lt;img" in page and "<script" not in page


def test_a_limit_of_the_installation_is_set_and_let_go(admin: Browser, shared: Scout) -> None:
    do(admin, do="limit", limit="caps.usd.user_month", value="7.5")
    assert state(shared, "config", "show", "caps.usd.user_month")["value"] == 7.5
    assert ">7.5<" in admin("/admin").text
    do(admin, do="limit", limit="caps.usd.user_month", value="none")
    assert state(shared, "config", "show", "caps.usd.user_month")["source"] == "default"
    for fields in ({"limit": "learning.patterns", "value": "on"}, {"limit": "caps.usd.user_month", "value": "much"}):
        got = ask(admin, do="limit", **fields)
        assert got.status == 400 and "That did not work" in got.text


def test_a_deployment_gets_other_limits_and_is_taken_away(admin: Browser, shared: Scout) -> None:
    shared(
        "models",
        "deploy",
        "gpt-4o",
        "--target",
        "openai/gpt-4o",
        "--name",
        "second",
        "--api-base",
        "http://127.0.0.1:9/v1",
    )
    do(admin, do="place", model="gpt-4o", deployment="second", weight="7", rpm="30")
    of = {row["deployment"]: row for row in state(shared, "models", "deployments", "gpt-4o")["rows"]}
    assert (of["second"]["weight"], of["second"]["rpm"], of["second"]["tpm"]) == (7, 30, None)
    assert "30 rpm" in admin("/admin").text
    assert ask(admin, do="place", model="gpt-4o", deployment="third", weight="1").status == 400
    assert ask(admin, do="place", model="gpt-4o", deployment="second").status == 400
    do(admin, do="no-place", model="gpt-4o", deployment="second")
    assert "second" not in {row["deployment"] for row in state(shared, "models", "deployments", "gpt-4o")["rows"]}
