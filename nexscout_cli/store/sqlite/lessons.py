"""What changes teach, gathered and folded in at once: what is learned of a user is read and written once for all of them.

They are folded in at the end of their changes' transaction, or in a later one of their own, for what is only described by them
is nothing that an answer has to wait for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Hashable

    Fold = Callable[[Any, Any, list[Any]], None]  # a transaction, the key, the lessons


class Lessons:
    """Lessons in the order in which they were given, each with what folds it in and what it is of."""

    def __init__(self) -> None:
        self._given: list[tuple[Any, Fold, Hashable, Any]] = []

    def add(self, t: Any, fold: Fold, key: Hashable, lesson: Any) -> None:
        """Remember one. ``fold`` is called with all of a ``key`` at once, in the order they were given."""
        self._given.append((t, fold, key, lesson))

    def __len__(self) -> int:
        return len(self._given)

    def forget_after(self, n: int) -> None:
        """Keep the first ``n``: the change that gave the others was taken back."""
        del self._given[n:]

    def take(self, others: Lessons) -> None:
        """Add those of another commit."""
        self._given += others._given

    def fold(self, connection: sqlite3.Connection) -> None:
        """Fold all in, in the transaction that the connection is in. May be done again where that one was taken back."""
        of: dict[tuple[Fold, Hashable], tuple[Any, list[Any]]] = {}
        for t, fold, key, lesson in self._given:
            of.setdefault((fold, key), (t, []))[1].append(lesson)
        for (fold, key), (t, lessons) in of.items():
            fold(t.over(connection), key, lessons)
