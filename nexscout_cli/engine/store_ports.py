"""What a store offers beside the ledger: users, energy, profiles, feedback, log, reports, catalog, cache, recovery, upkeep.

Every method is one transaction (where it says so: several short ones) and takes the actor first. All raise NotPermitted for
what the actor may not do, UsageError for what there is not, StoreError where the books cannot be used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from nexscout_cli.engine.alert_port import Alerts
    from nexscout_cli.engine.book_types import ApiKey, AttemptRow, Energy, ImportRow, Unresolved, UserRow
    from nexscout_cli.engine.budgets import Budget, Used
    from nexscout_cli.engine.catalog.recovery_rules import Recovered
    from nexscout_cli.engine.conversations import Conversations
    from nexscout_cli.engine.deployment import Use
    from nexscout_cli.engine.jobs.ports import JobBook
    from nexscout_cli.engine.learning.profile import ProfileState
    from nexscout_cli.engine.log_port import FeedbackBook, Log
    from nexscout_cli.engine.maintenance_port import Maintenance
    from nexscout_cli.engine.model import Model
    from nexscout_cli.engine.ports import Ledger
    from nexscout_cli.engine.report_port import ReportReader, Reports
    from nexscout_cli.engine.report_window import Window
    from nexscout_cli.engine.snapshot import Preferences
    from nexscout_cli.engine.store_rules import StoreRules

Row = dict[str, Any]


class EnergyBook(Protocol):
    """Energy accounts of users."""

    def show(self, actor: str, user_id: str) -> Energy:
        """A user's energy; a monthly grant that is due and not written yet counts."""

    def history(self, actor: str, user_id: str, limit: int) -> list[Row]:
        """The latest entries of a user's energy account, newest first."""

    def grant(self, actor: str, user_id: str, amount: int, reason: str) -> Energy:
        """Give a user energy on top, 1 to 10^12 units. Admins only."""

    def set_balance(self, actor: str, user_id: str, amount: int, reason: str) -> Energy:
        """Write the entry after which a user's balance is ``amount``, 0 to 10^12 units. Admins only."""

    def used(self, actor: str, user_id: str, budgets: Sequence[Budget]) -> dict[Budget, Used]:
        """What is gone of those budgets that have a cap, in their present windows."""


class Users(Protocol):
    """Who there is."""

    def listing(self, actor: str) -> list[UserRow]:
        """The users the actor may see, by name."""

    def find(self, actor: str, user_id: str) -> tuple[str, str] | None:
        """Role and tier of a user the actor may see; None for one there is not."""

    def is_admin(self, actor: str) -> bool:
        """Whether the actor is an admin."""

    def set_tier(self, actor: str, user_id: str, tier: str) -> None:
        """Give a user a tier, made when new; the higher tier's energy is granted on top once a month. Admins only."""

    def set_role(self, actor: str, user_id: str, role: str) -> None:
        """Make a user admin, member, or reader (who may look at their own and not spend). Admins only; one always stays."""

    def forget(self, actor: str, user_id: str) -> dict[str, int]:
        """Remove a person's text everywhere; money stays. Returns how many rows lost text, by kind."""


class Profiles(Protocol):
    """What was learned of users, and what they prefer."""

    def learned(self, actor: str, user_id: str) -> ProfileState:
        """All that was learned of a user."""

    def update_efficiency_rating(self, actor: str, user_id: str, tokens_used: int, tokens_predicted: int) -> float:
        """Fold one accuracy into the user's rating and return it: 0.9 × rating + 0.1 × accuracy."""

    def preferences(self, actor: str, user_id: str) -> Preferences:
        """A user's tier, mode and policy, and whether an admin has turned panic on."""

    def set_mode(self, actor: str, user_id: str, mode: str) -> None:
        """Set the mode a user prefers. Raises NotPermitted where the tier does not have it."""

    def set_policy(self, actor: str, user_id: str, policy: str | None) -> None:
        """Set how models are chosen for a user's requests; None: as for the installation."""

    def set_panic(self, actor: str, on: bool) -> None:
        """Send every request to the cheapest model, or end that. Admins only."""


class Catalog(Protocol):
    """The model catalog. Everyone may read it; admins alone write it."""

    def models(self, actor: str) -> tuple[Model, ...]:
        """The whole catalog, dearest last."""

    def add(self, actor: str, models: Iterable[Model]) -> list[str]:
        """Write the models whose names are not there yet; returns those names."""

    def change(self, actor: str, make: Callable[[tuple[Model, ...]], Sequence[Model]]) -> Sequence[Model]:
        """Write the models that ``make`` returns for the catalog as it is, in one transaction; returns them."""

    def uses(self, actor: str, model: Model) -> dict[str, Use]:
        """How a model's deployments are used now, by name."""


class Cache(Protocol):
    """Answers that are kept. What removes many does so in short transactions, so that writers get their turn in between."""

    def stats(self, actor: str) -> Row:
        """What is kept, what hits have saved, and what the cache takes on disk, over what the actor may see."""

    def listing(self, actor: str, user_id: str | None, limit: int) -> list[Row]:
        """The latest answers the actor may see, without their text; of one user where one is named."""

    def show(self, actor: str, cached_id: int) -> Row:
        """One answer with its text."""

    def clean(self, *, dry_run: bool = False) -> int:
        """Remove what has expired, everyone's; returns how many answers that were (or would be)."""

    def evict(self, *, dry_run: bool = False) -> int:
        """Remove the least recently used answers until their texts fit; returns how many."""

    def clear(self, actor: str, user_id: str | None, feature: str | None, *, dry_run: bool = False) -> int:
        """Remove answers the actor may see, of one user or feature or all; returns how many."""

    def forget(self, actor: str, request_id: str) -> int:
        """Remove the answer that a request left in the cache, or was given from it; returns how many that were."""


class Recovery(Protocol):
    """Attempts that nobody looks after."""

    def recover(self, actor: str) -> Recovered:
        """Settle what dead processes left behind, over all users; let go of old idempotency keys."""

    def resolve(self, actor: str, request_id: str, cost: int | None, *, beyond_hold: bool = False) -> int:
        """Decide a request's unknown attempts: post them at ``cost`` nano-dollars in all, or void them when it is None.

        ``request_id`` may be the beginning of one. Returns how many there were. Admins only.
        """

    def unresolved(self, actor: str) -> list[Unresolved]:
        """The unknown attempts the actor may see."""

    def billed(self, actor: str, since: datetime, until: datetime) -> list[AttemptRow]:
        """The posted and unknown attempts that began in that time, in order. Admins only."""

    def reset_clock(self, actor: str) -> None:
        """Set the last-seen time back to the clock's. Admins only."""


class Limits(Protocol):
    """Limits that admins have written, by the names of their settings."""

    def read(self, actor: str) -> tuple[dict[str, Any], bool]:
        """The limits, and whether the actor is an admin."""

    def set(self, actor: str, name: str, value: Any) -> None:
        """Write a limit. Admins only."""

    def remove(self, actor: str, name: str) -> None:
        """Let the default hold again. Admins only."""


class Keys(Protocol):
    """The keys of the server. A key's secret is never kept, only its hash."""

    def create(self, actor: str, key: ApiKey, digest: str, budgets: Sequence[Budget] = ()) -> None:
        """Enter a key of a user, whom the actor may act for, with its budgets."""

    def listing(self, actor: str) -> list[ApiKey]:
        """The keys of users that the actor may see, by user and name."""

    def revoke(self, actor: str, key_id: str) -> None:
        """End a key for good."""

    def rotate(self, actor: str, key_id: str, digest: str) -> None:
        """Give a key another secret; the old one ends at once."""

    def find(self, digest: str) -> ApiKey | None:
        """The key with that hash that is valid now; None where there is none."""

    def used(self, key: ApiKey) -> None:
        """Remember that a key was used now."""


class Budgets(Protocol):
    """Budgets that are set one by one: for a user, a key, a tag."""

    def set(self, actor: str, budget: Budget) -> None:
        """Set a budget, or take it away where its cap is None. Admins only."""

    def listing(self, actor: str) -> list[Budget]:
        """The budgets there are: an admin sees all, others those of their own name and keys."""


class Imports(Protocol):
    """Usage that other tools kept. Admins alone bring and remove it; everyone may read their own.

    An import's rows are given as ``engine/imported/record.py`` makes them. A row whose key is there already is counted once;
    it replaces the earlier one where it holds more tokens or requests (a partial count that was completed).
    """

    def begin(self, actor: str, source: str, name: str) -> int:
        """Enter an import of that source from a file of that name; returns its number."""

    def add(self, actor: str, number: int, rows: Sequence[tuple[Any, ...]]) -> int:
        """Enter rows in one transaction; returns how many were new or replaced one."""

    def finish(self, actor: str, number: int, known: int, left_out: int) -> ImportRow:
        """End an import: how many rows were there before, how many the source had that could not be used."""

    def known(self, actor: str, keys: Sequence[bytes]) -> int:
        """How many of these keys are there."""

    def listing(self, actor: str) -> list[ImportRow]:
        """The imports there were, oldest first. Admins only."""

    def forget(self, actor: str, number: int) -> int:
        """Remove an import and its rows, in short transactions; returns how many rows that were."""

    def reading(self, actor: str, window: Window, user: str | None = None) -> AbstractContextManager[ReportReader]:
        """A reader of one window of imported usage, as :meth:`Reports.reading` is one of the program's own."""


class Store(Protocol):
    """An open store: one book for each kind of thing it keeps."""

    rules: StoreRules
    """What transactions need to know of the settings."""
    lets_others_go_on: bool
    """Whether a coroutine that waits for it lets others go on (``waiting.py``); else its calls are for threads."""

    @property
    def take_request(self) -> Callable[[str, int], float | None] | None:
        """Counts a request of a key that may send so many a minute, among the servers of all machines: the seconds to wait where
        it has sent them. None where only one machine has the books, whose servers count in files.
        """

    def for_many_commits(self) -> None:
        """Make commits cheap, for a process that makes many of them."""

    def commits(self) -> tuple[int, float, int, float] | None:
        """How many commits this process has made, and the seconds they took; how many of them somebody waited for, and the
        seconds of the whole transactions of those. None where they are not counted.
        """

    def settle(self) -> None:
        """See that all is written that a coroutine was not to wait for (:meth:`Ledger.record_hit`)."""

    @property
    def ledger(self) -> Ledger:
        """The books of calls."""

    @property
    def energy(self) -> EnergyBook:
        """Energy as people see it."""

    @property
    def users(self) -> Users:
        """Who there is."""

    @property
    def profiles(self) -> Profiles:
        """What was learned of users, and what they prefer."""

    @property
    def feedback(self) -> FeedbackBook:
        """What users said of answers."""

    @property
    def log(self) -> Log:
        """What became of requests, and why."""

    @property
    def reports(self) -> Reports:
        """Where the money went."""

    @property
    def limits(self) -> Limits:
        """Limits that admins have written."""

    @property
    def catalog(self) -> Catalog:
        """The model catalog."""

    @property
    def cache(self) -> Cache:
        """Answers that are kept."""

    @property
    def recovery(self) -> Recovery:
        """Attempts that nobody looks after."""

    @property
    def keys(self) -> Keys:
        """The keys of the server."""

    @property
    def budgets(self) -> Budgets:
        """Budgets that are set one by one."""

    @property
    def imports(self) -> Imports:
        """Usage that other tools kept."""

    @property
    def conversations(self) -> Conversations:
        """Conversations that are kept."""

    @property
    def jobs(self) -> JobBook:
        """Batches that providers answer later."""

    @property
    def alerts(self) -> Alerts:
        """Alerts."""

    @property
    def maintenance(self) -> Maintenance:
        """Checking and copying the whole store."""

    def close(self) -> None:
        """Close it."""
