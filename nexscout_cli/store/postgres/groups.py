"""Sending steps to the database: alone, or where many come at a time, several of them in one commit.

A step that comes while few are under way goes alone at once. Others wait for one of those to come back; then what waits goes
as one group: one round trip, one commit, one change of each account that many draw on. The steps of one user are never under
way twice at a time, so that each profile is folded from the one before.
"""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg

from nexscout_cli import waiting
from nexscout_cli.errors import StoreError
from nexscout_cli.store.postgres.records import json_without_nul

if TYPE_CHECKING:
    from collections.abc import Callable

    from nexscout_cli.engine.learning.observation import Lesson
    from nexscout_cli.store.postgres.connections import Connections
    from nexscout_cli.store.postgres.known import Profiles
    from nexscout_cli.store.postgres.steps import Step

T = TypeVar("T")
AT_A_TIME = 4
"""Groups that one program has under way at a time."""
MOST = 32
"""Steps of a group."""
_TRIES = 3
"""How often a profile is folded again that another program has changed meanwhile, before the general code locks it."""
NO_PLAIN_CASE, MOVED, IN_FLIGHT = "NX001", "NX002", "NX003"
"""What a function raises; see migration 0007."""


def aside(work: Callable[[], T]) -> T:
    """What ``work`` returns, which blocks: in a coroutine it is done in a thread, while others go on."""
    loop = waiting.here()
    return work() if loop is None else loop.in_thread(work)


class _Waiting:
    """A step, and what comes of it. Whoever waits for it may be asked to send a group first: the one it is in."""

    __slots__ = ("done", "group", "lesson", "step", "told", "wake")

    def __init__(self, step: Step, lesson: Lesson | None) -> None:
        self.step, self.lesson = step, lesson
        self.told: Any = None
        self.done = False
        self.group: list[_Waiting] = []
        self.wake: waiting.Wake | None = None


class Groups:
    """Steps on their way. Thread-safe; a forked child has none under way."""

    def __init__(self, connections: Connections, profiles: Profiles) -> None:
        self._connections = connections
        self._profiles = profiles
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._busy: set[str] = set()
        self._under_way = 0

    def make(self, step: Step, lesson: Lesson | None = None) -> Any:
        """What a step's function tells; the number of its error as text; None where it may have been made or not.

        ``lesson``: what the user's profile learns with it.
        """
        if self._pid != os.getpid():
            self._begin()
        mine = _Waiting(step, lesson)
        with self._lock:
            if self._under_way < AT_A_TIME and not self._waiting and step["user"] not in self._busy:
                self._under_way += 1
                self._busy.add(step["user"])
                mine.group = [mine]
            else:
                mine.wake = waiting.Wake()
                self._waiting.append(mine)
        if mine.wake is not None:
            mine.wake.wait()
        if group := mine.group:
            aside(lambda: self._lead(group))
        return mine.told

    def _lead(self, group: list[_Waiting]) -> None:
        """Send a group; then wake those who are in it, and somebody who sends what has come to wait meanwhile."""
        try:
            if len(group) == 1 or not self._together(group):
                for one in group:
                    one.told = self._alone(one)
        finally:
            with self._lock:
                self._busy -= {one.step["user"] for one in group}
                self._under_way -= 1
                leaders = self._next()
            for one in group:
                if one.wake is not None and one is not group[0]:
                    one.wake.set()
            for leader in leaders:
                assert leader.wake is not None
                leader.wake.set()

    def _next(self) -> list[_Waiting]:
        """Who leads the groups that may go now: of those who wait, by turn, whose user is not busy."""
        leaders = []
        while self._under_way < AT_A_TIME and self._waiting:
            group = [one for one in self._waiting if one.step["user"] not in self._busy][:MOST]
            if not group:
                break
            chosen = {id(one) for one in group}
            self._waiting = [one for one in self._waiting if id(one) not in chosen]
            self._busy |= {one.step["user"] for one in group}
            self._under_way += 1
            group[0].group = group
            leaders.append(group[0])
        return leaders

    def _alone(self, one: _Waiting) -> Any:
        step, user_id = one.step, one.step["user"]
        if one.lesson is None:
            return self._call("step", step)
        for _ in range(_TRIES):
            learned = self._profiles.fold(user_id, [one.lesson])
            step.pop("profile", None)
            if learned is not None:
                step["profile"] = {"seen": learned.seen, "values": learned.values}
            told = self._call("step", step)
            if not isinstance(told, dict) or "stale" not in told:
                if learned is not None and isinstance(told, dict):
                    self._profiles.put(user_id, told["seen"], learned.state)
                return told
            self._profiles.heard(user_id, told["stale"])
        return NO_PLAIN_CASE

    def _together(self, group: list[_Waiting]) -> bool:
        """Make all of a group's steps in one transaction; False where each is to be made alone."""
        sent = [one.step for one in group]
        users = {
            one.step["user"]: [o.lesson for o in group if o.lesson and o.step["user"] == one.step["user"]]
            for one in group
            if one.lesson
        }
        for _ in range(_TRIES):
            learned = {user_id: self._profiles.fold(user_id, lessons) for user_id, lessons in users.items()}
            told = self._call(
                "steps",
                {
                    "steps": sent,
                    "learned": [
                        {
                            "user": user_id,
                            "profile": {"seen": one.seen, "values": one.values},
                            "after": [n for n, o in enumerate(group, 1) if o.lesson and o.step["user"] == user_id],
                        }
                        for user_id, one in learned.items()
                        if one is not None
                    ],
                },
            )
            if not isinstance(told, dict) or "stale" not in told:
                break
            for user_id, profile in told["stale"].items():
                self._profiles.heard(user_id, profile)
        if told is None:
            return True  # it may have been made or not, and so each of its steps
        if not isinstance(told, dict) or "stale" in told:
            return False
        for one, what in zip(group, told["told"], strict=True):
            one.told = what.get("error", what)
        for user_id, seen in told["seen"].items():
            if (known := learned[user_id]) is not None:
                self._profiles.put(user_id, seen, known.state)
        return True

    def _call(self, function: str, value: Any) -> Any:
        try:
            with self._connections.one() as connection:
                query = f"SELECT nexscout.{function}(%s::jsonb)".encode()
                row = connection.execute(query, (json_without_nul(value),), prepare=True).fetchone()
        except (psycopg.DataError, UnicodeError, ValueError):
            return NO_PLAIN_CASE
        except psycopg.Error as error:
            # A broken connection, or a server that goes down: what was under way may have been committed.
            is_known = error.sqlstate is not None and not error.sqlstate.startswith(("08", "57P"))
            return error.sqlstate if is_known else None
        except StoreError:
            return NO_PLAIN_CASE  # nothing was sent; the general code waits for the server, or says what is wrong
        assert row is not None
        return json.loads(row[0])
