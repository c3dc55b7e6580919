"""Reports: where the money went. Money is in dollars, exact; shares and rates are in 0..1.

Every figure is a sum over usage (over predictions in ``accuracy``) in the window. A request counts once, with its first
row: where a later attempt of it was billed to another day or model, that row adds calls, tokens and cost there, and no
request, so that rows add up to the totals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.config import Settings
from nexscout_cli.engine.catalog.baseline import baseline_model
from nexscout_cli.engine.money import usd
from nexscout_cli.engine.report_window import Window
from nexscout_cli.engine.reports import savings
from nexscout_cli.engine.reports.accuracy import COLUMNS as ACCURACY
from nexscout_cli.engine.reports.accuracy import accuracy
from nexscout_cli.engine.reports.figures import FIGURES, Row, figures, ratio, tokens, total
from nexscout_cli.engine.reports.margins import UNPROFITABLE, unprofitable
from nexscout_cli.engine.reports.providers import PROVIDERS, in_short, places, providers
from nexscout_cli.errors import UsageError

if TYPE_CHECKING:
    from nexscout_cli.engine.book_types import Filed
    from nexscout_cli.engine.report_port import ReportReader
    from nexscout_cli.engine.store_ports import Store

TOP = 5
"""How many models, features and users the overview names."""

COLUMNS: dict[str, tuple[str, ...]] = {
    "overview": ("day", *FIGURES),
    "models": ("model_used", *FIGURES),
    "features": ("feature", *FIGURES),
    "users": ("user_id", "tier", *FIGURES),
    "days": ("day", *FIGURES),
    "weeks": ("week", *FIGURES),
    "months": ("month", *FIGURES),
    "accuracy": ACCURACY,
    "savings": savings.SAVINGS,
    "cache": savings.CACHE,
    "unprofitable": UNPROFITABLE,
    "providers": PROVIDERS,
}
"""The columns of each report's rows, in order."""


class Terms(NamedTuple):
    """What reports are made with beside the books: settings (for the tiers' prices), the baseline model's name, and the
    provider of each model.
    """

    settings: Settings
    baseline: str
    places: Mapping[str, str] = {}


OF_IMPORTED = ("overview", "models", "features", "users", "days", "weeks", "months")
"""The reports that imported usage can be in: it was never predicted, routed or cached."""
OF_WHOLES = ("unprofitable",)
"""The reports that look at users as wholes: what one pays is for no model or feature alone."""


def report(
    store: Store,
    actor: str,
    name: str,
    window: Window,
    settings: Settings,
    user: str | None = None,
    *,
    imported: bool = False,
) -> Row:
    """The report of that name (a key of COLUMNS) over what the actor may see, or over one user; or over imported usage.

    Raises NotPermitted for another user's figures, UsageError for a user there is not, and for a report that imported usage
    cannot be in, or one model's or feature's.
    """
    if window.only.named() and (imported or name in OF_WHOLES):
        what = "imported usage" if imported else f"the report {name}"
        raise UsageError(f"{what} is not kept by model and feature", "leave --model and --feature out")
    if imported and name not in OF_IMPORTED:
        raise UsageError(f"imported usage has no part in the report {name}", f"one of: {', '.join(OF_IMPORTED)}")
    models = store.catalog.models(actor)
    terms = Terms(settings, baseline_model(models, settings).name, places(models))
    with (store.imports if imported else store.reports).reading(actor, window, user) as reader:
        return build(reader, name, terms)


def build(reader: ReportReader, name: str, terms: Terms) -> Row:
    """The report of that name from what a reader sums up."""
    window = reader.window
    return {
        "report": name,
        "since": _iso(window.since),
        "until": _iso(window.until),
        "tz": str(window.tz),
        "user": reader.user,
        **window.only.named(),
        **_BUILDERS[name](reader, terms),
        **({"archived": [_archive(one) for one in reader.archived]} if reader.archived else {}),
    }


def _archive(one: Filed) -> Row:
    return {"month": one.month, "folder": one.folder}


def _iso(moment: datetime) -> str:
    """UTC with microseconds and a Z."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def _by(reader: ReportReader, key: str) -> tuple[list[Row], Row]:
    """The window by one key, dearest first, and its total as sums."""
    rows = sorted(reader.sums(key), key=lambda row: (-row["cost_usd"], -tokens(row), -row["requests"], row[key]))
    whole = total(rows)
    return [{key: row[key], **figures(row, whole)} for row in rows], whole


def _models(reader: ReportReader, terms: Terms) -> Row:
    rows, whole = _by(reader, "model_used")
    return {"rows": rows, "totals": figures(whole, whole)}


def _features(reader: ReportReader, terms: Terms) -> Row:
    rows, whole = _by(reader, "feature")
    return {"rows": rows, "totals": figures(whole, whole)}


def _users(reader: ReportReader, terms: Terms) -> Row:
    rows, whole = _by(reader, "user_id")
    tiers = reader.tiers()
    return {
        "rows": [{"user_id": row["user_id"], "tier": tiers.get(row["user_id"]), **row} for row in rows],
        "totals": figures(whole, whole),
    }


def _days(reader: ReportReader, terms: Terms) -> Row:
    rows = reader.days()
    whole = total(rows)
    return {"rows": [{"day": row["day"], **figures(row, whole)} for row in rows], "totals": figures(whole, whole)}


def _periods(key: str, name_of: Callable[[str], str]) -> Callable[[ReportReader, Terms], Row]:
    """The builder of a report by longer periods than days; ``name_of`` names the period of a day (YYYY-MM-DD)."""

    def build(reader: ReportReader, terms: Terms) -> Row:
        days = reader.days()
        whole = total(days)
        names = list(dict.fromkeys(name_of(day["day"]) for day in days))
        sums = {name: total(day for day in days if name_of(day["day"]) == name) for name in names}
        return {"rows": [{key: n, **figures(s, whole)} for n, s in sums.items()], "totals": figures(whole, whole)}

    return build


def _week(day: str) -> str:
    """The ISO week of a day, as 2026-W48."""
    year, week, _ = date.fromisoformat(day).isocalendar()
    return f"{year}-W{week:02d}"


def _overview(reader: ReportReader, terms: Terms) -> Row:
    """Days as rows, the whole window as totals, and the dearest models, features and users."""
    models, whole = _by(reader, "model_used")
    features, users = _by(reader, "feature")[0], _by(reader, "user_id")[0]
    saved = whole["baseline_usd"] - whole["cost_usd"]
    return {
        "rows": _days(reader, terms)["rows"],
        "totals": figures(whole, whole)
        | {
            "baseline_usd": usd(whole["baseline_usd"]),
            "saved_usd": usd(saved),
            "saved_share": ratio(saved, whole["baseline_usd"]),
            "users": len(users),
            "top_model": models[0]["model_used"] if models else None,
            "top_feature": features[0]["feature"] if features else None,
        },
        "baseline": terms.baseline,
        "token_classes": reader.token_classes(),
        "providers": in_short(reader, whole["calls"], terms.places),
        "top": {"models": models[:TOP], "features": features[:TOP], "users": users[:TOP]},
    }


_BUILDERS: dict[str, Callable[[ReportReader, Terms], Row]] = {
    "overview": _overview,
    "weeks": _periods("week", _week),
    "months": _periods("month", lambda day: day[:7]),
    "models": _models,
    "features": _features,
    "users": _users,
    "days": _days,
    "accuracy": lambda reader, terms: accuracy(reader),
    "savings": lambda reader, terms: savings.savings(reader, terms.baseline),
    "cache": lambda reader, terms: savings.cache(reader),
    "providers": lambda reader, terms: providers(reader, terms.places),
    "unprofitable": lambda reader, terms: unprofitable(reader, terms.settings),
}
