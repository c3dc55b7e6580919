"""HTTP for our own wires on an event loop: kept connections that coroutines wait on, read by httptools.

The exceptions are httpcore's, as those of :mod:`nexscout_cli.providers.transport` are, whose deadlines hold here too.
"""

from __future__ import annotations

import asyncio
import functools
import re
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import httpcore
import httptools

from nexscout_cli.providers.pacing import pace

if TYPE_CHECKING:
    import ssl

    from nexscout_cli.providers.pacing import Pace
    from nexscout_cli.providers.wires.request import HttpRequest
    from nexscout_cli.waiting import Loop

KEEP = 4.0
"""Seconds that an idle connection is kept: shorter than the 5 s after which common servers close one."""
_MOST_IDLE = 100
_HEAD_LIMIT = 100_000
"""Bytes that an answer's head may have."""
_AHEAD = 65_536
"""Bytes that may have come and not been taken yet, until no more are read."""
_BAD = re.compile(rb"[\r\n\0]")

Headers = list[tuple[bytes, bytes]]


class Exchange(Protocol):
    """What is known of one request and its answer: how long it may take, whether bytes of it were sent, and whether the first
    words of a stream have come.
    """

    sent: bool
    speaks: bool

    def left(self) -> float:
        """Seconds left. Raises ReadTimeout when there are none."""


class _Place(NamedTuple):
    """Where a server listens."""

    secure: bool
    host: str
    port: int


@functools.lru_cache(maxsize=256)
def _address(url: str) -> tuple[_Place, bytes, bytes]:
    """Of a URL: whom to connect to, the value of the host header, the target. Raises UnsupportedProtocol."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise httpcore.UnsupportedProtocol(f"no address to call: {parts.scheme}")
    secure = parts.scheme == "https"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.netloc.rpartition("@")[2]
    return _Place(secure, parts.hostname, parts.port or (443 if secure else 80)), host.encode(), target.encode("ascii")


@contextmanager
def send(
    request: HttpRequest, exchange: Exchange, loop: Loop, headers: Headers, tls: Callable[[], ssl.SSLContext]
) -> Iterator[tuple[int, dict[str, str], Iterable[bytes]]]:
    """Send the request over a kept connection or a new one; see :func:`nexscout_cli.providers.transport.send`."""
    place, host, target = _address(request.url)
    head = [b"%s %s HTTP/1.1\r\nhost: %s\r\n" % (request.method.encode(), target, host)]
    for name, value in (*headers, (b"content-length", b"%d" % len(request.body))):
        if _BAD.search(value) or _BAD.search(name):
            raise httpcore.LocalProtocolError("a header has a line end in it")
        head.append(b"%s: %s\r\n" % (name, value))
    idle = _idle(loop)
    connection = _kept(idle[place]) or loop.to_end(_connect(loop, place, exchange, tls if place.secure else None))
    try:
        exchange.sent = True
        connection.begin(b"".join([*head, b"\r\n", request.body]))
        while not connection.has_head:
            connection.wait(loop, exchange)
        yield connection.status, connection.headers, _body(connection, loop, exchange)
    finally:
        connection.leave(idle[place])


def _body(connection: _Connection, loop: Loop, exchange: Exchange) -> Iterator[bytes]:
    """What has come, each time something has: of a fast stream several events at once, of a busy loop's any stream as well."""
    common = pace(loop)
    common.begin()
    try:
        while True:
            if connection.parts:
                yield connection.take()
            elif connection.ended:
                return
            else:
                if common.rest and exchange.speaks:
                    connection.rest(common)
                connection.wait(loop, exchange)
    finally:
        common.end()


Idle = deque["_Connection"]
_idle_of: WeakKeyDictionary[Loop, defaultdict[_Place, Idle]] = WeakKeyDictionary()


def _idle(loop: Loop) -> defaultdict[_Place, Idle]:
    """The connections of a loop that nobody uses, by where they lead."""
    idle = _idle_of.get(loop)
    if idle is None:
        idle = _idle_of[loop] = defaultdict(deque)
        loop.at_end(functools.partial(_abort_all, idle))
    return idle


def _abort_all(idle: dict[_Place, Idle]) -> None:
    for connections in idle.values():
        while connections:
            connections.pop().transport.abort()


def _kept(idle: Idle) -> _Connection | None:
    """A connection that nobody uses; the one that was used last."""
    while idle:
        connection = idle.pop()
        if not connection.lost and time.monotonic() - connection.since < KEEP:
            return connection
        connection.transport.abort()
    return None


async def _connect(
    loop: Loop, place: _Place, exchange: Exchange, tls: Callable[[], ssl.SSLContext] | None
) -> _Connection:
    secure: dict[str, Any] = {} if tls is None else {"ssl": tls(), "server_hostname": place.host}
    try:
        async with asyncio.timeout(exchange.left()):
            _, made = await loop.events.create_connection(_Connection, place.host, place.port, **secure)
    except TimeoutError:
        raise httpcore.ConnectTimeout(f"{place.host}: no connection in time") from None
    except OSError as error:
        raise httpcore.ConnectError(f"{place.host}: {error.strerror or error}") from error
    return made


class _Connection(asyncio.Protocol):
    """One connection: at most one answer at a time, of which ``parts`` are what has come and was not taken yet."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.lost = False
        self.since = 0.0
        self._resume: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._clear()

    def _clear(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.parts: list[bytes] = []
        self.has_head = self.ended = self._stays = self._rests = False
        self._size = self._ahead = 0
        self._error: Exception | None = None
        self._parser: Any = None

    def begin(self, data: bytes) -> None:
        """Send a request."""
        self._clear()
        self._parser = httptools.HttpResponseParser(self)
        # A byte in a header that should not be there is no reason to lose an answer that is billed.
        self._parser.set_dangerous_leniencies(lenient_headers=True)
        if self.lost:
            raise httpcore.WriteError("the connection was closed")
        self.transport.write(data)

    def wait(self, loop: Loop, exchange: Exchange) -> None:
        """Wait until more has come. Raises what went wrong, ReadTimeout where nothing came in time."""
        if self._error is not None:
            raise self._error
        left = exchange.left()
        # One timer serves many waits: the end only moves further off, and who is woken too early asks again what is left.
        if self._timer is None:
            self._timer = loop.events.call_later(left, self._late)
        loop.away += 1
        try:
            loop.suspend(self._wait)
        finally:
            loop.away -= 1
        if self._error is not None and not self.parts:
            raise self._error

    def take(self) -> bytes:
        """What has come of the body and was not taken yet."""
        data = b"".join(self.parts)
        self.parts.clear()
        if self._ahead > _AHEAD and not self._rests:
            self.transport.resume_reading()
        self._ahead = 0
        return data

    def rest(self, common: Pace) -> None:
        """Read nothing for a while."""
        if not self._rests and self._error is None and not self.lost:
            self._rests = True
            self.transport.pause_reading()
            common.let_rest(self)

    def go_on(self) -> None:
        """The rest is over."""
        if self._rests:
            self._rests = False
            if self._ahead <= _AHEAD and not self.lost:
                self.transport.resume_reading()

    def leave(self, idle: Idle) -> None:
        """End an exchange: keep the connection where its answer came whole, else close it."""
        whole = self.ended and not self.lost and self._stays
        self.go_on()
        self._parser = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not whole or len(idle) >= _MOST_IDLE:
            self.transport.abort()
            return
        self.since = time.monotonic()
        idle.append(self)

    def _wait(self, resume: Callable[[], None]) -> None:
        self._resume = resume

    def _wake(self) -> None:
        resume, self._resume = self._resume, None
        if resume is not None:
            resume()

    def _late(self) -> None:
        self._timer = None
        self._wake()

    def connection_made(self, transport: Any) -> None:
        """The loop tells that it is there."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """The loop tells what came. What comes unasked ends the connection."""
        if self._parser is None or self.ended:
            self.transport.abort()
            return
        self._size += 0 if self.has_head else len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(httpcore.RemoteProtocolError("the server wants another protocol"))
        except httptools.HttpParserError as error:
            self._fail(httpcore.RemoteProtocolError(f"not HTTP: {error}"))
        if not self.has_head and self._size > _HEAD_LIMIT:
            self._fail(httpcore.RemoteProtocolError("the answer's head is too large"))
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The loop tells that it has ended: so has a body that has no other end."""
        self.lost = True
        until_end = not {"content-length", "transfer-encoding"} & self.headers.keys()
        if exc is None and self.has_head and until_end:
            self.ended = True
        elif not self.ended:
            self._fail(
                httpcore.ReadError(str(exc)) if exc else httpcore.RemoteProtocolError("the connection was closed")
            )
        self._wake()

    def _fail(self, error: Exception) -> None:
        self._error = self._error or error

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser tells a header."""
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The parser tells that the head is there; one below 200 is not the answer's."""
        self.status = self._parser.get_status_code()
        self.has_head = self.status >= 200

    def on_body(self, data: bytes) -> None:
        """The parser tells a part of the body."""
        self.parts.append(data)
        self._ahead += len(data)
        if self._ahead > _AHEAD:
            self.transport.pause_reading()

    def on_message_complete(self) -> None:
        """The parser tells that all has come."""
        if self.has_head:
            self.ended, self._stays = True, self._parser.should_keep_alive()
        else:
            self.headers.clear()
