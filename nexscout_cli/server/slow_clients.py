"""Connections of clients. A request's head has to come within some seconds, or the connection is closed; and a part of an
answer can be written straight away, without a task that waits for its turn.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from nexscout_cli.server.running import STRAIGHT

HEAD_SECONDS = 10.0
"""Seconds from the connection, or from the head's first byte, to its last one."""


def _write(cycle: RequestResponseCycle, data: bytes) -> bool:
    """Write a part of an answer that has begun; False where that is to wait, for a client that reads slowly or is gone."""
    if cycle.flow.write_paused or cycle.disconnected or cycle.response_complete:
        return False
    if not (cycle.response_started and cycle.chunked_encoding):
        return False
    cycle.transport.write(b"%x\r\n%b\r\n" % (len(data), data))
    return True


def bounded_protocol(seconds: float = HEAD_SECONDS) -> type[asyncio.Protocol]:
    """Uvicorn's protocol with a limit on the time that a head takes, and a way to write straight."""

    class Bounded(HttpToolsProtocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._wait()

        def on_headers_complete(self) -> None:
            self._stop()
            before = self.cycle
            super().on_headers_complete()
            if self.cycle is not before:
                self.cycle.scope["extensions"] = {STRAIGHT: {"write": functools.partial(_write, self.cycle)}}

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            super().connection_lost(exc)

        def _wait(self) -> None:
            self._stop()
            self._timer = self.loop.call_later(seconds, self.transport.close)

        def _stop(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return Bounded
