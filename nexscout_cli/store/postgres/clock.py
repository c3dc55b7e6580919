"""The server's clock, which all programs on one database share."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from nexscout_cli.waiting import aside

if TYPE_CHECKING:
    from nexscout_cli.store.postgres.connections import Connections


_FOR = 60.0
"""Seconds for which the server's time goes on by this machine's steady clock, before it is asked again."""


class ServerClock:
    """The time of the server; pauses are this machine's, whose time of day does not matter."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._asked: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        """The time, UTC."""
        asked, here = self._asked, time.monotonic()
        if asked is None or here - asked[1] > _FOR:
            asked = self._asked = aside(self._ask), here
        return asked[0] + timedelta(seconds=time.monotonic() - asked[1])

    def _ask(self) -> datetime:
        with self._connections.one() as connection:
            row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        found = row[0]
        assert isinstance(found, datetime)
        return found.astimezone(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
