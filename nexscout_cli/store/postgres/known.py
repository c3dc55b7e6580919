"""The profiles that this program saw last, so that a step can bring along what its user's profile learns."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

from nexscout_cli.store.postgres.asking import text_writer
from nexscout_cli.store.sqlite import profiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nexscout_cli.engine.learning.observation import Lesson
    from nexscout_cli.engine.learning.profile import ProfileState

_MOST = 1_000
"""Users whose profiles are remembered."""


class Known(NamedTuple):
    """A profile as it was seen in the database: by what it is known, and the state (None where it can't be read)."""

    seen: str
    state: ProfileState | None

    @classmethod
    def of(cls, profile: dict[str, Any] | None) -> Known:
        """What the database tells of a profile; None: there is none."""
        if profile is None:
            return cls("", None)
        try:
            return cls(profile["seen"], profiles.of_columns(profile["values"]))
        except profiles.UNREADABLE:
            return cls(profile["seen"], None)

    def after(self, lessons: Sequence[Lesson]) -> Learned | None:
        """The profile with lessons in; None where it can't be read: then nothing is learned."""
        if self.state is None:
            return None
        try:
            state = self.state
            for lesson in lessons:
                state = state.after(lesson)
            return Learned(self.seen, profiles.columns(state, text_writer()), state)
        except profiles.UNREADABLE:
            return None


class Learned(NamedTuple):
    """A profile with lessons in, as its columns, and by what the one is known that it was folded from.

    ``state`` None: that one is not known here. The database refuses this one then, and tells what there is.
    """

    seen: str
    values: list[Any]
    state: ProfileState | None


class Profiles:
    """The profiles; the database says when one has changed. Thread-safe."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, Known] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, user_id: str) -> Known | None:
        """A user's profile as it was seen last; None where it was not."""
        return self._seen.get(user_id)

    def known(self, user_id: str) -> str:
        """By what a user's profile is known here; empty where it is not."""
        found = self._seen.get(user_id)
        return found.seen if found else ""

    def heard(self, user_id: str, profile: dict[str, Any] | None) -> Known:
        """Hear of a profile from the database; None: there is none. Returns it."""
        known = Known.of(profile)
        self.put(user_id, known.seen, known.state)
        return known

    def put(self, user_id: str, seen: str, state: ProfileState | None) -> None:
        """Remember a profile."""
        with self._lock:
            self._seen[user_id] = Known(seen, state)
            self._seen.move_to_end(user_id)
            if len(self._seen) > _MOST:
                self._seen.popitem(last=False)

    def fold(self, user_id: str, lessons: Sequence[Lesson]) -> Learned | None:
        """The profile with lessons in; None where it can't be read: then nothing is learned."""
        found = self._seen.get(user_id)
        return Learned("0", [], None) if found is None else found.after(lessons)
