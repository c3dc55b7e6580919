"""Steps that were due while the database could not be reached: kept on this machine until it is back, then made in order, once.

One line of JSON each, in a file that only its owner can read: an answer that is to be cached stands in it. Whoever comes first
makes them all; others keep more meanwhile. Only what ends a call, or gives back what may be held, is kept; where nothing was
sent, nothing is owed. What the database refuses for good is laid aside in a file beside it, so that it keeps no other waiting.
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

KEPT = frozenset({"post", "void", "mark_unknown", "deliver", "fail", "drop"})
"""The steps that are kept."""
WAITING, ASIDE = "unposted", "refused"
"""How the names of files begin: what waits, and what the database has refused."""
_LOOK = 0.05
"""Seconds after which a program looks again whether another one on this machine has kept something."""
_PATIENCE = 2.0
"""Seconds that a program waits for others that write to the file at this moment; one of them may have been stopped."""


class Journal:
    """What waits for the books called ``books``, in a file in ``folder``, made when it is first needed; None: nothing is kept.

    Safe for many programs at a time.
    """

    def __init__(self, folder: Path | None, books: str) -> None:
        self._path = folder and folder / f"{WAITING}-{books}.jsonl"
        self._looked = 0.0

    def add(self, step: Step) -> bool:
        """Keep a step that could not be made; whether it is on the disk."""
        if self._path is None or step["step"] not in KEPT:
            return False
        self._looked = 0.0
        kept = {name: value for name, value in step.items() if name != "profile"}
        return self._write(self._path, f"{plain(kept)}\n".encode("utf-8", "surrogatepass"))

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

    def make(self, make: Callable[[Step, bool], bool | None]) -> int:
        """Make what is kept, in order; returns how many steps were. Where another program is at it nothing is done.

        ``make`` is told whether a step is the last one of its request, and says whether it is made: None, not now, ends all;
        False, never, lays it aside.
        """
        if not self.waits():
            return 0
        assert self._path is not None
        aside = self._path.with_name(self._path.name.replace(WAITING, ASIDE, 1))
        made = 0
        with self._opened(self._path.with_suffix(".lock")) as alone:
            if not locks.take_if_free(alone):
                return 0
            with self._opened(self._path) as file:
                lines = _whole(file)
            steps = [_read(line) for line in lines]
            last = {step["request"]: n for n, step in enumerate(steps) if step is not None}
            for n, (line, step) in enumerate(zip(lines, steps, strict=True)):
                is_made = False if step is None else make(step, last[step["request"]] == n)
                if is_made is None:
                    return made
                if is_made:
                    made += 1
                elif line.endswith(b"\n") and not self._write(aside, line):
                    return made  # a line without an end was cut short when its machine died: it was never on the disk
            # A step that is made again is refused by the state of its attempt. So the file is emptied when all are made, and else
            # left as it is: whoever dies here loses none of the others.
            with self._opened(self._path) as file:
                if _lock(file) and _whole(file) == lines:  # else somebody has kept one more
                    os.ftruncate(file, 0)
                    os.fsync(file)
        return made

    def _write(self, path: Path, line: bytes) -> bool:
        """Add a line to a file; whether it is on the disk. Where it is not, nothing of it is."""
        try:
            with self._opened(path) as file:
                if not _lock(file):
                    return False
                size = os.fstat(file).st_size
                if size:
                    os.lseek(file, size - 1, os.SEEK_SET)
                    if os.read(file, 1) != b"\n":  # one that was cut short when the machine died
                        line = b"\n" + line
                try:
                    is_whole = os.write(file, line) == len(line)
                    os.fsync(file)
                except OSError:
                    is_whole = False
                if not is_whole:
                    os.ftruncate(file, size)
                return is_whole
        except OSError:
            return False

    @contextmanager
    def _opened(self, path: Path) -> Iterator[int]:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = system.opened(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        try:
            yield file
        finally:
            os.close(file)


def lines_in(folder: Path) -> dict[str, int]:
    """How many steps wait in a folder, and how many were laid aside, by the names of their files; of no empty one."""
    found = {}
    for kind in (WAITING, ASIDE):
        for path in sorted(folder.glob(f"{kind}-*.jsonl")):
            if lines := path.read_bytes().count(b"\n"):
                found[path.name] = lines
    return found


def _lock(file: int) -> bool:
    """Lock a file that is written to for a moment; False where another program has it for long."""
    end = time.monotonic() + _PATIENCE
    while not locks.take_if_free(file):
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def _whole(file: int) -> list[bytes]:
    """The lines of a file, from its beginning."""
    os.lseek(file, 0, os.SEEK_SET)
    with os.fdopen(os.dup(file), "rb") as reading:
        return reading.read().splitlines(keepends=True)


def _read(line: bytes) -> Any:
    """A line's step; None for what is none."""
    try:
        step = json.loads(line)
    except ValueError:
        return None
    return step if isinstance(step, dict) and step.get("step") in KEPT and isinstance(step.get("request"), str) else None
