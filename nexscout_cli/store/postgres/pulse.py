"""Signs of life of a program that holds attempts, for those on other machines, who cannot see its process."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg

from nexscout_cli.errors import NexScoutError
from nexscout_cli.store import owner
from nexscout_cli.store.postgres import months
from nexscout_cli.store.sqlite.transaction import stamp

if TYPE_CHECKING:
    from nexscout_cli.engine.ports import Clock
    from nexscout_cli.store.postgres.connections import Connections

EVERY = 20.0
"""Seconds between two signs of life; the first one is due so long after a program's first hold, which is a sign itself."""
SILENCE = 90.0
"""Seconds without a sign after which a program on another machine counts as dead."""


class Pulse:
    """A thread that tells of this process, from its first hold until the store is closed. A forked child has its own."""

    def __init__(self, connections: Connections, clock: Clock | None) -> None:
        self._connections = connections
        self._clock = clock
        self._pid = 0
        self._stop = threading.Event()

    def begin(self) -> None:
        """Begin, where this process has not begun yet."""
        if self._pid == os.getpid():
            return
        self._pid, self._stop = os.getpid(), threading.Event()
        threading.Thread(target=self._go_on, args=(self._stop,), name="nexscout-pulse", daemon=True).start()

    def _go_on(self, stop: threading.Event) -> None:
        while not stop.wait(EVERY):
            with suppress(NexScoutError, psycopg.Error):  # a server that is away hears the next one
                self.beat()

    def beat(self) -> None:
        """Tell that this process lives."""
        at = None if self._clock is None else stamp(self._clock.now())
        with self._connections.one() as connection:
            connection.execute("SELECT nexscout.beat(%s, %s)", (owner.me(), at))
        months.make_ahead(self._connections)

    def end(self) -> None:
        """Tell no more."""
        self._stop.set()
