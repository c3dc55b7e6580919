"""``nexscout report``: where the money went, as a table, JSON, CSV or Markdown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from nexscout_cli.cli import declared, output, report_texts
from nexscout_cli.cli.report_parts import caption, remarks, sections
from nexscout_cli.cli.session import Session
from nexscout_cli.engine.report_window import Only, Window, between, zone
from nexscout_cli.engine.reports.build import COLUMNS
from nexscout_cli.engine.reports.build import report as built
from nexscout_cli.engine.reports.csv_text import as_csv
from nexscout_cli.errors import UsageError

app = declared.App()

FORMATS = ("table", "json", "csv", "md")


@app.command()
def report(
    name: Annotated[str, declared.Argument(help=f"Which report: {', '.join(COLUMNS)}.")] = "overview",
    since: Annotated[
        str, declared.Option("--since", help="From when: 7d, 24h, 2026-11-01, yesterday, 2026-11, last-month.")
    ] = "7d",
    until: Annotated[str | None, declared.Option("--until", help="Up to when, not included (default: now).")] = None,
    user: Annotated[str | None, declared.Option("-u", "--user", help="One user only.")] = None,
    model: Annotated[str | None, declared.Option("--model", help="One model's part only.")] = None,
    feature: Annotated[str | None, declared.Option("--feature", help="One feature's part only.")] = None,
    tz: Annotated[str | None, declared.Option("--tz", help="Time zone of days and times (default: report.tz).")] = None,
    kind: Annotated[str, declared.Option("--format", help=f"One of {', '.join(FORMATS)}.")] = "table",
    imported: Annotated[
        str | None,
        declared.Option(
            "--imported", metavar="only|beside", help="Usage from `nexscout import`: alone, or after one's own."
        ),
    ] = None,
    as_json: Annotated[bool, declared.Option("--json", help="One JSON document on stdout, as --format json.")] = False,
    html: Annotated[
        str | None,
        declared.Option(
            "--html", metavar="FILE", help="Write every report, with charts, as one HTML file (-: stdout)."
        ),
    ] = None,
    if_changed: Annotated[
        bool,
        declared.Option("--if-changed", help="With --html: leave the file as it is where its figures are the same."),
    ] = False,
    quiet: Annotated[bool, declared.Option("-q", "--quiet", help="No notes on stderr.")] = False,
    chart: Annotated[bool, declared.Option("--chart", help="Draw cost by day, hit rate and the month's end.")] = False,
) -> int:
    """Show where the money went.

    \b
    nexscout report --since 7d
    nexscout report models --since 2026-11-01 --until 2026-12-01
    nexscout report savings --since last-month --json
    nexscout report users --format csv > users.csv
    nexscout report --since 30d --chart
    nexscout report --since 30d --html report.html
    nexscout report --html report.html --if-changed --quiet      for cron
    nexscout report models --imported beside
    """
    one_of(name, tuple(COLUMNS), "report")
    one_of(kind, FORMATS, "format")
    if imported is not None:
        one_of(imported, ("only", "beside"), "way to show imported usage")
    if as_json and kind not in ("table", "json"):
        raise UsageError(f"--json and --format {kind} contradict each other", "leave one of them out")
    if (html is not None or chart) and (as_json or kind != "table" or name != "overview" or (chart and html)):
        what = "--html writes every report, as a page" if html is not None else "--chart draws all reports together"
        raise UsageError(what, "leave the report's name, --json, --format and the other one of --html and --chart out")
    if if_changed and html in (None, "-"):
        raise UsageError("--if-changed compares with the file of --html", "name one: --html report.html")
    session = Session(quiet)
    if session.remote and (html is not None or chart or imported is not None):
        from nexscout_cli.cli.remote import refuse

        raise refuse("--html, --chart or --imported")
    now = datetime.now(UTC) if session.remote else session.store.reports.now(session.actor)
    window = between(now, since, until, zone(tz or session.settings["report.tz"]))._replace(only=Only(model, feature))
    if html is not None:
        from nexscout_cli.cli.report_page import write_page

        return write_page(session, window, user, html, if_changed=if_changed)
    if chart:
        from nexscout_cli.cli.report_chart import show_charts

        return show_charts(session, window, user)
    if session.remote:
        result = session.remote.report(
            name=name, since=since, until=until, tz=tz, user=user, model=model, feature=feature
        )
    else:
        terms = (session.store, session.actor, name, window, session.settings, user)
        result = built(*terms, imported=imported == "only")
    if not result["rows"] and not quiet:
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
        blocks = [f"{caption(result, window)}\n", *map(report_texts.as_markdown, shown)]
        output.out("\n".join([*blocks, *(f"{remark}\n" for remark in remarks(result))]), end="")
    else:
        from nexscout_cli.cli import report_tables

        if imported is None and not session.remote and output.stdout_is_terminal():
            from nexscout_cli.cli.report_trends import with_trends

            shown = with_trends(session, window, user, shown)
        report_tables.show(caption(result, window), shown, remarks(result))
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
