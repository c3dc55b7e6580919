"""The charts of a page: which numbers each shows, its title, its unit, and its table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from nexscout_cli.engine.money import usd
from nexscout_cli.pages import charts
from nexscout_cli.pages.charts import COLOURS, Line, Unit
from nexscout_cli.pages.words import axis_nano, count, exact_nano, nano, percent, seconds, share, whole

if TYPE_CHECKING:
    from markupsafe import Markup

    from nexscout_cli.pages.facts import Day, Facts

_BLUE, _ORANGE, _REST = "c0", "c1", "c7"
DOLLARS = Unit(axis_nano, exact_nano, "usd")
_COUNT, _SHARE = Unit(count, whole), Unit(percent, share, "share")
_SECONDS = Unit(lambda value: f"{value / 1000:g} s", lambda value: seconds(value / 1000), "ms")
_OTHERS = "all others"


class Chart(NamedTuple):
    """A chart with its words. ``table`` has a row for each day: the day, and a value for each of ``columns`` (None: none)."""

    name: str
    title: str
    unit: str
    legend: list[tuple[str, str]]
    picture: Markup
    columns: list[str]
    table: list[tuple[str, list[Any]]]
    says: Unit


def drawn(facts: Facts) -> list[Chart]:
    """Every chart that there is something to draw for."""
    if not any(day.sums["user"] for day in facts.days):
        return [_month(facts)] if facts.forecast.spent else []
    every = [_costs(facts, what) for what in ("model", "feature", "user") if what != "user" or facts.user is None]
    every += [_outcomes(facts), _tokens(facts), _hit_rate(facts)]
    if any(day.latency["n"] for day in facts.days):
        every.append(_latency(facts))
    if any(day.predicted["n"] for day in facts.days):
        every += [_predictions(facts), _errors(facts), _covered(facts)]
    return [*every, _month(facts)]


def _names(facts: Facts) -> list[str]:
    return [day.day for day in facts.days]


def _chart(
    name: str, title: str, unit: str, days: Sequence[str], series: Sequence[Line], says: Unit, picture: Markup
) -> Chart:
    legend = [(one.colour, one.name) for one in series]
    table = [(day, [one.values[n] for one in series]) for n, day in enumerate(days)]
    return Chart(
        name, title, unit, legend if len(series) > 1 else [], picture, [one.name for one in series], table, says
    )


def _each(facts: Facts) -> str:
    return "a day" if facts.step == 1 else f"each {facts.step} days"


def _costs(facts: Facts, what: str) -> Chart:
    """Cost by day, a part for each of the dearest and one for all others."""
    key = {"model": "model_used", "feature": "feature", "user": "user_id"}[what]
    dearest = [row[key] for row in facts.reports[f"{what}s"]["rows"] if row["cost_usd"]]
    named = dearest if len(dearest) <= COLOURS else dearest[: COLOURS - 1]

    def of(day: Day, name: str) -> int:
        return sum(row["cost_usd"] for row in day.sums[what] if row[key] == name)

    series = [Line(name, [of(day, name) for day in facts.days], f"c{n}") for n, name in enumerate(named)]
    if len(named) < len(dearest):
        others = [sum(row["cost_usd"] for row in day.sums[what] if row[key] not in named) for day in facts.days]
        series.append(Line(_OTHERS, others, _REST))
    title = f"What each {what} cost"
    days = _names(facts)
    picture = charts.stacked(f"{title}, in dollars {_each(facts)}", days, series, DOLLARS)
    return _chart(f"cost-{what}", title, f"dollars {_each(facts)}, stacked", days, series, DOLLARS, picture)


def _sum(day: Day, name: str) -> int:
    return sum(int(row[name]) for row in day.sums["user"])


def _tokens(facts: Facts) -> Chart:
    series = [
        Line("tokens in", [_sum(day, "input_tokens") for day in facts.days], _BLUE),
        Line("tokens out", [_sum(day, "output_tokens") for day in facts.days], _ORANGE),
    ]
    unit = f"tokens {_each(facts)}"
    picture = charts.stacked(f"Tokens in and out, {unit}", _names(facts), series, _COUNT)
    return _chart("tokens", "Tokens in and out", f"{unit}, stacked", _names(facts), series, _COUNT, picture)


def _outcomes(facts: Facts) -> Chart:
    """What became of requests. A request counts on the day of its first row, so what is neither a hit nor failed was answered."""

    def answered(day: Day) -> int:
        return max(0, _sum(day, "requests") - _sum(day, "hits") - _sum(day, "failures"))

    series = [
        Line("answered by a model", [answered(day) for day in facts.days], _BLUE),
        Line("answered from the cache", [_sum(day, "hits") for day in facts.days], "c2"),
        Line("failed", [_sum(day, "failures") for day in facts.days], "c5"),
    ]
    unit = f"requests {_each(facts)}"
    picture = charts.stacked(f"What became of requests, {unit}", _names(facts), series, _COUNT)
    return _chart("outcomes", "What became of requests", f"{unit}, stacked", _names(facts), series, _COUNT, picture)


def _hit_rate(facts: Facts) -> Chart:
    def rate(day: Day) -> float | None:
        asked = _sum(day, "requests")
        return _sum(day, "hits") / asked if asked else None

    series = [Line("hit rate", [rate(day) for day in facts.days], _BLUE)]
    unit = "share of requests answered from the cache"
    return _chart(
        "hits",
        "How often the cache answered",
        unit,
        _names(facts),
        series,
        _SHARE,
        charts.lines(f"Cache hit rate, {unit}", _names(facts), series, _SHARE),
    )


def _latency(facts: Facts) -> Chart:
    series = [
        Line("half took at most (p50)", [day.latency["p50"] for day in facts.days], _BLUE),
        Line("95 of 100 took at most (p95)", [day.latency["p95"] for day in facts.days], _ORANGE),
    ]
    unit = "seconds a call, from hold to post"
    picture = charts.lines(f"Latency, {unit}", _names(facts), series, _SECONDS)
    return _chart("latency", "How long calls took", unit, _names(facts), series, _SECONDS, picture)


def _predictions(facts: Facts) -> Chart:
    def each(name: str) -> list[float | None]:
        return [day.predicted[name] / day.predicted["n"] if day.predicted["n"] else None for day in facts.days]

    predicted, actual = Line("predicted", each("predicted"), _BLUE), Line("actual", each("actual"), _ORANGE)
    band = (Line("predicted", each("predicted"), _BLUE), Line("P90", each("p90"), "c4"))
    unit = "tokens a request, on average"
    title = "Predicted against actual tokens"
    picture = charts.lines(f"{title}, {unit}", _names(facts), [predicted, actual], _COUNT, (predicted, band[1]))
    return _chart("predictions", title, unit, _names(facts), [predicted, actual, band[1]], _COUNT, picture)


def _errors(facts: Facts) -> Chart:
    series = [
        Line("ours", [day.predicted["error"] for day in facts.days], _BLUE),
        Line("four characters a token", [day.predicted["formula_error"] for day in facts.days], _ORANGE),
    ]
    title, unit = "How far predictions were off", "mean of |predicted − actual| ÷ actual tokens"
    picture = charts.lines(f"{title}, {unit}", _names(facts), series, _SHARE)
    return _chart("errors", title, unit, _names(facts), series, _SHARE, picture)


def _covered(facts: Facts) -> Chart:
    series = [Line("below P90", [day.predicted["covered"] for day in facts.days], _BLUE)]
    title, unit = "How many stayed below the P90", "share of requests; 90% is what is meant"
    picture = charts.lines(f"{title}, {unit}", _names(facts), series, _SHARE)
    return _chart("covered", title, unit, _names(facts), series, _SHARE, picture)


def _month(facts: Facts) -> Chart:
    """What is left of the month's budget, or, without one, what the month has cost; with what is expected of its other days."""
    past = facts.now.astimezone(facts.window.tz).date()
    rows = facts.forecast.days
    days = [row.day for row in rows]
    budget = facts.budget

    def left(amount: int) -> float:
        return float(amount) if budget is None else float(max(0, budget - amount))

    so_far = [left(row.expected) if row.day < past else None for row in rows]
    if past in days:
        so_far[days.index(past)] = left(facts.forecast.spent)
    coming = past - timedelta(days=1)
    expected = [left(row.expected) if row.day >= coming else None for row in rows]
    low = [left(row.low) if row.day >= coming else None for row in rows]
    high = [left(row.high) if row.day >= coming else None for row in rows]
    what = "spent" if budget is None else "left"
    series = [Line(what, so_far, _BLUE), Line("expected", expected, _ORANGE)]
    band = (
        (Line("at least", low, "c4"), Line("at most", high, "c4"))
        if budget is None
        else (Line("at least", high, "c4"), Line("at most", low, "c4"))
    )
    title = "What this month costs" if budget is None else f"What is left of this month’s {nano(budget)}"
    names = [day.isoformat() for day in days]
    picture = charts.lines(f"{title}, in dollars at each day's end", names, series, DOLLARS, band)
    unit = "dollars at the end of each day; the band holds 8 of 10 months"
    chart = _chart("month", title, unit, names, [*series, *band], DOLLARS, picture)
    return chart._replace(legend=chart.legend[:2])


def exact_of(chart: Chart, value: Any) -> str:
    """A value of a chart's table: nano-dollars become dollars, exact; means have six decimals."""
    if chart.says is DOLLARS:
        return _plain(f"{usd(round(value)):f}")
    return _plain(f"{value:.6f}")


def _plain(number: str) -> str:
    """A number without zeros at its end: there are thousands on a page."""
    return number.rstrip("0").rstrip(".")
