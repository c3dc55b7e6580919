"""The way of a request for an answer, in whichever protocol: from bytes to bytes, whole or as events."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from nexscout_cli.engine.asked import new_id
from nexscout_cli.errors import NexScoutError
from nexscout_cli.jsontext import dumps
from nexscout_cli.server import errors
from nexscout_cli.server.running import STRAIGHT, Running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from nexscout_cli.config import Settings
    from nexscout_cli.engine.book_types import ApiKey
    from nexscout_cli.engine.conversations import Conversations
    from nexscout_cli.engine.request import AIRequest
    from nexscout_cli.engine.response import AIResponse
    from nexscout_cli.server.protocol import Ask, Dialect, Document, Teller
    from nexscout_cli.server.response_state import Earlier
    from nexscout_cli.server.shared import Server

_STREAM = "text/event-stream"


class Front:
    """The addresses that are asked most, by POST and without a router, before an application that has all the others."""

    def __init__(self, others: ASGIApp, most_asked: dict[str, Callable[[Request], Awaitable[Response]]]) -> None:
        self._others, self._most_asked = others, most_asked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        handle = None
        if scope["type"] == "http" and scope["method"] == "POST":
            handle = self._most_asked.get(scope["path"])
        if handle is None:
            await self._others(scope, receive, send)
        else:
            response = await handle(Request(scope, receive))
            await response(scope, receive, send)


async def kept(server: Server, earlier: Earlier | None, ask: Ask, response: AIResponse) -> AIResponse:
    """The answer, kept where it is to be. That it could not be is a warning: it is there, and paid."""
    if earlier is None or not ask.added or response.metadata is None:
        return response
    try:
        await server.threads.do(lambda: earlier.keep(ask, response))
    except NexScoutError as error:
        warnings = (*response.metadata.warnings, f"this response was not stored: {error.message}")
        return response._replace(metadata=response.metadata._replace(warnings=warnings))
    return response


def handler(
    dialect: Dialect, state: Callable[[Conversations, Settings, ApiKey, Document], Earlier] | None = None
) -> Callable[[Server, Request], Awaitable[Response]]:
    """The handler of a protocol's requests for an answer. ``state``: finds what a body goes on with."""

    async def handle(server: Server, request: Request) -> Response:
        began = time.monotonic()
        key = await server.key(request)
        body, size = await server.sized(request)
        headers = dict(request.headers)
        settings, earlier = server.settings, None
        if state is not None and settings["conversations.keep"]:
            earlier = await server.threads.do(lambda: state(server.store.conversations, settings, key, body))
        ask = earlier.read(body, headers, settings) if earlier else dialect.read(body, key, headers, settings)
        ask = ask._replace(request=named(ask.request, headers.get("idempotency-key")))
        request_id = new_id(server.engine.clock)
        model = str(body.get("model"))
        teller = dialect.teller(ask, request_id, model)
        if ask.stream:
            running = Running(server.threads, server.engine, ask.request, key.user_id, request_id, size)

            async def answered(response: AIResponse) -> None:
                server.answered(model, response, began, headers)
                await kept(server, earlier, ask, response)

            def refused(response: AIResponse) -> Response:
                return errors.failed(dialect.name, response, _headers(response, ask))

            return await streamed(server, dialect.name, running, teller, answered, refused)
        response = await server.threads.run(
            lambda: server.engine.run(ask.request, actor=key.user_id, request_id=request_id), size
        )
        server.answered(model, response, began, headers)
        response = await kept(server, earlier, ask, response)
        about = _headers(response, ask)
        if response.error is not None:
            return errors.failed(dialect.name, response, about)
        return Response(dumps(teller.whole(response)), headers=about, media_type="application/json")

    return handle


def named(request: AIRequest, name: str | None) -> AIRequest:
    """The request with the idempotency key of its header."""
    return request if not name else request._replace(options=request.options._replace(idempotency_key=name))


async def streamed(
    server: Server,
    protocol: str,
    running: Running,
    teller: Teller,
    answered: Callable[[AIResponse], Awaitable[None]],
    refused: Callable[[AIResponse], Response],
) -> Response:
    """The answer as events. Until the first piece nothing is sent, so that a refusal has its own status and is ``refused``'s.

    ``answered`` hears of the answer, or of the failure, before the last events are told.
    """
    pieces = running.pieces()
    try:
        first = await anext(pieces, None)
    except BaseException:
        running.leave()
        raise
    response = running.response
    if first is None and response is not None and response.error is not None:
        await answered(response)
        return refused(response)
    server.places.stay()
    return _Events(server, protocol, running, first or [], teller, pieces, answered)


class _Events(StreamingResponse):
    """An answer as events, whose ``first`` pieces have come; whoever stops listening ends the call.

    All pieces that are there are sent at a time.
    """

    def __init__(
        self,
        server: Server,
        protocol: str,
        running: Running,
        first: list[str],
        teller: Teller,
        pieces: AsyncIterator[list[str]],
        answered: Callable[[AIResponse], Awaitable[None]],
    ) -> None:
        headers = {**_named_by(running.request_id), "cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(self._events(first), media_type=_STREAM, headers=headers)
        self._server, self._protocol, self._running = server, protocol, running
        self._teller, self._pieces, self._answered = teller, pieces, answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, as ASGI has it."""
        watching = asyncio.get_running_loop().create_task(self._watch(receive))
        try:
            head = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            await send(head)
            write: Callable[[bytes], bool] | None = scope.get("extensions", {}).get(STRAIGHT, {}).get("write")
            if write is not None:
                teller = self._teller
                self._running.straight_to(lambda piece: write(b"".join(teller.piece(piece))))
            async for data in self.body_iterator:
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            watching.cancel()
            self._running.leave()
            self._server.places.leave()

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._running.leave()

    async def _events(self, first: list[str]) -> AsyncIterator[bytes]:
        teller, running = self._teller, self._running
        try:
            yield b"".join([*teller.begin(), *(event for piece in first for event in teller.piece(piece))])
            async for pieces in self._pieces:
                yield b"".join([event for piece in pieces for event in teller.piece(piece)])
            done = running.response
            assert done is not None
            await self._answered(done)
            if done.error is not None:
                status = errors.status_of(done.error, done.exit_status)
                yield b"".join(teller.failure(errors.body(self._protocol, status, done.error)))
                return
            if not first and done.result:
                yield b"".join(teller.piece(done.result))
            yield b"".join(teller.end(done))
        except NexScoutError as error:
            yield b"".join(teller.failure(errors.body(self._protocol, 503, error.as_json())))


def _named_by(request_id: str) -> dict[str, str]:
    """The request's name, also where OpenAI's and Anthropic's clients look for one."""
    return dict.fromkeys(("x-nexscout-request-id", "x-request-id", "request-id"), request_id)


def _headers(response: AIResponse, ask: Ask) -> dict[str, str]:
    """What is said of an answer beside its body."""
    known = response.metadata
    if known is None:
        return {}
    found = {
        **_named_by(known.request_id),
        "x-nexscout-cost-usd": f"{known.cost_usd:f}",
        "x-nexscout-energy": str(known.energy_cost),
        "x-nexscout-model": known.model_used or "",
        "x-nexscout-cache": known.cache_match or "miss",
    }
    if known.budget_left_usd is not None:
        found["x-nexscout-budget-remaining"] = f"{known.budget_left_usd:f}"
    warnings = (*ask.notes, *known.warnings)
    if warnings:
        said = "; ".join(dict.fromkeys(warnings)).encode("ascii", "replace").decode()
        found["x-nexscout-warnings"] = "".join(c if c.isprintable() else " " for c in said)[:1_000]
    return found
