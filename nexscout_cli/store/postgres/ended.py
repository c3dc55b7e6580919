"""Hearing that a request has ended whose answer somebody here waits for, whichever machine it is made on.

A connection of its own listens while anybody waits. It only says when to look: whoever hears nothing looks once a second.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import psycopg

from nexscout_cli.errors import NexScoutError
from nexscout_cli.store.postgres.connections import is_shared

if TYPE_CHECKING:
    from nexscout_cli.store.postgres.connections import Connection, Connections

WAITED_FOR = 0x6E78_0005
"""The kind of advisory lock that who waits for a claim's end holds together with others; see migration 0016."""
LOOK = 1.0
"""Seconds after which one who waits looks, heard or not."""
_GONE = 3.0
"""Seconds after which one who does not ask any more has given up."""
_TURN = 0.1
"""Seconds between two looks at who else waits."""


class _Wait:
    """One claim: when it was looked for in the books, when somebody asked last, and whether its end was heard of."""

    def __init__(self) -> None:
        self.asked = time.monotonic()
        self.looked = self.asked - LOOK
        self.heard = False


class Ended:
    """The claims that somebody here waits for. Thread-safe; a forked child has none."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._waits: dict[str, _Wait] = {}
        self._listens = False

    def may_have(self, claim: str) -> bool:
        """Whether a claim may have ended since it was looked for. From the first question on its end is listened for."""
        if self._pid != os.getpid():
            self._begin()
        with self._lock:
            wait = self._waits.setdefault(claim, _Wait())
            wait.asked = time.monotonic()
            return wait.heard or wait.asked - wait.looked >= LOOK

    def looked(self, claim: str, *, lives: bool) -> None:
        """Tell what was found where somebody waits: that goes on for what lives."""
        with self._lock:
            wait = self._waits.get(claim)
            if wait is None:
                return
            if not lives:
                del self._waits[claim]
                return
            wait.looked, wait.heard = time.monotonic(), False
            if self._listens:
                return
            self._listens = True
        threading.Thread(target=self._listen, name="nexscout-ended", daemon=True).start()

    def _listen(self) -> None:
        try:
            with suppress(NexScoutError, psycopg.Error), closing(self._connections.connect()) as connection:
                self._hear(connection)
        finally:
            with self._lock:
                self._listens = False

    def _hear(self, connection: Connection) -> None:
        if is_shared(connection):  # what is listened for in a session that others have too is not heard
            return
        connection.execute("LISTEN nexscout_ended")
        numbers: dict[str, str] = {}
        while claims := self._still():
            for claim in claims - numbers.keys():
                query = "SELECT hashtext(%s)::text, pg_advisory_lock_shared(%s, hashtext(%s))"
                row = connection.execute(query, (claim, WAITED_FOR, claim)).fetchone()
                numbers[claim] = row[0]  # type: ignore[index]
                self._heard({claim})  # it may have ended before this one listened
            for claim in numbers.keys() - claims:
                connection.execute("SELECT pg_advisory_unlock_shared(%s, hashtext(%s))", (WAITED_FOR, claim))
                del numbers[claim]
            for told in connection.notifies(timeout=_TURN, stop_after=1):
                self._heard({claim for claim, number in numbers.items() if number == told.payload})

    def _still(self) -> set[str]:
        """What is waited for still."""
        with self._lock:
            now = time.monotonic()
            self._waits = {claim: wait for claim, wait in self._waits.items() if now - wait.asked < _GONE}
            return {*self._waits}

    def _heard(self, claims: set[str]) -> None:
        with self._lock:
            for claim in claims & self._waits.keys():
                self._waits[claim].heard = True
