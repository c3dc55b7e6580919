"""``db archive``: whole months leave the books for files, one month after the other.

Files are written first, read back and compared with the rows. Then one transaction removes a month: it reads the rows that
leave once more, and only if they are those of the files it enters what each account had spent by them, removes them, and adds
up all accounts. Whoever is killed anywhere leaves either the rows, or the files and the closings: to run it again goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from nexscout_cli import locks, system
from nexscout_cli.errors import StoreError, UsageError
from nexscout_cli.store import parquet
from nexscout_cli.store.sqlite import archives, folding, leaving
from nexscout_cli.store.sqlite.checking import books
from nexscout_cli.store.sqlite.checking.findings import examined

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from nexscout_cli.engine.book_types import Archive, Leaving, Problem
    from nexscout_cli.store.parquet import Column
    from nexscout_cli.store.sqlite.archives import Spent
    from nexscout_cli.store.sqlite.transaction import Transaction
    from nexscout_cli.store.sqlite.work import Work

Tell = Callable[[str, str], None]
Rows = Iterable[Sequence[Any]]
_LET_GO: Callable[[Rows], object] = partial(deque, maxlen=0)
_FORM = "nexscout archive 1"
_MOST_DAYS = 100_000
"""Days that are folded at most before a month can leave."""
_AGAIN = "the books are as they were; run it again"
_SUMMED = ("requests", "attempts", "entries", "usage", "predictions", "cost_usd")
_INSERT = """INSERT INTO archives (month, until, first_at, folder, requests, attempts, entries, usage, predictions, cost_usd,
  hash, closings_hash, is_open, archived_at, archived_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?)"""
_CLOSE = """INSERT INTO closings (account, month, entries, spent)
  SELECT account, :month, count(*), coalesce(sum(CASE WHEN kind = 'post' THEN amount END), 0) FROM ledger_entries
  WHERE attempt IN (SELECT id FROM attempts WHERE request_id IN (SELECT request_id FROM going)) GROUP BY account"""
_JOBS = """UPDATE jobs SET archived_usd = archived_usd + coalesce((SELECT sum(a.actual) FROM job_rows w
    JOIN attempts a ON a.request_id = w.request_id WHERE w.job = jobs.id
    AND w.request_id IN (SELECT request_id FROM going)), 0)
  WHERE id IN (SELECT job FROM job_rows WHERE request_id IN (SELECT request_id FROM going))"""
_OLDEST = """SELECT min(at) FROM (SELECT min(created_at) AS at FROM requests WHERE request_id IN (SELECT request_id FROM going)
  UNION ALL SELECT min(created_at) FROM ai_model_usage WHERE request_id IN (SELECT request_id FROM going)
  UNION ALL SELECT min(created_at) FROM ai_cost_predictions WHERE request_id IN (SELECT request_id FROM going)) AS oldest"""


class Part(NamedTuple):
    """A table's rows of a month: how many, and their hash."""

    rows: int
    hash: str


class Month(NamedTuple):
    """What a month's rows come to: each table's part, and what each account had spent by the entries among them."""

    parts: dict[str, Part]
    spent: dict[int, Spent]

    @property
    def hash(self) -> str:
        """Of all of it."""
        return hashlib.sha256("".join(part.hash for part in self.parts.values()).encode()).hexdigest()


class Place:
    """Where archives are written, and in which transactions.

    ``leave``: begins a transaction that sees one state of the books and may remove rows of it; ``way``: how that is done.
    """

    def __init__(
        self,
        store: Work,
        leave: Callable[[str], AbstractContextManager[Transaction]],
        folder: Path,
        tell: Tell,
        way: leaving.ByRow | None = None,
    ) -> None:
        self.store = store
        self.leave = leave
        self.folder = folder
        self.tell = tell
        self.way = way or leaving.ByRow()


def plan(store: Work, actor: str, before: str) -> list[Leaving]:
    """What would leave with each month that ends before that day (YYYY-MM-DD). Raises NotPermitted, UsageError."""
    with store.read(actor) as t:
        t.require_admin("archive")
        until_then = [leaving.counted(t, month) for month in leaving.months(t, before)]
    counted = [
        one._replace(**{name: getattr(one, name) - getattr(less, name) for name in _SUMMED}) if less else one
        for one, less in zip(until_then, [None, *until_then], strict=False)
    ]
    return [one for one in counted if one.requests or one.usage or one.predictions or one.against]


def archive(place: Place, actor: str, before: str, made_ready: Callable[[], list[Problem]]) -> list[Archive]:
    """Archive every whole month that ends before that day (YYYY-MM-DD); returns those that were.

    ``made_ready`` seals the days that are over, and says what is wrong with the books: then nothing is archived.
    Raises NotPermitted, UsageError for what is not settled, StoreError. A month that is done stays done.
    """
    with place.store.read(actor) as t:
        t.require_admin("archive")
        months = leaving.months(t, before)
    if not months:
        return []
    parquet.need()
    if wrong := made_ready():
        raise StoreError(
            f"the books are not sound: {wrong[0].message}", "`nexscout db check` says more; nothing was archived"
        )
    done = []
    with _folder(place.folder):
        folding.catch_up(place.store, actor, _MOST_DAYS)
        for month in months:
            if (one := _month(place, actor, month)) is not None:
                done.append(one)
    return done


def _month(place: Place, actor: str, month: str) -> Archive | None:
    """One month; None where nothing of it is left to archive."""
    place.tell(month, "reading")
    place.way.begin(archives.month_after(month))
    with place.store.read(actor) as t:
        leaving.refuse(t, month)
        until = archives.month_after(month)
        upto = leaving.sealed(t, until)
        found = _written(t, place, month, until, upto)
    if not any(part.rows for part in found.parts.values()):
        for table in found.parts:
            _part(place, month, table).unlink()
        return None
    place.tell(month, "verifying")
    for table, part in found.parts.items():
        _verify(_part(place, month, table), table, part, found.spent)
    place.tell(month, "naming")
    _name(place, month, found)
    place.tell(month, "removing")
    with place.leave(actor) as t:
        t.require_admin("archive")
        made = _remove(t, place, month, found)
        place.tell(month, "committing")
        place.way.end(t)
    place.tell(month, "done")
    return made


def _part(place: Place, month: str, table: str) -> Path:
    return place.folder / f"{month}.{table}.parquet.part"


def _written(t: Transaction, place: Place, month: str, until: str, upto: Any) -> Month:
    """Write what leaves to files that are not named yet."""
    parts, spent = {}, {}
    for table in leaving.TABLES:
        listed = leaving.columns(t, table)
        rows = leaving.rows(t, table, listed, until, upto)
        parts[table], accounts = _through(rows, listed, partial(parquet.write, _part(place, month, table), listed))
        spent.update(accounts)
        place.tell(month, f"{parts[table].rows:,} rows of {table} are written")
    return Month(parts, spent)


def _measured(t: Transaction, until: str, upto: Any) -> Month:
    """What the rows that leave come to now."""
    parts, spent = {}, {}
    for table in leaving.TABLES:
        listed = leaving.columns(t, table)
        parts[table], accounts = _through(leaving.rows(t, table, listed, until, upto), listed)
        spent.update(accounts)
    return Month(parts, spent)


def _through(
    rows: Rows, listed: Sequence[Column], take: Callable[[Rows], object] = _LET_GO
) -> tuple[Part, dict[int, Spent]]:
    """What rows come to that ``take`` takes one by one, of the ledger's by account as well; by itself it lets them go."""
    measured = leaving.Measured()
    take(measured.over(rows, listed))
    count, digest, accounts = measured.result()
    return Part(count, digest), accounts


def _verify(path: Path, table: str, part: Part, spent: dict[int, Spent]) -> None:
    """Read a file back. Raises StoreError where it is not what was written: rows, their hash, or an account's sums."""
    listed = parquet.columns(path)
    found, accounts = _through(parquet.read(path), listed)
    if found != part or (table == "ledger_entries" and accounts != spent):
        raise StoreError(f"{path} does not hold what was written to it", f"look at that disk; {_AGAIN}")


def _name(place: Place, month: str, found: Month) -> None:
    """Give the files their names, and write what they hold beside them. A file that is there is never replaced by another.

    Raises UsageError where files of that month hold something else.
    """
    files = {}
    for table, part in found.parts.items():
        path, name = _part(place, month, table), place.folder / f"{month}.{table}.parquet"
        if name.exists():
            try:
                _verify(name, table, part, found.spent)
            except StoreError as error:
                raise UsageError(
                    f"{name} is there already, and holds something else", "archive into another folder", code="exists"
                ) from error
            path.unlink()
        else:
            path.replace(name)
        files[table] = {"file": name.name, "rows": part.rows, "rows_sha256": part.hash, "sha256": _sha256(name)}
    about = {
        "form": _FORM,
        "month": month,
        "until": archives.month_after(month),
        "hash": found.hash,
        "tables": files,
        "accounts": len(found.spent),
        "entries_posted": sum(one.spent for one in found.spent.values()),
    }
    text = json.dumps(about, indent=1)
    unnamed = place.folder / f"{month}.json.part"
    fd = system.opened(unnamed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    unnamed.replace(place.folder / f"{month}.json")
    system.sync_folder(place.folder)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove(t: Transaction, place: Place, month: str, found: Month) -> Archive:
    """Remove a month's rows, in the transaction that is given, after everything was looked at again."""
    if any(one.month >= month for one in archives.known(t.execute)):
        raise StoreError(f"{month} was archived meanwhile", "nothing is left to do", code="busy")
    leaving.refuse(t, month)
    until = archives.month_after(month)
    upto = leaving.sealed(t, until)
    if _measured(t, until, upto) != found:
        raise StoreError(f"rows of {month} changed while they were written", _AGAIN, code="busy")
    entries, usage, predictions, attempts, requests = (found.parts[table].rows for table in leaving.TABLES)
    oldest = leaving.run(t, _OLDEST, until, upto).fetchone()[0]
    counts = (requests, attempts, entries, usage, predictions, leaving.cost(t, until, upto))
    first = f"{oldest[:10]}T00:00:00.000000Z"
    folder = str(place.folder.absolute())
    named = (found.hash, archives.closings_hash(t.execute, found.spent))
    t.execute(_INSERT, (month, until, first, folder, *counts, *named, t.stamp, t.actor))
    leaving.run(t, _CLOSE, until, upto, month=month)
    if archives.closings(t.execute, month) != found.spent:
        raise StoreError(f"the accounts of {month} come to other sums than its files", _AGAIN)
    leaving.run(t, _JOBS, until, upto)
    for table, gone in place.way.remove(t, until, upto).items():
        if gone != found.parts[table].rows:
            raise StoreError(
                f"{table}: {gone:,} rows would go, and {found.parts[table].rows:,} are in the file", _AGAIN
            )
        place.tell(month, f"{gone:,} rows of {table} are removed")
    t.execute("UPDATE archives SET is_open = 0 WHERE month = ?", (month,))
    with place.way.removed(t):
        wrong = examined(t, books.ACCOUNTS)
    if wrong:
        raise StoreError(
            f"the accounts would not add up: {wrong[0].message}", "`nexscout db check`; nothing was removed"
        )
    return next(one for one in archives.known(t.execute) if one.month == month)


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """The folder, which only its owner may enter, and which one program at a time writes into.

    Raises UsageError, StoreError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if system.HAS_MODES:
            folder.chmod(0o700)
        fd = system.opened(folder / ".lock", os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise UsageError(f"cannot write into {folder}: {error.strerror}", "give another folder") from error
    with closing(os.fdopen(fd, "r+b")):
        if not locks.take_if_free(fd):
            raise StoreError(f"another nexscout archives into {folder}", "wait for it", code="busy")
        yield
