"""After a failure that nobody understands: is it a row in the database that no program of ours left so?"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from nexscout_cli.errors import StoreError

Fault = Callable[[], StoreError | None]
_AGAIN = 60.0
"""Seconds before the database is looked through again: that may take long, and whoever asks must not set it off at will."""


class Faults:
    """Looks for what is wrong with the database, one thread at a time, and remembers it for a while."""

    def __init__(self, look: Fault) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._looked_at = -_AGAIN
        self._bad: StoreError | None = None

    def found(self) -> StoreError | None:
        """What is wrong, or None."""
        with self._lock:
            if time.monotonic() - self._looked_at >= _AGAIN:
                self._bad = self._look()
                self._looked_at = time.monotonic()
            return self._bad
