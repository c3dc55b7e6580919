"""Requests a minute by key, counted together by all servers that work on the same books."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from array import array
from collections.abc import Callable
from pathlib import Path

from nexscout_cli import locks, system
from nexscout_cli.server.errors import HttpError

MINUTE = 60.0
_BYTES = 8
_log = logging.getLogger("nexscout.serve")


class Rates:
    """A request is counted when it comes, and leaves after a minute.

    ``folder``: where the servers of this machine keep the times of each key's requests, a file for each key, by the clock
    that they all read; None, or where it cannot be written: each counts its own. Nothing is lost with such a file but the
    count of a minute. ``among_all``: counts among the servers of all machines instead, and blocks for as long as that takes
    (``blocks``). Thread-safe.
    """

    def __init__(
        self,
        folder: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        among_all: Callable[[str, int], float | None] | None = None,
    ) -> None:
        self._folder, self._clock, self._among_all = folder, clock, among_all
        self.blocks = among_all is not None
        self._lock = threading.Lock()
        self._own: dict[str, array[float]] = {}

    def take(self, key: str, limit: int | None) -> None:
        """Count a request. Raises HttpError 429, with the seconds to wait, where the key has had its share."""
        if limit is None:
            return
        if self._among_all is not None:
            wait = self._among_all(key, limit)
        else:
            with self._lock:
                wait = self._here(key, limit)
        if wait is not None:
            raise HttpError(
                429,
                f"this key may send {limit} requests a minute",
                f"send it again in {wait:.0f} s",
                code="rate_limit",
                headers={"retry-after": str(max(1, round(wait)))},
            )

    def _here(self, key: str, limit: int) -> float | None:
        """Seconds to wait; None where the request was counted."""
        if self._folder is not None:
            try:
                return self._in_file(self._folder, key, limit)
            except OSError as error:
                _log.warning("requests a minute are counted by this server alone: %s", error.strerror or error)
                self._folder = None
        seen, wait = self._counted(self._own.get(key, array("d")), limit)
        self._own[key] = seen
        return wait

    def _in_file(self, folder: Path, key: str, limit: int) -> float | None:
        folder.mkdir(mode=0o700, exist_ok=True)
        name = folder / hashlib.sha256(key.encode()).hexdigest()[:32]
        fd = system.opened(name, os.O_RDWR | os.O_CREAT)
        try:
            locks.take(fd)  # for as long as it takes to write some bytes
            there = os.read(fd, os.fstat(fd).st_size)
            seen, wait = self._counted(array("d", there[: len(there) // _BYTES * _BYTES]), limit)
            if wait is None:
                os.lseek(fd, 0, os.SEEK_SET)
                os.write(fd, seen.tobytes())
                os.ftruncate(fd, len(seen) * _BYTES)
        finally:
            os.close(fd)
        return wait

    def _counted(self, times: array[float], limit: int) -> tuple[array[float], float | None]:
        """The times of the last minute with the present one, or the seconds to wait; later ones are from before a restart."""
        now = self._clock()
        seen = array("d", [at for at in times if now - MINUTE < at <= now])
        if len(seen) >= limit:
            return seen, MINUTE - (now - seen[-limit])
        seen.append(now)
        return seen, None
