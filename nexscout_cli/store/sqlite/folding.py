"""Folding finished hours and days of usage for reports: again as often as wanted, each time to the same.

``fold_marks`` has the hour before which all is folded (``is_end``), and the hours before it in which something has changed
since, which triggers enter: reports read those by their rows until they are folded again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from nexscout_cli.store.sqlite.folds import DAY, EVERYONE, FOLDS, HOUR, Fold, Rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from nexscout_cli.store.sqlite.dialect import Dialect
    from nexscout_cli.store.sqlite.transaction import Transaction

_GRACE = timedelta(minutes=10)
"""How long after its end an hour is left alone: a transaction that began in it may still be under way."""
_STEP = 24
"""Hours that one transaction folds at most."""
_STEPS = 8
"""Transactions that a command that writes gives to folding at most; the next one goes on."""
_ROWS = ("ai_model_usage WHERE true", "ai_cost_predictions WHERE true", "attempts WHERE failure IS NOT NULL")


class Folded(NamedTuple):
    """How far books are folded: all hours before ``end`` ("" where none is), but for the ``changed`` ones."""

    end: str
    changed: frozenset[str]


def folded(t: Transaction) -> Folded:
    """How far the books are folded."""
    rows = t.execute("SELECT hour, is_end FROM fold_marks").fetchall()
    return Folded(max((r[0] for r in rows if r[1]), default=""), frozenset(r[0] for r in rows if not r[1]))


def hour_of(moment: datetime) -> str:
    """The hour of a UTC time, as marks and periods have it."""
    return f"{moment:%Y-%m-%dT%H}"


def last_hour(now: datetime) -> str:
    """The hour before which all can be folded by now."""
    return hour_of(now - _GRACE)


def is_due(t: Transaction) -> bool:
    """Whether something can be folded."""
    now = folded(t)
    if now.changed:
        return True
    if now.end:
        return now.end < last_hour(t.now)
    first = _first(t.execute)
    return first is not None and first[:13] < last_hour(t.now)


def is_far_behind(t: Transaction) -> bool:
    """Whether so much is not folded that a report would rather wait for it."""
    now = folded(t)
    start = now.end or (_first(t.execute) or "")[:13]
    return bool(start) and start < last_hour(t.now - timedelta(hours=_STEP))


def catch_up(write: Callable[[], Any], steps: int = _STEPS) -> None:
    """Fold what is due, a step in each transaction that ``write`` opens, ``steps`` at most."""
    for _ in range(steps):
        with write() as t:
            if not step(t.execute, t.sql, last_hour(t.now)):
                return


def step(execute: Callable[..., Any], sql: Dialect, target: str, most: int = _STEP) -> bool:
    """Fold what has changed, and the next hours before ``target``, ``most`` at most. Returns whether there is more."""
    marks = execute("SELECT hour, is_end FROM fold_marks").fetchall()
    end = max((row[0] for row in marks if row[1]), default="")
    for hour in sorted(row[0] for row in marks if not row[1])[:most]:
        # The mark goes first: what changes from now on makes a new one.
        execute(f"DELETE FROM fold_marks WHERE hour = '{_safe(hour)}' AND is_end = 0")
        _fold(execute, sql, HOUR, hour, _later(hour, 1), again=True)
        if hour[:10] < end[:10]:
            _fold(execute, sql, DAY, hour[:10], _day_after(hour), again=True)
    start = end or (_first(execute) or "")[:13]
    if not start or start >= target:
        return False
    until = _later(start, most)
    if until < target:  # what lies idle, for years or because a clock was wrong, is passed in one step
        until = max(until, (_first(execute, until) or target)[:13])
    until = min(until, target)
    _fold(execute, sql, HOUR, start, until)
    if start[:10] < until[:10]:
        _fold(execute, sql, DAY, start[:10], until[:10])
    execute("DELETE FROM fold_marks WHERE is_end = 1")
    execute(f"INSERT INTO fold_marks (hour, is_end) VALUES ('{_safe(until)}', 1)")
    return until < target or len(marks) > most


def fold_all(execute: Callable[..., Any], sql: Dialect) -> None:
    """Fold all finished hours at once, by the time last seen: of books that are new here."""
    row = execute("SELECT value FROM meta WHERE key = 'last_seen'").fetchone()
    if row is None or not row[0]:
        return
    while step(execute, sql, last_hour(datetime.fromisoformat(row[0])), most=24 * 366):
        pass


def periods(fold: Fold, sql: Dialect, hours: int, span: str) -> str:
    """A SELECT of owner, hours, period, keys and sums of the rows of that span: each owner's and everyone's."""
    period = f"substr(at, 1, {13 if hours == HOUR else 10})"
    keys = "".join(f", {key}" for key in fold.keys)
    sums = "".join(f", sum({name}) AS {name}" for name in fold.sums)
    source = fold.source(sql, Rows(span))
    if hours == DAY or fold.own_hourly:
        return f"""WITH own AS MATERIALIZED (SELECT owner, {hours} AS hours, {period} AS period{keys}{sums}
            FROM ({source}) each_row GROUP BY owner, {period}{keys})
            SELECT * FROM own UNION ALL
            SELECT '{EVERYONE}', hours, period{keys}{sums} FROM own GROUP BY hours, period{keys}"""
    return f"""SELECT '{EVERYONE}' AS owner, {hours} AS hours, {period} AS period{keys}{sums}
        FROM ({source}) each_row GROUP BY {period}{keys}"""


def _fold(execute: Callable[..., Any], sql: Dialect, hours: int, start: str, end: str, *, again: bool = False) -> None:
    """Fold the periods from ``start`` up to ``end``; ``again``: they have been before."""
    span = f"created_at >= '{_safe(start)}' AND created_at < '{_safe(end)}'"
    for fold in FOLDS:
        made = periods(fold, sql, hours, span)
        if again:
            within = f"period >= '{_safe(start)}' AND period < '{_safe(end)}'"
            execute(f"DELETE FROM {fold.table} WHERE hours = {hours} AND {within}")
        execute(f"INSERT INTO {fold.table} ({', '.join(fold.columns)}) {_packed(fold, sql, made)}")


def _packed(fold: Fold, sql: Dialect, made: str) -> str:
    """The rows of ``periods`` as the table has them."""
    if not fold.packed:
        return made
    *keys, _ = fold.columns
    listed = ", ".join(keys)
    return f"SELECT {listed}, {sql.packed.format(fold.keys[-1], *fold.sums)} FROM ({made}) made GROUP BY {listed}"


def kept(fold: Fold, sql: Dialect, where: str) -> str:
    """A SELECT of what the table has, as ``periods`` gives it."""
    if not fold.packed:
        return f"SELECT {', '.join(fold.columns)} FROM {fold.table} WHERE {where}"
    *keys, counts = fold.columns
    return f"""SELECT {", ".join(keys)}, CAST(j.key AS bigint) AS {fold.keys[-1]}, j.value AS {fold.sums[0]}
        FROM (SELECT * FROM {fold.table} WHERE {where}) f, {sql.fields_of.format(counts)}"""


def _first(execute: Callable[..., Any], since: str = "") -> str | None:
    """When the first row there is was made, from an hour on."""
    after = f" AND created_at >= '{_safe(since)}'" if since else ""
    found = [execute(f"SELECT min(created_at) FROM {rows}{after}").fetchone()[0] for rows in _ROWS]
    return min((at for at in found if at), default=None)


def _later(hour: str, hours: int) -> str:
    return hour_of(datetime.fromisoformat(hour + ":00") + timedelta(hours=hours))


def _day_after(hour: str) -> str:
    return _later(hour[:10] + "T00", 24)[:10]


def _safe(period: str) -> str:
    """A period of our own making, which may stand in SQL. Raises ValueError for what is none."""
    datetime.fromisoformat(period + ":00" if len(period) > 10 else period)
    return period
