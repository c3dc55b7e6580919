"""What the workers of one server have in common: memory that each of them sees, made before the first one begins.

There is no file with a name and no other process in it: it is gone with the last worker, however that ends. Numbers are
written by one worker each, in a part of the memory that is its own, and read by all. What several change (who is signed in) is
one document, changed under a lock that ends with the process that holds it. A server of one process has plain values instead.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from nexscout_cli.errors import NexScoutError

_NUMBERS, _NAMES = 16_384, 1 << 20
"""How many counts a worker may have, and bytes for their names."""
_TEXT = 4 << 20
"""Bytes that the document may take. There is room for two: whoever dies while writing one leaves the one before."""
_WORD = 8
_PART = 2 * _WORD + _WORD * _NUMBERS + _NAMES
_DOCUMENT = _WORD + 2 * (_WORD + _TEXT)
_log = logging.getLogger("nexscout.serve")

Name = tuple[str, ...]
Values = dict[str, Any]


class Counts:
    """Counts by name. Not thread-safe: they belong to the event loop."""

    def __init__(self) -> None:
        self._of: dict[Name, float] = {}

    def add(self, name: Name, amount: float = 1.0) -> None:
        """Count."""
        self._of[name] = self._of.get(name, 0.0) + amount

    def sums(self) -> dict[Name, float]:
        """All counts, those of all workers together."""
        return dict(self._of)


class Taken:
    """Places that are taken."""

    def __init__(self) -> None:
        self._own = 0

    def add(self, places: int) -> None:
        """Take some, or give them back where it is below 0."""
        self._own += places

    def sum(self) -> int:
        """Those of all workers together."""
        return self._own


class Document:
    """Values by name, each with names of its own, all of it what JSON has. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, Values] = {}

    @contextmanager
    def open(self, name: str) -> Iterator[Values]:
        """What is kept under a name, for one at a time; what is changed of it is kept."""
        with self._lock:
            yield self._values.setdefault(name, {})


class Board(NamedTuple):
    """What requests have in common, whichever worker answers them. ``worker``: who asks, from 0; the first one does what a
    server does once. ``rates``: the folder in which all servers of this machine over the same books count requests a minute;
    None: each counts its own. ``is_shared``: there are other workers.
    """

    counts: Counts
    taken: Taken
    document: Document
    worker: int = 0
    rates: Path | None = None
    is_shared: bool = False


def board_of_one(rates: Path | None = None) -> Board:
    """The board of a server that is one process."""
    return Board(Counts(), Taken(), Document(), 0, rates)


class Memory:
    """The memory of some workers, made by their parent. Only where the system has ``fork``."""

    def __init__(self, workers: int) -> None:
        import mmap
        import tempfile

        self._memory = mmap.mmap(-1, _DOCUMENT + workers * _PART)
        # A process's lock on it ends with the process, and a fork has none of its parent's. The file has no name.
        self._locked = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the server

    def board(self, worker: int, rates: Path | None) -> Board:
        """A worker's board. Where there was one before it in its place, that one's counts go on."""
        parts = self._parts()
        document = _SharedDocument(memoryview(self._memory)[:_DOCUMENT], self._locked)
        return Board(
            _SharedCounts(parts, parts[worker]), _SharedTaken(parts, parts[worker]), document, worker, rates, True
        )

    def free(self, worker: int) -> None:
        """Give back the places of a worker that has ended."""
        self._parts()[worker].head[1] = 0

    def _parts(self) -> list[_Part]:
        view = memoryview(self._memory)
        return [_Part(view[start : start + _PART]) for start in range(_DOCUMENT, len(view), _PART)]


class _Part:
    """A worker's part: how many bytes of names, and places taken; its numbers; their names, a line of JSON each."""

    def __init__(self, view: memoryview) -> None:
        self.head = view[: 2 * _WORD].cast("q")
        self.numbers = view[2 * _WORD : -_NAMES].cast("d")
        self.names = view[-_NAMES:]

    def known(self) -> list[Name]:
        """The names, in the order of their numbers."""
        return [tuple(json.loads(line)) for line in bytes(self.names[: self.head[0]]).splitlines()]


class _SharedCounts(Counts):
    """Counts that others read while they are made. Each number is whole, however its worker ends."""

    def __init__(self, parts: list[_Part], own: _Part) -> None:
        super().__init__()
        self._parts, self._own = parts, own
        self._at = {name: at for at, name in enumerate(own.known())}
        self._is_full = False

    def add(self, name: Name, amount: float = 1.0) -> None:
        at = self._at.get(name)
        if at is None:
            at = self._added(name)
        if at >= 0:
            self._own.numbers[at] += amount

    def _added(self, name: Name) -> int:
        """The place of a new name's number; -1 where there is no room."""
        line, used, at = json.dumps(name).encode() + b"\n", self._own.head[0], len(self._at)
        if at == _NUMBERS or used + len(line) > _NAMES:
            if not self._is_full:
                _log.warning("/metrics has no room for more counts: new ones are left out")
            self._is_full = True
            return -1
        self._own.names[used : used + len(line)] = line
        self._own.head[0] = used + len(line)  # from now on others see it
        self._at[name] = at
        return at

    def sums(self) -> dict[Name, float]:
        found: dict[Name, float] = {}
        for part in self._parts:
            for at, name in enumerate(part.known()):
                found[name] = found.get(name, 0.0) + part.numbers[at]
        return found


class _SharedTaken(Taken):
    def __init__(self, parts: list[_Part], own: _Part) -> None:
        self._heads, self._head = [part.head for part in parts], own.head

    def add(self, places: int) -> None:
        self._head[1] += places

    def sum(self) -> int:
        return sum([head[1] for head in self._heads])


class _SharedDocument(Document):
    """A document that each worker reads and writes anew."""

    def __init__(self, view: memoryview, locked: IO[bytes]) -> None:
        super().__init__()
        self._written = view[:_WORD].cast("q")  # how many times
        self._texts = view[_WORD : _WORD + (len(view) - _WORD) // 2], view[_WORD + (len(view) - _WORD) // 2 :]
        self._file = locked

    @contextmanager
    def open(self, name: str) -> Iterator[Values]:
        import fcntl

        with self._lock:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                before = self._read()
                values: dict[str, Values] = json.loads(before)
                yield values.setdefault(name, {})
                after = json.dumps(values).encode()
                if after != before:
                    self._write(after)
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _read(self) -> bytes:
        if not self._written[0]:
            return b"{}"
        text = self._texts[self._written[0] % 2]
        return bytes(text[_WORD : _WORD + text[:_WORD].cast("q")[0]])

    def _write(self, new: bytes) -> None:
        if len(new) > _TEXT:
            raise NexScoutError("there is no room for more people who are signed in", "try again later", code="busy")
        text = self._texts[(self._written[0] + 1) % 2]
        text[:_WORD].cast("q")[0] = len(new)
        text[_WORD : _WORD + len(new)] = new
        self._written[0] += 1
