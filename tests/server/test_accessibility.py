"""Every page looked at by axe in a real browser, in light and dark: no finding that it calls serious or critical. And what
axe does not look at: the order of headings, and that what has the focus shows it.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.conftest import Scout
from tests.support.chromium import Chromium, found

_SPEC = importlib.util.find_spec("axe_core_python")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(found() is None, reason="there is no Chromium here (Debian: apt-get install chromium)"),
    pytest.mark.skipif(_SPEC is None, reason="axe is not here (pip install axe-core-python)"),
]
PAGES = ("/", "/users", "/models", "/providers", "/accuracy", "/cache", "/unprofitable", "/limits", "/requests")
OTHERS = ("/try", "/admin", "/sign-in", "/users?since=x")
LOOK = """axe.run(document, {resultTypes: ['violations']}).then(found => found.violations
  .filter(one => ['serious', 'critical'].includes(one.impact))
  .map(one => one.id + ': ' + one.nodes.slice(0, 3).map(node => node.html.slice(0, 150)).join(' | ')))"""
ORDER = """[...document.querySelectorAll('h1,h2,h3')].map(one => +one.tagName[1])"""
UNSEEN = """[...document.querySelectorAll('a,button,input:not([type=hidden]),select,textarea,summary,[tabindex]')].filter(one => {
  if (one.disabled || one.hidden || !one.offsetParent) return false;
  one.focus({focusVisible: true});
  return document.activeElement === one && getComputedStyle(one).outlineStyle === 'none';
}).map(one => one.outerHTML.slice(0, 100))"""


@pytest.fixture(scope="module")
def axe() -> str:
    assert _SPEC is not None and _SPEC.submodule_search_locations
    return (Path(_SPEC.submodule_search_locations[0]) / "axe.min.js").read_text("utf-8")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, shared: Scout) -> Iterator[Chromium]:
    """Signed in by a link, as the admin of some use."""
    shared("user", "set-tier", "axl", "pro")
    assert shared.chat("Hello", shared.key("--user", "axl", "--name", "axe-axl", "--budget", "1/day")).status == 200
    running = Chromium(tmp_path_factory.mktemp("profile"))
    running.open(json.loads(shared("open", "--port", shared.url.rpartition(":")[2], "--json").stdout)["url"])
    yield running
    running.close()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("path", [*PAGES, *OTHERS])
def test_axe_finds_nothing_serious(browser: Chromium, shared: Scout, axe: str, path: str, dark: bool) -> None:
    browser.look(390 if dark else 1440, dark=dark)
    browser.open(shared.url + path)
    if path == "/try":
        browser.value("document.querySelector('textarea').value = 'Write a haiku'")
        before = browser.loaded
        browser.value("HTMLFormElement.prototype.submit.call(document.querySelector('#try'))")
        browser.wait(before)
        assert browser.value("!!document.querySelector('#quote .chosen')")
    browser.value(axe)
    answer = browser.send("Runtime.evaluate", expression=LOOK, awaitPromise=True, returnByValue=True)
    assert answer["result"].get("value") == []


@pytest.mark.parametrize("path", [*PAGES, *OTHERS])
def test_headings_are_in_order_and_what_has_the_focus_shows_it(browser: Chromium, shared: Scout, path: str) -> None:
    browser.look(1440)
    browser.open(shared.url + path)
    levels = browser.value(ORDER)
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert browser.value(UNSEEN) == []
