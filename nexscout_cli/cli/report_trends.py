"""How the cost of each user, model and feature went, as a small drawing beside its figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from nexscout_cli.cli.report_parts import Section
from nexscout_cli.cli.sparkline import drawable, sparkline

if TYPE_CHECKING:
    from nexscout_cli.cli.session import Session
    from nexscout_cli.engine.report_window import Window

COLUMN = "by_day"
KEYS = ("user_id", "model_used", "feature")
_WIDTH = 16
_LEAST_DAYS = 3


def with_trends(session: Session, window: Window, user: str | None, parts: Sequence[Section]) -> list[Section]:
    """The tables with a last column that draws each row's cost by day (of UTC), where days enough are to be shown.

    Each drawing has a scale of its own, from nothing to its highest.
    """
    found = list(parts)
    for n, part in enumerate(parts):
        key = part.columns[0]
        if key not in KEYS or COLUMN in part.columns or "cost_usd" not in part.columns or not drawable():
            continue
        with session.store.reports.reading(session.actor, window, user) as reader:
            sums = reader.sums(key, "day")
        days = _days([row["day"] for row in sums])
        if len(days) < _LEAST_DAYS:
            continue
        costs: dict[Any, dict[str, int]] = defaultdict(dict)
        for row in sums:
            costs[row[key]][row["day"]] = row["cost_usd"]
        rows = [row | {COLUMN: sparkline([costs[row[key]].get(day, 0) for day in days], _WIDTH)} for row in part.rows]
        totals = None if part.totals is None else {**part.totals, COLUMN: ""}
        found[n] = part._replace(columns=(*part.columns, COLUMN), rows=rows, totals=totals)
    return found


def _days(names: Sequence[str]) -> list[str]:
    """Every day from the first of these to the last."""
    if not names:
        return []
    first, last = date.fromisoformat(min(names)), date.fromisoformat(max(names))
    return [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]
