"""The server's pages as a browser meets them: signing in, whose figures they show, what guards them, exports."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.server.browsing import Browser
from tests.server.conftest import Scout

PAGES = ("/", "/users", "/models", "/providers", "/accuracy", "/cache", "/unprofitable", "/limits", "/requests")
EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def people(shared: Scout) -> dict[str, str]:
    """A key of the admin, and of two members who have each asked something."""
    keys = {"ada": shared.key("--user", "ada", "--name", "pages-ada")}
    for user in ("pia", "max"):
        shared("user", "set-tier", user, "pro")
        keys[user] = shared.key("--user", user, "--name", f"pages-{user}")
        assert shared.chat(f"{EVIL} asks {user}", keys[user]).status == 200
    return keys


@pytest.fixture
def browser(shared: Scout) -> Iterator[Browser]:
    yield Browser(shared.url)


def table(text: str, name: str) -> list[str]:
    """The first cells of a section's table."""
    part = text[text.index(f'<section id="{name}"') :]
    return re.findall(r'<th scope="row">.*?<bdi[^>]*>([^<]*)</bdi>', part[: part.index("</section>")])


@pytest.mark.parametrize("path", [*PAGES, "/requests/abc", "/export/users.csv"])
def test_nobody_sees_a_page_without_signing_in(browser: Browser, people: dict[str, str], path: str) -> None:
    for cookie in ({}, {"nexscout_session": "guess"}):
        browser.cookies = dict(cookie)
        got = browser(path)
        assert (got.status, got.headers["location"], got.text) == (303, "/sign-in", "")


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_guarded(browser: Browser, people: dict[str, str], path: str) -> None:
    browser.sign_in(people["ada"])
    got = browser(path)
    # The charts' own script, and no other; nothing of it stands on the page.
    assert got.status == 200 and " style=" not in got.text
    scripts = re.findall(r"<script.*?>", got.text)
    assert scripts == ([] if path in ("/limits", "/requests") else ['<script src="/charts.js" defer>'])
    policy = got.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "form-action 'self'" in policy
    assert "unsafe" not in policy
    assert got.headers["cache-control"] == "no-store" and got.headers["x-content-type-options"] == "nosniff"
    assert f'href="{path}" aria-current="page"' in got.text


def test_the_cookie_is_for_this_site_alone_and_no_script(browser: Browser, people: dict[str, str]) -> None:
    got = browser.sign_in(people["pia"])
    cookie = next(c for c in got.headers.get_all("set-cookie") or [] if c.startswith("nexscout_session="))
    assert (got.status, got.headers["location"]) == (303, "/")
    assert "HttpOnly" in cookie and "samesite=strict" in cookie.lower()
    assert people["pia"] not in cookie


def test_a_member_sees_their_own_and_an_admin_everybody(browser: Browser, people: dict[str, str]) -> None:
    browser.sign_in(people["pia"])
    assert browser("/?user=max").status == 403
    assert table(browser("/models?since=7d").text, "models")
    own = browser("/requests").text
    assert ">pia<" in own and ">max<" not in own
    browser.sign_in(people["ada"])
    assert {"pia", "max"} <= set(table(browser("/users?since=7d").text, "users"))
    alone = browser("/requests?user=max").text
    assert ">max<" in alone and ">pia<" not in alone


def test_a_members_request_is_shown_to_them_and_to_nobody_else(
    browser: Browser, people: dict[str, str], shared: Scout
) -> None:
    browser.sign_in(people["pia"])
    found = re.search(r'href="(/requests/[0-9a-f]+)"', browser("/requests").text)
    assert found is not None
    way = browser(found[1])
    assert way.status == 200 and "Attempts" in way.text and "posted" in way.text and "chosen" in way.text
    browser.sign_in(people["max"])
    assert browser(found[1]).status in (400, 404)


def test_an_export_is_the_report(browser: Browser, people: dict[str, str], shared: Scout) -> None:
    browser.sign_in(people["ada"])
    asked = ("report", "users", "--since", "7d", "--json")
    wanted = json.loads(shared(*asked).stdout, parse_float=Decimal)
    got = browser("/export/users.json?since=7d")
    assert got.headers["content-disposition"] == 'attachment; filename="users.json"'
    assert json.loads(got.text, parse_float=Decimal)["rows"] == wanted["rows"]
    rows: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(browser("/export/users.csv?since=7d").text)))
    assert [Decimal(row["cost_usd"]) for row in rows] == [row["cost_usd"] for row in wanted["rows"]]
    assert browser("/export/passwords.csv").status == 404


def test_a_link_signs_in_once_as_who_printed_it(browser: Browser, people: dict[str, str], shared: Scout) -> None:
    port = shared.url.rpartition(":")[2]
    link = json.loads(shared("open", "--port", port, "--json").stdout)["url"]
    path = link.removeprefix(shared.url)
    assert browser(path).status == 303
    assert ">ada<" in browser("/").text
    assert browser(path).status == 401
    assert browser(path[:-3]).status == 401 and browser("/sign-in/link").status == 401
    assert (shared.home / "pages.secret").stat().st_mode & 0o077 == 0


def test_a_wrong_key_and_a_form_of_elsewhere_are_refused(browser: Browser, people: dict[str, str]) -> None:
    got = browser.sign_in("nxs-" + EVIL)
    assert got.status == 401 and "not valid" in got.text and "<script" not in got.text
    assert browser("/sign-in", {"form": "guess", "key": people["pia"]}).status == 403
    assert browser("/sign-in", {"key": people["pia"]}).status == 403
    assert "nexscout_session" not in browser.cookies


def test_signing_out_ends_the_session_and_takes_its_own_form(browser: Browser, people: dict[str, str]) -> None:
    browser.sign_in(people["pia"])
    page = browser("/").text
    assert browser("/sign-out", {"form": "guess"}).status == 403
    cookie = browser.cookies["nexscout_session"]
    token = re.search(r'name="form" value="([^"]+)"', page)
    assert token is not None and browser("/sign-out", {"form": token[1]}).status == 303
    browser.cookies["nexscout_session"] = cookie
    assert browser("/").status == 303


def test_a_revoked_key_ends_its_session(browser: Browser, people: dict[str, str], shared: Scout) -> None:
    browser.sign_in(shared.key("--user", "pia", "--name", "pages-short"))
    assert browser("/").status == 200
    shared("keys", "revoke", "pages-short")
    assert browser("/").status == 303


@pytest.mark.parametrize("query", ["since=" + EVIL, "tz=Nowhere/x", "since=2099-01-01", "user=no"])
def test_what_an_address_gets_wrong_is_said_on_a_page(browser: Browser, people: dict[str, str], query: str) -> None:
    browser.sign_in(people["ada"])
    got = browser("/users?" + query.replace("<", "%3C").replace(">", "%3E"))
    assert got.status == 400 and "That did not work" in got.text and "<script" not in got.text


def test_the_log_finds_a_text(browser: Browser, people: dict[str, str]) -> None:
    browser.sign_in(people["ada"])
    assert ">pia<" in browser("/requests?q=PIA").text
    assert "There is none" in browser("/requests?q=no+such+thing").text


def test_a_chart_can_be_had_as_a_file(browser: Browser, people: dict[str, str]) -> None:
    browser.sign_in(people["ada"])
    found = re.findall(r'href="(/chart/[^"]+)"', browser("/?since=7d").text)
    assert len(found) >= 6
    for path in found:
        got = browser(path.replace("&amp;", "&"))
        assert got.status == 200 and got.headers["content-type"] == "image/svg+xml"
        assert got.headers["content-disposition"].startswith("attachment")
        root = ElementTree.fromstring(got.text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg" and "script" not in got.text.replace("&lt;script", "")
    assert browser("/chart/secret.svg").status == 404
    browser.sign_in(people["pia"])
    assert browser("/chart/month.svg?user=max").status == 403


def test_a_name_leads_to_its_part_and_the_address_keeps_it(
    shared: Scout, browser: Browser, people: dict[str, str]
) -> None:
    browser.sign_in(people["ada"])
    models = browser("/models?since=7d&user=pia").text
    model = table(models, "models")[0]
    link = f"/?since=7d&amp;user=pia&amp;model={model}"
    assert f'href="{link}"' in models
    part = browser(link.replace("&amp;", "&")).text
    # It goes along to other pages, can be left, and is what is exported.
    assert f'href="/accuracy?since=7d&amp;user=pia&amp;model={model}"' in part and "model <bdi" in part
    assert 'href="?since=7d&amp;user=pia&amp;"' in part and 'href="?since=7d&amp;model=' in part
    for get in (
        lambda words: json.loads(browser(f"/export/days.json?since=7d&user=pia{words}").text),
        lambda words: shared.ask(f"/v1/report?name=days&since=7d&user=pia{words}", key=people["ada"]).json,
    ):
        whole, one, none = get(""), get(f"&model={model}"), get("&model=other")
        assert whole["totals"] == one["totals"] and one["model"] == model
        assert none["totals"]["requests"] == 0 and "model" not in whole
    assert table(browser("/models?model=other").text, "compared") == ["other"]
    assert "Nothing was recorded in this time" in browser("/?feature=other").text
    assert "The latest" not in browser(f"/requests?model={model}").text
    # Users are looked at as wholes: what is chosen is left out there, not answered wrongly.
    assert browser("/unprofitable?model=other").text.count("model=other") == 0
    assert browser("/export/unprofitable.json?model=other").status == 200


def test_users_and_models_are_told_apart_by_more_than_cost(browser: Browser, people: dict[str, str]) -> None:
    browser.sign_in(people["ada"])
    text = browser("/users").text
    assert {"pia", "max"} <= set(table(text, "people")) and 'id="person"' not in text
    assert 'id="person"' in (alone := browser("/users?user=pia").text) and table(alone, "people") == ["pia"]
    compared = browser("/models").text
    assert "said good" in compared and len(table(compared, "compared")) > 1
    browser.sign_in(people["max"])
    assert table(mine := browser("/users").text, "people") == ["max"] and "pia" not in mine


def test_the_log_goes_back_and_finds_one_of_any_age(browser: Browser, people: dict[str, str]) -> None:
    browser.sign_in(people["ada"])
    seen, text = 0, browser("/requests").text
    while found := re.findall(
        r'href="/requests/([^"]+)">([^<]+)', text
    ):  # other tests may have asked for pages of them
        seen += 1
        oldest, at = found[-1]
        text = browser(f"/requests?until={at.replace(' ', 'T')}").text
        assert oldest not in text
    assert seen and "There is none" in text
    assert f"/requests/{oldest}" in browser(f"/requests?until={at.replace(' ', 'T')}&q={oldest[:12]}").text
    browser.sign_in(people["max"])
    assert "There is none" in browser(f"/requests?q={oldest[:12]}").text or oldest in browser("/requests").text
