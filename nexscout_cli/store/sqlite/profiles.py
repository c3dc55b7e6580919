"""What was learned of a user, between its row and the value that the engine folds."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from typing import Any

from nexscout_cli.engine.learning import profile
from nexscout_cli.engine.learning.observation import Lesson
from nexscout_cli.engine.learning.profile import ProfileState
from nexscout_cli.engine.snapshot import Profile
from nexscout_cli.errors import NotPermitted, UsageError
from nexscout_cli.jsontext import plain
from nexscout_cli.store.sqlite import feedback, users
from nexscout_cli.store.sqlite.store import Store


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


def read(c: sqlite3.Connection, user_id: str) -> ProfileState | None:
    """The user's learned state, or None for one who is new."""
    row = c.execute(_READ, (user_id,)).fetchone()
    if row is None:
        return None
    return ProfileState._make(kind(value) if kind else value for kind, value in zip(_KINDS, row, strict=True))


def write(c: sqlite3.Connection, user_id: str, state: ProfileState) -> None:
    """Store the learned state."""
    values = [plain(value) if kind else value for kind, value in zip(_KINDS, state, strict=True)]
    c.execute(_WRITE, (*values, user_id))


def learned(store: Store, c: sqlite3.Connection, user_id: str, lesson: Lesson) -> None:
    """Fold one settled request into the user's profile."""
    state = read(c, user_id)
    if state is not None:
        write(c, user_id, profile.learn(state, lesson, patterns=store.settings["learning.patterns"]))


def for_plan(c: sqlite3.Connection, user_id: str) -> Profile:
    """The part of a profile that plans read."""
    row = c.execute(
        """SELECT efficiency_rating, preferred_mode, predicted_daily_usage, preferred_output_length, writing_style_profile,
           peak_usage_hours, model_preference_score, prompt_heads, routing_policy FROM user_efficiency_profiles
           WHERE user_id = ?""",
        (user_id,),
    ).fetchone()
    if row is None:
        return Profile()
    style, hours, preference, heads = (json.loads(value) for value in row[4:8])
    return Profile(row[0], row[1], row[2], row[3], style, tuple(hours), preference, tuple(heads), row[8])


def update_efficiency_rating(store: Store, user_id: str, tokens_used: int, tokens_predicted: int) -> float:
    """Fold one accuracy into the user's rating and return it: 0.9 × rating + 0.1 × (1 − |used − predicted| ÷ predicted)."""
    with store.db.write() as c:
        store.touch(c)
        store.require_access(c, user_id)
        state = read(c, user_id)
        if state is None:
            raise UsageError(f"there is no user {user_id!r}", "`nexscout user list` shows them")
        rating = profile.rate(state.efficiency_rating, profile.accuracy(tokens_used, tokens_predicted))
        c.execute("UPDATE user_efficiency_profiles SET efficiency_rating = ? WHERE user_id = ?", (rating, user_id))
    return rating


def set_mode(store: Store, user_id: str, mode: str) -> None:
    """Set the mode a user prefers. Raises NotPermitted where the tier does not have it."""
    with store.db.write() as c:
        tier = users.ensure(store, c, user_id, store.touch(c))["tier"]
        modes = store.settings[f"tiers.{tier}.modes"]
        if mode not in modes:
            raise NotPermitted(
                f"mode {mode} is not part of tier {tier}", f"upgrade your plan, or use one of: {', '.join(modes)}"
            )
        c.execute("UPDATE user_efficiency_profiles SET preferred_mode = ? WHERE user_id = ?", (mode, user_id))


def set_policy(store: Store, user_id: str, policy: str | None) -> None:
    """Set how models are chosen for a user's requests; None: as for the installation."""
    with store.db.write() as c:
        users.ensure(store, c, user_id, store.touch(c))
        c.execute("UPDATE user_efficiency_profiles SET routing_policy = ? WHERE user_id = ?", (policy, user_id))


def set_panic(store: Store, on: bool) -> None:
    """Send every request to the cheapest model, or end that. Admins only."""
    with store.db.write() as c:
        store.require_admin(c, "turn panic mode on or off")
        store.touch(c)
        c.execute("UPDATE meta SET value = ? WHERE key = 'panic'", (str(int(on)),))
        c.execute("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'world_version'")


def mode_and_panic(store: Store, user_id: str) -> tuple[str, str, bool]:
    """A user's tier, preferred mode, and whether panic is on."""
    with store.db.read() as c:
        row = store.require_access(c, user_id)
        panic = c.execute("SELECT value FROM meta WHERE key = 'panic'").fetchone()[0] == "1"
        return (row["tier"] if row else users.FIRST_TIER), for_plan(c, user_id).preferred_mode, panic


def policy_of(store: Store, user_id: str) -> str | None:
    """The routing policy that a user has set; None: the installation's."""
    with store.db.read() as c:
        store.require_access(c, user_id)
        return for_plan(c, user_id).policy


def forecast(store: Store, user_id: str) -> ProfileState:
    """A user's whole profile, for the user and admins; model preferences with the user's verdicts in."""
    with store.db.read() as c:
        store.require_access(c, user_id)
        state = read(c, user_id) or ProfileState()
        scores = profile.preferences(state.model_preference_score, feedback.by_model(c, user_id))
        return state._replace(model_preference_score=scores)
