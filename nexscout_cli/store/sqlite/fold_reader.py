"""Sums of a fold over a window: of folded days and hours where there are some, of rows where there are none yet."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nexscout_cli.errors import UsageError
from nexscout_cli.store.sqlite import archives
from nexscout_cli.store.sqlite.fold_making import piece_end
from nexscout_cli.store.sqlite.fold_reading import Cover, cover, periods, stamps
from nexscout_cli.store.sqlite.folding import folded
from nexscout_cli.store.sqlite.folds import EVERYONE, Fold, Rows
from nexscout_cli.store.sqlite.transaction import OWN_OR_ADMIN, Transaction, parse_stamp, stamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nexscout_cli.engine.book_types import Filed
    from nexscout_cli.engine.report_window import Window
    from nexscout_cli.store.sqlite.folding import Folded
    from nexscout_cli.store.sqlite.records import Record

IS_ADMIN = "EXISTS (SELECT 1 FROM users WHERE user_id = :actor AND role = 'admin')"
# The key of usage_by_user_day begins with the user: step from user to user instead of reading every day of the table.
OWNERS = """WITH RECURSIVE owners (id) AS (
  SELECT min(user_id) FROM usage_by_user_day UNION ALL
  SELECT (SELECT min(user_id) FROM usage_by_user_day WHERE user_id > owners.id)
  FROM owners WHERE owners.id IS NOT NULL)"""
_SHORT = timedelta(hours=3)
_FEW = 10_000
"""Rows of usage in a stretch that is longer, up to which it is read as a short one is."""
_BARE = str.maketrans("", "", '{}" \n')


class FoldReader:
    """What every reader of a window knows: its time, whose figures it gives, and how far the books are folded."""

    def __init__(self, t: Transaction, window: Window, user: str | None) -> None:
        self._t = t
        self.now = t.now
        self.window = window
        self.user = user
        self._oldest = """SELECT min(at) FROM (SELECT min(created_at) AS at FROM ai_model_usage UNION ALL
            SELECT min(created_at) FROM attempts WHERE failure IS NOT NULL UNION ALL
            SELECT min(first_at) FROM archives) AS oldest"""
        self._known: Folded | None = None
        self._archives: list[Filed] | None = None
        self._short: dict[tuple[str, str, str], Sequence[Any]] = {}
        self._is_read_once: dict[tuple[str, str], bool] = {}

    def _select(self, sql: str, **values: Any) -> list[Record]:
        """Rows of a query, which may name :actor, :user, :now, :since and :until."""
        known = {
            "actor": self._t.actor,
            "user": self.user,
            "now": self._t.stamp,
            "since": stamp(self.window.since),
            "until": stamp(self.window.until),
            "model": self.window.only.model,
            "feature": self.window.only.feature,
        }
        return self._t.execute(sql, known | values).fetchall()

    @property
    def _only(self) -> str:
        """SQL that narrows rows to the user's; nothing where they are everyone's, so that an index by time is used."""
        return "AND user_id = :user" if self.user is not None else ""

    def narrowed(self, model: str = "model", feature: str = "feature") -> str:
        """SQL that narrows rows to the window's model and feature, by the columns of those."""
        columns = {"model": model, "feature": feature}
        return "".join(f" AND {columns[name]} = :{name}" for name in self.window.only.named())

    def of(
        self,
        fold: Fold,
        *keys: str,
        exact: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> dict[tuple[Any, ...], list[int]]:
        """A fold's sums by ``keys``, some of its own, ``owner`` and ``day``; over the window, or a part of it. ``exact``: from
        rows alone, with measured values as they are.
        """
        cut = self._cut(fold, keys, since or self.window.since, until or self.window.until, exact=exact)
        found: dict[tuple[Any, ...], list[int]] = {}
        for sign, hours, first, last in periods(cut):
            names = [{"day": "substr(period, 1, 10)"}.get(key, key) for key in keys]
            wanted = f"{_listed(names, fold)} FROM {{}} {grouped(names)}"
            add(found, len(keys), self._from_periods(fold, keys, wanted, hours, first, last), sign)
        for sign, first, last in stamps(cut):
            add(found, len(keys), self._summed_rows(fold, keys, first, last, exact=exact), sign)
        if cut.less_hours or cut.less_rows:
            return {key: sums for key, sums in found.items() if any(sums)}
        return found

    def counted(self, fold: Fold, *keys: str, exact: bool = False) -> dict[tuple[Any, ...], dict[int, int]]:
        """How often each value of a packed fold occurs in the window, by ``keys``, as ``of`` has them."""
        cut = self._cut(fold, keys, self.window.since, self.window.until, exact=exact)
        packed: defaultdict[tuple[Any, ...], dict[int, list[str]]] = defaultdict(lambda: {1: [], -1: []})
        for sign, hours, first, last in periods(cut):
            listed = ", ".join((*keys, "counts"))
            for *key, counts in self._from_periods(fold, keys, f"{listed} FROM {{}}", hours, first, last):
                packed[tuple(key)][sign].append(counts)
        found = {key: _summed(each[1]) for key, each in packed.items()}
        for part, each in packed.items():
            for value, n in _summed(each[-1]).items():
                found[part][value] -= n
        for sign, first, last in stamps(cut):
            for *key, value, n in self._from_rows(fold, (*keys, fold.keys[-1]), first, last, exact=exact):
                found.setdefault(tuple(key), defaultdict(int))[value] += sign * n
        if cut.less_hours or cut.less_rows:
            return {key: left for key, each in found.items() if (left := {v: n for v, n in each.items() if n})}
        return dict(found)

    def _cut(self, fold: Fold, keys: Sequence[str], start: datetime, end: datetime, *, exact: bool) -> Cover:
        """What is read of folded days, of folded hours, and of rows."""
        if exact:
            return Cover([], [], [(start, end)], [], [])
        if self._known is None:
            self._known = folded(self._t)
        cut = cover(start, end, self._known, hourly=fold.own_hourly or (self.user is None and "owner" not in keys))
        if self.archived and any(a < self._rows_from and b > self._archived_from for a, b in cut.rows + cut.less_rows):
            whole = "hours" if fold.own_hourly or self.user is None else "days of UTC"
            raise UsageError(
                f"single rows from before {self._rows_from:%Y-%m-%d} are archived in {archives.where(self._t.execute)}, "
                f"and only {whole} of then are known as wholes",
                f"begin and end at whole {whole}: --since {max(start, self._archived_from):%Y-%m-%d} --tz UTC",
                code="archived",
            )
        return cut

    @cached_property
    def archived(self) -> list[Filed]:
        """The archives with rows of the window, oldest first."""
        since, until = f"{self.window.since.astimezone(UTC):%Y-%m-%d}", self.window.until.astimezone(UTC)
        found = self._every_archive()
        return [one for one in found if since < one.until and f"{until:%Y-%m}" >= one.month]

    def _every_archive(self) -> list[Filed]:
        if self._archives is None:
            self._archives = archives.filed(self._t.execute)
        return self._archives

    @cached_property
    def _archived_from(self) -> datetime:
        return parse_stamp(self._select("SELECT min(first_at) FROM archives")[0][0])

    @cached_property
    def _rows_from(self) -> datetime:
        return datetime.fromisoformat(f"{self._every_archive()[-1].until}T00:00+00:00")

    def _from_periods(
        self, fold: Fold, keys: Sequence[str], wanted: str, hours: int, first: str, end: str
    ) -> list[Record]:
        """``wanted`` says what is selected, and how it is grouped behind what stands for ``{}``."""
        head, source, where = "", fold.table, f"owner = '{EVERYONE}' AND {IS_ADMIN}"
        if self.user is not None:
            where = f"owner = :user AND (owner = :actor OR {IS_ADMIN})"
        elif "owner" in keys:
            head, source = OWNERS, f"owners CROSS JOIN {fold.table}"
            where = f"owner = owners.id AND (owner = :actor OR {IS_ADMIN})"
        span = f"WHERE {where} AND hours = {hours} AND period >= :start AND period < :end{self.narrowed()}"
        return self._select(f"{head} SELECT {wanted.format(f'{source} {span}')}", start=first, end=end)

    def _summed_rows(self, fold: Fold, keys: Sequence[str], first: str, end: str, *, exact: bool) -> Sequence[Any]:
        """Sums of rows by ``keys``. Few, or a short stretch's, are read once for all the groupings that a report asks for."""
        if not self._is_short(first, end):
            return self._from_rows(fold, keys, first, end, exact=exact)
        every = ("owner", "day", *fold.keys)
        at = (fold.table, first, end)
        if at not in self._short:
            self._short[at] = [tuple(row) for row in self._from_rows(fold, every, first, end, exact=exact)]
        places = [every.index(key) for key in keys]
        rows = ((*(row[n] for n in places), *row[len(every) :]) for row in self._short[at])
        found: dict[tuple[Any, ...], list[int]] = {}
        add(found, len(keys), rows)
        return [(*key, *sums) for key, sums in found.items()]

    def _is_short(self, first: str, end: str) -> bool:
        if (first, end) not in self._is_read_once:
            few = parse_stamp(end) - parse_stamp(first) <= _SHORT or piece_end(self._t.execute, first, end, _FEW) == end
            self._is_read_once[first, end] = few
        return self._is_read_once[first, end]

    def _from_rows(self, fold: Fold, keys: Sequence[str], first: str, end: str, *, exact: bool) -> list[Record]:
        names = [{"day": "substr(at, 1, 10)"}.get(key, key) for key in keys]
        wanted = Rows("created_at >= :start AND created_at < :end", f"AND {OWN_OR_ADMIN} {self._only}", exact)
        return self._select(
            f"SELECT {_listed(names, fold)} FROM ({fold.source(self._t.sql, wanted)}) each_row "
            f"WHERE 1 = 1{self.narrowed()} {grouped(names)}",
            start=first,
            end=end,
        )


def _listed(names: Sequence[str], fold: Fold) -> str:
    return ", ".join((*names, *(f"CAST(coalesce(sum({name}), 0) AS bigint)" for name in fold.sums)))


def _summed(packed: Sequence[str]) -> defaultdict[int, int]:
    """JSON objects of values and how often each occurs, added up.

    There may be hundreds of thousands of members, and few different ones: equal ones are counted as text, and each is read once.
    """
    members = Counter(",".join(packed).translate(_BARE).split(","))
    sums: defaultdict[int, int] = defaultdict(int)
    for member, times in members.items():
        value, _, n = member.partition(":")
        if value:  # an object without a member
            sums[int(value)] += int(n) * times
    return sums


def grouped(names: Sequence[str]) -> str:
    """SQL that groups by these; without any there is one row, if there is something to sum up."""
    return f"GROUP BY {', '.join(names)}" if names else "HAVING count(*) > 0"


def add(sums: dict[tuple[Any, ...], list[int]], keys: int, rows: Iterable[Any], sign: int = 1) -> None:
    """Add rows, of so many keys and then their sums, to what there is of the same keys; ``sign`` -1 takes them away."""
    for row in rows:
        key, values = tuple(row[:keys]), row[keys:] if sign > 0 else [-value for value in row[keys:]]
        before = sums.get(key)
        sums[key] = [a + b for a, b in zip(before, values, strict=True)] if before else list(values)
