"""One book for each kind of thing a store keeps, over transactions in whichever database.

A book's module is imported when it is first asked for: a command opens few of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING

from nexscout_cli.engine.tiers import OWNER_TIER

if TYPE_CHECKING:
    from nexscout_cli.store.sqlite.alerts import SqliteAlerts
    from nexscout_cli.store.sqlite.cache import SqliteCache
    from nexscout_cli.store.sqlite.catalog import SqliteCatalog
    from nexscout_cli.store.sqlite.conversations import SqliteConversations
    from nexscout_cli.store.sqlite.energy import SqliteEnergy
    from nexscout_cli.store.sqlite.feedback import SqliteFeedback
    from nexscout_cli.store.sqlite.imports import SqliteImports
    from nexscout_cli.store.sqlite.jobs import SqliteJobs
    from nexscout_cli.store.sqlite.keys import SqliteBudgets, SqliteKeys
    from nexscout_cli.store.sqlite.ledger import SqliteLedger
    from nexscout_cli.store.sqlite.limits import SqliteLimits
    from nexscout_cli.store.sqlite.log import SqliteLog
    from nexscout_cli.store.sqlite.profiles import SqliteProfiles
    from nexscout_cli.store.sqlite.recovery import SqliteRecovery
    from nexscout_cli.store.sqlite.reports import SqliteReports
    from nexscout_cli.store.sqlite.transaction import Transaction
    from nexscout_cli.store.sqlite.users import SqliteUsers
    from nexscout_cli.store.sqlite.work import Work


class Books(ABC):
    """The books over :class:`Work`."""

    @property
    @abstractmethod
    def _work(self) -> Work:
        """Their transactions."""

    @cached_property
    def ledger(self) -> SqliteLedger:
        """The books of calls."""
        from nexscout_cli.store.sqlite.ledger import SqliteLedger

        return SqliteLedger(self._work)

    @cached_property
    def energy(self) -> SqliteEnergy:
        """Energy as people see it."""
        from nexscout_cli.store.sqlite.energy import SqliteEnergy

        return SqliteEnergy(self._work)

    @cached_property
    def users(self) -> SqliteUsers:
        """Who there is."""
        from nexscout_cli.store.sqlite.users import SqliteUsers

        return SqliteUsers(self._work)

    @cached_property
    def profiles(self) -> SqliteProfiles:
        """What was learned of users, and what they prefer."""
        from nexscout_cli.store.sqlite.profiles import SqliteProfiles

        return SqliteProfiles(self._work)

    @cached_property
    def feedback(self) -> SqliteFeedback:
        """What users said of answers."""
        from nexscout_cli.store.sqlite.feedback import SqliteFeedback

        return SqliteFeedback(self._work)

    @cached_property
    def log(self) -> SqliteLog:
        """What became of requests, and why."""
        from nexscout_cli.store.sqlite.log import SqliteLog

        return SqliteLog(self._work)

    @cached_property
    def reports(self) -> SqliteReports:
        """Where the money went."""
        from nexscout_cli.store.sqlite.reports import SqliteReports

        return SqliteReports(self._work)

    @cached_property
    def conversations(self) -> SqliteConversations:
        """Conversations that are kept."""
        from nexscout_cli.store.sqlite.conversations import SqliteConversations

        return SqliteConversations(self._work)

    @cached_property
    def jobs(self) -> SqliteJobs:
        """Batches that providers answer later."""
        from nexscout_cli.store.sqlite.jobs import SqliteJobs

        return SqliteJobs(self._work)

    @cached_property
    def limits(self) -> SqliteLimits:
        """Limits that admins have written."""
        from nexscout_cli.store.sqlite.limits import SqliteLimits

        return SqliteLimits(self._work)

    @cached_property
    def catalog(self) -> SqliteCatalog:
        """The model catalog."""
        from nexscout_cli.store.sqlite.catalog import SqliteCatalog

        return SqliteCatalog(self._work)

    @cached_property
    def cache(self) -> SqliteCache:
        """Answers that are kept."""
        from nexscout_cli.store.sqlite.cache import SqliteCache

        return SqliteCache(self._work)

    @cached_property
    def recovery(self) -> SqliteRecovery:
        """What dead processes left behind, and attempts of unknown outcome."""
        from nexscout_cli.store.sqlite.recovery import SqliteRecovery

        return SqliteRecovery(self._work)

    @cached_property
    def keys(self) -> SqliteKeys:
        """The keys of the server."""
        from nexscout_cli.store.sqlite.keys import SqliteKeys

        return SqliteKeys(self._work)

    @cached_property
    def budgets(self) -> SqliteBudgets:
        """Budgets of users, keys and tags."""
        from nexscout_cli.store.sqlite.keys import SqliteBudgets

        return SqliteBudgets(self._work)

    @cached_property
    def imports(self) -> SqliteImports:
        """Usage that other tools kept."""
        from nexscout_cli.store.sqlite.imports import SqliteImports

        return SqliteImports(self._work)

    @cached_property
    def alerts(self) -> SqliteAlerts:
        """Alerts."""
        from nexscout_cli.store.sqlite.alerts import SqliteAlerts

        return SqliteAlerts(self._work)


def fill(t: Transaction) -> None:
    """What a new database starts with: the models we know, its owner, and the limits of the configuration file."""
    from nexscout_cli.engine.catalog.seed import seeded
    from nexscout_cli.store.sqlite import limits, models, users

    t.touch()
    t.execute(
        "INSERT INTO users (user_id, tier, role, daily_token_budget, created_at) VALUES (?, ?, 'admin', ?, ?)",
        (t.actor, OWNER_TIER, t.rules.tiers[OWNER_TIER].daily_tokens, t.stamp),
    )
    users.note_tier(t, t.actor, OWNER_TIER)
    models.add_missing(t, seeded())
    limits.enter(t, t.rules.first_limits)
