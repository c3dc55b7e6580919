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
from weakref import WeakKeyDictionary

import psycopg

from nexscout_cli import waiting
from nexscout_cli.errors import StoreError
from nexscout_cli.store.postgres.connections import is_shared
from nexscout_cli.store.postgres.records import json_without_nul

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg.pq.abc import PGresult

    from nexscout_cli.engine.learning.observation import Lesson
    from nexscout_cli.store.postgres.connections import Connection, Connections
    from nexscout_cli.store.postgres.known import Learned, Profiles
    from nexscout_cli.store.postgres.steps import Step

T = TypeVar("T")
AT_A_TIME, FULL_AT_A_TIME = 2, 4
"""Groups that one program has under way at a time, and those where each more is a full one."""
MOST = 32
"""Steps of a group."""
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


def _wake(some: list[_Waiting]) -> None:
    for one in some:
        assert one.wake is not None  # alone is who never had to wait
        one.wake.set()


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
        self._shared: set[str] = set()

    def make(self, step: Step, lesson: Lesson | None = None) -> Any:
        """What a step's function tells; the number of its error as text; None where it may have been made or not.

        ``lesson``: what the user's profile learns with it.
        """
        if self._pid != os.getpid():
            self._begin()
        mine = _Waiting(step, lesson)
        leaders: list[_Waiting] = []
        with self._lock:
            if self._under_way < AT_A_TIME and not self._waiting and step["user"] not in self._busy:
                self._under_way += 1
                self._busy.add(step["user"])
                mine.group = [mine]
            else:
                mine.wake = waiting.Wake()
                self._waiting.append(mine)
                if len(self._waiting) >= MOST:
                    leaders = self._next()
        _wake(leaders)
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
            _wake(group[1:])
            _wake(leaders)

    def _next(self) -> list[_Waiting]:
        """Who leads the groups that may go now: of those who wait, by turn, whose user is not busy."""
        leaders = []
        while self._waiting:
            group = [one for one in self._waiting if one.step["user"] not in self._busy][:MOST]
            if not group or self._under_way >= (FULL_AT_A_TIME if len(group) == MOST else AT_A_TIME):
                break
            chosen = {id(one) for one in group}
            self._waiting = [one for one in self._waiting if id(one) not in chosen]
            self._busy |= {one.step["user"] for one in group}
            self._under_way += 1
            group[0].group = group
            leaders.append(group[0])
        return leaders

    def _alone(self, one: _Waiting) -> Any:
        step = one.step
        if one.lesson is None:
            return self._call(lambda connection: _asked(connection, "step", step))
        user_id = step["user"]

        def value(learned: dict[str, Learned]) -> Step:
            known = learned.get(user_id)
            return step if known is None else step | {"profile": {"seen": known.seen, "values": known.values}}

        return self._learning("step", value, {user_id: [one.lesson]}, [step])

    def _together(self, group: list[_Waiting]) -> bool:
        """Make all of a group's steps in one transaction; False where each is to be made alone."""
        sent = [one.step for one in group]
        lessons: dict[str, list[Lesson]] = {}
        after: dict[str, list[int]] = {}
        for n, one in enumerate(group, 1):
            if one.lesson is not None:
                lessons.setdefault(one.step["user"], []).append(one.lesson)
                after.setdefault(one.step["user"], []).append(n)

        def value(learned: dict[str, Learned]) -> Step:
            of_users = [
                {"user": user_id, "profile": {"seen": one.seen, "values": one.values}, "after": after[user_id]}
                for user_id, one in learned.items()
            ]
            return {"steps": sent, "learned": of_users}

        told = self._learning("steps", value, lessons, sent)
        if told is None:
            return True  # it may have been made or not, and so each of its steps
        if not isinstance(told, dict):
            return False
        for one, what in zip(group, told["told"], strict=True):
            one.told = what.get("error", what)
        return True

    def _learning(
        self,
        function: str,
        value: Callable[[dict[str, Learned]], Step],
        lessons: dict[str, list[Lesson]],
        sent: list[Step],
    ) -> Any:
        """What a function tells of steps with which users' profiles learn.

        It refuses a profile that was folded from another one than there is now. Then the users' locks are taken first, in
        the same transaction; so it is from the first on for a user in whose name other programs are at work as well.
        """
        learned: dict[str, Learned] = {}
        told: Any = {"stale": {}}
        if not any(user_id in self._shared for user_id in lessons):
            learned = self._fold(lessons)
            told = self._call(lambda connection: _asked(connection, function, value(learned)))
        if isinstance(told, dict) and "stale" in told:

            def ask(connection: Connection) -> Any:
                nonlocal learned
                learned = self._taken(connection, lessons, sent)
                told = _asked(connection, function, value(learned))
                connection.execute("COMMIT")
                return told

            told = self._call(ask, "BEGIN")
        if isinstance(told, dict):
            if "stale" in told:
                return NO_PLAIN_CASE
            for user_id, one in learned.items():
                self._profiles.put(user_id, told["seen"][user_id] if function == "steps" else told["seen"], one.state)
        return told

    def _taken(self, connection: Connection, lessons: dict[str, list[Lesson]], sent: list[Step]) -> dict[str, Learned]:
        """Take the locks of the steps' users; what their profiles come to, folded from those there are now."""
        known = [{"user": user_id, "profile": {"seen": self._profiles.known(user_id) or "0"}} for user_id in lessons]
        subjects = {"steps": [{"lock": step["lock"]} for step in sent], "learned": known}
        changed = _asked(connection, "take_subjects", subjects) or {}
        for user_id, profile in changed.items():
            self._profiles.heard(user_id, profile)
        with self._lock:
            self._shared = self._shared - lessons.keys() | changed.keys()
        return self._fold(lessons)

    def _fold(self, lessons: dict[str, list[Lesson]]) -> dict[str, Learned]:
        """What profiles come to with lessons, without those that can't be read: of such a user nothing is learned."""
        folded = {user_id: self._profiles.fold(user_id, of_user) for user_id, of_user in lessons.items()}
        return {user_id: one for user_id, one in folded.items() if one is not None}

    def _call(self, ask: Callable[[Connection], Any], begin: str = "") -> Any:
        try:
            with self._connections.one(begin) as connection:
                return ask(connection)
        except (psycopg.DataError, UnicodeError, ValueError):
            return NO_PLAIN_CASE
        except psycopg.Error as error:
            # A broken connection, or a server that goes down: what was under way may have been committed.
            is_known = error.sqlstate is not None and not error.sqlstate.startswith(("08", "57P"))
            return error.sqlstate if is_known else None
        except StoreError:
            return NO_PLAIN_CASE  # nothing was sent; the general code waits for the server, or says what is wrong


_prepared: WeakKeyDictionary[Connection, set[str]] = WeakKeyDictionary()


def _asked(connection: Connection, function: str, value: Any) -> Any:
    """What a function tells of a value. Raises psycopg.Error."""
    text, query = json_without_nul(value), f"SELECT nexscout.{function}(%s::jsonb)"
    if threading.current_thread() is threading.main_thread():  # whose wait an interrupt must end at once
        row = connection.execute(query.encode(), (text,), prepare=True).fetchone()
        return None if row is None or row[0] is None else json.loads(row[0])
    # The library's own wait and its conversions take five times the processor time of the call itself.
    server, name = connection.pgconn, f"nexscout_{function}".encode()
    if is_shared(connection):
        result = server.exec_params(query.replace("%s", "$1").encode(), [text.encode()])
        return _told(result)
    if function not in (known := _prepared.setdefault(connection, set())):
        _whole(server.prepare(name, query.replace("%s", "$1").encode()), psycopg.pq.ExecStatus.COMMAND_OK)
        known.add(function)
    return _told(server.exec_prepared(name, [text.encode()]))


def _told(result: PGresult) -> Any:
    _whole(result, psycopg.pq.ExecStatus.TUPLES_OK)
    told = result.get_value(0, 0)
    return None if told is None else json.loads(told.decode())


def _whole(result: PGresult, status: psycopg.pq.ExecStatus) -> None:
    if result.status != status:
        raise psycopg.errors.error_from_result(result)
