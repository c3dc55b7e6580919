"""The store's books of keys and of budgets, as protocols."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nexscout_cli.engine.book_types import ApiKey
    from nexscout_cli.engine.budgets import Budget


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
