"""A clock that tests set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 10, 12, 0, tzinfo=UTC)


class SettableClock:
    """Stands still until it is told; ``sleep`` moves it on."""

    def __init__(self, start: datetime = START) -> None:
        self.time = start

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return (self.time - START).total_seconds()

    def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)

    def move(self, **how: float) -> None:
        """Forward, or back with negative amounts, as for timedelta."""
        self.time += timedelta(**how)
