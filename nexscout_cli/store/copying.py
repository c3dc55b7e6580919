"""Copying all books from one store into an empty one, and comparing the two: ``nexscout db copy``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from nexscout_cli.engine.sums import SUMS as USAGE_SUMS
from nexscout_cli.errors import StoreError
from nexscout_cli.store.sqlite.folds import FOLDS

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

Tell = Callable[[str, int], None]
TABLES = (
    "meta",
    "users",
    "user_efficiency_profiles",
    "ai_model_configs",
    "requests",
    "attempts",
    "accounts",
    "ledger_entries",
    "ai_cost_predictions",
    "ai_model_usage",
    "cached_ai_responses",
    "output_lengths",
    "input_factors",
    "thinking",
    "feedback",
    "api_keys",
    "budgets",
    "tier_history",
    "backups",
    "seals",
    "imports",
    "imported_usage",
    "alerts",
    "alert_events",
    "limits",
    "conversations",
    "conversation_turns",
    "jobs",
    "job_parts",
    "job_rows",
    "deployments",
    "deployment_states",
    "archives",
    "closings",
)
"""What is copied: what others refer to comes first. Sums of usage are made from its rows again, where those are here."""


class Totals(NamedTuple):
    """What must be equal in two copies of a table: how many rows, and the sum of each column of whole numbers."""

    rows: int
    sums: dict[str, int]


class Sums(NamedTuple):
    """A table of sums: its columns, those of them that are its key, and which of these is the day or hour."""

    table: str
    keys: tuple[str, ...]
    values: tuple[str, ...]
    at: str

    @property
    def columns(self) -> tuple[str, ...]:
        """All of them."""
        return self.keys + self.values


SUMS = (
    Sums("usage_by_user_day", ("user_id", "day"), USAGE_SUMS, "day"),
    Sums("usage_by_model_day", ("day", "model", "feature"), USAGE_SUMS, "day"),
    *(Sums(fold.table, fold.group, fold.values, "period") for fold in FOLDS),
)
"""What answers for what is archived."""


class Source(Protocol):
    """Books that are read, all from one moment."""

    def state(self) -> str:
        """Another text whenever something was written: the time last seen, and the catalog's version."""

    def columns(self, table: str) -> list[str]:
        """The names of a table's columns, without computed ones."""

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[Sequence[Any]]:
        """Its rows, in the order of their ids where they have some."""

    def rows_from(self) -> str:
        """The first day whose rows are here, "" where all are: what is from before it lies in archives."""

    def sums(self, of: Sums, before: str) -> Iterator[Sequence[Any]]:
        """The sums of what is from before that day."""


class Target(Protocol):
    """Empty books that are written: whole in the end, or nobody can use them."""

    def begin(self, state: str) -> dict[str, int]:
        """The tables that are here already from a copy that was cut short, of books in that very state, and their rows."""

    def keep(self, table: str, rows: int, state: str) -> None:
        """A table is whole, and need not be copied again if this copy is cut short."""

    def columns(self, table: str) -> list[str]:
        """The names of a table's columns, without computed ones."""

    def write(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Write rows."""

    def totals(self, table: str, columns: Sequence[str]) -> Totals:
        """What a table has now, with the sums of the columns that are named."""

    def write_sums(self, of: Sums, rows: Iterable[Sequence[Any]], before: str) -> Totals:
        """Write sums of what is from before that day; what there is of it now."""

    def fold_from(self, day: str) -> None:
        """All before that day is folded."""


def copy(source: AbstractContextManager[Source], target: AbstractContextManager[Target], tell: Tell) -> dict[str, int]:
    """Copy every table; returns how many rows each has. ``tell`` hears of a table and its rows so far, now and then.

    Tables that an earlier try has brought are not copied again where nothing was written in between.
    Raises StoreError where the target has other columns, or what arrived is not what left.
    """
    with source as old, target as new:
        state = old.state()
        copied = new.begin(state)
        for table in TABLES:
            if table in copied:
                tell(table, copied[table])
                continue
            columns = old.columns(table)
            if missing := sorted(set(columns) - set(new.columns(table))):
                raise StoreError(f"{table} has no {', '.join(missing)} there", "bring both to one version of nexscout")
            counted = _Counted(old.rows(table, columns), columns, lambda n, table=table: tell(table, n))  # type: ignore[misc]
            new.write(table, columns, counted)
            arrived = new.totals(table, sorted(counted.sums))
            if arrived != Totals(counted.count, counted.sums):
                raise StoreError(
                    f"{table}: {counted.count:,} rows left and {arrived.rows:,} arrived, or their sums differ",
                    "try again",
                    code="copy_differs",
                )
            copied[table] = counted.count
            new.keep(table, counted.count, state)
            tell(table, counted.count)
        if day := old.rows_from():
            _copy_sums(old, new, day, tell)
    return {table: copied[table] for table in TABLES}


def _copy_sums(source: Source, target: Target, before: str, tell: Tell) -> None:
    """Copy the sums of what lies in archives, which cannot be made again. Raises StoreError where they arrive otherwise."""
    for of in SUMS:
        counted = _Counted(source.sums(of, before), of.columns, lambda n, table=of.table: tell(table, n))  # type: ignore[misc]
        arrived = target.write_sums(of, counted, before)
        if arrived != Totals(counted.count, {name: counted.sums.get(name, 0) for name in arrived.sums}):
            raise StoreError(f"{of.table}: other sums left than arrived", "try again", code="copy_differs")
    target.fold_from(before)


_EVERY = 10_000


class _Counted:
    """Rows that are counted and added up as they pass."""

    def __init__(self, rows: Iterator[Sequence[Any]], columns: Sequence[str], tell: Callable[[int], None]) -> None:
        self._rows, self._columns, self._tell = rows, columns, tell
        self.count = 0
        self.sums: dict[str, int] = {}

    def __iter__(self) -> Iterator[Sequence[Any]]:
        for row in self._rows:
            self.count += 1
            for name, value in zip(self._columns, row, strict=True):
                if isinstance(value, int):
                    self.sums[name] = self.sums.get(name, 0) + value
            if self.count % _EVERY == 0:
                self._tell(self.count)
            yield row
