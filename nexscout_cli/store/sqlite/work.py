"""What the books need of an open store, whichever database it is."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from nexscout_cli.engine.ports import Clock
    from nexscout_cli.engine.store_rules import StoreRules
    from nexscout_cli.store.sqlite.dialect import Dialect
    from nexscout_cli.store.sqlite.transaction import Transaction

T = TypeVar("T")
Proof = Callable[[T], tuple[str, tuple[object, ...]]]


class Work(Protocol):
    """Transactions in an actor's name."""

    sql: Dialect
    rules: StoreRules

    @property
    def clock(self) -> Clock:
        """The clock that pauses are measured with."""

    def read(self, actor: str) -> AbstractContextManager[Transaction]:
        """One consistent state of the books, as the actor may see it."""

    def write(self, actor: str, *, touch: bool = True) -> AbstractContextManager[Transaction]:
        """A transaction beside which nobody else writes; committed at the end, rolled back on any exception.

        ``touch``: remember the time as last seen.
        """

    def together(
        self, actor: str, make: Callable[[Transaction], T], user_id: str = "", proof: Proof[T] | None = None
    ) -> T:
        """Commit what ``make`` writes to a user's books and return its value; all or nothing.

        ``make`` may be called more than once. ``proof``: a query and its values that finds a row if what was to be written
        is there, for where the answer to a commit is lost; without one it is written again.
        """

    def soon(
        self, actor: str, make: Callable[[Transaction], None], user_id: str = "", proof: Proof[None] | None = None
    ) -> None:
        """As :meth:`together`, of what nothing is owed for: a coroutine need not wait until it is committed."""

    def state(self, *, of_few: bool = False) -> Hashable | None:
        """What is another after each commit, so that what was read may be kept while it is the same; None: nobody knows.

        ``of_few``: after each that changed what plans read beside accounts and calls.
        """

    def forget(self) -> None:
        """Read anew what seldom changes, where it was kept."""

    def flush(self) -> None:
        """See that nothing that was removed stays in the log of changes."""
