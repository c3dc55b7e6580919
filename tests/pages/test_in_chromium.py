"""The pages in a real browser: both widths, light and dark; every mark drawn, nothing run, nothing fetched, nothing cut off."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli.config import Settings
from nexscout_cli.engine.report_window import between
from nexscout_cli.pages.drawn import drawn
from nexscout_cli.pages.facts import Facts, gather
from nexscout_cli.pages.page import report_page
from tests.support.chromium import Chromium, found
from tests.support.used_store import used_store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(found() is None, reason="there is no Chromium here (Debian: apt-get install chromium)"),
]

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
LOOKS = [(390, False), (390, True), (1440, False), (1440, True)]
MARKS = """Object.fromEntries([...document.querySelectorAll('figure')].map(f => [f.id.slice(6),
  [...f.querySelectorAll('svg > path, svg > .s > path')].map(p => [p.getAttribute('class'),
    (p.getAttribute('d').match(/[Ml]/g) || []).length])]))"""
CUT = """[...document.querySelectorAll('main, section, figure, .card')]
  .filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.id || e.className)"""
SMALL = """[...document.querySelectorAll('svg text')].map(t => t.getBoundingClientRect().height).filter(h => h && h < 9).length"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    running = Chromium(tmp_path_factory.mktemp("profile"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    store = used_store(tmp_path_factory.mktemp("used") / "a.db", NOW)
    found = gather(store, "root", between(NOW, "30d", None, UTC), Settings())
    store.close()
    return found


@pytest.fixture(scope="module")
def url(facts: Facts, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(report_page(facts))
    return file.as_uri()


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_the_page_is_whole_and_quiet(browser: Chromium, url: str, width: int, dark: bool) -> None:
    browser.look(width, dark=dark)
    browser.open(url)
    assert browser.errors == []
    assert [asked for asked in browser.asked if not asked.startswith("data:")] == [url]
    assert browser.value("document.title").startswith("NexScout: 2026-10-21")
    assert browser.value("document.scrollingElement.scrollWidth") <= width
    assert browser.value(CUT) == []
    assert browser.value(SMALL) == 0
    shade = browser.value("getComputedStyle(document.body).backgroundColor")
    assert (int(shade.partition("(")[2].partition(",")[0]) < 60) == dark


def test_every_chart_has_as_many_marks_as_there_are_numbers(browser: Chromium, url: str, facts: Facts) -> None:
    browser.look(1440)
    browser.open(url)
    marks: dict[str, list[Any]] = browser.value(MARKS)
    charts = {chart.name: chart for chart in drawn(facts)}
    assert marks.keys() == charts.keys()
    for name in ("cost-model", "cost-feature", "cost-user", "tokens", "outcomes"):
        numbers = sum(1 for _, cells in charts[name].table for cell in cells if cell)
        assert sum(count for _, count in marks[name]) == numbers, name
    rates = sum(1 for _, (cell,) in charts["hits"].table if cell is not None)
    assert [count for _, count in marks["hits"]] == [rates]


def test_pointing_at_a_day_and_opening_its_table_show_the_same_exact_figures(browser: Chromium, url: str) -> None:
    browser.look(1440)
    browser.open(url)
    browser.value("document.querySelector('#chart-cost-model summary').click()")
    assert browser.value("document.querySelector('#chart-cost-model details').open") is True
    text = browser.value("document.querySelector('#chart-cost-model .h rect title').textContent")
    row = browser.value(
        "[...document.querySelector('#chart-cost-model tbody tr').cells].map(c => c.textContent.trim())"
    )
    day, _, whole = text.splitlines()[0].partition(": $")
    assert day == row[0] and float(whole) == pytest.approx(sum(map(float, row[1:])))


def test_the_tables_can_be_reached_by_keyboard(browser: Chromium, url: str) -> None:
    browser.open(url)
    focusable = "[...document.querySelectorAll('a[href], summary')].filter(e => e.tabIndex >= 0).length"
    assert browser.value(focusable) > browser.value("document.querySelectorAll('figure').length")


def test_three_months_are_painted(browser: Chromium, tmp_path: Path) -> None:
    store = used_store(tmp_path / "b.db", NOW, days=90, names=("ann", "bob", "cy"))
    made = report_page(gather(store, "root", between(NOW, "90d", None, UTC), Settings()))
    store.close()
    (tmp_path / "b.html").write_text(made)
    browser.look(1440)
    browser.open((tmp_path / "b.html").as_uri())
    browser.picture(tmp_path / "b.png")
    assert (tmp_path / "b.png").stat().st_size > 50_000 and len(made) < 400_000


def test_on_paper_no_table_is_cut(browser: Chromium, url: str) -> None:
    browser.look(794)
    browser.send("Emulation.setEmulatedMedia", media="print")
    try:
        browser.open(url)
        wide = "[...document.querySelectorAll('section .wide')].filter(e => e.scrollWidth > e.clientWidth + 1).length"
        assert browser.value(wide) == 0 and browser.value("document.scrollingElement.scrollWidth") <= 794
    finally:
        browser.send("Emulation.setEmulatedMedia", media="")
