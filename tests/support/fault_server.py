"""A provider that misbehaves by a script: one fault a connection, over raw sockets, and it counts what reached it."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

Body = dict[str, Any]
Act = Callable[["Connection"], None]
USAGE = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}


class Connection(NamedTuple):
    """One connection: its socket, the request that came (empty when it was not read), and when to give up."""

    socket: socket.socket
    body: Body
    closing: threading.Event

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.socket.sendall(data)

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Send a head; the connection closes after the body."""
        lines = [f"HTTP/1.1 {status} Made", "Connection: close", *(f"{k}: {v}" for k, v in headers.items())]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def wait(self) -> None:
        """Say nothing more until the test is over."""
        self.closing.wait()

    def reset(self) -> None:
        """Close with a TCP reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Fault(NamedTuple):
    """What to do with a connection; ``reads`` tells whether the request is read before."""

    act: Act
    reads: bool = True


class FaultServer:
    """A context manager; ``url`` is the ``api_base``. ``script`` has a fault for each connection; after it all goes well."""

    def __init__(self, *script: Fault) -> None:
        self.script = list(script)
        self.requests: list[Body] = []
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)

    def __enter__(self) -> FaultServer:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._closing.set()
        self._listener.close()

    @property
    def url(self) -> str:
        """The ``api_base`` for OpenAI models."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    @property
    def hits(self) -> int:
        """How many requests have reached it, whole."""
        with self._lock:
            return len(self.requests)

    @property
    def models(self) -> list[str]:
        """The models that were asked for, in order."""
        with self._lock:
            return [body["model"] for body in self.requests]

    def wait_for(self, hits: int) -> None:
        """Wait until so many requests have come."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.requests) >= hits, 60), f"{len(self.requests)} of {hits}"

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                fault = self.script.pop(0) if self.script else fine()
            threading.Thread(target=self._serve, args=(connection, fault), daemon=True).start()

    def _serve(self, connection: socket.socket, fault: Fault) -> None:
        with connection, contextlib.suppress(OSError, ValueError):
            body = _request(connection) if fault.reads else {}
            if fault.reads:
                with self._arrived:
                    self.requests.append(body)
                    self._arrived.notify_all()
            fault.act(Connection(connection, body, self._closing))


def _request(connection: socket.socket) -> Body:
    """The body of the one request; raises ValueError for what is none."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        data += part
        if not part or not b"POST ".startswith(data[:5]):
            raise ValueError("no request")
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
    while len(body) < int(lengths[0]):
        body += connection.recv(65536)
    parsed: Body = json.loads(body)
    return parsed


def whole(connection: Connection, body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
    """A plain answer with its right length."""
    known = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    connection.head(status, known | dict(headers or {}))
    connection.send(body)


def completion(text: str | None = "Hello there.", finish: str | None = "stop", **changes: Any) -> bytes:
    """The body of a plain answer; a change to ``None`` takes the field out."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    answer = {"id": "c1", "object": "chat.completion", "created": 1, "choices": [choice], "usage": USAGE} | changes
    return json.dumps({key: value for key, value in answer.items() if value is not None}).encode()


def chunk(text: str | None, finish: str | None = None, **changes: Any) -> bytes:
    """One event of a streamed answer."""
    delta = {} if text is None else {"content": text}
    known = {"id": "c1", "object": "chat.completion.chunk", "created": 1}
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: " + json.dumps(known | {"choices": choices} | changes).encode() + b"\n\n"


def fine(text: str = "Hello there.", finish: str = "stop", **changes: Any) -> Fault:
    """No fault: an answer, plain or streamed as asked. ``usage=None`` leaves usage out."""

    def act(connection: Connection) -> None:
        known = {"model": connection.body["model"]} | changes
        if not connection.body.get("stream"):
            whole(connection, completion(text, finish, **known))
            return
        usage = known.pop("usage", USAGE)
        events = [chunk(text, **known), chunk(None, finish, **known)]
        if usage is not None:
            events.append(chunk(None, **known | {"choices": [], "usage": usage}))
        stream(*events, b"data: [DONE]\n\n").act(connection)

    return Fault(act)


def status(
    status: int, message: str = "made to fail", /, headers: Mapping[str, str] | None = None, **more: Any
) -> Fault:
    """An error status with an error body."""
    body = json.dumps({"error": {"message": message, "type": "test", "code": None} | more}).encode()
    return Fault(lambda connection: whole(connection, body, status, headers))


def raw(body: bytes, *, code: int = 200, length: int | None = None) -> Fault:
    """That body, claiming that length."""
    claimed = {} if length is None else {"Content-Length": str(length)}
    return Fault(lambda connection: whole(connection, body, code, claimed))


def stream(*events: bytes, then: Act | None = None) -> Fault:
    """An event stream of those events; then ``then``, or the connection is closed."""

    def act(connection: Connection) -> None:
        connection.head(200, {"Content-Type": "text/event-stream"})
        for event in events:
            connection.send(event)
        if then is not None:
            then(connection)

    return Fault(act)


def hang() -> Fault:
    """Read the request and say nothing."""
    return Fault(Connection.wait)


def reset_after() -> Fault:
    """Read the request and reset the connection."""
    return Fault(Connection.reset)


def reset_before() -> Fault:
    """Reset the connection with the request unread."""

    def act(connection: Connection) -> None:
        connection.socket.recv(1)
        connection.reset()

    return Fault(act, reads=False)


def drip(connection: Connection, drop: bytes) -> None:
    """Send a drop now and then, for ever."""
    while not connection.closing.wait(0.05):
        connection.send(drop)


def trickle() -> Fault:
    """A body that comes byte by byte and never ends."""

    def act(connection: Connection) -> None:
        connection.head(200, {"Content-Type": "application/json", "Content-Length": "100000"})
        drip(connection, b" ")

    return Fault(act)


def first(do: Callable[[], None], fault: Fault) -> Fault:
    """Do something when the request has come, then the fault."""

    def act(connection: Connection) -> None:
        do()
        fault.act(connection)

    return Fault(act)


def closed_port() -> str:
    """An ``api_base`` where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


@contextmanager
def deaf_port() -> Iterator[str]:
    """An ``api_base`` that takes no connection and refuses none: its backlog is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
