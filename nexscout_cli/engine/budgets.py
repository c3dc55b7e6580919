"""What a call draws on: dollars and tokens, of its user and of the installation, by day and by month; and what admins have
set for a user, a key, a tag, and a program for a run of its own.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.engine.money import NANO
from nexscout_cli.terms import TIERS

if TYPE_CHECKING:
    from nexscout_cli.config import Settings
    from nexscout_cli.engine.request import AIRequest

UNITS, SCOPES, WINDOWS = ("usd", "tokens"), ("user", "total"), ("day", "month")
OWN_SCOPES = ("name", "key", "tag", "run")
"""Scopes of budgets that are set one by one."""
SHARED_KINDS = ("feature", "tier", "installation")
"""What else has budgets that many users' requests share; they are kept in the scope tag, under owners of their own."""
INSTALLATION = "all"
"""The name in the owner of what is set for all requests, whichever window; the settings have those of day and month."""
ALL_WINDOWS = ("day", "week", "month", "ever")
PANIC_SHARE = 0.95
"""Share of the installation's daily dollars, spent or held, from which panic mode sets in by itself."""


class Budget(NamedTuple):
    """A budget that a call draws on. ``unit`` usd (nano-dollars) or tokens, ``scope`` user or total (the installation),
    ``window`` day or month; ``cap`` None: no limit.

    Those that are set one by one have the scope name (a user's), key, tag or run, also the windows week and ever, and an
    ``owner``: whose account keeps them. What was used before one was set does not count.
    """

    unit: str
    scope: str
    window: str
    cap: int | None
    owner: str = ""

    @property
    def entered(self) -> bool:
        """Whether a call's use of it is entered: of a user's day always, of what else there is while it has a cap."""
        return self.cap is not None or (self.scope, self.window) == ("user", "day")

    @property
    def is_daily_dollars(self) -> bool:
        """True for what the installation may spend in a day."""
        return (self.unit, self.scope, self.window) == ("usd", "total", "day")

    @property
    def is_daily_tokens(self) -> bool:
        """True for what a user may use in a day."""
        return (self.unit, self.scope, self.window) == ("tokens", "user", "day")


def owner_of(scope: str, name: str) -> str:
    """The owner of a budget's accounts; no user can be called so."""
    return f"*{scope}:{name}"


def owners(request: AIRequest) -> tuple[str, ...]:
    """The owners whose budgets a request may draw on, where admins have set some: which tier's is told by its user."""
    caller = request.caller
    key = () if caller.key is None else (owner_of("key", caller.key),)
    all_requests = owner_of("installation", INSTALLATION)
    kinds = (owner_of("feature", request.feature), *(owner_of("tier", tier) for tier in TIERS), all_requests)
    return (owner_of("name", request.user_id), *key, *(owner_of("tag", tag) for tag in caller.tags), *kinds)


def is_drawn_on(budget: Budget, tier: str) -> bool:
    """Whether a call by a user of that tier draws on a budget of one's own: not on another tier's."""
    return not budget.owner.startswith("*tier:") or budget.owner == owner_of("tier", tier)


def kind_of(budget: Budget) -> str:
    """What a budget is of, in a word: its scope, or of one that many requests share feature or tier."""
    kind = budget.owner.removeprefix("*").partition(":")[0]
    return kind if kind in SHARED_KINDS else budget.scope


def own_budgets(request: AIRequest) -> tuple[Budget, ...]:
    """The budget that a request brings along: the purse of its run, which lasts as long as the run's name is used."""
    caller = request.caller
    if caller.run is None or caller.run_cost is None:
        return ()
    return (Budget("usd", "run", "ever", caller.run_cost, owner_of("run", f"{request.user_id}/{caller.run}")),)


class Used(NamedTuple):
    """What is gone of a budget in its present window: ``all`` counts what is held too, ``spent`` does not."""

    all: int
    spent: int


@lru_cache(maxsize=64)  # settings never change; a hold asks for the same budgets again and again
def budgets(settings: Settings, tier: str) -> tuple[Budget, ...]:
    """Every budget of a call by a user of that tier."""
    return tuple(
        Budget(unit, scope, window, _cap(settings, tier, unit, scope, window))
        for unit in UNITS
        for scope in SCOPES
        for window in WINDOWS
    )


def _cap(settings: Settings, tier: str, unit: str, scope: str, window: str) -> int | None:
    if (unit, scope, window) == ("tokens", "user", "day"):
        return int(settings[f"tiers.{tier}.daily_tokens"])
    cap = settings[f"caps.{unit}.{scope}_{window}"]
    if cap is None:
        return None
    return round(cap * NANO) if unit == "usd" else int(cap)


def window_end(window: str, now: datetime) -> datetime | None:
    """When the next day, week or month begins, in UTC; None for what never ends."""
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if window == "day":
        return day + timedelta(days=1)
    if window == "week":
        return day + timedelta(days=7 - day.weekday())
    if window == "month":
        return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return None


def presses(budget: Budget, used: Used) -> bool:
    """Whether so much of the installation's daily dollars is gone that panic mode sets in."""
    return budget.is_daily_dollars and budget.cap is not None and used.all >= PANIC_SHARE * budget.cap
