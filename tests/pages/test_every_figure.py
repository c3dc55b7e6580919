"""Every figure of every page is the one that `report --json` gives: a walk over all of them, and none is left out."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli import assemble
from nexscout_cli.config import Settings
from nexscout_cli.engine.money import usd
from nexscout_cli.engine.report_window import between
from nexscout_cli.engine.reports.build import COLUMNS
from nexscout_cli.pages.facts import gather
from nexscout_cli.pages.page import SITE, environment, site_values
from tests.pages.test_report_page import read, shown

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
END = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
SINCE, UNTIL = "2026-11-16T06:30", "2026-11-20T20:00"
DAYS = [date(2026, 11, 16) + timedelta(days=n) for n in range(5)]
CARDS = {
    "overview": (
        *(
            "cost_usd",
            "avg_cost_usd",
            "saved_usd",
            "saved_share",
            "baseline_usd",
            "requests",
            "calls",
            "hits",
            "hit_rate",
        ),
        *("failures", "input_tokens", "output_tokens", "energy", "users"),
    ),
    "savings": ("routing_saved_usd", "caching_saved_usd", "compression_saved_usd"),
    "providers": ("fallbacks", "latency_p50_ms", "latency_p95_ms"),
}


class Used:
    """Five days of the demo's use: what its pages show, and what the command line says of it."""

    def __init__(self, home: Path) -> None:
        self.home, self._known = home, {}
        loader = importlib.machinery.SourceFileLoader("demo_script", str(SCRIPTS / "demo"))
        demo = importlib.util.module_from_spec(importlib.util.spec_from_loader("demo_script", loader))  # type: ignore[arg-type]
        sys.path.insert(0, str(SCRIPTS))
        try:
            loader.exec_module(demo)
        finally:
            sys.path.remove(str(SCRIPTS))
        demo.DEAD_DAY = 3
        few = demo.CUSTOMERS[:7]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys.modules["_demo"], "CUSTOMERS", few)
            patch.setattr(demo, "CUSTOMERS", few)
            assert demo.fill(home / "nexscout.db", 6, 3, END) > 100
        self.operator: str = demo.OPERATOR
        self._known: dict[tuple[str, str, str], Any] = {}
        store = assemble.open_store(actor=self.operator, path=home / "nexscout.db")
        window = between(END, SINCE, UNTIL, UTC)
        self.facts = gather(store, self.operator, window, Settings())
        found = store.cache.stats(self.operator)
        self.kept = found | {
            "matches": [row | {"saved_usd": usd(row["saved_usd"])} for row in found["matches"]],
            "match": "",
        }
        store.close()

    def page(self, name: str) -> str:
        """A page of the server, as its template makes it."""
        around = {"who": self.operator, "form": "f", "admin": True, "page": name, "query": "", "pages": {}, "times": ()}
        around["here"] = {"since": SINCE, "until": UNTIL}
        around["words"] = dict.fromkeys(("tz", "user", "model", "feature", "q"), "") | around["here"]
        around["kept"] = self.kept if name == "cache" else None
        return environment().get_template("site_report.html").render(site_values(self.facts, name) | around)

    def says(self, *argv: str) -> Any:
        """The JSON that a command prints."""
        done = subprocess.run(
            [sys.executable, "-m", "nexscout_cli", *argv, "--json"],
            env=os.environ | {"NEXSCOUT_HOME": str(self.home), "NEXSCOUT_ACTOR": self.operator},
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout, parse_float=Decimal)

    def report(self, name: str, since: str = SINCE, until: str = UNTIL) -> Any:
        """What `nexscout report NAME --json` prints."""
        key = name, since, until
        if key not in self._known:
            self._known[key] = self.says("report", name, "--since", since, "--until", until)
        return self._known[key]

    def of_day(self, day: date) -> tuple[str, str]:
        """The part of the window that lies in a day."""
        since = max(SINCE, f"{day}T00:00")
        return since, min(UNTIL, f"{day + timedelta(days=1)}T00:00")


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Used]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("NEXSCOUT_")]:
            patch.delenv(name)
        yield Used(tmp_path_factory.mktemp("home"))


def same(page: str, json_value: Any) -> bool:
    """Whether a cell of a table has the value of the JSON, which may write a number in another way."""
    if json_value is None or isinstance(json_value, str | bool):
        return page == shown(json_value)
    return page.startswith("=") and Decimal(page[1:]) == Decimal(str(json_value))


@pytest.mark.parametrize("name", list(SITE))
def test_every_figure_of_a_page_is_the_reports(used: Used, name: str) -> None:
    text = used.page(name)
    expected: list[Any] = []
    if name == "overview":
        found = used.report("overview")
        totals = {
            "overview": found["totals"],
            "savings": used.report("savings")["totals"],
            "providers": found["providers"],
        }
        expected += [totals[of][column] for of, columns in CARDS.items() for column in columns]
    tables = read(text).tables
    for report in SITE[name][1]:
        made = used.report(report)
        rows = tables.get(report, [[], []])
        assert len(rows) - 2 == len(made["rows"]) or not made["rows"], report
        for row, of in zip(rows[1:-1], made["rows"], strict=True) if made["rows"] else ():
            assert all(same(cell, of[column]) for cell, column in zip(row, COLUMNS[report], strict=True)), (row, of)
            expected += [of[column] for column in COLUMNS[report]]
        if made["rows"]:
            ends = [(cell, made["totals"].get(column)) for cell, column in zip(rows[-1], COLUMNS[report], strict=True)][
                1:
            ]
            assert all(same(cell, value) if value is not None else cell in ("", "–") for cell, value in ends), ends
            expected += [value for _, value in ends]
    if name == "cache":
        kept = used.says("cache", "stats")
        expected += [row[column] for row in kept["matches"] for column in ("hits", "tokens_saved", "saved_usd")]
        expected += [row["answers"] for row in kept["near_misses"]]
    numbers = [Decimal(str(one)) for one in expected if one is not None and not isinstance(one, str | bool)]
    # Not one more, not one less than what was compared.
    assert sorted(Decimal(value) for value in re.findall(r'<data value="([^"]+)"', text)) == sorted(numbers)


def columns(used: Used, chart: str) -> dict[str, dict[str, str]]:
    """A chart's table on a page: by day, by column."""
    rows = read(used.page("accuracy" if chart in ("errors", "covered") else "overview")).tables[f"chart-{chart}"]
    return {row[0]: dict(zip(rows[0][1:], row[1:], strict=True)) for row in rows[1:]}


@pytest.mark.parametrize("key", ["model_used", "feature", "user_id"])
def test_every_amount_of_a_cost_chart_is_that_days_report(used: Used, key: str) -> None:
    what = {"model_used": "model", "feature": "feature", "user_id": "user"}[key]
    drawn = columns(used, f"cost-{what}")
    assert list(drawn) == [str(day) for day in DAYS]
    for day in DAYS:
        costs = {row[key]: row["cost_usd"] for row in used.report(f"{what}s", *used.of_day(day))["rows"]}
        cells = dict(drawn[str(day)])
        others = cells.pop("all others", "0")
        assert {name: Decimal(cell) for name, cell in cells.items()} == {name: costs.pop(name, 0) for name in cells}
        assert Decimal(others) == sum(costs.values(), Decimal(0))


def test_every_figure_of_the_other_charts_is_that_days_report(used: Used) -> None:
    names = ("tokens", "outcomes", "hits", "latency", "predictions", "errors", "covered")
    drawn = {name: columns(used, name) for name in names}
    compared = 0
    for day in DAYS:
        found, accuracy = (used.report(name, *used.of_day(day)) for name in ("overview", "accuracy"))
        of, took, known = found["totals"], found["providers"], accuracy["totals"]
        answered = of["requests"] - of["hits"] - of["failures"]
        mean = [
            Decimal(known[name]) / known["n"] if known["n"] else None for name in ("predicted_tokens", "actual_tokens")
        ]
        expected: dict[str, list[Any]] = {
            "tokens": [of["input_tokens"], of["output_tokens"]],
            "outcomes": [answered, of["hits"], of["failures"]],
            "hits": [of["hit_rate"]],
            "latency": [took["latency_p50_ms"], took["latency_p95_ms"]],
            "predictions": mean,
            "errors": [known["mape"], known["formula_mape"]],
            "covered": [known["p90_coverage"]],
        }
        for name, values in expected.items():
            cells = list(drawn[name][str(day)].values())[: len(values)]
            for cell, value in zip(cells, values, strict=True):
                assert (cell == "–") == (value is None) and (
                    value is None or abs(Decimal(cell) - value) < Decimal("1e-5")
                )
                compared += 1
    assert compared == 13 * len(DAYS)


def test_what_the_month_cost_so_far_is_that_months_report(used: Used) -> None:
    month = used.report("overview", "2026-11-01", "2026-12-01")["totals"]["cost_usd"]
    assert Decimal(used.facts.forecast.spent).scaleb(-9) == month
