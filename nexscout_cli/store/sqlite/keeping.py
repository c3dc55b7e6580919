"""Looking after books, as it is the same wherever they lie: their seals and their archives."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nexscout_cli.engine.book_types import Archive, Filed, Leaving, Problem, Seal
    from nexscout_cli.store.sqlite.archiving import Place
    from nexscout_cli.store.sqlite.work import Work


class Keeping:
    """What is the same of every kind of store's maintenance. ``check`` and ``seal`` are the store's own."""

    _store: Work

    def check(self, actor: str, kept: Sequence[Seal] = ()) -> list[Problem]:
        """Everything that is wrong with the books."""
        raise NotImplementedError

    def seal(self, actor: str) -> list[Seal]:
        """Seal the finished days that are not sealed yet, and return their seals."""
        raise NotImplementedError

    def seals(self, actor: str) -> list[Seal]:
        """The seals of all days, oldest first. Raises NotPermitted."""
        from nexscout_cli.store.sqlite import seals

        with self._store.read(actor) as t:
            t.require_admin("look at the seals")
            return seals.kept(t)

    def archivable(self, actor: str, before: str) -> list[Leaving]:
        """What :meth:`archive` would take away, month by month. Raises NotPermitted, UsageError."""
        from nexscout_cli.store.sqlite import archiving

        return archiving.plan(self._store, actor, before)

    def archives(self, actor: str) -> list[Filed]:
        """The months whose rows lie in archives, oldest first."""
        from nexscout_cli.store.sqlite import archives

        with self._store.read(actor) as t:
            return archives.filed(t.execute)

    def _move(self, place: Place, actor: str, before: str) -> list[Archive]:
        """Archive the months before a day, once the days that are over are sealed and nothing is wrong."""
        from nexscout_cli.store.sqlite import archiving

        def ready() -> list[Problem]:
            self.seal(actor)
            return self.check(actor)

        return archiving.archive(place, actor, before, ready)
