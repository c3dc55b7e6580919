"""Running the engine for the event loop: each request in a thread of its own, whose pieces come over a queue."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from nexscout_cli.engine.failures import ReaderGone

if TYPE_CHECKING:
    from collections.abc import Callable

    from nexscout_cli.engine.pipeline import Engine
    from nexscout_cli.engine.request import AIRequest
    from nexscout_cli.engine.response import AIResponse


T = TypeVar("T")


class Threads:
    """The threads that requests run in."""

    def __init__(self, most: int) -> None:
        self._pool = ThreadPoolExecutor(most, "nexscout-serve")

    async def do(self, work: Callable[[], T]) -> T:
        """Do something that blocks."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def begin(self, work: Callable[[], None]) -> None:
        """Do something whose end nobody waits for here."""
        self._pool.submit(work)

    def close(self) -> None:
        """Wait for what is running."""
        self._pool.shutdown(wait=True)


class Running:
    """A request under way whose answer is handed over as it comes."""

    def __init__(self, threads: Threads, engine: Engine, request: AIRequest, actor: str, request_id: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Any] = asyncio.Queue()
        self._gone = threading.Event()
        self._engine, self._request, self._actor, self._id = engine, request, actor, request_id
        self.response: AIResponse | None = None
        threads.begin(self._work)

    def _work(self) -> None:
        try:
            end: Any = self._engine.run(self._request, self._take, actor=self._actor, request_id=self._id)
        except BaseException as error:  # noqa: BLE001 - whoever waits is to hear of it
            end = error
        self._tell(end)

    def _take(self, piece: str) -> None:
        if self._gone.is_set():
            raise ReaderGone
        self._tell(piece)

    def _tell(self, event: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)
        except RuntimeError:  # the loop has ended
            self._gone.set()

    def leave(self) -> None:
        """Nobody listens any more: the call is ended at its next piece, and billed for what came."""
        self._gone.set()

    async def pieces(self) -> AsyncIterator[str]:
        """Pieces of the text as they come; then ``response`` is there. Raises what the engine raised."""
        while True:
            event = await self._events.get()
            if isinstance(event, str):
                yield event
            elif isinstance(event, BaseException):
                raise event
            else:
                self.response = event
                return
