"""All that a page shows, read from the store: the reports as `report --json` gives them, and what charts need by day."""

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.engine.catalog.baseline import baseline_model
from nexscout_cli.engine.report_window import Window
from nexscout_cli.engine.reports.build import OF_WHOLES, Terms, build
from nexscout_cli.engine.reports.providers import places
from nexscout_cli.pages.changes import Change, Row, changes, series
from nexscout_cli.pages.forecast import HISTORY, Forecast, month_end
from nexscout_cli.pages.limits import Limit, limits, monthly_budget

if TYPE_CHECKING:
    from decimal import Decimal

    from nexscout_cli.config import Settings
    from nexscout_cli.engine.report_port import ReportReader
    from nexscout_cli.engine.store_ports import Store

KEYS = {"model": "model_used", "feature": "feature", "user": "user_id"}
REPORTS = ("overview", "models", "features", "users", "accuracy", "savings", "cache", "providers", "unprofitable")
_ONLY_ON = {
    "accuracy": {"accuracy"},
    "providers": {"providers", "models"},
    "cache": {"cache"},
    "unprofitable": {"unprofitable"},
}
"""Reports that only these pages of the server show anything of."""
_LOOKING_BACK = (None, "overview")
MOST_DAYS = timedelta(days=100)
"""The longest window that is shown by day; longer ones are by seven days."""
_MICROSECOND = timedelta(microseconds=1)


class Day(NamedTuple):
    """One day: sums by model, feature and user (keys of KEYS; nano-dollars), latency in milliseconds, predictions in tokens."""

    day: str
    sums: dict[str, list[Row]]
    latency: Row
    predicted: Row


class Facts(NamedTuple):
    """What a page shows. ``reports`` by name; ``before`` the totals of the time of the same length before it, None where
    use began later than that, as the two can't be compared then.

    ``days`` is every day from the first use in the window on, or ``step`` days from that one on. ``budget`` is the
    month's, in nano-dollars, None without one, and of one model or feature.
    """

    now: datetime
    window: Window
    user: str | None
    reports: dict[str, Row]
    before: Row | None
    step: int
    days: list[Day]
    forecast: Forecast
    changes: list[Change]
    limits: list[Limit]
    budget: int | None


def gather(
    store: Store,
    actor: str,
    window: Window,
    settings: Settings,
    user: str | None = None,
    page: str | None = None,
) -> Facts:
    """What there is to show of a window to the actor, over all they may see or one user; for one page of the server only what
    it shows.

    Raises NotPermitted for another user's figures, UsageError for a user there is not.
    """
    models = store.catalog.models(actor)
    terms = Terms(settings, baseline_model(models, settings).name, places(models))
    step = 1 if window.until - window.since <= MOST_DAYS else 7
    with store.reports.reading(actor, window, user) as reader:
        now, whose = reader.now, reader.user
        reports = {
            name: build(reader, name, terms)
            for name in REPORTS
            if page in (None, *_ONLY_ON.get(name, (page,))) and not (window.only.named() and name in OF_WHOLES)
        }
        days = [
            Day(
                day,
                {what: one.sums(key) for what, key in KEYS.items()},
                one.latency(),
                one.predicted(),
            )
            for day, one in reader.by_day(step)
        ]
    before, changed = (
        (None, []) if page not in _LOOKING_BACK else _looked_back(store, actor, window, user, terms, days, step)
    )
    every = limits(store, actor, settings, whose)
    return Facts(
        now,
        window,
        whose,
        reports,
        before,
        step,
        days,
        _forecast(store, actor, now, window, user),
        changed,
        every,
        None if window.only.named() else monthly_budget(every, whose),
    )


def _looked_back(
    store: Store, actor: str, window: Window, user: str | None, terms: Terms, days: list[Day], step: int
) -> tuple[Row | None, list[Change]]:
    """The totals of the time before, None where use began later; and what changed."""
    with store.reports.reading(actor, window, user) as reader:
        length = max(min(window.until, reader.now) - window.since, timedelta(days=1))
    before = window._replace(since=window.since - length, until=window.since)
    with store.reports.reading(actor, before, user) as reader:
        totals: Row = build(reader, "overview", terms)["totals"]
    history = before._replace(since=window.since - max(length, timedelta(days=HISTORY)))
    with store.reports.reading(actor, history, user) as reader:
        earlier = [(day, {what: one.sums(key) for what, key in KEYS.items()}) for day, one in reader.by_day(step)]
    began = earlier[0][0] if earlier else None
    comparable = began is not None and began <= before.since.astimezone(window.tz).date().isoformat()
    return totals if comparable else None, _changes(window, earlier, days)


def monthly(store: Store, actor: str, tz: tzinfo, settings: Settings, user: str | None) -> tuple[Forecast, int | None]:
    """What this month will have cost, and its budget in nano-dollars, None without one."""
    now = store.reports.now(actor)
    found = _forecast(store, actor, now, Window(now, now, tz), user)
    whose = user if user is not None or store.users.is_admin(actor) else actor
    return found, monthly_budget(limits(store, actor, settings, whose), whose)


def nano_of(amount: Decimal) -> int:
    """Dollars of a report in nano-dollars."""
    return int(amount.scaleb(9))


def _forecast(store: Store, actor: str, now: datetime, window: Window, user: str | None) -> Forecast:
    here = now.astimezone(window.tz)
    since = here.replace(day=1, hour=0, minute=0, second=0, microsecond=0) - timedelta(days=HISTORY)
    with store.reports.reading(actor, window._replace(since=since, until=now + _MICROSECOND), user) as reader:
        return month_end(_costs(reader), here)


def _costs(reader: ReportReader) -> dict[date, int]:
    return {date.fromisoformat(row["day"]): row["cost_usd"] for row in reader.days()}


def _changes(window: Window, earlier: list[tuple[str, dict[str, list[Row]]]], days: list[Day]) -> list[Change]:
    by_day = dict(earlier)
    for one in days:
        # The day on which the window begins may have been read in two parts.
        known = by_day.get(one.day, {})
        by_day[one.day] = {what: [*known.get(what, ()), *rows] for what, rows in one.sums.items()}
    names = sorted(by_day)
    every = [
        one
        for what, key in KEYS.items()
        for one in series(what, key, names, {day: sums[what] for day, sums in by_day.items()})
    ]
    return changes(names, window.since.astimezone(window.tz).date().isoformat(), every)
