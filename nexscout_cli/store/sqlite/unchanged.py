"""What was read of the books, kept while they are the same: a server's requests between two commits see one state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from nexscout_cli import waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from nexscout_cli.engine.ports import Clock
    from nexscout_cli.engine.store_rules import StoreRules

T = TypeVar("T")
_MOST = 1_000
_NOTHING: tuple[tuple[Hashable, ...], object, dict[Hashable, Any]] = ((), None, {})
"""When what is kept was read, by which rules, and what it is."""


class Books(Protocol):
    """What is asked of books whose state is known; see ``Work``."""

    rules: StoreRules

    @property
    def clock(self) -> Clock:
        """The clock."""

    def state(self, *, of_few: bool = False) -> Hashable | None:
        """What is another after each commit."""


class Unchanged:
    """Values by what they are of, as the books had them after the last commit, under the rules of the same second.

    Only what a server's coroutines ask for is kept; a command reads each time. The second counts because windows begin and
    end with one. ``of_few``: after a commit that changed accounts and calls alone, they are still the same.
    """

    def __init__(self, store: Books, *, of_few: bool = False) -> None:
        self._store, self._of_few = store, of_few
        self._at = _NOTHING

    def get(self, key: Hashable, read: Callable[[], T]) -> T:
        """The value; read where something was committed since it was."""
        if waiting.here() is None or (state := self._store.state(of_few=self._of_few)) is None:
            return read()
        when = (state, int(self._store.clock.now().timestamp()))
        then, rules, kept = self._at
        if when != then or rules is not self._store.rules or len(kept) >= _MOST:
            kept = {}
            self._at = (when, self._store.rules, kept)  # in one: loops of several threads may ask
        if key in kept:
            found: T = kept[key]
            return found
        value = read()
        kept[key] = value  # where others have gone on meanwhile, with what was kept when it was read
        return value

    def forget(self) -> None:
        """Read all anew."""
        self._at = _NOTHING
