"""What a command works with: settings, who acts and for whom, the store, the engine."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

from nexscout_cli import config
from nexscout_cli.cli import output, signals
from nexscout_cli.config import Settings

if TYPE_CHECKING:
    from nexscout_cli.cli.remote import Remote
    from nexscout_cli.engine.pipeline import Engine
    from nexscout_cli.engine.store_ports import Store


class Notes:
    """Tells the person at the terminal what the engine is doing; in a script and from cron it is silent."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet or not output.stderr_is_terminal()
        self.shown: set[str] = set()

    def note(self, text: str) -> None:
        """One line on stderr."""
        if not self._quiet:
            self.shown.add(text)
            output.note(text)


def warn_of_unknown_variables() -> None:
    """One line on stderr where the environment has ``NEXSCOUT_*`` names that nothing reads."""
    unknown = config.unknown_variables()
    if not unknown:
        return
    more = f" (and {len(unknown) - 1} more; `nexscout doctor` lists them)" if len(unknown) > 1 else ""
    output.note(f"warning: {unknown[0].message}: {unknown[0].suggestion}{more}")


class Session:
    """Opened lazily: a command that needs no database opens none.

    ``makes``: on a server books are made where there are none, as every command does that begins with :meth:`recover`; one
    that reads leaves nothing in a database that may be somebody else's.
    """

    def __init__(self, quiet: bool = False, *, makes: bool = False) -> None:
        os.umask(0o077)
        self.quiet = quiet
        self._makes = makes

    @cached_property
    def asked(self) -> Settings:
        """Settings as environment and files have them, before the database's limits; opens no database."""
        return config.load()

    @property
    def settings(self) -> Settings:
        """Settings within the database's limits. What is not used of environment and files gets a warning.

        Over a server they are those of this machine: the server's own hold there.
        """
        return self.asked if self.remote else self._opened[1]

    @cached_property
    def remote(self) -> Remote | None:
        """The server that is asked instead of a database here, where the environment names one. Raises UsageError."""
        if not os.environ.get("NEXSCOUT_SERVER", "").strip():
            return None
        from nexscout_cli.cli.remote import server

        return server()

    @cached_property
    def _opened(self) -> tuple[Store, Settings]:
        from nexscout_cli.assemble import opened

        store, settings = opened(self.asked, self.actor, makes=self._makes)
        if not self.quiet:
            warn_of_unknown_variables()
            for line in settings.ignored:
                output.note(f"warning: {line}")
        return store, settings

    @cached_property
    def actor(self) -> str:
        """Who is at the keyboard."""
        from nexscout_cli.assemble import login_name

        return login_name()

    @property
    def store(self) -> Store:
        """The open store. Raises UsageError where a server is asked instead."""
        if self.remote:
            from nexscout_cli.cli.remote import refuse

            raise refuse("this")
        return self._opened[0]

    @cached_property
    def notes(self) -> Notes:
        """Where the engine's notes go, and which were shown."""
        return Notes(self.quiet)

    def subject(self, user: str | None) -> str:
        """Who a request is for: ``--user``, else ``NEXSCOUT_USER`` or the config's, else the actor."""
        return user or self.asked["user"] or self.actor

    def engine(self, *, writes: bool) -> Engine:
        """The engine over the store."""
        from nexscout_cli.assemble import build_engine

        return build_engine(
            self.store,
            self.settings,
            self.actor,
            self.notes,
            interrupts=signals.of_this_command(),
            writes=writes,
        )

    def make(self) -> None:
        """Open the store, and make books where there are none."""
        self._makes = True
        self.store  # noqa: B018 - opening makes them

    def recover(self) -> None:
        """Settle what dead processes left behind: what every writing command begins with."""
        self.make()
        self.store.recovery.recover(self.actor)

    def note_archives(self, what: str) -> None:
        """Say which months are not in a list that went to its end; ``what`` is in it, as a plural."""
        if found := self.store.maintenance.archives(self.actor):
            places = ", ".join(dict.fromkeys(one.folder for one in found))
            output.note(f"{what} from before {found[-1].until} are archived in {places}")
