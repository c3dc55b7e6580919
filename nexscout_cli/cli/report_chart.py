"""``nexscout report --chart``: cost by day, hit rate and the month's end, drawn with characters."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from nexscout_cli.cli import output

if TYPE_CHECKING:
    from nexscout_cli.cli.session import Session
    from nexscout_cli.engine.report_window import Window
    from nexscout_cli.pages.forecast import Forecast

_WIDEST = 120
_BLOCKS = " ▁▂▃▄▅▆▇█"
_LABEL = 9
"""Characters of the scale beside a chart."""


def show_charts(session: Session, window: Window, user: str | None) -> int:
    """Print the charts, as wide as the terminal is, 120 characters at most."""
    from nexscout_cli.engine.reports.build import report
    from nexscout_cli.pages.facts import monthly, nano_of
    from nexscout_cli.pages.words import nano, percent, share

    width = min(shutil.get_terminal_size((80, 24)).columns, _WIDEST)
    unicode = "utf" in (sys.stdout.encoding or "").lower()
    made = report(session.store, session.actor, "days", window, session.settings, user)
    rows, totals = made["rows"], made["totals"]
    lines = []
    if rows:
        days = [row["day"] for row in rows]
        costs = [float(nano_of(row["cost_usd"])) for row in rows]
        together = -(-len(days) // _room(width))
        by = "day" if together == 1 else f"{together} days"
        lines += [f"cost by {by}: {nano(sum(costs))}", *columns(days, costs, nano, width, unicode=unicode), ""]
        rates = [row["hit_rate"] for row in rows]
        lines += [f"cache hit rate by {by}: {share(totals['hit_rate'])} in all"]
        lines += [*columns(days, rates, percent, width, rows=4, mean=True, unicode=unicode), ""]
    else:
        output.note("nothing was recorded in this time")
    reach, budget = monthly(session.store, session.actor, window.tz, session.settings, user)
    lines += _month(reach, budget, width, unicode)
    output.out("\n".join(lines))
    return 0


def _month(reach: Forecast, budget: int | None, width: int, unicode: bool) -> list[str]:
    """What this month will have cost, and its budget as a bar: what is spent, and what is expected beside that."""
    from nexscout_cli.pages.words import nano, share

    said = [f"this month: {nano(reach.spent)} so far", f"  at its end likely {nano(reach.expected)}"]
    said[-1] += f", {nano(reach.low)} to {nano(reach.high)}"
    if not budget:
        return said
    room = width - 2
    spent, coming = (min(room, round(room * amount / budget)) for amount in (reach.spent, reach.expected))
    full, half, empty = "█▒·" if unicode else "#+."
    bar = full * spent + half * (coming - spent)
    return [*said, f"  {share(reach.expected / budget)} of the budget of {nano(budget)}", f"  {bar.ljust(room, empty)}"]


def columns(
    days: Sequence[str],
    values: Sequence[float],
    say: Callable[[float], str],
    width: int,
    *,
    rows: int = 8,
    mean: bool = False,
    unicode: bool = True,
) -> list[str]:
    """Values as columns of characters, ``rows`` lines high, each line ``width`` long at most, with a scale and the days.

    More values than there is room for are taken together: their sum, or with ``mean`` their mean.
    """
    room = _room(width)
    together = -(-len(values) // room)
    parts = [values[n : n + together] for n in range(0, len(values), together)]
    shown = [sum(part) / (len(part) if mean else 1) for part in parts]
    each = max(1, min(4, room // len(shown)))
    most = max(shown) or 1.0
    edge, corner, base = "┤└─" if unicode else "|+-"
    lines = []
    for row in range(rows, 0, -1):
        label = say(most * row / rows) if row in (rows, (rows + 1) // 2) else ""
        cells = [_cell(value / most * rows - (row - 1), unicode) for value in shown]
        drawn = "".join(cell * max(1, each - 1) + " " * (each > 1) for cell in cells)
        lines.append(f"{label:>{_LABEL - 1}.{_LABEL - 1}} {edge}{drawn}".rstrip())
    lines.append(f"{'':>{_LABEL}}{corner}{base * (each * len(shown))}")
    first, last = days[0], days[-1]
    gap = each * len(shown) - len(first) - len(last)
    lines.append(" " * (_LABEL + 1) + (f"{first}{' ' * gap}{last}" if gap > 0 else first))
    return lines


def _room(width: int) -> int:
    """Characters of a line that are left for columns."""
    return width - _LABEL - 1


def _cell(height: float, unicode: bool) -> str:
    """The character of a column in a line: ``height`` is how far it reaches into that line, 1 to its top."""
    if not unicode:
        return "#" if height >= 0.5 else " "
    return _BLOCKS[max(0, min(8, round(height * 8)))]
