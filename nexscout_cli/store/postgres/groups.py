"""Sending steps to the database: alone, or where many come at a time, several of them in one commit.

A step that comes while none is under way goes alone at once. Others wait for it to come back; then what waits goes as one
group: one round trip, one commit, one change of each account that many draw on. Holds and posts of one user may be under way in
several groups; all else that is done for a user waits for them, as it would in the database.
"""

from __future__ import annotations

import os
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg

from nexscout_cli import waiting
from nexscout_cli.errors import StoreError
from nexscout_cli.store.postgres.asking import asked
from nexscout_cli.store.postgres.transaction import number_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nexscout_cli.engine.learning.observation import Lesson
    from nexscout_cli.store.postgres.connections import Connection, Connections
    from nexscout_cli.store.postgres.known import Learned, Profiles
    from nexscout_cli.store.postgres.steps import Step

MOST = 32
"""Steps of a group."""
AT_A_TIME = 4
"""Groups that one program has under way: one, and where as many steps wait as a group has at most, one more beside it. Smaller
ones wait for the one before them, and grow meanwhile: a group takes the server hardly longer for its steps, and groups of one
user's would wait for each other there.
"""
LONG = 0.1
"""Seconds after which a group counts as stuck: others, of users who have nothing under way, go beside it then."""
BEHIND = 64
"""What a profile is to learn at a time, while more is under way."""
_TRIES = 2
"""How often a profile goes along with the steps that teach it; then it learns of them afterwards."""
NO_PLAIN_CASE, MOVED, IN_FLIGHT, OVERTAKEN = "NX001", "NX002", "NX003", "NX005"
"""What a function raises; see migrations 0007 and 0024."""


def may_be_made(error: psycopg.Error) -> bool:
    """Whether what was under way may have been committed: the connection broke, or the server went down."""
    return error.sqlstate is None or error.sqlstate.startswith(("08", "57P"))


class _Waiting:
    """A step, and what comes of it. Whoever waits for it may be asked to send a group first: the one it is in."""

    __slots__ = ("group", "is_plain", "lesson", "marks", "step", "told", "user", "wake")

    def __init__(self, step: Step, lesson: Lesson | None) -> None:
        self.step, self.lesson = step, lesson
        self.user: str = step["user"]
        self.told: Any = None
        self.group: _Group | None = None
        self.wake: waiting.Wake | None = None
        name = step["step"]
        # Of a request's attempts, the first alone is posted in a set; see `take_locks` in migration 0024.
        self.is_plain = name == "hold" or (name == "post" and step["n"] == 1)
        self.marks = [step["request"]]
        if "claim" in step:
            self.marks.append(step["claim"])
        if "key" in step:
            self.marks.append(f"{self.user} {step['key']}")


class _Group(NamedTuple):
    """Steps that go together. ``taught``: users who learn of them; ``late``: those of these who learn of other steps that are
    under way as well. Their profiles learn of these afterwards.
    """

    steps: list[_Waiting]
    taught: set[str]
    late: set[str]


class _Taken:
    """What steps that are under way keep others from."""

    def __init__(self, groups: Iterable[_Group]) -> None:
        self.busy: set[str] = set()
        """Users who have some under way."""
        self.closed: set[str] = set()
        """Those of them whose books one of these has to itself."""
        self.marks: set[str] = set()
        """Requests, claims and keys: two of these at a time could only wait for each other."""
        for group in groups:
            for one in group.steps:
                self.busy.add(one.user)
                self.marks.update(one.marks)
                if not one.is_plain:
                    self.closed.add(one.user)

    def lets(self, one: _Waiting, *, beside: bool) -> bool:
        """Whether a step may go with these under way; ``beside``: also of a user who has others under way."""
        keeps = self.closed if one.is_plain and beside else self.busy
        return one.user not in keeps and self.marks.isdisjoint(one.marks)


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
        self._going: list[_Group] = []
        self._sent = 0.0
        """When the last group went."""
        self._shared: set[str] = set()
        """Users whose profiles other programs write too."""
        self._behind: dict[str, list[Lesson]] = {}
        """What users' profiles are still to learn of steps that were made."""
        self._catching_up: set[str] = set()

    def make(self, step: Step, lesson: Lesson | None = None) -> Any:
        """What a step's function tells; the number of its error as text; None where it may have been made or not.

        ``lesson``: what the user's profile learns with it.
        """
        if self._pid != os.getpid():
            self._begin()
        mine = _Waiting(step, lesson)
        leaders: list[_Waiting] = []
        with self._lock:
            if not self._going and not self._waiting:
                self._go([mine])
            else:
                mine.wake = waiting.Wake()
                self._waiting.append(mine)
                leaders = self._next()
        if mine.wake is not None:
            _wake(leaders)
            mine.wake.wait()
            if mine.group is not None:
                self._fill(mine.group)
        if mine.group is not None:
            self._lead(mine.group)
        return mine.told

    def _lead(self, group: _Group) -> None:
        """Send a group; then wake those who are in it, and somebody who sends what has come to wait meanwhile."""
        try:
            if len(group.steps) == 1 or not self._together(group):
                for one in group.steps:
                    one.told = self._alone(one, is_late=one.user in group.late)
        finally:
            with self._lock:
                self._going.remove(group)
                leaders = self._next() if self._waiting else []
            if leaders or len(group.steps) > 1:
                _wake(group.steps[1:])
                _wake(leaders)
        if self._behind:
            waiting.aside(self._catch_up)

    def _next(self) -> list[_Waiting]:
        """Who leads the groups that may go now: of those who wait, by turn. Where none is under way it is one alone at first:
        others come along when it goes (see ``_fill``), those too whose last group has just come back.
        """
        leaders = []
        while self._waiting and len(self._going) < AT_A_TIME:
            if not self._going:
                chosen, rest = self._waiting[:1], self._waiting[1:]
            else:
                chosen, rest = self._chosen(beside=True) if len(self._waiting) >= MOST else ([], self._waiting)
                if len(chosen) < MOST:
                    if time.monotonic() - self._sent <= LONG:
                        break
                    chosen, rest = self._chosen(beside=False)
                if not chosen:
                    break
            self._waiting = rest
            self._go(chosen)
            leaders.append(chosen[0])
        return leaders

    def _fill(self, group: _Group) -> None:
        """Take along all who wait by now and may go with a group that is about to go."""
        with self._lock:
            if self._waiting and len(group.steps) < MOST:
                more, self._waiting = self._chosen(group, beside=True)
                group.steps.extend(more)
                self._teach(group, more)

    def _chosen(self, group: _Group | None = None, *, beside: bool) -> tuple[list[_Waiting], list[_Waiting]]:
        """Those of who wait that may go together, and the others. None passes one that waits for its user's others to end.

        ``group``: that they are to go with; ``beside``: also such whose users have others under way.
        """
        chosen: list[_Waiting] = []
        rest: list[_Waiting] = []
        there = group.steps if group else ()
        marks = {mark for one in there for mark in one.marks}
        passed: set[str] = set()
        taken = _Taken(one for one in self._going if one is not group)
        room = MOST - len(there)
        for one in self._waiting:
            may_go = len(chosen) < room and one.user not in passed and taken.lets(one, beside=beside)
            if may_go and marks.isdisjoint(one.marks):
                chosen.append(one)
                marks.update(one.marks)
            else:
                rest.append(one)
                if not one.is_plain:
                    passed.add(one.user)
        return chosen, rest

    def _go(self, steps: list[_Waiting]) -> None:
        """A group is under way from here on; the caller of its first step leads it."""
        steps[0].group = group = _Group(steps, set(), set())
        self._teach(group, steps)
        self._going.append(group)
        self._sent = time.monotonic()

    def _teach(self, group: _Group, steps: list[_Waiting]) -> None:
        """Note whom steps teach that are a group's now."""
        taught = {one.user for one in steps if one.lesson is not None}
        group.taught.update(taught)
        group.late.update(taught & self._shared)
        for other in self._going:
            if other is not group:
                group.late.update(taught & other.taught)

    def _alone(self, one: _Waiting, *, is_late: bool) -> Any:
        step, user_id = one.step, one.user
        if one.lesson is None:
            return self._asked("step", step)
        for _ in range(0 if is_late else _TRIES):
            learned = self._profiles.fold(user_id, [one.lesson])
            if learned is None:  # of a profile that can't be read nothing is learned
                return self._asked("step", step)
            told = self._asked("step", {**step, "profile": {"seen": learned.seen, "values": learned.values}})
            if isinstance(told, dict) and "seen" in told:
                self._profiles.put(user_id, told["seen"], learned.state)
                return told
            if not self._is_stale(told, [user_id]):
                return told
        told = self._asked("step", step)
        if isinstance(told, dict):
            self._leave([one])
        return told

    def _together(self, group: _Group) -> bool:
        """Make all of a group's steps in one transaction; False where each is to be made alone."""
        sent = [one.step for one in group.steps]
        taught = [(n, one) for n, one in enumerate(group.steps, 1) if one.lesson is not None]
        for left in range(_TRIES, -1, -1):
            lessons: dict[str, list[Lesson]] = {}
            after: dict[str, list[int]] = {}
            for n, one in taught if left else ():
                if one.lesson is not None and one.user not in group.late:
                    lessons.setdefault(one.user, []).append(one.lesson)
                    after.setdefault(one.user, []).append(n)
            learned = self._fold(lessons)
            profiles = [
                {"user": user_id, "profile": {"seen": one.seen, "values": one.values}, "after": after[user_id]}
                for user_id, one in learned.items()
            ]
            told = self._asked("steps", {"steps": sent, "learned": profiles})
            if not self._is_stale(told, learned):
                break
        if told is None:
            return True  # it may have been made or not, and so each of its steps
        if not isinstance(told, dict):
            return False
        for one, what in zip(group.steps, told["told"], strict=True):
            one.told = what.get("error", what)
        for user_id, seen in told["seen"].items():
            self._profiles.put(user_id, seen, learned[user_id].state)
        self._leave([one for _, one in taught if one.user not in lessons and isinstance(one.told, dict)])
        return True

    def _fold(self, lessons: dict[str, list[Lesson]]) -> dict[str, Learned]:
        """What profiles come to with lessons, without those that can't be read: of such a user nothing is learned."""
        folded = {user_id: self._profiles.fold(user_id, of_user) for user_id, of_user in lessons.items()}
        return {user_id: one for user_id, one in folded.items() if one is not None}

    def _is_stale(self, told: Any, users: Iterable[str]) -> bool:
        """Whether nothing was made, for somebody else had changed profiles; hears of those."""
        if told == OVERTAKEN:
            changed = dict.fromkeys(users)
        elif isinstance(told, dict) and "stale" in told:
            changed = told["stale"]
            for user_id, profile in changed.items():
                self._profiles.heard(user_id, profile)
        else:
            return False
        with self._lock:
            self._shared |= changed.keys()
        return True

    def _leave(self, made: list[_Waiting]) -> None:
        """Leave what steps teach to who catches up."""
        with self._lock:
            for one in made:
                if one.lesson is not None:
                    self._behind.setdefault(one.user, []).append(one.lesson)

    def _catch_up(self) -> None:
        """Write what profiles are still to learn, all of a user's that has come together; one at a time for each user."""
        while True:
            with self._lock:
                user_id = next((name for name, left in self._behind.items() if self._is_due(name, left)), None)
                if user_id is None:
                    return
                lessons = self._behind.pop(user_id)
                self._catching_up.add(user_id)
            try:
                if user_id in self._shared or not self._caught_up_at_once(user_id, lessons):
                    self._call(partial(self._caught_up, user_id, lessons), "BEGIN")
            finally:
                with self._lock:
                    self._catching_up.discard(user_id)

    def _is_due(self, user_id: str, left: list[Lesson]) -> bool:
        if user_id in self._catching_up:
            return False
        return len(left) >= BEHIND or not any(user_id in group.taught for group in self._going)

    def _caught_up_at_once(self, user_id: str, lessons: list[Lesson]) -> bool:
        """Write what a profile comes to where nobody else has changed it; whether that is done."""
        learned = self._profiles.fold(user_id, lessons)
        if learned is None:
            return True  # of a profile that can't be read nothing is learned
        values = {"seen": learned.seen, "values": learned.values}
        seen = self._asked("profile_caught_up", {"user": user_id, "lock": number_of(user_id), "profile": values})
        if not isinstance(seen, dict) or user_id not in seen:
            return False
        self._profiles.put(user_id, seen[user_id], learned.state)
        return True

    def _caught_up(self, user_id: str, lessons: list[Lesson], connection: Connection) -> None:
        base = self._profiles.find(user_id)
        whose = {"user": user_id, "lock": number_of(user_id)}
        changed = asked(connection, "profile_taken", whose | {"profile": {"seen": base.seen if base else "0"}})
        if changed is not None:
            base = self._profiles.heard(user_id, changed[user_id])
        with self._lock:
            (self._shared.discard if changed is None else self._shared.add)(user_id)
        # From this very state: what is known here may be put back by one that was slow to say what it had written.
        learned = base.after(lessons) if base is not None else None
        if learned is not None:
            values = {"seen": learned.seen, "values": learned.values}
            seen = asked(connection, "profile_caught_up", whose | {"profile": values})
            self._profiles.put(user_id, seen[user_id], learned.state)  # should the commit fail, it is stale
        connection.execute("COMMIT")

    def _asked(self, function: str, value: Any) -> Any:
        return self._call(partial(asked, function=function, value=value))

    def _call(self, ask: Callable[[Connection], Any], begin: str = "") -> Any:
        try:
            with self._connections.one(begin) as connection:
                return ask(connection)
        except (psycopg.DataError, UnicodeError, ValueError):
            return NO_PLAIN_CASE
        except psycopg.Error as error:
            return None if may_be_made(error) else error.sqlstate
        except StoreError:
            return NO_PLAIN_CASE  # nothing was sent; the general code waits for the server, or says what is wrong
