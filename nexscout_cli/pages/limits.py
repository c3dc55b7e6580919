"""Who is near a limit: budgets, daily tokens and energy, in what the actor may see."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.engine.budgets import budgets, owner_of

if TYPE_CHECKING:
    from nexscout_cli.config import Settings
    from nexscout_cli.engine.store_ports import Store

NEAR = 0.75
"""Share of a limit from which somebody is near it."""


class Limit(NamedTuple):
    """A limit and what is gone of it, held or spent. ``unit`` is usd (nano-dollars), tokens or energy."""

    who: str
    unit: str
    window: str
    used: int
    cap: int

    @property
    def left(self) -> int:
        """What may still be used."""
        return max(0, self.cap - self.used)

    @property
    def share(self) -> float:
        """What is gone of it; 1 where nothing may be used."""
        return self.used / self.cap if self.cap else 1.0


def limits(store: Store, actor: str, settings: Settings, user: str | None) -> list[Limit]:
    """Every limit that is set, the nearest first. Of one user where one is named: then also what each user may use in a day or
    a month by the settings, and no budgets of keys and tags.
    """
    people = [one for one in store.users.listing(actor) if user in (None, one.user_id)]
    found = []
    for person in people:
        energy = int(settings[f"tiers.{person.tier}.energy"])
        if energy and person.balance < energy:
            found.append(Limit(person.user_id, "energy", "month", energy - person.balance, energy))
    if user is not None and len(people) == 1:
        own = [one for one in budgets(settings, people[0].tier) if one.scope == "user" and one.cap is not None]
        for budget, gone in store.energy.used(actor, user, own).items():
            found.append(Limit(user, budget.unit, budget.window, gone.all, budget.cap or 0))
    set_ones = [one for one in store.budgets.listing(actor) if user is None or one.owner == owner_of("name", user)]
    used = store.energy.used(actor, actor, set_ones)
    for budget, gone in used.items():
        who = budget.owner.removeprefix("*").removeprefix("name:").replace(":", " ", 1)
        found.append(Limit(who, budget.unit, budget.window, gone.all, budget.cap or 0))
    if user is None and store.users.is_admin(actor):
        capped = [one for one in budgets(settings, "free") if one.scope == "total"]
        for budget, gone in store.energy.used(actor, actor, capped).items():
            found.append(Limit("everyone", budget.unit, budget.window, gone.all, budget.cap or 0))
    return sorted(found, key=lambda one: (-one.share, one.who))


def monthly_budget(all_limits: list[Limit], user: str | None) -> int | None:
    """The dollars that this month's spending is held against, in nano-dollars: the user's own budget, or the installation's."""
    for one in all_limits:
        if one.unit == "usd" and one.window == "month" and one.who == (user or "everyone"):
            return one.cap
    return None
