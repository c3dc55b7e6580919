"""The server's clock, which all programs on one database share."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nexscout_cli.store.postgres.connections import Connections


class ServerClock:
    """The time of the server; pauses are this machine's."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def now(self) -> datetime:
        """The time, UTC."""
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
