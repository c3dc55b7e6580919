"""What all requests share: the engine, the store, keys, limits, threads; and how every failure becomes an answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from nexscout_cli.coroutines import InThreads
from nexscout_cli.errors import NexScoutError
from nexscout_cli.server import errors
from nexscout_cli.server.auth import Keys
from nexscout_cli.server.faults import Fault, Faults
from nexscout_cli.server.limits import Places, read_body
from nexscout_cli.server.metrics import Metrics
from nexscout_cli.server.protocol import document
from nexscout_cli.server.rates import Rates
from nexscout_cli.server.running import Threads
from nexscout_cli.server.traces import traces

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from nexscout_cli.config import Settings
    from nexscout_cli.engine.book_types import ApiKey
    from nexscout_cli.engine.pipeline import Engine
    from nexscout_cli.engine.ports import Ledger
    from nexscout_cli.engine.response import AIResponse
    from nexscout_cli.engine.store_ports import Store
    from nexscout_cli.server.board import Board

LIMITS_READ = 2.0
"""Seconds between two looks at the limits that admins have set."""
_TOLD = 1.0
"""Seconds between two times that workers tell each other of their commits."""
_log = logging.getLogger("nexscout.serve")


class Chore(NamedTuple):
    """What a server does beside answering, so many seconds apart; ``failed`` says what has not been done where it fails."""

    every: float
    do: Callable[[], object]
    failed: str


class Server:
    """Everything that requests share: the engine, the store, keys, limits, threads."""

    def __init__(self, engine: Engine, store: Store, settings: Settings, fault: Fault, board: Board) -> None:
        self.engine, self.store, self.settings = engine, store, settings
        self.faults = Faults(fault)
        engine.sends_at_once = True
        if not store.lets_others_go_on:
            engine.ledger = cast("Ledger", InThreads(engine.ledger))
        self.keys = Keys(store)
        self.rates = Rates(board.rates, among_all=store.take_request)
        self.places = Places(settings["serve.max_at_once"], board.taken)
        self.threads = Threads(settings["serve.max_at_once"], store.settle)
        self.metrics = Metrics(board.counts, store.commits)
        self.traces = traces()

    def answered(self, model: str, response: AIResponse, began: float, headers: Mapping[str, str]) -> None:
        """Count an answer, and tell of it where traces are kept; after it, as with the line in the log."""
        asyncio.get_running_loop().call_soon(self._answered, model, response, began, headers)

    def _answered(self, model: str, response: AIResponse, began: float, headers: Mapping[str, str]) -> None:
        self.metrics.answered(response)
        if self.traces is not None:
            self.traces.answered(model, response, began, headers)

    async def keep_up(self, read: Callable[[], Settings]) -> None:
        """Work under what admins change of the limits, some seconds after they do."""
        while True:
            await asyncio.sleep(LIMITS_READ)
            try:
                settings = await self.threads.do(read)
            except NexScoutError as error:  # the books cannot be read now; those who ask hear of it
                _log.warning("limits could not be read: %s", error.message)
                continue
            if settings.values != self.settings.values:
                self.settings = settings
                self.engine.adopt(settings)

    async def keep_told(self) -> None:
        """Tell the other workers of what only this process knows."""
        while True:
            self.metrics.tell()
            await asyncio.sleep(_TOLD)

    async def again(self, chore: Chore) -> None:
        """Do what is to be done beside answering, again and again; what fails is tried at its next time."""
        while True:
            await asyncio.sleep(chore.every)
            try:
                await self.threads.do(chore.do)
            except NexScoutError as error:
                _log.warning("%s: %s", chore.failed, error.message)

    async def key(self, request: Request) -> ApiKey:
        """Who asks. Raises HttpError: 401 without a valid key, 429 where the key has had its share."""
        key = self.keys.remembered(request.headers)
        if key is None:
            # In a thread it would have to wait for its turn among threads, and for all that coroutines write.
            found = self.threads.coroutines.run if self.store.lets_others_go_on else self.threads.do
            key = await found(lambda: self.keys.find(request.headers))
        if key.rpm is not None and self.rates.blocks:
            await self.threads.do(lambda: self.rates.take(key.id, key.rpm))
        else:
            self.rates.take(key.id, key.rpm)
        return key

    async def document(self, request: Request) -> dict[str, Any]:
        """The body as a JSON object. Raises HttpError, UsageError."""
        return (await self.sized(request))[0]

    async def sized(self, request: Request) -> tuple[dict[str, Any], int]:
        """The body as a JSON object, and its bytes. Raises HttpError, UsageError."""
        raw = await read_body(request, self.settings["serve.max_body_bytes"])
        return document(raw), len(raw)


def guarded(
    server: Server, path: str, handle: Callable[[Server, Request], Awaitable[Response]], protocol: str
) -> Callable[[Request], Awaitable[Response]]:
    """A handler whose every failure is an answer in the protocol's form, and which leaves one line in the log."""

    async def answered(request: Request) -> Response:
        begun = time.monotonic()
        try:
            server.places.take()
            try:
                response = await handle(server, request)
            finally:
                server.places.leave()
        except NexScoutError as error:
            response = errors.response(protocol, error)
        except Exception as error:  # noqa: BLE001 - a bug of ours is a 500 that says so, and no traceback
            _log.error("unexpected failure: %s", type(error).__name__, exc_info=error)
            bad = await server.threads.do(server.faults.found)
            response = errors.response(protocol, bad or errors.bug())
        name = response.headers.get("x-nexscout-request-id", "")
        # What is told of an answer is told after it: it would be waited for.
        loop = asyncio.get_running_loop()
        loop.call_soon(_tell, server, path, response.status_code, time.monotonic() - begun, name)
        return response

    return answered


def _tell(server: Server, path: str, status: int, seconds: float, name: str) -> None:
    """Count an answer, and log it."""
    server.metrics.request(path, status, seconds)
    _log.info('{"path": "%s", "status": %d, "ms": %.1f, "request": "%s"}', path, status, seconds * 1000, name)
