"""Folds: what reports read of finished hours and days is the sum of their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.store.sqlite.checking.findings import ROWS_FROM, Rule
from nexscout_cli.store.sqlite.fold_making import kept, periods
from nexscout_cli.store.sqlite.folds import DAY, FOLDS, HOUR, Fold

if TYPE_CHECKING:
    from nexscout_cli.store.sqlite.dialect import Dialect

_FIX = (
    "enter that hour, or that day's hours, into fold_marks with is_end 0: the next command that writes folds them anew"
)
_END = "(SELECT max(hour) FROM fold_marks WHERE is_end = 1)"


def rules(sql: Dialect) -> list[Rule]:
    """Rules for each fold: one for its hours, one for its days."""
    return [_rule(sql, fold, hours) for fold in FOLDS for hours in (HOUR, DAY)]


def _rule(sql: Dialect, fold: Fold, hours: int) -> Rule:
    long = 13 if hours == HOUR else 10
    whole = 16 if hours == HOUR else 10  # of the hour that goes on its beginning may be folded, up to a minute
    made = periods(fold, sql, hours, f"substr(created_at, 1, {whole}) < substr({_END}, 1, {whole})")
    # What has changed since, and what is being folded, is marked and read by its rows.
    marked = "SELECT hour FROM fold_marks WHERE is_end = 0 UNION ALL SELECT hour FROM folding"
    changed = f"SELECT substr(hour, 1, {long}) FROM ({marked}) marked"
    return Rule(
        fold.table,
        f"""WITH counted AS MATERIALIZED (SELECT * FROM ({made}) made), kept AS ({kept(fold, sql, f"hours = {hours}")})
        SELECT DISTINCT owner || ' ' || period || ': the sums are not those of its rows'
        FROM (SELECT owner, period FROM (SELECT * FROM counted EXCEPT SELECT * FROM kept) AS more
        UNION SELECT owner, period FROM (SELECT * FROM kept EXCEPT SELECT * FROM counted) AS fewer) AS other
        WHERE period NOT IN ({changed}) AND period >= {ROWS_FROM}""",
        _FIX,
    )
