"""The server's pages in a real browser: signing in by the form, every page, filters in the address, signing out."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from tests.server.conftest import Scout
from tests.support.chromium import Chromium, found
from tests.support.openai_server import OpenAIServer
from tests.support.used_store import HOSTILE, used_store
from tests.support.waiting import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(found() is None, reason="there is no Chromium here (Debian: apt-get install chromium)"),
]
PAGES = (
    "/",
    "/users",
    "/models",
    "/providers",
    "/accuracy",
    "/cache",
    "/unprofitable",
    "/limits",
    "/requests",
    "/admin",
)
NAMED = "<img src=x onerror=document.title='run'>"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    running = Chromium(tmp_path_factory.mktemp("profile"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def key(shared: Scout, browser: Chromium) -> str:
    """A key of the admin; somebody with a name that would run has asked something. Signed in by the form."""
    shared("user", "set-tier", NAMED, "pro")
    assert shared.chat("Hello", shared.key("--user", NAMED, "--name", "named")).status == 200
    key = shared.key("--user", "ada", "--name", "browser-ada")
    browser.open(shared.url + "/")
    assert browser.value("location.pathname") == "/sign-in"
    before = browser.loaded
    browser.value(f"document.querySelector('[name=key]').value = {json.dumps(key)}; document.forms[0].requestSubmit()")
    browser.wait(before)
    assert browser.value("location.pathname") == "/"
    return key


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_whole_and_quiet(browser: Chromium, shared: Scout, key: str, path: str, width: int) -> None:
    browser.look(width, dark=width == 390)
    browser.open(shared.url + path)
    assert browser.errors == [] and browser.value("location.pathname") == path
    asked = [asked for asked in browser.asked if not asked.startswith("data:")]
    assert asked in ([shared.url + path], [shared.url + path, shared.url + "/charts.js"])
    assert browser.value("document.title").startswith("NexScout: ")
    assert browser.value("document.scrollingElement.scrollWidth") <= width
    assert browser.value("document.cookie") == ""


def test_a_click_on_a_user_shows_them_alone_and_the_address_says_so(browser: Chromium, shared: Scout, key: str) -> None:
    browser.look(1440)
    browser.open(shared.url + "/users?since=7d")
    before = browser.loaded
    browser.value("[...document.querySelectorAll('#users a')].find(a => a.textContent.includes('<img')).click()")
    browser.wait(before)
    assert browser.value("new URLSearchParams(location.search).get('user')") == NAMED
    assert browser.value("document.querySelector('[name=user]').value") == NAMED
    assert browser.errors == [] and browser.value("document.images.length") == 0


def test_a_click_on_a_day_shows_it_alone_and_keys_say_its_figures(browser: Chromium, shared: Scout, key: str) -> None:
    browser.look(1440)
    browser.open(shared.url + "/?since=7d&tz=UTC")
    figure = "document.querySelector('#chart-tokens')"
    browser.value(f"{figure}.querySelector('svg').focus()")
    press = f"{figure}.querySelector('svg').dispatchEvent(new KeyboardEvent('keydown', {{key: 'End', bubbles: true}}))"
    browser.value(press)
    told = browser.value(f"{figure}.querySelector('.told').textContent")
    row = browser.value(f"[...[...{figure}.querySelectorAll('tbody tr')].pop().cells].map(c => c.textContent.trim())")
    assert told.startswith(row[0]) and all(f"{int(cell):,}" in told for cell in row[1:])
    before = browser.loaded
    browser.value(press.replace("End", "Enter"))
    browser.wait(before)
    words = browser.value("Object.fromEntries(new URLSearchParams(location.search))")
    assert words["since"] == row[0] and words["until"] > row[0] and words["tz"] == "UTC"
    assert browser.value(f"{figure}.querySelectorAll('tbody tr').length") == 1 and browser.errors == []


def test_a_chart_can_be_had_as_a_picture(browser: Chromium, shared: Scout, key: str) -> None:
    browser.open(shared.url + "/?since=7d")
    browser.value("""HTMLAnchorElement.prototype.click = async function () {
        const bytes = new Uint8Array(await (await new Promise(done => kept.toBlob(done))).arrayBuffer());
        window.made = [this.download, bytes.length, ...bytes.slice(0, 4), kept.width, kept.height,
          kept.getContext('2d').getImageData(0, 0, kept.width, kept.height).data.some((v, i) => i % 4 < 3 && v < 100)];
      }; window.kept = null;
      const make = document.createElement.bind(document);
      document.createElement = (tag) => tag === 'canvas' ? (window.kept = make(tag)) : make(tag);
      document.querySelector('#chart-tokens button.file').click()""")
    until(lambda: browser.value("window.made || null"))
    name, size, *rest = browser.value("window.made")
    assert name == "tokens.png" and size > 2_000 and rest[:4] == [0x89, 0x50, 0x4E, 0x47]
    assert rest[4] >= 1_500 and rest[6] is True and browser.errors == []


def test_a_request_can_be_followed_from_the_log(browser: Chromium, shared: Scout, key: str) -> None:
    browser.open(shared.url + "/requests")
    before = browser.loaded
    browser.value("document.querySelector('#requests a').click()")
    browser.wait(before)
    assert browser.value("location.pathname").startswith("/requests/") and browser.errors == []
    assert "Attempts" in browser.value("document.body.textContent")


def test_signing_out_is_a_click(browser: Chromium, shared: Scout, key: str) -> None:
    browser.open(shared.url + "/")
    before = browser.loaded
    browser.value("document.querySelector('.bar button').click()")
    browser.wait(before)
    assert browser.value("location.pathname") == "/sign-in"
    browser.open(shared.url + "/users")
    assert browser.value("location.pathname") == "/sign-in"


@pytest.fixture(scope="module")
def named(
    tmp_path_factory: pytest.TempPathFactory, provider_of_all: OpenAIServer, browser: Chromium
) -> Iterator[Scout]:
    """A server over books in which users, models, features, providers' failures and budgets have hostile names. Signed in."""
    home = tmp_path_factory.mktemp("hostile")
    used_store(home / "nexscout.db", datetime.now(UTC), days=20).close()
    with closing(sqlite3.connect(home / "nexscout.db")) as books:
        day = datetime.now(UTC).strftime("%Y-%m-%dT00:00:01.000000Z")
        for n, name in enumerate(HOSTILE):
            books.execute(
                "INSERT OR IGNORE INTO users (user_id, tier, daily_token_budget, created_at) VALUES (?, 'pro', 9, ?)",
                (name, day),
            )
            for scope in ("name", "tag"):
                books.execute("INSERT INTO budgets VALUES (?, 'usd', 'month', ?, 100)", (f"{scope}:{name}", scope))
            books.execute(
                "INSERT INTO requests VALUES (?, ?, ?, NULL, 'f', 'voided', NULL, ?)", (f"x{n}", name, name, day)
            )
            books.execute(
                "INSERT INTO attempts (request_id, n, model, price, estimate, hold, hold_tokens, state, owner, deadline, plan, "
                "failure, created_at) VALUES (?, 1, ?, '{}', 1, 1, 1, 'voided', 'o', ?, '{}', 'refused_key', ?)",
                (f"x{n}", name, day, day),
            )
        books.commit()
    scout = Scout(home, provider_of_all)
    scout.env["NEXSCOUT_ACTOR"] = "root"
    scout.serve()
    browser.open(scout("open", "--port", scout.url.rpartition(":")[2]).stdout.strip())
    yield scout
    scout.stop()


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("path", [*PAGES, "/try"])
def test_hostile_names_are_text_and_break_no_page(browser: Chromium, named: Scout, path: str, width: int) -> None:
    browser.look(width)
    for address in (path, f"{path}?user={quote(HOSTILE[0])}", f"{path}?q={quote(HOSTILE[1])}"):
        browser.open(named.url + address)
        assert browser.errors == [] and browser.value("document.title").startswith("NexScout"), address
        assert browser.value("document.scrollingElement.scrollWidth") <= width, address
        text = browser.value("document.body.textContent")
        assert "{{7*7}}" in text or "user=" in address or path not in ("/users", "/models", "/providers"), address
    if path in ("/users", "/admin", "/providers", "/requests"):
        browser.open(named.url + path)
        text = browser.value("document.body.textContent")
        assert all(name in text for name in HOSTILE), path
    assert browser.value("[...document.scripts].every(s => s.src.startsWith(location.origin))") is True
