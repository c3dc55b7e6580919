"""``nexscout report`` as a person and a program meet it: formats, errors, harmless text."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli.cli import report, report_parts
from nexscout_cli.cli.app import main
from nexscout_cli.config import Settings
from nexscout_cli.engine.reports.build import COLUMNS
from nexscout_cli.engine.reports.csv_text import as_csv
from nexscout_cli.engine.store_rules import store_rules
from nexscout_cli.store.sqlite import usage
from nexscout_cli.store.sqlite.store import SqliteStore

EVIL = "=HYPERLINK(1)|[red]x[/red]\x1b[31m"


class Clock:
    """A clock that stands."""

    def now(self) -> datetime:
        return datetime.now(UTC) - timedelta(hours=1)

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        pass


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEXSCOUT_HOME", str(tmp_path))
    monkeypatch.setenv("NEXSCOUT_ACTOR", "root")
    for name in ("NEXSCOUT_DB", "NEXSCOUT_USER", "NEXSCOUT_REPORT_TZ", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def used(home: Path) -> Path:
    store = SqliteStore(home / "nexscout.db", Clock(), store_rules(Settings()), "root")
    rows = [
        ("a", EVIL, "gpt-4o", 1500),
        ("b", "ai_message", "gpt-4o-mini", 500),
        ("c", "ai_message", "gpt-4o", 2_000_000_001),
    ]
    for request_id, feature, model, cost in rows:
        with store.write("root") as t:
            usage.record(
                t,
                {
                    "request_id": request_id,
                    "n": 1,
                    "user_id": "root",
                    "feature": feature,
                    "model_used": model,
                    "outcome": "posted",
                    "input_tokens": 10,
                    "output_tokens": 5,
                    "cost_usd": cost,
                    "baseline_usd": cost,
                    "mode": "auto",
                    "routing_reason": "balanced",
                },
            )
    store.close()
    return home


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    status = main(["report", *argv])
    said = capsys.readouterr()
    return status, said.out, said.err


def document(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    status, out, _ = run(capsys, *argv)
    assert status == 0
    result: dict[str, Any] = json.loads(out, parse_float=Decimal)
    return result


@pytest.mark.usefixtures("used")
def test_json_has_rows_and_totals_with_exact_money_in_fixed_decimals(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "features", "--json")
    assert '"cost_usd": 0.000001500' in out
    result = json.loads(out, parse_float=Decimal)
    assert result["totals"]["cost_usd"] == Decimal("2.000002001")
    assert sum(row["cost_usd"] for row in result["rows"]) == result["totals"]["cost_usd"]


@pytest.mark.usefixtures("used")
def test_format_json_is_the_same_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    both = [
        document(capsys, "models", "--since", "2026-01-01", "--until", "2050-01-01", *kind)
        for kind in (("--json",), ("--format", "json"))
    ]
    assert both[0] == both[1]


@pytest.mark.usefixtures("used")
@pytest.mark.parametrize("name", list(COLUMNS))
@pytest.mark.parametrize("kind", report.FORMATS)
def test_every_report_has_every_format(capsys: pytest.CaptureFixture[str], name: str, kind: str) -> None:
    status, out, _ = run(capsys, name, "--format", kind)
    assert status == 0
    assert out.strip()


@pytest.mark.usefixtures("used")
def test_csv_holds_rows_alone_and_nothing_a_spreadsheet_would_run(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "features", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert tuple(rows[0]) == COLUMNS["features"]
    assert [row["feature"] for row in rows] == ["ai_message", "'" + EVIL]
    assert sum(Decimal(row["cost_usd"]) for row in rows) == Decimal("2.000002001")


@pytest.mark.parametrize("first", list("=+-@\t\r\n"))
def test_text_that_begins_like_a_formula_is_quoted_and_negative_money_is_not(first: str) -> None:
    line = {"feature": first + "1", "margin_usd": Decimal("-0.500000000")}
    written = as_csv(("feature", "margin_usd"), [line])
    [row] = list(csv.DictReader(io.StringIO(written, newline="")))
    assert row == {"feature": "'" + first + "1", "margin_usd": "-0.500000000"}


@pytest.mark.usefixtures("used")
def test_markdown_keeps_its_cells_apart_whatever_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "features", "--format", "md")
    caption, _, *lines = out.splitlines()
    assert caption.startswith("features, ") and caption.endswith("(UTC)")
    assert {line.replace("\\|", "").count("|") for line in lines} == {lines[0].count("|")}
    assert "=HYPERLINK(1)\\|[red]x" in out
    assert lines[-1].startswith("| **total** | **3** |")
    assert "\x1b" not in out


@pytest.mark.usefixtures("used")
def test_a_table_shows_totals_shares_bars_and_text_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "features")
    assert "[red]x[/red]" in out
    assert "\x1b" not in out
    assert "$2.0000" in out
    assert "100.0%" in out
    assert "█" * 8 in out


@pytest.mark.usefixtures("used")
def test_figures_are_never_cut_short_on_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report.output, "stdout_is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "30")
    _, out, _ = run(capsys, "savings")
    assert out.count("$2.0000") >= 2
    assert "…" not in out


@pytest.mark.usefixtures("used")
@pytest.mark.parametrize("name", list(COLUMNS))
@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_every_report_fits_its_terminal_and_cuts_no_figure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, width: int
) -> None:
    monkeypatch.setattr(report.output, "stdout_is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "1000")
    _, widest, _ = run(capsys, name)
    monkeypatch.setenv("COLUMNS", str(width))
    status, out, _ = run(capsys, name)
    assert status == 0
    assert max(map(len, out.splitlines())) <= width
    figures = re.compile(r"\$[\d.,]+|\d+\.\d%|\d[\d,]+")
    out_without_clock, widest = (re.sub(r"\d\d:\d\d", "", text) for text in (out, widest))
    assert (
        set(figures.findall(out_without_clock.partition("left out in")[0])) <= set(figures.findall(widest))
        and "…" not in out
    )
    if width == 200:
        assert "left out in" not in out


@pytest.mark.usefixtures("used")
def test_what_a_narrow_table_leaves_out_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report.output, "stdout_is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    _, out, _ = run(capsys, "features")
    assert "left out in 60 columns: " in " ".join(out.split()) and "cost" in out


@pytest.mark.parametrize(
    ("amounts", "shown"),
    [
        (["0.0000123"], "$0.000012"),
        (["3.14159"], "$3.1416"),
        (["1234.5"], "$1,234.50"),
        (["0.000000021"], "$0.000000021"),
    ],
)
def test_money_has_as_many_decimals_as_its_size_makes_sense_of(amounts: list[str], shown: str) -> None:
    assert report_parts.money(Decimal(amounts[0])) == shown


@pytest.mark.usefixtures("used")
@pytest.mark.parametrize(
    ("argv", "hint"),
    [
        (("modles",), "did you mean models?"),
        (("--format", "jsn"), "did you mean json?"),
        (("--since", "soon"), "7d"),
        (("--since", "1d", "--until", "2d"), "--since"),
        (("--tz", "Mars/Base"), "Europe/Berlin"),
        (("--json", "--format", "csv"), "leave one"),
        (("--user", "nobody"), "user list"),
    ],
)
def test_a_mistake_ends_with_status_2_and_says_what_to_type(
    capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], hint: str
) -> None:
    status, out, err = run(capsys, *argv)
    assert status == 2
    assert hint in err
    assert out == "" or json.loads(out)["error"]["code"] == "usage"


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("name", list(COLUMNS))
@pytest.mark.parametrize("kind", report.FORMATS)
def test_an_empty_window_is_said_politely_and_is_no_error(
    capsys: pytest.CaptureFixture[str], name: str, kind: str
) -> None:
    status, out, err = run(capsys, name, "--format", kind)
    assert status == 0
    assert "(UTC)" in err
    if kind == "json":
        assert json.loads(out)["rows"] == []
    if kind == "csv":
        assert out == ",".join(COLUMNS[name]) + "\n"


@pytest.mark.usefixtures("used")
def test_whoever_is_no_admin_may_not_look_at_others(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(capsys, "users")
    monkeypatch.setenv("NEXSCOUT_ACTOR", "mallory")
    assert run(capsys, "users", "--user", "root")[0] == 8
    assert run(capsys)[0] == 8


@pytest.mark.usefixtures("used")
def test_days_follow_the_zone(capsys: pytest.CaptureFixture[str]) -> None:
    tomorrow = document(capsys, "days", "--since", "2d", "--tz", "Pacific/Kiritimati", "--json")
    moment = datetime.now(UTC) - timedelta(hours=1)
    assert [row["day"] for row in tomorrow["rows"]] == [(moment + timedelta(hours=14)).date().isoformat()]


def test_a_bar_grows_by_eighths_and_is_plain_where_blocks_cannot_be_written() -> None:
    assert [report_parts.bar(share) for share in (0, 1 / 64, 0.5, 1, 2)] == ["", "▏", "████", "████████", "████████"]
    assert report_parts.bar(0.5, unicode=False) == "####"


@pytest.mark.usefixtures("used")
def test_the_log_lists_requests_shows_one_and_refuses_unknown_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["log", "--limit", "2"]) == 0
    assert "[red]x[/red]" not in capsys.readouterr().out
    assert main(["log"]) == 0
    listed = capsys.readouterr().out
    assert "[red]x[/red]" in listed and "\x1b" not in listed
    assert main(["log", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out, parse_float=Decimal)["rows"]
    assert [row["request_id"] for row in rows] == ["c", "b", "a"]
    assert rows[2]["cost_usd"] == Decimal("0.000001500")
    assert main(["log", "a"]) == 0
    assert "answered" in capsys.readouterr().out
    assert main(["log", "missing"]) == 2
    assert main(["log", "--limit", "0"]) == 2
