"""The open database with what every operation on it needs: who acts, the settings, the time."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from nexscout_cli.config import Settings
from nexscout_cli.engine.names import check_user
from nexscout_cli.engine.ports import Clock
from nexscout_cli.errors import NotPermitted, UsageError
from nexscout_cli.store.sqlite import models
from nexscout_cli.store.sqlite.database import Database

OWN_OR_ADMIN = "(user_id = :actor OR EXISTS (SELECT 1 FROM users WHERE user_id = :actor AND role = 'admin'))"
"""SQL that every read of a person's rows carries: their own, or an admin reads."""

_SECONDS = len("2026-11-10T12:00:00")


@lru_cache(maxsize=16)  # one moment is written into many rows
def stamp(moment: datetime) -> str:
    """A time as the database keeps it: UTC text of fixed width, so that text order is time order."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def day_of(moment: datetime) -> str:
    """The day it lies in, in UTC: YYYY-MM-DD."""
    return stamp(moment)[:10]


def month_of(moment: datetime) -> str:
    """The month it lies in, in UTC: YYYY-MM."""
    return stamp(moment)[:7]


def parse_stamp(text: str) -> datetime:
    """The time of a stamp."""
    return datetime.fromisoformat(text)


class Store:
    """An open database, seen by one actor. The first actor to open a new one owns it: admin, tier elite."""

    def __init__(self, path: Path, actor: str, settings: Settings, clock: Clock) -> None:
        check_user(actor)  # before a new database would be his
        self.actor = actor
        self.settings = settings
        self.clock = clock
        self.db = Database(path, settings["store.lock_timeout"])
        self.db.open(self._prepare)

    def _prepare(self, c: sqlite3.Connection) -> None:
        models.seed(c)
        self.touch(c)
        c.execute(
            "INSERT INTO users (user_id, tier, role, daily_token_budget, created_at) VALUES (?, 'elite', 'admin', ?, ?)",
            (self.actor, self.settings["tiers.elite.daily_tokens"], stamp(self.clock.now())),
        )

    def now(self, c: sqlite3.Connection) -> datetime:
        """The time: the clock's, or the last seen where the clock has gone back, so that no window opens twice."""
        return self._time(c)[0]

    def touch(self, c: sqlite3.Connection) -> datetime:
        """The time, remembered as last seen; every write begins with it. Once a second is enough: windows end between two."""
        now, when, seen = self._time(c)
        if when[:_SECONDS] > seen[:_SECONDS]:
            c.execute("UPDATE meta SET value = ? WHERE key = 'last_seen'", (when,))
        return now

    def _time(self, c: sqlite3.Connection) -> tuple[datetime, str, str]:
        """The time, as a stamp too, and the stamp of when it was seen last."""
        now = self.clock.now()
        when = stamp(now)
        seen: str = c.execute("SELECT value FROM meta WHERE key = 'last_seen'").fetchone()[0]
        return (now, when, seen) if when >= seen else (parse_stamp(seen), seen, seen)

    def is_admin(self, c: sqlite3.Connection) -> bool:
        """Whether the actor is an admin."""
        return (
            c.execute("SELECT 1 FROM users WHERE user_id = ? AND role = 'admin'", (self.actor,)).fetchone() is not None
        )

    def require_admin(self, c: sqlite3.Connection, what: str) -> None:
        """Raises NotPermitted unless the actor is an admin."""
        if not self.is_admin(c):
            raise NotPermitted(f"only an admin may {what}", "ask the person who owns this installation")

    def require_access(self, c: sqlite3.Connection, subject: str) -> sqlite3.Row | None:
        """The subject's row of ``users``, None where an admin mentions someone new. Raises NotPermitted, UsageError."""
        check_user(subject)
        row: sqlite3.Row | None = c.execute("SELECT * FROM users WHERE user_id = ?", (subject,)).fetchone()
        if row["role"] == "admin" if row is not None and subject == self.actor else self.is_admin(c):
            if row is None and not self.settings["users.auto_create"]:
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

    def close(self) -> None:
        """Close the database."""
        self.db.close()
