"""``nexscout report``: where the money went, as a table, JSON, CSV or Markdown."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any, NamedTuple

import typer

from nexscout_cli.cli import output
from nexscout_cli.cli.session import Session
from nexscout_cli.engine.report_window import Window, between, zone
from nexscout_cli.engine.reports.build import COLUMNS
from nexscout_cli.engine.reports.build import report as built
from nexscout_cli.errors import UsageError

app = typer.Typer(rich_markup_mode=None, add_completion=False)

FORMATS = ("table", "json", "csv", "md")
WIDE = 160
"""Characters of a line where nobody's terminal sets the limit."""
_BAR = 8
_EIGHTHS = " ▏▎▍▌▋▊▉"
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")

_SHOWN: dict[str, tuple[str, ...]] = {
    "usage": ("requests", "hits", "failures", "total_tokens", "cost_usd", "energy", "cost_share"),
    "accuracy": (
        "feature",
        "recommended_model",
        "n",
        "mape",
        "mdape",
        "bias",
        "p90_coverage",
        "formula_mape",
        "formula_mdape",
        "formula_bias",
    ),
    "savings": (
        "feature",
        "requests",
        "baseline_usd",
        "cost_usd",
        "caching_saved_usd",
        "routing_saved_usd",
        "compression_saved_usd",
        "saved_usd",
        "saved_share",
    ),
    "cache": ("feature", "requests", "hits", "tokens_saved", "avoided_usd", "answers", "hit_rate"),
    "unprofitable": ("user_id", "tier", "requests", "total_tokens", "cost_usd", "revenue_usd", "margin_usd", "ratio"),
}
_HEADS = {
    "model_used": "model",
    "recommended_model": "model",
    "user_id": "user",
    "failures": "failed",
    "total_tokens": "tokens",
    "cost_usd": "cost",
    "cost_share": "share",
    "token_share": "of tokens",
    "mape": "error",
    "mdape": "median error",
    "p90_coverage": "below P90",
    "formula_mape": "formula's error",
    "formula_mdape": "its median",
    "formula_bias": "its bias",
    "prediction_accuracy": "accuracy",
    "baseline_usd": "baseline",
    "avoided_usd": "avoided",
    "caching_saved_usd": "caching",
    "routing_saved_usd": "routing",
    "compression_saved_usd": "compression",
    "saved_usd": "saved",
    "saved_share": "share",
    "revenue_usd": "revenue",
    "margin_usd": "margin",
    "hit_rate": "hit rate",
    "tokens_saved": "tokens saved",
    "ratio": "cost ÷ revenue",
}
_TEXT = {"day", "week", "month", "model_used", "feature", "user_id", "tier", "recommended_model"}
_SHARES = {
    *("cost_share", "token_share", "saved_share", "hit_rate", "prediction_accuracy"),
    *("mape", "mdape", "p90_coverage", "formula_mape", "formula_mdape"),
}
_BARRED = {"cost_share", "token_share", "saved_share", "hit_rate"}


class Section(NamedTuple):
    """One table of a report: a title or none, column names, rows, and the totals where there are any."""

    title: str
    columns: tuple[str, ...]
    rows: list[dict[str, Any]]
    totals: dict[str, Any] | None


@app.command()
def report(
    name: Annotated[str, typer.Argument(help=f"Which report: {', '.join(COLUMNS)}.")] = "overview",
    since: Annotated[
        str, typer.Option("--since", help="From when: 7d, 24h, 2026-11-01, yesterday, 2026-11, last-month.")
    ] = "7d",
    until: Annotated[str | None, typer.Option("--until", help="Up to when, not included (default: now).")] = None,
    user: Annotated[str | None, typer.Option("-u", "--user", help="One user only.")] = None,
    tz: Annotated[str | None, typer.Option("--tz", help="Time zone of days and times (default: report.tz).")] = None,
    kind: Annotated[str, typer.Option("--format", help=f"One of {', '.join(FORMATS)}.")] = "table",
    imported: Annotated[
        str | None,
        typer.Option(
            "--imported", metavar="only|beside", help="Usage from `nexscout import`: alone, or after one's own."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout, as --format json.")] = False,
) -> int:
    """Show where the money went.

    \b
    nexscout report --since 7d
    nexscout report models --since 2026-11-01 --until 2026-12-01
    nexscout report savings --since last-month --json
    nexscout report users --format csv > users.csv
    nexscout report models --imported beside
    """
    one_of(name, tuple(COLUMNS), "report")
    one_of(kind, FORMATS, "format")
    if imported is not None:
        one_of(imported, ("only", "beside"), "way to show imported usage")
    if as_json and kind not in ("table", "json"):
        raise UsageError(f"--json and --format {kind} contradict each other", "leave one of them out")
    session = Session()
    now = session.store.reports.now(session.actor)
    window = between(now, since, until, zone(tz or session.settings["report.tz"]))
    terms = (session.store, session.actor, name, window, session.settings, user)
    result = built(*terms, imported=imported == "only")
    if not result["rows"]:
        output.note(_nothing(name, window))
    shown, rows = sections(result), result["rows"]
    if imported == "beside":
        result["imported"] = more = built(*terms, imported=True)
        shown += [part._replace(title=f"imported {part.title}".rstrip()) for part in sections(more)]
        rows = [{"from": "own", **row} for row in rows] + [{"from": "imported", **row} for row in more["rows"]]
    if as_json or kind == "json":
        output.emit(result)
    elif kind == "csv":
        output.out(as_csv((*(("from",) if imported == "beside" else ()), *COLUMNS[name]), rows), end="")
    elif kind == "md":
        output.out("\n".join(as_markdown(section) for section in shown), end="")
    else:
        print_table(shown)
    return 0


def one_of(word: str, known: tuple[str, ...], what: str) -> None:
    """Raises UsageError, with the nearest word, for one that is not known."""
    if word in known:
        return
    from difflib import get_close_matches

    near = get_close_matches(word, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"one of: {', '.join(known)}"
    raise UsageError(f"there is no {what} {word!r}", hint)


def _nothing(name: str, window: Window) -> str:
    since, until = (f"{moment.astimezone(window.tz):%Y-%m-%d %H:%M}" for moment in (window.since, window.until))
    what = "no user cost more than they paid" if name == "unprofitable" else "nothing was recorded"
    return f"{what} from {since} to {until} ({window.tz})"


def sections(result: dict[str, Any]) -> list[Section]:
    """A report as the tables that a reader sees of it."""
    name, rows, totals = result["report"], result["rows"], result["totals"]
    if name == "overview":
        top = result["top"]
        parts = (("models", "model_used"), ("features", "feature"), ("users", "user_id"))
        return [
            Section("", ("figure", "value"), _headline(result), None),
            *(Section(f"top {what}", _usage(key, totals), top[what], None) for what, key in parts if top[what]),
        ]
    if name in _SHOWN:
        return [Section("", _SHOWN[name], rows, totals)]
    keys = tuple(column for column in COLUMNS[name] if column in _TEXT)
    return [Section("", _usage(keys[0], totals, keys[1:]), rows, totals)]


def _usage(key: str, totals: dict[str, Any], more: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The columns of usage; shares are of the cost, and of the tokens where nothing cost anything."""
    *figures, share = _SHOWN["usage"]
    return (key, *more, *figures, share if totals["cost_usd"] else "token_share")


def _headline(result: dict[str, Any]) -> list[dict[str, Any]]:
    t = result["totals"]
    of_which = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in result["token_classes"].items())
    lines = {
        "cost": money(t["cost_usd"]),
        "saved": f"{money(t['saved_usd'])}, {t['saved_share']:.1%} of the {money(t['baseline_usd'])} that "
        f"{result['baseline']} would have cost",
        "requests": f"{t['requests']:,}, {money(t['avg_cost_usd'])} each",
        "calls": f"{t['calls']:,} posted, {t['hits']:,} from the cache ({t['hit_rate']:.1%}), {t['failures']:,} failed",
        "tokens": f"{t['total_tokens']:,}: {t['input_tokens']:,} in, {t['output_tokens']:,} out",
        **({"of which": of_which} if of_which else {}),
        "energy": f"{t['energy']:,}",
        "days with use": f"{len(result['rows']):,}",
    }
    return [{"figure": figure, "value": value} for figure, value in lines.items()]


def money(amount: Decimal) -> str:
    """Dollars to the millionth, as people read them."""
    return f"{'-' if amount < 0 else ''}${abs(amount):,.6f}"


def cell(column: str, value: Any) -> str:
    """A value as text for a person."""
    if value is None:
        return "–"
    if isinstance(value, Decimal):
        return money(value)
    if column in _SHARES:
        return f"{value:.1%}"
    if isinstance(value, float):
        return f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def bar(share: float, unicode: bool = True) -> str:
    """A share in 0..1 as a small bar."""
    eighths = round(min(max(share, 0.0), 1.0) * _BAR * 8)
    if not unicode:
        return "#" * round(eighths / 8)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()


def print_table(parts: list[Section]) -> None:
    """Tables by Rich, rendered first and written once, so that a reader who goes away ends the command quietly."""
    console = output.console(width=None if output.stdout_is_terminal() else WIDE)
    with console.capture() as captured:
        for number, part in enumerate(parts):
            table = _table(part, bars=True)
            if _least_width(console, table) > console.width:
                table = _table(part, bars=False)
            # Figures are never cut short: where they don't fit, the terminal wraps the line.
            console.width = max(console.width, _least_width(console, table))
            if number:
                console.print()
            console.print(table)
    output.rendered("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def _least_width(console: Any, table: Any) -> int:
    return int(console.measure(table, options=console.options.update_width(10_000)).minimum)


def _table(part: Section, *, bars: bool) -> Any:
    from rich import box
    from rich.table import Table

    listing = part.columns != ("figure", "value")
    table = Table(
        title=part.title or None,
        title_justify="left",
        title_style="bold",
        show_header=listing,
        show_footer=part.totals is not None,
        box=box.SIMPLE_HEAD if listing else None,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for column, footer in zip(part.columns, _footer(part), strict=True):
        text = column in _TEXT or not listing
        table.add_column(
            _HEADS.get(column, column),
            footer,
            justify="left" if text else "right",
            overflow="fold",
            no_wrap=not text,
            min_width=8 if text else None,
        )
    barred = next((column for column in part.columns if column in _BARRED), None) if bars else None
    if barred:
        table.add_column("", min_width=_BAR)
    unicode = "utf" in (sys.stdout.encoding or "").lower()
    for row in part.rows:
        cells = [_plain(cell(column, row[column])) for column in part.columns]
        table.add_row(*cells, *([bar(row[barred], unicode)] if barred else []))
    return table


def _footer(part: Section) -> list[str]:
    if part.totals is None:
        return [""] * len(part.columns)
    totals = part.totals
    return [
        "total" if i == 0 else cell(column, totals[column]) if column in totals else ""
        for i, column in enumerate(part.columns)
    ]


def _plain(text: str) -> str:
    """One line without control sequences."""
    return " ".join(output.harmless(text).splitlines())


def as_csv(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> str:
    """Rows with a header. Text that a spreadsheet would take for a formula gets a leading apostrophe."""
    import csv
    import io

    def line(cells: Iterable[str]) -> str:
        # With \n alone as its line's end the writer would leave a cell's \r unquoted.
        file = io.StringIO()
        csv.writer(file, lineterminator="\r\n").writerow(cells)
        return file.getvalue().removesuffix("\r\n") + "\n"

    return line(columns) + "".join(line(_csv_cell(row[column]) for column in columns) for row in rows)


def _csv_cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return str(value)


def as_markdown(part: Section) -> str:
    """A Markdown table, totals as its last row."""
    columns = part.columns
    heads = [_HEADS.get(column, column) for column in columns]
    text = _TEXT | {"figure", "value"}
    rows = [[_escaped(cell(column, row[column])) for column in columns] for row in part.rows]
    if part.totals is not None:
        rows.append([f"**{value}**" if value else "" for value in _footer(part)])
    lines = [heads, [":--" if column in text else "--:" for column in columns], *rows]
    title = f"### {part.title}\n\n" if part.title else ""
    return title + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _escaped(value: str) -> str:
    return _plain(value).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
