"""A line between programs and a PostgreSQL server that breaks at a certain word: before it arrives, or after its answer came."""

from __future__ import annotations

import re
import shutil
import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

import psycopg


class Cut(NamedTuple):
    """When to break the line: at what a program says, in one short message. ``arrives``: the server does it, and its answer is
    lost. ``for_good``: nobody gets through any more.
    """

    at: bytes
    arrives: bool
    for_good: bool = False


class Line:
    """A context manager; ``url`` leads through it to the server that the given URL names, on a Unix socket."""

    def __init__(self, url: str) -> None:
        about = psycopg.conninfo.conninfo_to_dict(url)
        name = f".s.PGSQL.{about.get('port', 5432)}"
        self._folder = Path(tempfile.mkdtemp(prefix="nx-line-", dir="/tmp"))
        self._folder.chmod(0o755)
        self._server = str(Path(str(about["host"]), name))
        self.url = urlunsplit(urlsplit(url)._replace(query=f"host={self._folder}"))
        self.cut: Cut | None = None
        self.broke = 0
        self._is_open = True
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._lost: dict[socket.socket, threading.Event] = {}
        """What answers are lost from, and whether the one that was waited for has come."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._folder / name))
        self._listener.listen(100)

    def __enter__(self) -> Line:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        self._end(*self._open)
        shutil.rmtree(self._folder)

    def mend(self) -> None:
        """Let everybody through again."""
        self.cut, self._is_open = None, True

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                ours, _ = self._listener.accept()
                with self._lock:  # none is let through beside the one that is cut
                    if not self._is_open:
                        ours.close()
                        continue
                    theirs = socket.socket(socket.AF_UNIX)
                    theirs.connect(self._server)
                    self._open += ours, theirs
                threading.Thread(target=self._carry, args=(ours, theirs), daemon=True).start()

    def _carry(self, ours: socket.socket, theirs: socket.socket) -> None:
        """What the program says goes to the server, up to the word."""
        answers = threading.Thread(target=self._answer, args=(ours, theirs), daemon=True)
        answers.start()
        with suppress(OSError):
            while data := ours.recv(65_536):
                cut = self.cut
                if cut is None or not re.search(cut.at, data):
                    theirs.sendall(data)
                    continue
                with self._lock:
                    self.cut, self._is_open = None, not cut.for_good
                self.broke += 1
                if cut.arrives:
                    self._lost[theirs] = threading.Event()
                    theirs.sendall(data)
                    self._lost[theirs].wait(10)
                self._end(*self._open) if cut.for_good else self._end(ours, theirs)
        self._end(ours, theirs)

    def _answer(self, ours: socket.socket, theirs: socket.socket) -> None:
        with suppress(OSError):
            while data := theirs.recv(65_536):
                if theirs not in self._lost:
                    ours.sendall(data)
                elif data.endswith(b"Z\x00\x00\x00\x05I"):  # the server is ready for more: it has committed
                    self._lost[theirs].set()
        self._end(ours, theirs)

    @staticmethod
    def _end(*some: socket.socket) -> None:
        for one in some:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
