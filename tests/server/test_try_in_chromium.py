"""The Try and Admin pages in a real browser: a quote as one types, an answer as it comes, an action that asks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.server.conftest import Scout
from tests.support.chromium import Chromium, found
from tests.support.openai_server import OpenAIServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(found() is None, reason="there is no Chromium here (Debian: apt-get install chromium)"),
]
EVIL = "<img src=x onerror=document.title='run'>"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, shared: Scout) -> Iterator[Chromium]:
    """Signed in by a link, as the admin."""
    running = Chromium(tmp_path_factory.mktemp("profile"))
    running.open(json.loads(shared("open", "--port", shared.url.rpartition(":")[2], "--json").stdout)["url"])
    yield running
    running.close()


def until(browser: Chromium, expression: str) -> None:
    """Wait until that holds in the page."""
    end = time.monotonic() + 30
    while not browser.value(expression):
        assert time.monotonic() < end, browser.value("document.body.innerText")
        time.sleep(0.05)


def write(browser: Chromium, text: str) -> None:
    """Type into the prompt."""
    browser.value("document.querySelector('textarea').focus(); document.querySelector('textarea').select()")
    browser.send("Input.insertText", text=text)


@pytest.mark.parametrize("width", [390, 1440])
def test_a_quote_comes_as_one_types_and_an_answer_as_it_is_given(
    browser: Chromium, shared: Scout, provider: OpenAIServer, width: int
) -> None:
    browser.look(width, dark=width == 390)
    browser.open(shared.url + "/try")
    write(browser, f"Say hello to {width} people {EVIL}")
    until(browser, "!!document.querySelector('#quote tr.chosen')")
    assert provider.requests == []
    provider.reply = f"Hello {EVIL}"
    browser.value("document.querySelector('[value=run]').click()")
    until(browser, "!!document.querySelector('#about .big')")
    assert browser.value("document.querySelector('#answer').textContent") == f"Hello {EVIL}"
    assert "Why" in browser.value("document.querySelector('#about').textContent")
    assert browser.value("document.images.length") == 0 and browser.value("document.title") == "NexScout: Try"
    assert len(provider.requests) == 1 and browser.errors == []
    assert {asked.removeprefix(shared.url) for asked in browser.asked if not asked.startswith("data:")} == {
        *("/try", "/try.js", "/try/quote", "/try/run"),
    }
    assert browser.value("document.scrollingElement.scrollWidth") <= width


def test_running_again_is_another_request(browser: Chromium, shared: Scout, provider: OpenAIServer) -> None:
    browser.open(shared.url + "/try")
    write(browser, "Something that is asked twice, with a twist")
    for n in (1, 2):
        until(browser, "!document.querySelector('[value=run]').disabled")
        provider.reply = f"answer {n}"
        browser.value(f"document.querySelector('[name=tone]').value = 'tone {n}'")
        browser.value("document.querySelector('[value=run]').click()")
        until(browser, f"document.querySelector('#answer').textContent === 'answer {n}'")
        until(browser, "!!document.querySelector('#about .big')")
    assert len(provider.requests) == 2


def test_an_answer_can_be_stopped(browser: Chromium, shared: Scout, provider: OpenAIServer) -> None:
    provider.delay = 5
    browser.open(shared.url + "/try")
    write(browser, "A long story, please, that is stopped")
    browser.value("document.querySelector('[value=run]').click()")
    until(browser, "!document.querySelector('#stop').hidden")
    browser.value("document.querySelector('#stop').click()")
    until(browser, "document.querySelector('#state').textContent.startsWith('Stopped')")
    provider.delay = 0  # all tests share it
    assert browser.value("document.querySelector('#stop').hidden && !document.querySelector('[value=run]').disabled")


def test_a_session_that_has_ended_leads_to_signing_in(browser: Chromium, shared: Scout) -> None:
    browser.open(shared.url + "/try")
    browser.send("Network.clearBrowserCookies")
    before = browser.loaded
    write(browser, "Who am I?")
    until(browser, "location.pathname === '/sign-in'")
    browser.wait(before)
    assert "/sign-in" in browser.value("location.href")
    browser.open(json.loads(shared("open", "--port", shared.url.rpartition(":")[2], "--json").stdout)["url"])


def test_an_action_asks_and_is_done_by_clicks(browser: Chromium, shared: Scout) -> None:
    browser.look(390)
    browser.open(shared.url + "/admin")
    before = browser.loaded
    browser.value("document.querySelector('#panic button').click()")
    browser.wait(before)
    assert "Send every request of everyone" in browser.value("document.body.textContent")
    before = browser.loaded
    browser.value("document.querySelector('.ask button').click()")
    browser.wait(before)
    assert browser.value("document.querySelector('.said').textContent") == "Panic is on."
    assert browser.errors == [] and browser.value("document.scrollingElement.scrollWidth") <= 390
    shared("mode", "panic", "off")
