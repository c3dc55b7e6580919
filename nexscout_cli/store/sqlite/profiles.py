"""What was learned of a user, and what users prefer: between the row and the values of the engine."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from nexscout_cli.engine.learning.profile import ProfileState
from nexscout_cli.engine.snapshot import Preferences, Profile
from nexscout_cli.engine.tiers import FIRST_TIER
from nexscout_cli.errors import NotPermitted
from nexscout_cli.jsontext import plain
from nexscout_cli.store.sqlite import keys, users

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nexscout_cli.engine.learning.observation import Lesson
    from nexscout_cli.store.sqlite.transaction import Transaction
    from nexscout_cli.store.sqlite.work import Work


def _tuple(text: str) -> tuple[Any, ...]:
    return tuple(json.loads(text))


def _hours(text: str) -> tuple[int, ...]:
    return _tuple(text) or (0,) * 24


_FROM_JSON: dict[str, Callable[[str], object]] = {
    "writing_style_profile": json.loads,
    "common_patterns": _tuple,
    "pattern_counts": json.loads,
    "peak_usage_hours": _hours,
    "model_preference_score": json.loads,
    "prompt_heads": _tuple,
}
_KINDS = [_FROM_JSON.get(name) for name in ProfileState._fields]
_READ = f"SELECT {', '.join(ProfileState._fields)} FROM user_efficiency_profiles WHERE user_id = ?"
_WRITE = (
    f"UPDATE user_efficiency_profiles SET {', '.join(f'{name} = ?' for name in ProfileState._fields)} WHERE user_id = ?"
)


UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""What a profile raises that cannot be read."""


def read(t: Transaction, user_id: str) -> ProfileState | None:
    """The user's learned state, or None for one who is new."""
    row = t.execute(_READ, (user_id,)).fetchone()
    return None if row is None else of_columns(row)


def of_columns(row: Iterable[Any]) -> ProfileState:
    """The state that the columns hold. Raises ValueError and its like for what is none."""
    return ProfileState._make(kind(value) if kind else value for kind, value in zip(_KINDS, row, strict=True))


def columns(state: ProfileState, write: Callable[[Any], str] = plain) -> list[Any]:
    """What the columns hold of a state; ``write`` writes JSON."""
    return [write(value) if kind else value for kind, value in zip(_KINDS, state, strict=True)]


def learn(t: Transaction, user_id: str, lesson: Lesson) -> None:
    """Fold one settled request into the user's profile.

    Nothing is learned by a profile that cannot be read, which `db check` names: what was paid is booked all the same.
    """
    t.learn(_fold, user_id, lesson)


def _fold(t: Transaction, user_id: str, lessons: list[Lesson]) -> None:
    try:
        state = read(t, user_id)
        if state is not None:
            for lesson in lessons:
                state = state.after(lesson)
            t.execute(_WRITE, (*columns(state), user_id))
    except (*UNREADABLE, t.broken):
        return


def for_plan(t: Transaction, user_id: str) -> Profile:
    """The part of a profile that plans read."""
    row = t.execute(
        """SELECT efficiency_rating, preferred_mode, predicted_daily_usage, preferred_output_length, writing_style_profile,
           peak_usage_hours, model_preference_score, prompt_heads, routing_policy FROM user_efficiency_profiles
           WHERE user_id = ?""",
        (user_id,),
    ).fetchone()
    return Profile() if row is None else _profile(tuple(row))


@lru_cache(maxsize=256)  # it is read for each plan, and is another one a few times a second at most
def _profile(row: tuple[Any, ...]) -> Profile:
    style, hours, preference, heads = (json.loads(value) for value in row[4:8])
    return Profile(row[0], row[1], row[2], row[3], style, tuple(hours), preference, tuple(heads), row[8])


class SqliteProfiles:
    """Profiles and preferences of users."""

    def __init__(self, store: Work) -> None:
        self._store = store

    def learned(self, actor: str, user_id: str) -> ProfileState:
        """All that was learned of a user."""
        with self._store.read(actor) as t:
            t.require_access(user_id)
            return read(t, user_id) or ProfileState()

    def update_efficiency_rating(self, actor: str, user_id: str, tokens_used: int, tokens_predicted: int) -> float:
        """Fold one accuracy into the user's rating and return it."""
        with self._store.write(actor) as t:
            t.require_user(user_id)
            state = read(t, user_id) or ProfileState()
            rating = state.rated(tokens_used, tokens_predicted)
            t.execute("UPDATE user_efficiency_profiles SET efficiency_rating = ? WHERE user_id = ?", (rating, user_id))
        return rating

    def preferences(self, actor: str, user_id: str) -> Preferences:
        """A user's tier, mode and policy, and whether an admin has turned panic on."""
        with self._store.read(actor) as t:
            row = t.require_access(user_id)
            panic = t.execute("SELECT value FROM meta WHERE key = 'panic'").fetchone()[0] == "1"
            profile = for_plan(t, user_id)
            return Preferences(row["tier"] if row else FIRST_TIER, profile.preferred_mode, profile.policy, panic)

    def set_mode(self, actor: str, user_id: str, mode: str) -> None:
        """Set the mode a user prefers. Raises NotPermitted where the tier does not have it."""
        with self._store.write(actor) as t:
            tier = users.ensure(t, user_id)["tier"]
            modes = t.rules.tiers[tier].modes
            if mode not in modes:
                raise NotPermitted(
                    f"mode {mode} is not part of tier {tier}", f"upgrade your plan, or use one of: {', '.join(modes)}"
                )
            t.execute("UPDATE user_efficiency_profiles SET preferred_mode = ? WHERE user_id = ?", (mode, user_id))

    def set_policy(self, actor: str, user_id: str, policy: str | None) -> None:
        """Set how models are chosen for a user's requests; None: as for the installation."""
        with self._store.write(actor) as t:
            users.ensure(t, user_id)
            t.execute("UPDATE user_efficiency_profiles SET routing_policy = ? WHERE user_id = ?", (policy, user_id))

    def set_panic(self, actor: str, on: bool) -> None:
        """Send every request to the cheapest model, or end that. Admins only."""
        with self._store.write(actor) as t:
            t.require_admin("turn panic mode on or off")
            t.execute("UPDATE meta SET value = ? WHERE key = 'panic'", (str(int(on)),))
            t.execute(keys.MOVED)
