"""Letting go of kept answers: what has expired, what does not fit, what somebody wants gone. In short transactions, so that
writers get their turn in between however many there are.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.store.sqlite import parts
from nexscout_cli.store.sqlite.transaction import OWN_OR_ADMIN, Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from nexscout_cli.engine.request import Json
    from nexscout_cli.store.sqlite.records import Record
    from nexscout_cli.store.sqlite.work import Work

FIRST, LEAST, MOST = 250, 50, 8_000
"""Answers that the first transaction removes, and that any one removes at least and at most."""
AIM, ALONE = 0.03, 0.25
"""Seconds that a transaction should take: where others write too, for they wait about as long, and where nobody does."""
QUIET = 20
"""Turns in a row between which nobody else wrote, after which this is taken to be the only writer."""
_PAUSE = 0.001
"""Seconds between two transactions, in which a thread of this process that waits for its turn wakes up."""
# The keys of answers have no order, so each answer is on another page of their index: with SQLite's usual 2 MB of pages in
# memory a transaction would write and read the same ones again and again.
_MORE_PAGES = "PRAGMA cache_size = -32768"
_HOUR = len("2026-01-01T00")


class Pace:
    """How many answers the next transaction removes.

    Most of what one costs is spent in writing each page of the index of keys back. Many answers share a page, so a large
    transaction costs less for each answer, and others wait longer for it: it is large while nobody else writes.
    """

    def __init__(self) -> None:
        self.size = FIRST
        self._quiet = 0

    def after(self, took: float, *, others: bool) -> None:
        """Fit the size to the seconds that the last transaction took; ``others``: whether somebody wrote before it.

        Twice the size at most, a quarter at least; the first size at most where others write.
        """
        self._quiet = 0 if others else self._quiet + 1
        aim = ALONE if self._quiet >= QUIET else AIM
        fits = 2 * self.size if 2 * took <= aim else int(self.size * aim / took)
        size = max(self.size // 4, min(2 * self.size, fits))
        self.size = max(LEAST, min(FIRST if others else MOST, size))


class _Changes(NamedTuple):
    """How often the database was changed: by other connections (a number that only differs), and by this one."""

    elsewhere: int = 0
    here: int = 0

    @classmethod
    def until_now(cls, t: Transaction) -> _Changes:
        if t.sql.is_postgres:  # others always write there, and need not wait long
            return cls()
        return cls(t.execute("PRAGMA data_version").fetchone()[0], t.connection.total_changes)

    def others_since(self, before: _Changes) -> bool:
        """Whether somebody else wrote; one change here may be this transaction's own, of the time last seen."""
        return self.elsewhere != before.elsewhere or self.here > before.here + 1


def _in_turns(store: Work, count: int, remove: Callable[[Transaction, int, int], int]) -> int:
    """Remove ``count`` answers, a few in each transaction; returns how many that were.

    ``remove`` is told how many are gone and how many to remove now, and says how many that were; 0 ends it.
    """
    removed, pace, clock, known = 0, Pace(), store.clock, None
    while removed < count:
        with store.write("") as t:
            began, found = clock.monotonic(), _Changes.until_now(t)
            if not t.sql.is_postgres:
                t.execute(_MORE_PAGES)
            done = remove(t, removed, pace.size)
            others = t.sql.is_postgres or (known is not None and found.others_since(known))
            known = _Changes.until_now(t)
        if not done:
            break
        removed += done
        pace.after(clock.monotonic() - began, others=others)
        if removed < count:
            clock.sleep(_PAUSE)
    return removed


def expired(store: Work, *, dry_run: bool = False) -> int:
    """Remove what has expired, everyone's; returns how many answers that were (or would be)."""
    with store.read("") as t:
        now = {"now": t.stamp}
        count: int = t.execute("SELECT count(*) FROM cached_ai_responses WHERE expires_at <= :now", now).fetchone()[0]

    def remove(t: Transaction, gone: int, most: int) -> int:
        return t.execute(
            "DELETE FROM cached_ai_responses WHERE id IN (SELECT id FROM cached_ai_responses "
            "WHERE expires_at <= :now ORDER BY expires_at LIMIT :most)",
            {**now, "most": most},
        ).rowcount

    return count if dry_run else _in_turns(store, count, remove)


def evict(store: Work, *, dry_run: bool = False) -> int:
    """Remove the least recently used answers until their texts fit into ``cache_bytes``; returns how many.

    Two passes over the table: one adds up bytes by the hour of last use, so that the second knows which hours go
    entirely and which one in part. Memory is that of one hour's answers.
    """
    room = store.rules.cache_bytes
    if room is None:
        return 0
    sizes: Counter[str] = Counter()
    for _, used, size in _answers(store):
        sizes[used[:_HOUR]] += size
    for hour in sorted(sizes, reverse=True):
        if sizes[hour] > room:
            break
        room -= sizes[hour]
    else:
        return 0
    partly = sorted((used, number, size) for number, used, size in _answers(store) if used.startswith(hour))
    for _, _, size in reversed(partly):
        room -= size
        if room < 0:
            break
        partly.pop()
    doomed = [number for number, used, _ in _answers(store) if used[:_HOUR] < hour]
    doomed += [number for _, number, _ in partly]
    return len(doomed) if dry_run else _remove(store, doomed)


def clear(store: Work, actor: str, user_id: str | None, feature: str | None, *, dry_run: bool = False) -> int:
    """Remove answers the actor may see, of one user or feature or all; returns how many. Raises NotPermitted, UsageError."""
    where = (
        f"{OWN_OR_ADMIN} AND (CAST(:user AS text) IS NULL OR user_id = :user) "
        "AND (CAST(:feature AS text) IS NULL OR feature = :feature)"
    )
    values = {"actor": actor, "user": user_id, "feature": feature}
    with store.read(actor) as t:
        if user_id is not None:
            t.require_access(user_id)
        if dry_run:
            return int(t.execute(f"SELECT count(*) FROM cached_ai_responses WHERE {where}", values).fetchone()[0])
    return _remove(store, [number for number, _, _ in _answers(store, where, values)])


def _answers(store: Work, where: str = "1 = 1", values: Mapping[str, Json] | None = None) -> Iterator[Record]:
    """Number, time of last use and bytes of text of the answers for which ``where`` holds, a bounded part at a time."""
    return parts.of_kept_answers(
        store,
        f"""SELECT id, last_used_at, {store.sql.bytes_of.format("response_text")} FROM cached_ai_responses
            WHERE id > :first AND id <= :last AND {where} ORDER BY id""",
        values or {},
    )


def _remove(store: Work, numbers: Sequence[int]) -> int:
    def remove(t: Transaction, gone: int, most: int) -> int:
        part = numbers[gone : gone + most]
        t.executemany("DELETE FROM cached_ai_responses WHERE id = ?", [(number,) for number in part])
        return len(part)

    return _in_turns(store, len(numbers), remove)
