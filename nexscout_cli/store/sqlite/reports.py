"""Sums of usage over a report's window: roll-ups for whole UTC days, rows for what they leave over."""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from nexscout_cli.engine.percentiles import ERRORS as OFF
from nexscout_cli.engine.percentiles import EXACT, Rounding, median, nearest_rank
from nexscout_cli.engine.percentiles import LATENCY as TOOK
from nexscout_cli.engine.report_values import Deployed, Failed, Person, PromptCache
from nexscout_cli.engine.sums import SUMS
from nexscout_cli.engine.usage import Rates
from nexscout_cli.errors import StoreError
from nexscout_cli.store.sqlite import archives, folding
from nexscout_cli.store.sqlite.fold_reader import IS_ADMIN, OWNERS, FoldReader, add, grouped
from nexscout_cli.store.sqlite.fold_reading import Stretch
from nexscout_cli.store.sqlite.folds import CLASSES, ERRORS, FAILURES, LATENCY, PREDICTIONS, USAGE
from nexscout_cli.store.sqlite.transaction import OWN_OR_ADMIN, parse_stamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nexscout_cli.engine.report_window import Window
    from nexscout_cli.store.sqlite.records import Record
    from nexscout_cli.store.sqlite.work import Work

Row = dict[str, Any]

_DAY = timedelta(days=1)
_MOST_DAYS = 10_000
"""Days that a report folds at most before it reads."""
_ROLLUP_SUMS = ", ".join(f"CAST(coalesce(sum({name}), 0) AS bigint)" for name in SUMS)
_COLUMNS = {"user_id": "owner", "model_used": "model"}
"""Keys that folds have under another name."""
_MINE = f"{OWN_OR_ADMIN} AND (CAST(:user AS text) IS NULL OR user_id = :user)"


_OF_PREDICTIONS = ("feature", "recommended_model")


class _Errors(NamedTuple):
    """Sums of predictions by feature and model; of each of them how often ours, and the formula's, were off by how much, in
    millionths.
    """

    rounding: Rounding | None
    sums: dict[tuple[Any, ...], list[int]]
    off: dict[tuple[Any, ...], dict[int, int]]


class Split(NamedTuple):
    """A window as whole UTC days, first and one past the last, and the stretches of time beside them."""

    days: tuple[str, str] | None
    edges: tuple[tuple[datetime, datetime], ...]


def split(since: datetime, until: datetime, now: datetime) -> Split:
    """Cut a window at UTC midnights. No row lies after ``now``, so a day that ends in the future counts as whole."""
    first = _midnight(since + _DAY - timedelta(microseconds=1))
    end = until if until <= now else _midnight(until + _DAY - timedelta(microseconds=1))
    last = _midnight(end)
    if first >= last:
        return Split(None, ((since, end),))
    edges = ((since, first), (last, end))
    return Split((first.date().isoformat(), last.date().isoformat()), tuple((a, b) for a, b in edges if a < b))


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

        Where rows are archived the window is widened to whole hours of UTC; of one user to whole days.

        Raises NotPermitted, UsageError.
        """
        self._catch_up(actor)
        with self._store.read(actor) as t:
            whose = t.readable_user(user)
            unit = timedelta(hours=1) if whose is None else _DAY
            yield SqliteReportReader(t, archives.widened(t.execute, window, unit), whose)

    def _catch_up(self, actor: str) -> None:
        """Fold what has been left for long. Who may not write, or not now, reads rows instead."""
        with self._store.read(actor) as t:
            if not folding.is_far_behind(t):
                return
        with suppress(StoreError):
            folding.catch_up(self._store, actor, _MOST_DAYS)


class SqliteReportReader(FoldReader):
    """Sums over a window of what the actor may see, from one consistent state of the database; money in nano-dollars."""

    def sums(self, *keys: str) -> list[Row]:
        """The window's sums by ``keys``: user_id, day, model_used, feature. A request counts with its first row."""
        if keys not in self._summed:  # a page has many reports that ask for the same
            self._summed[keys] = self._sums(keys, self.window.since, self.window.until)
        return [dict(row) for row in self._summed[keys]]

    @cached_property
    def _summed(self) -> dict[tuple[str, ...], list[Row]]:
        """The window's sums that have been asked for, by their keys."""
        return {}

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
        if self.window.tz is UTC:
            return sorted(Failed(*key, *n) for key, n in self.of(FAILURES, "model", "label", "day").items())
        found = [
            Failed(model, label, day, *n)
            for day, one in self.by_day()
            for (model, label), n in one.of(FAILURES, "model", "label").items()
        ]
        return sorted(found)

    def latencies(self) -> dict[str, tuple[int, int]]:
        """Milliseconds from the hold to the post of the window's calls, by model: the P50 and the P95."""
        rounding, by_model = self._took
        return {model: _ranks(took, rounding) for (model,), took in by_model.items()}

    def latency(self) -> Row:
        """Of all calls whose time is known: n, and p50 and p95 in milliseconds from the hold to the post, None without one."""
        rounding, by_model = self._took
        took: dict[int, int] = {}
        for counts in by_model.values():
            for ms, n in counts.items():
                took[ms] = took.get(ms, 0) + n
        p50, p95 = _ranks(took, rounding) if took else (None, None)
        return {"n": sum(took.values()), "p50": p50, "p95": p95}

    @cached_property
    def _took(self) -> tuple[Rounding | None, dict[tuple[Any, ...], dict[int, int]]]:
        """How many calls took how many milliseconds, by model, and how those are rounded; from one reading."""
        # Few enough are looked at one by one, in a window as on a day of it.
        exact = not self.archived and sum(row["calls"] for row in self.sums("model_used")) <= EXACT
        return None if exact else TOOK, self.counted(LATENCY, "model", exact=exact)

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
                  AND (a.state = 'posted' OR a.failure IS NOT NULL) AND {OWN_OR_ADMIN} {self._only}
                  {self.narrowed("a.model", "r.feature")})
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
            f"SELECT feature, count(*) FROM cached_ai_responses WHERE expires_at > :now AND {_MINE} "
            f"{self.narrowed('model_used')} GROUP BY feature"
        )
        return {row[0]: row[1] for row in rows}

    def tokens_saved_by_hits(self) -> dict[str, int]:
        """Tokens that cached answers saved in the window, by feature."""
        return {key[0]: sums[-1] for key, sums in self.of(USAGE, "feature").items() if sums[-1]}

    def prompt_caches(self) -> list[PromptCache]:
        """Input tokens of the window that providers had in their caches, or wrote there, by model, with its prices of today."""
        kept = {
            key: tokens
            for key, (tokens,) in self.of(CLASSES, "model", "class").items()
            if key[1] in ("cached", "cache_write", "cache_write_1h")
        }
        prices = {
            row[0]: Rates(row[1], 0, json.loads(row[2]))
            for row in (self._select("SELECT model, input_price, class_prices FROM ai_model_configs") if kept else ())
        }
        return [
            PromptCache(model, name, tokens, prices[model].input, prices[model].of(name))
            for (model, name), tokens in sorted(kept.items())
            if model in prices
        ]

    def audits(self) -> tuple[int, int, int, int]:
        """Audits of the window: how many, the same answer, another one, and what the strong answers cost."""
        rows = self._select(
            f"SELECT metadata, cost_usd FROM ai_model_usage WHERE created_at >= :since AND created_at < :until "
            f"AND routing_reason = 'audit' AND {_MINE} {self.narrowed('model_used')}"
        )
        found = [((json.loads(metadata).get("doubt") or {}).get("agrees"), cost) for metadata, cost in rows]
        same, other = (sum(agrees is which for agrees, _ in found) for which in (True, False))
        return len(found), same, other, sum(cost for _, cost in found)

    def token_classes(self) -> dict[str, int]:
        """Tokens of the window that are not plain, by class."""
        found = {key[0]: tokens for key, (tokens,) in self.of(CLASSES, "class").items()}
        return dict(sorted(found.items(), key=lambda one: (-one[1], one[0])))

    def predictions(self, *keys: str) -> list[Row]:
        """Predictions whose actual tokens are known, summed up by ``keys``, most first; see the port for the columns."""
        at = [_OF_PREDICTIONS.index(key) for key in keys]
        rounding, every, off = self._errors
        parts: dict[tuple[Any, ...], list[int]] = {}
        add(parts, len(keys), ((*(part[n] for n in at), *sums) for part, sums in every.items()))
        counts: dict[tuple[Any, ...], dict[str, dict[int, int]]] = {}
        for (*part, of), errors in off.items():
            counted = counts.setdefault(tuple(part[n] for n in at), {"ours": {}, "formula": {}})[of]
            for error, n in errors.items():
                counted[error] = counted.get(error, 0) + n
        rows = [
            {**dict(zip(keys, part, strict=True)), **_predicted(dict(zip(PREDICTIONS.sums, sums, strict=True)))}
            | {
                "median_error": median(counts[part]["ours"], rounding) / 1e6,
                "formula_median_error": median(counts[part]["formula"], rounding) / 1e6,
            }
            for part, sums in parts.items()
        ]
        return sorted(rows, key=lambda row: (-row["n"], *(row[key] for key in keys)))

    @cached_property
    def _errors(self) -> _Errors:
        """By feature and model, from one reading: the sums, and how often each error occurs."""
        sums = self.of(PREDICTIONS, *PREDICTIONS.keys)
        exact = not self.archived and sum(each[0] for each in sums.values()) <= EXACT
        return _Errors(None if exact else OFF, sums, self.counted(ERRORS, *ERRORS.keys[:-1], exact=exact))

    def predicted(self) -> Row:
        """Predictions whose actual tokens are known: n; sums of tokens: predicted, actual, and p90, which counts the prediction
        where it has none; means as ``predictions`` has them: error, formula_error, covered; None where there is none.
        """
        sums = self.of(PREDICTIONS).get((), [0] * len(PREDICTIONS.sums))
        known = dict(zip(PREDICTIONS.sums, sums, strict=True))
        found = _predicted(known) if known["n"] else dict.fromkeys(("error", "formula_error", "covered"))
        return {name: known[name] for name in ("n", "predicted", "actual", "p90")} | {
            name: found[name] for name in ("error", "formula_error", "covered")
        }

    def by_day(self, step: int = 1) -> Iterator[tuple[str, SqliteReportReader]]:
        """Each day of the window's time zone since the first use, with a reader of it alone; or of ``step`` days from it."""
        for day, start, end in self._local_days(step):
            one = type(self)(self._t, self.window._replace(since=start, until=end), self.user)
            one._archives = self._every_archive()
            yield day.isoformat(), one

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
        merged: dict[tuple[str, ...], list[int]] = {}
        if table is None or parts.days is None:
            stretches: tuple[Stretch, ...] = ((since, until),)
        else:
            stretches = parts.edges
            add(merged, len(keys), self._from_rollup(table, keys, *parts.days))
        for start, end in stretches:
            found = self.of(USAGE, *(_COLUMNS.get(key, key) for key in keys), since=start, until=end)
            add(merged, len(keys), ((*key, *sums[: len(SUMS)]) for key, sums in found.items()))
        return [
            {**dict(zip(keys, key, strict=True)), **dict(zip(SUMS, values, strict=True))}
            for key, values in merged.items()
            if any(values)
        ]

    def _rollup(self, keys: tuple[str, ...]) -> str | None:
        """The roll-up that can answer for these keys, None where the folded cube must."""
        if "user_id" in keys or self.user is not None:
            by_user = {"user_id", "day"}.issuperset(keys) and not self.window.only.named()
            return "usage_by_user_day" if by_user else None
        return "usage_by_model_day"

    def _from_rollup(self, table: str, keys: tuple[str, ...], first: str, end: str) -> list[Record]:
        names = [{"model_used": "model"}.get(key, key) for key in keys]
        head, source, where = "", table, IS_ADMIN
        if self.user is not None:
            where = f"user_id = :user AND {OWN_OR_ADMIN}"
        elif table == "usage_by_user_day":
            head, source, where = OWNERS, f"owners CROSS JOIN {table}", f"user_id = owners.id AND {OWN_OR_ADMIN}"
        return self._select(
            f"{head} SELECT {', '.join([*names, _ROLLUP_SUMS])} FROM {source} "
            f"WHERE day >= :start AND day < :end AND {where}{self.narrowed()} {grouped(names)}",
            start=first,
            end=end,
        )


def _ranks(took: dict[int, int], rounding: Rounding | None) -> tuple[int, int]:
    """The P50 and the P95."""
    return nearest_rank(took, 50, rounding) or 0, nearest_rank(took, 95, rounding) or 0


def _predicted(known: dict[str, int]) -> Row:
    """Sums of predictions, and their means."""
    n = known["n"]
    return {
        **{name: known[name] for name in ("n", "predicted", "actual", "formula")},
        "accuracy": known["accuracy"] / n / 1e6,
        "error": known["error"] / n / 1e6,
        "formula_error": known["formula_error"] / n / 1e6,
        "covered": known["covered"] / known["bounded"] if known["bounded"] else None,
    }
