"""Sums of usage over a report's window: roll-ups for whole UTC days, rows for what they leave over."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from nexscout_cli.engine.book_types import SUMS, Deployed, Failed, Person
from nexscout_cli.engine.report_window import Window
from nexscout_cli.store.sqlite.transaction import OWN_OR_ADMIN, Transaction, parse_stamp, stamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nexscout_cli.store.sqlite.records import Record
    from nexscout_cli.store.sqlite.work import Work

Row = dict[str, Any]

_DAY = timedelta(days=1)
_FIRST = "NOT EXISTS (SELECT 1 FROM ai_model_usage e WHERE e.request_id = a.request_id AND e.id < a.id)"
_COUNTED = (_FIRST, "outcome = 'posted'", "outcome = 'hit'", "outcome = 'failed'")
_ROW_SUMS = ", ".join(
    (
        *(f"count(CASE WHEN {condition} THEN 1 END)" for condition in _COUNTED),
        *(f"coalesce(sum({name}), 0)" for name in SUMS[4:]),
    )
)
_ROLLUP_SUMS = ", ".join(f"coalesce(sum({name}), 0)" for name in SUMS)
_IS_ADMIN = "EXISTS (SELECT 1 FROM users WHERE user_id = :actor AND role = 'admin')"
_MINE = f"{OWN_OR_ADMIN} AND (CAST(:user AS text) IS NULL OR user_id = :user)"
# The key of usage_by_user_day begins with the user: step from user to user instead of reading every day of the table.
_OWNERS = """WITH RECURSIVE owners (id) AS (
  SELECT min(user_id) FROM usage_by_user_day UNION ALL
  SELECT (SELECT min(user_id) FROM usage_by_user_day WHERE user_id > owners.id)
  FROM owners WHERE owners.id IS NOT NULL)"""


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


class SqliteReports:
    """Where the money went."""

    def __init__(self, store: Work) -> None:
        self._store = store

    def now(self, actor: str) -> datetime:
        """The store's time."""
        with self._store.read(actor) as t:
            return t.now

    @contextmanager
    def reading(self, actor: str, window: Window, user: str | None = None) -> Iterator[SqliteReportReader]:
        """A reader of one window. ``user`` None: everyone's for an admin, else the actor's own.

        Raises NotPermitted, UsageError.
        """
        with self._store.read(actor) as t:
            yield SqliteReportReader(t, window, t.readable_user(user))


_OF_PREDICTIONS = ("predicted_tokens", "predicted_tokens_p90", "actual_tokens", "formula_tokens", "prediction_accuracy")
"""What is read of predictions: they are sorted by their errors, and a row's long texts would be sorted along."""


class SqliteReportReader:
    """Sums over a window of what the actor may see, from one consistent state of the database; money in nano-dollars."""

    def __init__(self, t: Transaction, window: Window, user: str | None) -> None:
        self._t = t
        self.now = t.now
        self.window = window
        self.user = user
        self._oldest = "SELECT min(created_at) FROM ai_model_usage"

    def _select(self, sql: str, **values: Any) -> list[Record]:
        """Rows of a query, which may name :actor, :user, :now, :since and :until."""
        known = {
            "actor": self._t.actor,
            "user": self.user,
            "now": self._t.stamp,
            "since": stamp(self.window.since),
            "until": stamp(self.window.until),
        }
        return self._t.execute(sql, known | values).fetchall()

    @property
    def _only(self) -> str:
        """SQL that narrows rows to the user's; nothing where they are everyone's, so that an index by time is used."""
        return "AND user_id = :user" if self.user is not None else ""

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

    def tiers(self) -> dict[str, str]:
        """The present tier of each user."""
        return {row["user_id"]: row["tier"] for row in self._select(f"SELECT user_id, tier FROM users WHERE {_MINE}")}

    def people(self) -> list[Person]:
        """The users, with the tiers they had: from when on, in order of time."""
        rows = self._select(
            f"SELECT user_id, role = 'admin', since, h.tier FROM users LEFT JOIN tier_history h USING (user_id) "
            f"WHERE {_MINE} ORDER BY user_id, since"
        )
        found: dict[str, Person] = {}
        for user_id, is_admin, since, tier in rows:
            person = found.setdefault(user_id, Person(user_id, bool(is_admin), []))
            if since is not None:
                person.tiers.append((parse_stamp(since), tier))
        return list(found.values())

    def failed_attempts(self) -> list[Failed]:
        """Attempts of the window that gave no answer, by model, label and day of the window's time zone."""
        rows = self._select(
            f"""SELECT a.model, a.failure, a.created_at, b.model FROM attempts a JOIN requests r USING (request_id)
                LEFT JOIN attempts b ON b.request_id = a.request_id AND b.n = a.n + 1
                WHERE a.failure IS NOT NULL AND a.created_at >= :since AND a.created_at < :until
                AND {OWN_OR_ADMIN} {self._only}"""
        )
        counted: dict[tuple[str, str, str], list[int]] = {}
        for model, label, created, then in rows:
            day = parse_stamp(created).astimezone(self.window.tz).date().isoformat()
            part = counted.setdefault((model, label, day), [0, 0, 0])
            part[0] += 1
            if then is not None:
                part[1 if then == model else 2] += 1
        return [Failed(*key, *part) for key, part in sorted(counted.items())]

    def latencies(self) -> dict[str, tuple[int, int]]:
        """Milliseconds from the hold to the post of the window's calls, by model: the P50 and the P95."""
        took = f"round({self._t.sql.seconds('a.created_at', 'a.settled_at')} * 1000)"
        rank = "max(CASE WHEN rank = (many * {} + 99) / 100 THEN took END)"
        rows = self._select(
            f"""WITH timed AS (
                  SELECT u.model_used AS model, {took} AS took FROM ai_model_usage u JOIN attempts a USING (request_id, n)
                  WHERE u.created_at >= :since AND u.created_at < :until AND u.outcome = 'posted' AND a.failure IS NULL
                  AND {OWN_OR_ADMIN} {self._only}),
                ranked AS (
                  SELECT model, took, count(*) OVER (PARTITION BY model) AS many,
                         row_number() OVER (PARTITION BY model ORDER BY took) AS rank FROM timed)
                SELECT model, {rank.format(50)}, {rank.format(95)} FROM ranked GROUP BY model"""
        )
        return {model: (int(p50), int(p95)) for model, p50, p95 in rows}

    def deployed_calls(self) -> list[Deployed]:
        """Calls of the window that were made at a deployment, by model and deployment."""
        took = f"round({self._t.sql.seconds('a.created_at', 'a.settled_at')} * 1000)"
        rank = "max(CASE WHEN failure IS NULL AND rank = (many * {} + 99) / 100 THEN took END)"
        part = "PARTITION BY a.model, a.deployment, a.failure IS NULL"
        rows = self._select(
            f"""WITH made AS (
                  SELECT a.model, a.deployment, a.failure, a.actual, {took} AS took, count(*) OVER ({part}) AS many,
                         row_number() OVER ({part} ORDER BY {took}) AS rank FROM attempts a JOIN requests r USING (request_id)
                  WHERE a.deployment IS NOT NULL AND a.created_at >= :since AND a.created_at < :until
                  AND (a.state = 'posted' OR a.failure IS NOT NULL) AND {OWN_OR_ADMIN} {self._only})
                SELECT model, deployment, count(*) - count(failure), count(failure), coalesce(sum(actual), 0),
                       {rank.format(50)}, {rank.format(95)} FROM made GROUP BY model, deployment ORDER BY model, deployment"""
        )
        return [
            Deployed._make((*row[:4], int(row[4]), *(None if ms is None else int(ms) for ms in row[5:])))
            for row in rows
        ]

    def kept_answers(self) -> dict[str, int]:
        """How many answers are kept now, by feature."""
        rows = self._select(
            f"SELECT feature, count(*) FROM cached_ai_responses WHERE expires_at > :now AND {_MINE} GROUP BY feature"
        )
        return {row[0]: row[1] for row in rows}

    def tokens_saved_by_hits(self) -> dict[str, int]:
        """Tokens that cached answers saved in the window, by feature."""
        rows = self._select(
            f"SELECT feature, sum(tokens_saved) FROM ai_model_usage WHERE created_at >= :since AND created_at < :until "
            f"AND outcome = 'hit' AND {OWN_OR_ADMIN} {self._only} GROUP BY feature"
        )
        return {row[0]: row[1] for row in rows}

    def token_classes(self) -> dict[str, int]:
        """Tokens of the window that are not plain, by class."""
        rows = self._select(
            f"SELECT j.key, sum(j.value) FROM ai_model_usage, {self._t.sql.fields_of.format('token_classes')} "
            f"WHERE token_classes <> '{{}}' AND created_at >= :since AND created_at < :until "
            f"AND {OWN_OR_ADMIN} {self._only} GROUP BY j.key ORDER BY 2 DESC, 1"
        )
        return {row[0]: row[1] for row in rows}

    def predictions(self, *keys: str) -> list[Row]:
        """Predictions whose actual tokens are known, summed up by ``keys``, most first; see the port for the columns."""
        group = ", ".join(keys)
        part = f"PARTITION BY {group}" if keys else ""
        by = f"GROUP BY {group} ORDER BY n DESC, {group}" if keys else "HAVING count(*) > 0"
        # SQLite has no median: the mean of the one or two rows in the middle of a part.
        middle = "avg(CASE WHEN {rank} IN ((many + 1) / 2, (many + 2) / 2) THEN {of} END)"
        found = self._select(
            f"""WITH known AS (
                  SELECT {", ".join((*keys, *_OF_PREDICTIONS))},
                         abs(predicted_tokens - actual_tokens) * 1.0 / actual_tokens AS error,
                         abs(formula_tokens - actual_tokens) * 1.0 / actual_tokens AS formula_error
                  FROM ai_cost_predictions WHERE created_at >= :since AND created_at < :until
                  AND actual_tokens > 0 AND {OWN_OR_ADMIN} {self._only}),
                ranked AS (
                  SELECT *, count(*) OVER ({part}) AS many, row_number() OVER ({part} ORDER BY error) AS rank,
                         row_number() OVER ({part} ORDER BY formula_error) AS formula_rank FROM known)
                SELECT {", ".join((*keys, "count(*) AS n"))}, sum(predicted_tokens) AS predicted,
                       sum(actual_tokens) AS actual, sum(formula_tokens) AS formula,
                       avg(prediction_accuracy) AS accuracy,
                       avg(error) AS error, {middle.format(rank="rank", of="error")} AS median_error,
                       avg(formula_error) AS formula_error,
                       {middle.format(rank="formula_rank", of="formula_error")} AS formula_median_error,
                       avg(CASE WHEN actual_tokens <= predicted_tokens_p90 THEN 1.0
                                WHEN predicted_tokens_p90 IS NOT NULL THEN 0.0 END) AS covered
                FROM ranked {by}"""
        )
        return [dict(row) for row in found]

    def by_day(self, step: int = 1) -> Iterator[tuple[str, SqliteReportReader]]:
        """Each day of the window's time zone since the first use, with a reader of it alone; or of ``step`` days from it."""
        for day, start, end in self._local_days(step):
            yield day.isoformat(), SqliteReportReader(self._t, Window(start, end, self.window.tz), self.user)

    def latency(self, most: int) -> Row:
        """How long the window's latest posted calls took, ``most`` of them at the most: n, and p50 and p95 in seconds, None
        where there was none.
        """
        # A call that was posted by age, or by hand, has a reason: what it took nobody knows. Percentiles by nearest rank.
        row = self._select(
            f"""WITH latest AS (
                  SELECT request_id, n FROM ai_model_usage
                  WHERE created_at >= :since AND created_at < :until AND outcome = 'posted' AND {OWN_OR_ADMIN} {self._only}
                  ORDER BY created_at DESC LIMIT {int(most)}),
                took AS (
                  SELECT {self._t.sql.seconds("a.created_at", "settled_at")} AS seconds
                  FROM latest JOIN attempts a USING (request_id, n) WHERE reason IS NULL),
                ranked AS (SELECT seconds, row_number() OVER (ORDER BY seconds) AS rank, count(*) OVER () AS many FROM took)
                SELECT count(*) AS n, min(CASE WHEN rank >= 0.5 * many THEN seconds END) AS p50,
                       min(CASE WHEN rank >= 0.95 * many THEN seconds END) AS p95 FROM ranked"""
        )[0]
        return dict(row)

    def predicted(self, most: int) -> Row:
        """The window's latest predictions whose actual tokens are known, ``most`` of them at the most: n, and sums of tokens:
        predicted, actual, p90.

        ``p90`` counts the prediction where it has no P90.
        """
        row = self._select(
            f"""SELECT count(*) AS n, coalesce(sum(predicted_tokens), 0) AS predicted, coalesce(sum(actual_tokens), 0) AS actual,
                       coalesce(sum(coalesce(predicted_tokens_p90, predicted_tokens)), 0) AS p90
                FROM (SELECT * FROM ai_cost_predictions WHERE created_at >= :since AND created_at < :until
                      AND actual_tokens > 0 AND {OWN_OR_ADMIN} {self._only}
                      ORDER BY created_at DESC LIMIT {int(most)}) AS latest"""
        )[0]
        return dict(row)

    def fallbacks(self) -> int:
        """How many answers of the window came from a model that stood in for another."""
        row = self._select(
            f"""SELECT count(*) FROM ai_model_usage WHERE created_at >= :since AND created_at < :until
                AND outcome = 'posted' AND routing_reason = 'fallback' AND {OWN_OR_ADMIN} {self._only}"""
        )[0]
        return int(row[0])

    def _local_days(self, step: int = 1) -> Iterator[tuple[date, datetime, datetime]]:
        tz = self.window.tz
        oldest = self._select(self._oldest)[0][0]
        if oldest is None:
            return
        start = max(self.window.since, parse_stamp(oldest))
        until = min(self.window.until, self.now + timedelta(microseconds=1))
        while start < until:
            day = start.astimezone(tz).date()
            end = min(datetime.combine(day + step * _DAY, time(), tz).astimezone(UTC), until)
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

    def _from_rows(self, keys: tuple[str, ...], since: str, until: str) -> list[Record]:
        names = [{"day": "substr(created_at, 1, 10)"}.get(key, key) for key in keys]
        return self._select(
            f"SELECT {', '.join([*names, _ROW_SUMS])} FROM ai_model_usage a "
            f"WHERE created_at >= :start AND created_at < :end AND {OWN_OR_ADMIN} {self._only} {_group(names)}",
            start=since,
            end=until,
        )

    def _from_rollup(self, table: str, keys: tuple[str, ...], first: str, end: str) -> list[Record]:
        names = [{"model_used": "model"}.get(key, key) for key in keys]
        head, source, where = "", table, _IS_ADMIN
        if self.user is not None:
            where = f"user_id = :user AND {OWN_OR_ADMIN}"
        elif table == "usage_by_user_day":
            head, source, where = _OWNERS, f"owners CROSS JOIN {table}", f"user_id = owners.id AND {OWN_OR_ADMIN}"
        return self._select(
            f"{head} SELECT {', '.join([*names, _ROLLUP_SUMS])} FROM {source} "
            f"WHERE day >= :start AND day < :end AND {where} {_group(names)}",
            start=first,
            end=end,
        )


def _group(names: list[str]) -> str:
    return f"GROUP BY {', '.join(names)}" if names else ""
