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


def _body(cycle: RequestResponseCycle) -> bytearray | None:
    """The body of a request that has come as a whole; None of one of which more is to come, or that was taken in parts."""
    return None if cycle.more_body else cycle.body


def bounded_protocol(seconds: float = HEAD_SECONDS) -> type[asyncio.Protocol]:
    """Uvicorn's protocol with a limit on the time that a head takes, and ways to read and write straight."""

    class Bounded(HttpToolsProtocol):
        _timer: asyncio.TimerHandle | None = None
        _in_head = False

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._in_head and self._timer is None:
                self._wait()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._in_head = True
            self._stop()

        def on_headers_complete(self) -> None:
            self._in_head = False
            self._stop()
            before = self.cycle
            super().on_headers_complete()
            if (cycle := self.cycle) is not before:
                straight: Any = {"write": functools.partial(_write, cycle), "body": functools.partial(_body, cycle)}
                cycle.scope["extensions"] = {STRAIGHT: straight}

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
