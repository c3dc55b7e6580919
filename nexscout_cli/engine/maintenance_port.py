"""Looking after a whole store, as a protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from nexscout_cli.engine.book_types import Archive, Backup, Filed, Leaving, Problem, Seal


class Maintenance(Protocol):
    """Checking and copying the whole store. Admins only."""

    def check(self, actor: str, kept: Sequence[Seal] = ()) -> list[Problem]:
        """Everything that is wrong; empty when it is sound. ``kept``: seals that were kept elsewhere, to compare with."""

    def seal(self, actor: str) -> list[Seal]:
        """Seal the finished days that are not sealed yet, and return their seals."""

    def seals(self, actor: str) -> list[Seal]:
        """The seals of all days, oldest first."""

    def backup(self, actor: str, target: Path | None, *, without_text: bool = False) -> Path:
        """A consistent copy in a new file, which is returned; None: beside the store, under a name of its own."""

    def copy_to(self, target: AbstractContextManager[Any], tell: Callable[[str, int], None]) -> dict[str, int]:
        """Copy all books as they are now to where another kind of store begins; returns how many rows of each table.

        ``tell`` hears of a table and how many of its rows have gone.
        """

    def archivable(self, actor: str, before: str) -> list[Leaving]:
        """What :meth:`archive` would take away, month by month."""

    def archive(self, actor: str, before: str, folder: Path, tell: Callable[[str, str], None]) -> list[Archive]:
        """Move the rows of every whole month before a day (YYYY-MM-DD) into Parquet files; returns the months that went.

        ``tell`` hears of a month and what is done with it.
        """

    def archives(self, actor: str) -> list[Filed]:
        """The months whose rows lie in archives, oldest first."""

    def prune(self, actor: str, keep: int, *, dry_run: bool = False) -> list[Path]:
        """Remove all backups but the newest ones; returns those that were, or would be."""

    def holding(self, actor: str, user_id: str) -> list[Backup]:
        """The backups that still hold texts of a user's."""

    def about(self) -> dict[str, str]:
        """Facts for a person: engine and version, how commits are made durable."""
