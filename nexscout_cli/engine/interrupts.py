"""Signals: the first stops new work and lets a settlement end; what the second does is the command line's to say."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from nexscout_cli import waiting


class Interrupts:
    """Whether a signal has asked an engine to stop. Signals are the main thread's; other threads, and
    coroutines, ask ``stopping``.

    Whoever handles signals tells it (:meth:`arrived`): an engine in a program that handles none is never interrupted so.
    """

    def __init__(self) -> None:
        self.stopping = False
        self._shielded = False

    def stop(self) -> None:
        """Begin no new work; what is in flight goes on to its end."""
        self.stopping = True

    def arrived(self) -> None:
        """Hear of a signal, in the main thread. Raises KeyboardInterrupt there, but never in the middle of a settlement."""
        self.stopping = True
        if not self._shielded:
            raise KeyboardInterrupt

    @contextmanager
    def shield(self) -> Iterator[None]:
        """What is begun here is brought to its end; only inside ``exposed`` may a signal break in."""
        with self._shield(True):
            yield

    @contextmanager
    def exposed(self) -> Iterator[None]:
        """A wait that a signal may end. Raises KeyboardInterrupt at once when one has come already."""
        with self._shield(False):
            if self.stopping:
                raise KeyboardInterrupt
            yield

    @contextmanager
    def _shield(self, shielded: bool) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread() or waiting.here() is not None:
            yield
            return
        before, self._shielded = self._shielded, shielded
        try:
            yield
        finally:
            self._shielded = before
