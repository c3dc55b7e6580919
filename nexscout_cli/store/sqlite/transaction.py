"""One transaction of one actor: where its SQL runs, who acts, what time it is, and what the actor may do."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from nexscout_cli import waiting
from nexscout_cli.engine.names import check_user
from nexscout_cli.errors import NotPermitted, StoreError, UsageError
from nexscout_cli.jsontext import plain
from nexscout_cli.store import owner
from nexscout_cli.store.sqlite.dialect import SQLITE

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from nexscout_cli.engine.ports import Clock
    from nexscout_cli.engine.store_rules import StoreRules
    from nexscout_cli.store.sqlite.lessons import Fold, Lessons
    from nexscout_cli.store.sqlite.records import Execute, ExecuteMany, Record, Results
    from nexscout_cli.store.sqlite.unchanged import Unchanged

OWN_OR_ADMIN = "(user_id = :actor OR EXISTS (SELECT 1 FROM users WHERE user_id = :actor AND role = 'admin'))"
"""SQL that every read of a person's rows carries: their own, or an admin reads."""

T = TypeVar("T")
_SECONDS = len("2026-11-10T12:00:00")


@lru_cache(maxsize=16)  # one moment is written into many rows
def stamp(moment: datetime) -> str:
    """A time as the database keeps it: UTC text of fixed width, so that text order is time order."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def parse_stamp(text: str) -> datetime:
    """The time of a stamp."""
    return datetime.fromisoformat(text)


class Transaction:
    """What every statement of a transaction needs. ``execute`` and ``executemany`` are the connection's.

    ``sql``: words that another database has others for. ``broken``: what is raised where a statement would break a rule of
    the tables; ``failed``: where it cannot be run.

    ``lessons`` gathers what a commit of several changes teaches. ``known`` is what the store remembers between transactions,
    ``kept`` what it has read of what lasts.
    ``now`` is the clock's time, or the last seen where the clock has gone back, so that no window opens twice.
    """

    sql = SQLITE
    broken: type[Exception] = sqlite3.IntegrityError
    failed: type[Exception] = sqlite3.DatabaseError
    lessons: Lessons | None = None
    kept: Unchanged | None = None

    def __init__(
        self,
        connection: sqlite3.Connection,
        actor: str,
        rules: StoreRules,
        clock: Clock,
        known: dict[str, Any] | None = None,
    ) -> None:
        self.known: dict[str, Any] = {} if known is None else known
        self.connection = connection
        self.execute: Execute = connection.execute
        self.executemany: ExecuteMany = connection.executemany
        self.actor = actor
        self.rules = rules
        self.clock = clock
        self._time: tuple[datetime, str, str] | None = None

    def over(self, connection: sqlite3.Connection) -> Transaction:
        """The same actor's, on another connection: to a copy."""
        return Transaction(connection, self.actor, self.rules, self.clock, self.known)

    @staticmethod
    def json(value: Any) -> str:
        """JSON text of a value, for a column that the database looks into."""
        return plain(value)

    def insert(self, sql: str, values: Sequence[object]) -> int | None:
        """The id of the row that the statement inserts; None where it inserts none."""
        cursor = self.connection.execute(sql, values)
        return cursor.lastrowid if cursor.rowcount else None

    def by_function(self, name: str, *values: object) -> Results | None:
        """Let a function of the database's write what a program may not write itself; None where statements do it, as here.

        Values that are dicts and lists go as JSON.
        """
        return None

    def learn(self, fold: Fold, key: Hashable, lesson: Any) -> None:
        """Fold a lesson into what is known of ``key``, now or before the transaction ends; see :class:`Lessons`."""
        if self.lessons is None:
            fold(self, key, [lesson])
        else:
            self.lessons.add(self, fold, key, lesson)

    def recently(self, what: Hashable, read: Callable[[Transaction], T]) -> T:
        """What ``read`` returns, or returned a moment ago where this transaction reads for many; ``what`` says of what."""
        return read(self)

    def lasting(self, what: Hashable, read: Callable[[Transaction], T]) -> T:
        """What ``read`` returns of what seldom changes (see ``watch.py``), or returned before, where nobody has changed any of it
        since; ``what`` says of what.
        """
        return read(self) if self.kept is None else self.kept.get(what, lambda: read(self))

    def lives(self, name: str, since: str) -> bool:
        """Whether an owner of attempts lives, who began the latest one ``since`` that stamp.

        One that cannot be seen from here counts as living: only a deadline can tell.
        """
        return owner.alive(name)

    def stream(self, sql: str, values: Any = ()) -> Iterator[Record]:
        """The rows of a query that may be long, which are not all kept in memory. Only in a transaction that reads."""
        return iter(self.execute(sql, values))

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What fails inside is taken back alone, and not told: the rest of the transaction stands."""
        self.execute("SAVEPOINT aside")
        try:
            yield
        except (self.failed, ArithmeticError, ValueError):
            if not self.connection.in_transaction:  # a full disk takes the whole transaction back, which must be told
                raise
            self.execute("ROLLBACK TO aside")
        self.execute("RELEASE aside")

    def alone(self, what: str, *, shared: bool) -> None:
        """From here on nobody else changes what is read next, until this transaction ends: here nobody does anyway.

        ``shared``: whether others than this user's transactions may.
        """

    def _read_time(self) -> tuple[datetime, str, str]:
        """The time, as a stamp too, and the stamp of when it was seen last."""
        if self._time is None:
            now = self.clock.now()
            when = stamp(now)
            seen = self._seen(when)
            try:
                self._time = (now, when, seen) if when >= seen else (parse_stamp(seen), seen, seen)
            except ValueError as error:
                raise StoreError(
                    f"the database's time last seen is no time: {seen!r:.60}",
                    "`nexscout db check` says more; `nexscout db resolve --clock` sets it",
                    code="corrupt",
                ) from error
        return self._time

    def _seen(self, when: str) -> str:
        """The stamp of when the time was seen last: a server's coroutines look once a second, as it is written that often."""
        began, seen = self.known.get("seen", ("", ""))
        if began[:_SECONDS] != when[:_SECONDS] or when < began or waiting.here() is None:
            row = self.execute("SELECT value FROM meta WHERE key = 'last_seen'").fetchone()
            seen = row[0] if row else "nothing"
            self.known["seen"] = (when, seen)
        return str(seen)

    @property
    def now(self) -> datetime:
        """The time of this transaction."""
        return (self._time or self._read_time())[0]

    @property
    def stamp(self) -> str:
        """The same as the database keeps it."""
        return (self._time or self._read_time())[1]

    @property
    def day(self) -> str:
        """The day it lies in, in UTC: YYYY-MM-DD."""
        return self.stamp[:10]

    @property
    def month(self) -> str:
        """The month it lies in, in UTC: YYYY-MM."""
        return self.stamp[:7]

    def window(self, name: str) -> str:
        """The day, week or month it lies in; "ever" for what never ends."""
        if name == "week":
            year, week, _ = self.now.isocalendar()
            return f"{year}-W{week:02}"
        if name == "day":
            return self.day
        return self.month if name == "month" else name

    def touch(self) -> None:
        """Remember the time as last seen; every write begins with it. Once a second is enough: windows end between two."""
        _, when, seen = self._read_time()
        if when[:_SECONDS] > seen[:_SECONDS]:
            self.execute("UPDATE meta SET value = ? WHERE key = 'last_seen'", (when,))
            self.known["seen"] = (when, when)

    def is_admin(self) -> bool:
        """Whether the actor is an admin."""
        found = self.execute("SELECT 1 FROM users WHERE user_id = ? AND role = 'admin'", (self.actor,)).fetchone()
        return found is not None

    def require_admin(self, what: str) -> None:
        """Raises NotPermitted unless the actor is an admin."""
        if not self.is_admin():
            raise NotPermitted(f"only an admin may {what}", "ask the person who owns this installation")

    def require_access(self, subject: str) -> Record | None:
        """The subject's row of ``users``, None where an admin mentions someone new. Raises NotPermitted, UsageError."""
        check_user(subject)
        row: Record | None = self.execute("SELECT * FROM users WHERE user_id = ?", (subject,)).fetchone()
        if row["role"] == "admin" if row is not None and subject == self.actor else self.is_admin():
            if row is None and not self.rules.auto_create:
                raise UsageError(f"there is no user {subject!r}", f"`nexscout user set-tier {subject} free` makes one")
            return row
        if subject != self.actor:
            raise NotPermitted(f"{self.actor} may not act for or look at {subject}", "an admin may")
        if row is None:
            raise NotPermitted(
                f"{self.actor} is not a user here yet",
                f"ask an admin to run `nexscout user set-tier {self.actor} free`",
            )
        return row

    def require_user(self, subject: str) -> Record:
        """The row of a user who exists. Raises NotPermitted, UsageError."""
        row = self.require_access(subject)
        if row is None:
            raise UsageError(f"there is no user {subject!r}", "`nexscout user list` shows them")
        return row

    def readable_user(self, user: str | None) -> str | None:
        """Whose rows a list is to hold: ``user``'s, everyone's (None) for an admin who names nobody, else the actor's own.

        Raises NotPermitted, UsageError.
        """
        if user is None:
            if self.is_admin():
                return None
            user = self.actor
        self.require_user(user)
        return user
