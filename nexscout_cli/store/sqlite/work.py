"""What the books need of an open store, whichever database it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from nexscout_cli.engine.ports import Clock
    from nexscout_cli.engine.store_rules import StoreRules
    from nexscout_cli.store.sqlite.dialect import Dialect
    from nexscout_cli.store.sqlite.transaction import Transaction

T = TypeVar("T")


class Work(Protocol):
    """Transactions in an actor's name."""

    sql: Dialect
    rules: StoreRules

    @property
    def clock(self) -> Clock:
        """The clock that pauses are measured with."""

    def read(self, actor: str) -> AbstractContextManager[Transaction]:
        """One consistent state of the books, as the actor may see it."""

    def write(self, actor: str) -> AbstractContextManager[Transaction]:
        """A transaction beside which nobody else writes; committed at the end, rolled back on any exception."""

    def together(self, actor: str, make: Callable[[Transaction], T], user_id: str = "") -> T:
        """Commit what ``make`` writes to a user's books and return its value; all or nothing. It may be made more than once."""

    def flush(self) -> None:
        """See that nothing that was removed stays in the log of changes."""
