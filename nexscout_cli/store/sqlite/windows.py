"""A report's window and the sums of usage over it: roll-ups for whole UTC days, rows for what they leave over."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, NamedTuple

from nexscout_cli.errors import UsageError
from nexscout_cli.store.sqlite.store import OWN_OR_ADMIN, Store, parse_stamp, stamp
from nexscout_cli.store.sqlite.usage import SUMS

Row = dict[str, Any]

# The columns of the roll-ups. Not imported from store.schema: that would import sqlite-utils with every report.

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"(\d{1,9})([mhdw])", re.I)
_EXAMPLES = "for instance 7d, 24h, 2026-11-01, 2026-11-01T09:30, today or yesterday"
_YEARS = range(1970, 9999)
_DAY = timedelta(days=1)

_FIRST = "NOT EXISTS (SELECT 1 FROM ai_model_usage e WHERE e.request_id = a.request_id AND e.id < a.id)"
_OF_ROWS = (_FIRST, "outcome = 'posted'", "outcome = 'hit'", "outcome = 'failed'", *SUMS[4:])
_ROW_SUMS = ", ".join(f"coalesce(sum({value}), 0)" for value in _OF_ROWS)
_ROLLUP_SUMS = ", ".join(f"coalesce(sum({name}), 0)" for name in SUMS)
_IS_ADMIN = "EXISTS (SELECT 1 FROM users WHERE user_id = :actor AND role = 'admin')"
# The key of usage_by_user_day begins with the user: step from user to user instead of reading every day of the table.
_OWNERS = """WITH RECURSIVE owners (id) AS (
  SELECT min(user_id) FROM usage_by_user_day UNION ALL
  SELECT (SELECT min(user_id) FROM usage_by_user_day WHERE user_id > owners.id)
  FROM owners WHERE owners.id IS NOT NULL)"""


class Window(NamedTuple):
    """The time from ``since`` up to, not including, ``until``, both UTC; ``tz`` is the zone of its days."""

    since: datetime
    until: datetime
    tz: tzinfo


def zone(name: str) -> tzinfo:
    """The time zone of that name. Raises UsageError."""
    if name.upper() == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise UsageError(f"there is no time zone {name!r}", "for instance --tz Europe/Berlin, or UTC") from error


def parse_when(text: str, now: datetime, tz: tzinfo) -> datetime:
    """The UTC time that ``text`` means: so long ago, a day's start or an ISO time in ``tz``, today, yesterday.

    Raises UsageError.
    """
    word = text.strip()
    try:
        if ago := _AGO.fullmatch(word):
            moment = now - timedelta(**{_UNITS[ago[2].lower()]: int(ago[1])})
        elif word.lower() in ("today", "yesterday"):
            today = now.astimezone(tz).date()
            moment = datetime.combine(today - _DAY * (word.lower() == "yesterday"), time(), tz)
        elif word.lower() == "now":
            moment = now
        else:
            moment = datetime.fromisoformat(word)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=tz)
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{text!r} is no time", _EXAMPLES) from error
    if moment.year not in _YEARS:
        raise UsageError(f"{text!r} lies too far away", _EXAMPLES)
    return moment


def between(store: Store, since: str, until: str | None, tz: tzinfo) -> Window:
    """A report's window; without ``until`` it takes in all up to this moment. Raises UsageError for an empty one."""
    with store.db.read() as c:
        now = store.now(c)
    start = parse_when(since, now, tz)
    end = parse_when(until, now, tz) if until else max(now, start) + timedelta(microseconds=1)
    if not until and start > now:
        raise UsageError(f"--since {since} lies in the future", _EXAMPLES)
    if start >= end:
        raise UsageError(f"--since {since} is not before --until {until}", "the window runs from --since up to --until")
    return Window(start, end, tz)


class Split(NamedTuple):
    """A window as whole UTC days, first and one past the last, and the stretches of time beside them, as stamps."""

    days: tuple[str, str] | None
    edges: tuple[tuple[str, str], ...]


def split(since: datetime, until: datetime, now: datetime) -> Split:
    """Cut a window at UTC midnights. No row lies after ``now``, so a day that ends in the future counts as whole."""
    first = _midnight(since + _DAY - timedelta(microseconds=1))
    end = until if until <= now else _midnight(until + _DAY - timedelta(microseconds=1))
    last = _midnight(end)
    if first >= last:
        return Split(None, ((stamp(since), stamp(end)),))
    edges = ((since, first), (last, end))
    return Split(
        (first.date().isoformat(), last.date().isoformat()), tuple((stamp(a), stamp(b)) for a, b in edges if a < b)
    )


def _midnight(moment: datetime) -> datetime:
    return datetime.combine(moment.date(), time(), UTC)


class Reader:
    """Sums over a window of what the actor may see, from one consistent state of the database; money in nano-dollars.

    ``user`` None means everyone, for an admin alone: anyone else reads their own rows. Raises NotPermitted, UsageError.
    """

    def __init__(self, store: Store, c: sqlite3.Connection, window: Window, user: str | None) -> None:
        self.c = c
        self.now = store.now(c)
        self.window = window
        self.user = user
        self._actor = store.actor
        if user is None and not store.is_admin(c):
            self.user = store.actor
        if self.user is not None and store.require_access(c, self.user) is None:
            raise UsageError(f"there is no user {user!r}", "`nexscout user list` shows them")

    def select(self, sql: str, **values: Any) -> list[sqlite3.Row]:
        """Rows of a query, which may name :actor, :user, :now, :since and :until."""
        known = {
            "actor": self._actor,
            "user": self.user,
            "now": stamp(self.now),
            "since": stamp(self.window.since),
            "until": stamp(self.window.until),
        }
        return self.c.execute(sql, known | values).fetchall()

    def sums(self, *keys: str) -> list[Row]:
        """The window's sums by ``keys``: user_id, day, model_used, feature. A request counts with its first row."""
        return self._sums(keys, self.window.since, self.window.until)

    def days(self) -> list[Row]:
        """The sums by day of the window's time zone, in order, days without use left out."""
        if self.window.tz is UTC:
            return sorted(self.sums("day"), key=lambda row: str(row["day"]))
        rows = []
        for day, start, end in self._local_days():
            rows += [{"day": day.isoformat(), **row} for row in self._sums((), start, end)]
        return rows

    def _local_days(self) -> Iterator[tuple[date, datetime, datetime]]:
        tz = self.window.tz
        oldest = self.select("SELECT min(created_at) FROM ai_model_usage")[0][0]
        if oldest is None:
            return
        start = max(self.window.since, parse_stamp(oldest))
        until = min(self.window.until, self.now + timedelta(microseconds=1))
        while start < until:
            day = start.astimezone(tz).date()
            end = min(datetime.combine(day + _DAY, time(), tz).astimezone(UTC), until)
            yield day, start, end
            start = end

    def _sums(self, keys: tuple[str, ...], since: datetime, until: datetime) -> list[Row]:
        table = self._rollup(keys)
        parts = split(since, until, self.now)
        if table is None and parts.days is not None:
            parts = Split(None, ((stamp(since), stamp(until)),))
        merged: dict[tuple[str, ...], list[int]] = {}
        found = [row for a, b in parts.edges for row in self._from_rows(keys, a, b)]
        if table is not None and parts.days is not None:
            found += self._from_rollup(table, keys, *parts.days)
        for row in found:
            key, values = tuple(row[: len(keys)]), row[len(keys) :]
            before = merged.get(key)
            merged[key] = [a + b for a, b in zip(before, values, strict=True)] if before else list(values)
        return [
            {**dict(zip(keys, key, strict=True)), **dict(zip(SUMS, values, strict=True))}
            for key, values in merged.items()
            if any(values)
        ]

    def _rollup(self, keys: tuple[str, ...]) -> str | None:
        """The roll-up that can answer for these keys, None where only rows can."""
        if "user_id" in keys or self.user is not None:
            return "usage_by_user_day" if {"user_id", "day"}.issuperset(keys) else None
        return "usage_by_model_day"

    def _from_rows(self, keys: tuple[str, ...], since: str, until: str) -> list[sqlite3.Row]:
        names = [{"day": "substr(created_at, 1, 10)"}.get(key, key) for key in keys]
        only = "AND user_id = :user" if self.user is not None else ""
        return self.select(
            f"SELECT {', '.join([*names, _ROW_SUMS])} FROM ai_model_usage a "
            f"WHERE created_at >= :start AND created_at < :end AND {OWN_OR_ADMIN} {only} {_group(names)}",
            start=since,
            end=until,
        )

    def _from_rollup(self, table: str, keys: tuple[str, ...], first: str, end: str) -> list[sqlite3.Row]:
        names = [{"model_used": "model"}.get(key, key) for key in keys]
        head, source, where = "", table, _IS_ADMIN
        if self.user is not None:
            where = f"user_id = :user AND {OWN_OR_ADMIN}"
        elif table == "usage_by_user_day":
            head, source, where = _OWNERS, f"owners CROSS JOIN {table}", f"user_id = owners.id AND {OWN_OR_ADMIN}"
        return self.select(
            f"{head} SELECT {', '.join([*names, _ROLLUP_SUMS])} FROM {source} "
            f"WHERE day >= :start AND day < :end AND {where} {_group(names)}",
            start=first,
            end=end,
        )


def _group(names: list[str]) -> str:
    return f"GROUP BY {', '.join(names)}" if names else ""
