"""Steps that were due while the database could not be reached: kept on this machine until it is back, then made in order, once.

One line of JSON each, in a file that only its owner can read: an answer that is to be cached stands in it. Whoever comes first
makes them all, under the file's lock. Only what ends a call that was sent is kept; where nothing was sent, nothing is owed.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nexscout_cli import locks, system
from nexscout_cli.jsontext import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from nexscout_cli.store.postgres.steps import Step

KEPT = frozenset({"post", "void", "mark_unknown", "deliver", "fail"})
"""The steps that are kept."""
_LOOK = 0.05
"""Seconds after which a program looks again whether another one on this machine has kept something."""


class Journal:
    """The file at ``path``, made when it is first needed; None: nothing is kept. Safe for many programs at a time."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._looked = 0.0

    def add(self, step: Step) -> bool:
        """Keep a step that could not be made; whether it is on the disk."""
        if self._path is None or step["step"] not in KEPT:
            return False
        self._looked = 0.0
        kept = {name: value for name, value in step.items() if name != "profile"}
        try:
            with self._opened() as file:
                os.write(file, f"{plain(kept)}\n".encode("utf-8", "surrogatepass"))
                os.fsync(file)
        except OSError:
            return False
        return True

    def may_wait(self) -> bool:
        """Whether something is kept, as was seen a moment ago: each call asks."""
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return False
        if self.waits():
            return True
        self._looked = now
        return False

    def waits(self) -> bool:
        """Whether something is kept."""
        try:
            return self._path is not None and self._path.stat().st_size > 0
        except OSError:
            return False

    def make(self, make: Callable[[Step], bool]) -> int:
        """Make what is kept, in order, until ``make`` says of a step that it cannot be made now; returns how many were."""
        if not self.waits():
            return 0
        made = 0
        with self._opened() as file:
            os.lseek(file, 0, os.SEEK_SET)
            with os.fdopen(os.dup(file), "rb") as reading:
                lines = reading.read().splitlines(keepends=True)
            for line in lines:
                step = _read(line)
                if step is not None and not make(step):
                    break
                made += 1
            # A step that is made again is refused by the state of its attempt. So the file is emptied when all are made, and else
            # left as it is: whoever dies here loses none of the others.
            if made == len(lines):
                os.ftruncate(file, 0)
                os.fsync(file)
        return made

    @contextmanager
    def _opened(self) -> Iterator[int]:
        assert self._path is not None
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = system.opened(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        try:
            locks.take(file)
            yield file
        finally:
            os.close(file)


def _read(line: bytes) -> Any:
    """A line's step; None for one that was cut short when its machine died: it was not on the disk."""
    try:
        step = json.loads(line)
    except ValueError:
        return None
    return step if isinstance(step, dict) and step.get("step") in KEPT else None
