"""Folding finished hours and days of usage for reports: again as often as wanted, each time to the same.

``fold_marks`` has the hour, or the minute of the hour that goes on, before which all is folded (``is_end``), and the hours
before it in which something has changed since, which triggers enter. ``folding`` has the hours that somebody is folding now:
they are entered first, so that what changes from then on makes a mark. Reports read the hours of both by their rows.

Of an hour that goes on its beginning is folded, where there are so many rows that to read them takes long, and again when
there are so many more.

Where there is much, no transaction does much of it: rows are read in pieces, and what they come to is written in pieces, so
that nobody who writes waits for long.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.store.sqlite import archives
from nexscout_cli.store.sqlite.fold_making import Made, piece_end, safe, write
from nexscout_cli.store.sqlite.transaction import stamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nexscout_cli.store.sqlite.fold_making import Books
    from nexscout_cli.store.sqlite.records import Execute
    from nexscout_cli.store.sqlite.transaction import Transaction
    from nexscout_cli.store.sqlite.work import Work

_GRACE = timedelta(minutes=10)
"""How long after its end an hour is left alone: a transaction that began in it may still be under way."""
_STEP = 24
"""Hours by which the books may be behind before a report would rather wait."""
_STEPS = 8
"""Days that a command that writes folds at most; the next one goes on."""
_SMALL = 500
"""Rows of usage that are folded in one transaction at most."""
_PIECE = 2_000
"""Rows of usage that are read at a time, where there are more."""
_AT_ONCE = 2_000
"""Statements that one transaction makes then."""
_PART = 500
"""Rows of usage for which an hour that goes on is folded as far as it may be."""
_PARTS = 5
"""Minutes at whose multiples such a part ends."""
_LEASE = timedelta(minutes=10)
"""For how long the hours that somebody folds are left to them: they may have been killed."""
_ROWS = ("ai_model_usage WHERE true", "ai_cost_predictions WHERE true", "attempts WHERE failure IS NOT NULL")


class Folded(NamedTuple):
    """How far books are folded: all before ``end``, an hour or a minute ("" where nothing is), but for the hours ``changed``."""

    end: str
    changed: frozenset[str]


class _Task(NamedTuple):
    """What is folded at a time: hours of one day, and that day where all of it is to be.

    ``start`` and ``until``: which rows it takes; ``end``: before which all is folded then, "" where that stays;
    ``again``: whether some of it has been folded before.
    """

    hours: tuple[str, ...]
    day: str | None
    start: str
    until: str
    end: str = ""
    again: bool = False


def folded(t: Transaction) -> Folded:
    """How far the books are folded."""
    rows = t.execute("SELECT hour, is_end FROM fold_marks UNION ALL SELECT hour, 0 FROM folding").fetchall()
    end, changed = max((r[0] for r in rows if r[1]), default=""), [r[0] for r in rows if not r[1]]
    return Folded(end, frozenset(_with_rows(t.execute, changed)))


def hour_of(moment: datetime) -> str:
    """The hour of a UTC time, as marks and periods have it."""
    return f"{moment:%Y-%m-%dT%H}"


def last_hour(now: datetime) -> str:
    """The hour before which all can be folded by now."""
    return hour_of(now - _GRACE)


def _last_part(now: datetime) -> str:
    """The minute, of the hour that goes on, before which all can be folded by now."""
    moment = now - _GRACE
    return f"{hour_of(moment)}:{moment.minute // _PARTS * _PARTS:02}"


def _is_much(execute: Execute, start: str, part: str) -> bool:
    """Whether there are so many rows up to a minute that its hour's beginning is folded."""
    return start < part and piece_end(execute, start, part, _PART) < part


def is_due(t: Transaction) -> bool:
    """Whether something can be folded."""
    now = folded(t)
    if _is_held(t):
        return False
    if now.changed:
        return True
    start = now.end or (_first(t.execute) or "")[:13]
    if not start or start < last_hour(t.now):
        return bool(start)
    return _is_much(t.execute, start, _last_part(t.now))


def is_far_behind(t: Transaction) -> bool:
    """Whether so much is not folded that a report would rather wait for it."""
    now = folded(t)
    start = now.end or (_first(t.execute) or "")[:13]
    return bool(start) and start < last_hour(t.now - timedelta(hours=_STEP))


def catch_up(store: Work, actor: str, days: int = _STEPS) -> None:
    """Fold what is due, so many days at most; nothing while somebody else folds."""
    for _ in range(days):
        with store.write(actor, touch=False) as t:
            task = None if _is_held(t) else _next(t.execute, last_hour(t.now), _last_part(t.now), _held(t.execute))
            if task is None:
                return
            token = None
            if piece_end(t.execute, task.start, task.until, _SMALL) < task.until:
                token = _claim(t, task)
            else:
                _fold(t, task)
        if token is not None:
            _fold_in_pieces(store, actor, task, token)


def fold_all(books: Books) -> None:
    """Fold all finished hours at once, by the time last seen: of books that are new here, and nobody else's yet."""
    row = books.execute("SELECT value FROM meta WHERE key = 'last_seen'").fetchone()
    if row is None or not row[0]:
        return
    target = last_hour(datetime.fromisoformat(row[0]))
    while (task := _next(books.execute, target)) is not None:
        _fold(books, task)


def _next(execute: Execute, target: str, part: str = "", left: Iterable[str] = ()) -> _Task | None:
    """What is to be folded next: a day's hours that have changed, or were ``left`` half done; else hours before ``target``;
    else that hour up to the minute ``part``, where there is much.
    """
    marks = execute("SELECT hour, is_end FROM fold_marks").fetchall()
    end: str = max((row[0] for row in marks if row[1]), default="")
    changed = sorted(_with_rows(execute, {row[0] for row in marks if not row[1]}.union(left)))
    if changed:
        day = changed[0][:10]
        hours = tuple(hour for hour in changed if hour[:10] == day)
        if day < end[:10]:
            return _Task(hours, day, day, _day_after(day), again=True)
        return _Task(hours, None, hours[0], min(_later(hours[-1], 1), end), again=True)
    start: str = end or (_first(execute) or "")[:13]
    if not start:
        return None
    is_part, hour = len(start) > len(target), start[:13]
    if start >= target:
        if hour == target and _is_much(execute, start, part):
            return _Task((hour,), None, hour, part, end=part, again=is_part)
        return None
    start = hour
    if start.endswith("T00"):  # what lies idle, for years or because a clock was wrong, is passed at once
        start = max(start, (_first(execute, start) or target)[:13])
        if start >= target:
            return _Task((), None, target, target, end=target)
    day = start[:10]
    until = min(target, _day_after(day) + "T00")
    hours = tuple(hour for n in range(24) if start <= (hour := f"{day}T{n:02}") < until)
    if until[:10] == day:
        return _Task(hours, None, start, until, end=until, again=is_part)
    return _Task(hours, day, day, _day_after(day), end=until, again=is_part)


def _with_rows(execute: Execute, hours: Iterable[str]) -> list[str]:
    """The hours whose rows are here: what archived ones were folded into stays."""
    found = list(hours)
    first = archives.rows_from(execute) if found else ""
    return [hour for hour in found if hour >= first]


def _fold(books: Books, task: _Task) -> None:
    """Fold it in this transaction."""
    _enter(books, task)
    made = Made(task.hours, task.day)
    made.add(made.read(books, task.start, task.until))
    write(books, chain(made.deletes(books) if task.again else (), made.inserts()))


def _enter(books: Books, task: _Task) -> None:
    """Say how far all is folded then. The marks go first: what changes from now on makes new ones."""
    books.executemany("DELETE FROM fold_marks WHERE hour = ? AND is_end = 0", [(hour,) for hour in task.hours])
    if task.end:
        books.execute("DELETE FROM fold_marks WHERE is_end = 1")
        books.execute("INSERT INTO fold_marks (hour, is_end) VALUES (?, 1)", (task.end,))


def _claim(t: Transaction, task: _Task) -> str:
    """Take it in hand; what is given is the token by which it is known whose it is."""
    token = secrets.token_hex(8)
    _enter(t, task)
    t.execute("DELETE FROM folding")  # nobody is at it any more
    until = stamp(t.now + _LEASE)
    t.executemany("INSERT INTO folding (hour, token, until) VALUES (?, ?, ?)", [(h, token, until) for h in task.hours])
    return token


def _fold_in_pieces(store: Work, actor: str, task: _Task, token: str) -> None:
    """Fold what is claimed. Where somebody else has claimed it since, they fold it anew."""
    made, at = Made(task.hours, task.day), task.start
    while at < task.until:
        with store.read(actor) as t:
            until = piece_end(t.execute, at, task.until, _PIECE)
            found = made.read(t, at, until)
        made.add(found)
        at = until
    before = []
    if task.again:
        with store.read(actor) as t:
            before = made.deletes(t)
    statements = chain(before, made.inserts())
    while part := list(islice(statements, _AT_ONCE)):
        with store.write(actor, touch=False) as t:
            if not _is_still(t, token):
                return
            write(t, part)
    with store.write(actor, touch=False) as t:
        t.execute("DELETE FROM folding WHERE token = ?", (token,))


def _is_still(t: Transaction, token: str) -> bool:
    until = stamp(t.now + _LEASE)
    return t.execute("UPDATE folding SET until = ? WHERE token = ?", (until, token)).rowcount > 0


def _is_held(t: Transaction) -> bool:
    """Whether somebody folds now, as far as one can know."""
    return t.execute("SELECT 1 FROM folding WHERE until > ? LIMIT 1", (t.stamp,)).fetchone() is not None


def _held(execute: Execute) -> Sequence[str]:
    return [row[0] for row in execute("SELECT hour FROM folding")]


def _first(execute: Execute, since: str = "") -> str | None:
    """When the first row there is was made, from an hour on."""
    after = f" AND created_at >= '{safe(since)}'" if since else ""
    found = [execute(f"SELECT min(created_at) FROM {rows}{after}").fetchone()[0] for rows in _ROWS]
    return min((at for at in found if at), default=None)


def _later(hour: str, hours: int) -> str:
    return hour_of(datetime.fromisoformat(hour + ":00") + timedelta(hours=hours))


def _day_after(day: str) -> str:
    return _later(day + "T00", 24)[:10]
