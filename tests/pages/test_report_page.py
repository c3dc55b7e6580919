"""The page of reports: every figure is the report's, every name is text, and nothing comes from anywhere else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli.config import Settings
from nexscout_cli.engine.report_window import between
from nexscout_cli.engine.reports.build import COLUMNS, report
from nexscout_cli.pages import charts
from nexscout_cli.pages.charts import Unit
from nexscout_cli.pages.drawn import Chart, drawn
from nexscout_cli.pages.facts import Facts, gather
from nexscout_cli.pages.page import ABOUT, report_page
from nexscout_cli.store.sqlite.store import SqliteStore
from tests.support.used_store import HOSTILE, SCRIPT, used_store

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
SETTINGS = Settings()
SINCE = "30d"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    opened = used_store(tmp_path_factory.mktemp("used") / "a.db", NOW)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def facts(store: SqliteStore) -> Facts:
    return gather(store, "root", between(NOW, SINCE, None, UTC), SETTINGS)


@pytest.fixture(scope="module")
def page(facts: Facts) -> str:
    return report_page(facts)


class Reader(HTMLParser):
    """Reads what a page holds: tags, and the rows of each section's own table as lists of exact values or texts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.place = ""
        self.cell: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        known = dict(attrs)
        self.tags.append((tag, known))
        if tag in ("section", "figure") and "id" in known:
            self.place = str(known["id"])
        if tag == "tr":
            self.tables.setdefault(self.place, []).append([])
        if tag in ("td", "th"):
            self.tables[self.place][-1].append("")
            self.cell = self.tables[self.place][-1]
        if tag == "data" and self.cell is not None:
            self.cell[-1] = f"={known['value']}"

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self.cell = None

    def handle_data(self, data: str) -> None:
        if self.cell is not None and not self.cell[-1].startswith("="):
            self.cell[-1] = (self.cell[-1] + data).strip() if not self.cell[-1] else self.cell[-1] + data.rstrip("\n")


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


def shown(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"={value:f}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value is None else str(value) if isinstance(value, str) else f"={value}"


@pytest.mark.parametrize("name", list(ABOUT))
def test_every_figure_of_a_table_is_the_reports(store: SqliteStore, page: str, name: str) -> None:
    expected = report(store, "root", name, between(NOW, SINCE, None, UTC), SETTINGS)
    rows = read(page).tables.get(name, [])
    wanted = [[shown(row[column]) for column in COLUMNS[name]] for row in expected["rows"]]
    assert rows[1:-1] == wanted
    if wanted:
        totals = [shown(expected["totals"][c]) if c in expected["totals"] else "" for c in COLUMNS[name]]
        assert rows[-1][1:] == totals[1:]


def test_every_figure_of_the_overview_is_the_reports(store: SqliteStore, page: str) -> None:
    overview = report(store, "root", "overview", between(NOW, SINCE, None, UTC), SETTINGS)
    totals = overview["totals"]
    saved = report(store, "root", "savings", between(NOW, SINCE, None, UTC), SETTINGS)["totals"]
    cards = page[page.index('id="overview"') : page.index('id="changes"')]
    found = set(re.findall(r'<data value="([^"]+)"', cards))
    assert found == {
        *(shown(totals[name])[1:] for name in ("cost_usd", "avg_cost_usd", "saved_usd", "saved_share", "baseline_usd")),
        *(shown(totals[name])[1:] for name in ("requests", "calls", "hits", "hit_rate", "failures", "energy", "users")),
        *(shown(totals[name])[1:] for name in ("input_tokens", "output_tokens")),
        shown(overview["providers"]["fallbacks"])[1:],
        *(shown(saved[f"{way}_saved_usd"])[1:] for way in ("routing", "caching", "compression")),
    }


def chart(facts: Facts, name: str) -> Chart:
    return next(one for one in drawn(facts) if one.name == name)


@pytest.mark.parametrize("what", ["model", "feature", "user"])
def test_cost_by_day_adds_up_to_the_days_report_and_has_a_mark_for_each_amount(
    store: SqliteStore, facts: Facts, what: str
) -> None:
    days = report(store, "root", "days", between(NOW, SINCE, None, UTC), SETTINGS)["rows"]
    found = chart(facts, f"cost-{what}")
    sums = {day: sum(cells) for day, cells in found.table}
    assert {day: cost for day, cost in sums.items() if cost} == {
        row["day"]: int(row["cost_usd"] * 10**9) for row in days if row["cost_usd"]
    }
    bars = "".join(re.findall(r'<path class="p c\d"[^>]* d="([^"]*)"', found.picture)).count("M")
    assert bars == sum(1 for _, cells in found.table for cell in cells if cell)
    assert found.picture.count("<title>") == len(found.table)


def test_a_table_under_a_chart_has_a_row_for_each_day(facts: Facts, page: str) -> None:
    tables = read(page).tables
    for one in drawn(facts):
        assert [row[0] for row in tables[f"chart-{one.name}"][1:]] == [day for day, _ in one.table]


def test_hostile_names_are_text(page: str) -> None:
    assert SCRIPT not in page and "{{7*7}}" in page and "49" not in re.findall(r"<bdi[^>]*>([^<]*)</bdi>", page)
    tags = read(page).tags
    assert not [tag for tag, _ in tags if tag in ("script", "iframe", "img", "object", "embed", "base")]
    assert not [name for _, attrs in tags for name in attrs if name.startswith("on") or name == "style"]
    for name in HOSTILE:
        assert [row for row in read(page).tables["users"] if row[0] == name], name


def test_the_page_needs_nothing_from_elsewhere(page: str) -> None:
    tags = read(page).tags
    assert not [
        attrs for _, attrs in tags if "src" in attrs or not str(attrs.get("href", "#")).startswith(("#", "data:,"))
    ]
    assert "url(" not in page and "@import" not in page and "http" not in page.replace("http-equiv", "")
    policy = next(attrs["content"] for _, attrs in tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy and "unsafe" not in policy


def test_every_chart_says_what_it_shows_and_in_what(page: str) -> None:
    assert not [
        attrs
        for tag, attrs in read(page).tags
        if tag == "svg" and (attrs["role"], bool(attrs["aria-label"])) != ("img", True)
    ]
    figures = re.findall(r"<figure.*?</figure>", page, re.DOTALL)
    assert len(figures) >= 6 and all(re.search(r"<h3>\S.*</h3><p>\S", one) and "<details>" in one for one in figures)


def test_a_member_sees_their_own_alone(store: SqliteStore) -> None:
    made = report_page(gather(store, "root", between(NOW, SINCE, None, UTC), SETTINGS, "root"))
    assert "n" * 300 not in made and "Nothing was recorded" in made


def test_nothing_recorded_is_a_page_too(tmp_path: Path) -> None:
    with_nothing = used_store(tmp_path / "b.db", NOW, days=0, names=())
    made = report_page(gather(with_nothing, "root", between(NOW, "7d", None, UTC), SETTINGS))
    with_nothing.close()
    assert "<svg" not in made and "Nothing moved" in made


def test_a_long_time_is_shown_by_weeks(store: SqliteStore) -> None:
    found = gather(store, "root", between(NOW, "200d", None, UTC), SETTINGS)
    assert found.step == 7 and len(found.days) == 6
    assert sum(day.sums["user"][0]["requests"] > 0 for day in found.days) == 6


def test_a_bar_and_a_step_of_a_line_take_a_dozen_characters() -> None:
    """Hundreds of each stand on a page of three months, which is to stay below 100 kB."""
    days = [f"2026-{month:02}-{day:02}" for month in (9, 10, 11) for day in range(1, 31)]
    unit = Unit(str, str)
    one = charts.Line("a", [float(1 + n * 37 % 91) for n in range(90)], "c0")
    for picture, most in (
        (charts.stacked("t", days, [one] * 7, unit), 90 * 7 * 12),
        (charts.lines("t", days, [one], unit), 90 * 12),
    ):
        assert 0 < sum(map(len, re.findall(r' d="(M[^"]*)"', charts.without_places(picture)))) < most
