"""What the changes of one commit teach, folded at its end: what is learned of a user is read and written once for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    Fold = Callable[[Any, Any, list[Any]], None]  # a transaction, the key, the lessons


class Lessons:
    """Lessons in the order in which they were given, each with what folds it in and what it is of.

    They are part of the transaction that their changes are: what is taken back teaches nothing.
    """

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

    def fold(self) -> None:
        """Fold all in, and begin anew."""
        given, self._given = self._given, []
        of: dict[tuple[Fold, Hashable], tuple[Any, list[Any]]] = {}
        for t, fold, key, lesson in given:
            of.setdefault((fold, key), (t, []))[1].append(lesson)
        for (fold, key), (t, lessons) in of.items():
            fold(t, key, lessons)
