"""Pages from facts: what stands on them, put into the templates. Everything that is not ours is escaped there."""

from __future__ import annotations

import base64
import hashlib
import re
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from nexscout_cli import __version__
from nexscout_cli.engine.money import usd
from nexscout_cli.engine.reports.build import COLUMNS
from nexscout_cli.engine.reports.figures import SHARES, TEXT
from nexscout_cli.pages import words
from nexscout_cli.pages.charts import without_places
from nexscout_cli.pages.drawn import drawn, exact_of
from nexscout_cli.pages.limits import NEAR

if TYPE_CHECKING:
    from nexscout_cli.pages.changes import Row
    from nexscout_cli.pages.facts import Facts

MOST_ROWS = 50
"""Rows of a table that a page shows; the rest is in the reports."""
ABOUT = {
    "users": "Who asked, and what it cost",
    "models": "Which models answered",
    "features": "What it was for",
    "providers": "How the providers did",
    "savings": "What was saved against the baseline, and by what",
    "cache": "What the cache gave",
    "accuracy": "How well tokens were predicted",
    "unprofitable": "Who costs more than they pay",
}

_PARTS = {"user_id": "user", "model_used": "model", "recommended_model": "model", "feature": "feature"}
"""Columns whose names lead to a part of all usage, and the word of the address for it."""


class Table(NamedTuple):
    """A report as a table. ``more``: how many rows are left out; ``loss``: dollars that unprofitable users cost more than they
    pay.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: list[Row]
    totals: Row
    more: int
    loss: Decimal


@cache
def style() -> str:
    """The style sheet."""
    return resources.files("nexscout_cli.pages").joinpath("templates/style.css").read_text("utf-8")


@cache
def policy(scripted: bool = False) -> str:
    """The content security policy of a page: nothing but our style sheets, which are named by their hashes, and the empty icon;
    where it is ``scripted``, also script files of the server that it came from, which may ask that server.
    """
    sheets = [
        base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode() for sheet in (style(), script("forms.css"))
    ]
    named = " ".join(f"'sha256-{sheet}'" for sheet in sheets)
    own = "; script-src 'self'; connect-src 'self'" if scripted else ""
    return f"default-src 'none'; style-src {named}; img-src data:; base-uri 'none'{own}"


@cache
def script(name: str) -> str:
    """A file beside the templates: a script that pages of the server load, the style of forms, that of a chart's own file."""
    text = resources.files("nexscout_cli.pages").joinpath(f"templates/{name}").read_text("utf-8")
    return re.sub(r"\n\s+", "\n", text)  # nobody reads it there


@cache
def environment() -> Environment:
    """The templates; every value is escaped."""
    made = Environment(
        loader=PackageLoader("nexscout_cli.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(
        style=style, script=script, policy=policy, head=words.head, figure=words.figure, exact_of=exact_of
    )
    made.globals.update(TEXT=TEXT, NEAR=NEAR, limited=_limited, PARTS=_PARTS, SHARES=SHARES)
    made.filters["without_places"] = without_places
    made.filters.update(nano=words.nano, money=words.money, share=words.share, count=words.count, seconds=words.seconds)
    return made


def table(facts: Facts, name: str) -> Table:
    """A report as a table, its first rows."""
    made = facts.reports[name]
    columns = tuple(c for c in COLUMNS[name] if not (facts.user is not None and c == "user_id"))
    rows, more = made["rows"][:MOST_ROWS], max(0, len(made["rows"]) - MOST_ROWS)
    loss = sum((-row["margin_usd"] for row in made["rows"]), Decimal(0)) if name == "unprofitable" else Decimal(0)
    return Table(name, ABOUT[name], columns, rows, made["totals"], more, loss)


def values(facts: Facts) -> dict[str, Any]:
    """What every page's template may name."""
    zone = facts.window.tz
    return {
        "facts": facts,
        "since": facts.window.since.astimezone(zone),
        "until": facts.window.until.astimezone(zone),
        "made": facts.now.astimezone(zone),
        "totals": facts.reports["overview"]["totals"],
        "savings": facts.reports["savings"]["totals"],
        "charts": {chart.name: chart for chart in drawn(facts)},
        "near": [one for one in facts.limits if one.share >= NEAR],
        "amount": _amount,
    }


def _amount(unit: str, value: float) -> str:
    return words.nano(value) if unit == "usd" else f"{words.count(value)} {unit}"


def _limited(unit: str, value: int) -> str:
    """An amount in the table of limits: one of energy or tokens in full, as its unit stands beside it."""
    return words.text_of("cost_usd", usd(value)) if unit == "usd" else f"{value:,}"


def report_page(facts: Facts) -> str:
    """Everything on one page, which needs nothing else."""
    tables = [
        table(facts, name)
        for name in ABOUT
        if name in facts.reports and not (name == "users" and facts.user is not None)
    ]
    shown = values(facts) | {"tables": tables, "mark": figures_mark(facts)}
    return environment().get_template("report.html").render(shown)


def figures_mark(facts: Facts) -> str:
    """What tells whether two pages of the whole report show the same figures, in the same form; when they were made is no part
    of it, nor what is expected of the days to come, which moves by the hour.
    """
    figures = [
        [(name, made["rows"], made["totals"]) for name, made in facts.reports.items()],
        *(
            facts.before,
            facts.step,
            facts.days,
            facts.changes,
            facts.limits,
            facts.budget,
        ),
        *(facts.user, str(facts.window.tz), facts.forecast.spent),
        style(),
        __version__,
    ]
    return hashlib.sha256(repr(figures).encode()).hexdigest()


SITE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "overview": ((), ()),
    "users": (("cost-user", "outcomes", "tokens", "cost-feature"), ("users",)),
    "models": (("cost-model", "cost-feature", "latency"), ("models", "features")),
    "providers": (("latency", "outcomes", "cost-model"), ("providers",)),
    "accuracy": (("predictions", "errors", "covered"), ("accuracy",)),
    "cache": (("hits", "outcomes", "tokens"), ("cache", "savings")),
    "unprofitable": ((), ("unprofitable",)),
}
"""The charts and tables of each page of the server; the overview has nearly all charts."""
_BESIDE = 3
"""Charts that stand beside each other on those pages."""
_IN_DETAIL = frozenset({"errors", "covered"})
"""Charts that only a page of their own has."""


def chart_file(facts: Facts, name: str) -> str | None:
    """A chart as an SVG file of its own, None where there is none of that name."""
    found = next((chart for chart in drawn(facts) if chart.name == name), None)
    if found is None:
        return None
    shown = {"chart": found, "style": script("chart.css")}
    return environment().get_template("chart.svg").render(shown)


def site_values(facts: Facts, page: str) -> dict[str, Any]:
    """What a page of reports on the server shows."""
    charts, tables = SITE[page]
    known = values(facts)
    if page == "overview":
        charts = tuple(name for name in known["charts"] if name not in _IN_DETAIL)
    shown = [name for name in charts if name in known["charts"]]
    known["charts"] = {name: known["charts"][name] for name in (shown if page == "overview" else shown[:_BESIDE])}
    return known | {"tables": [table(facts, name) for name in tables]}
