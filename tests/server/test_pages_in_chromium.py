"""The server's pages in a real browser: signing in by the form, every page, filters in the address, signing out."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.server.conftest import Scout
from tests.support.chromium import Chromium, found

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
    assert [asked for asked in browser.asked if not asked.startswith("data:")] == [shared.url + path]
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
