"""Running the engine for the event loop: as coroutines; what is large, and what can only block, in threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from nexscout_cli.coroutines import Coroutines
from nexscout_cli.engine.failures import ReaderGone

if TYPE_CHECKING:
    from collections.abc import Callable

    from nexscout_cli.engine.pipeline import Engine
    from nexscout_cli.engine.request import AIRequest
    from nexscout_cli.engine.response import AIResponse


T = TypeVar("T")
LARGE = 32_768
"""Characters from which a request is worked on in a thread: its text is counted for so long that others would wait."""
STRAIGHT = "nexscout.straight"
"""The extension of a request's scope whose ``write`` writes a part of its answer at once, or says False, and whose ``body`` is
the request's body where all of it has come, or None.
"""
_BLOCKING = 16
"""Threads for calls that can only block."""


class Threads:
    """The threads that blocking work is done in, and the coroutines that everything else runs as.

    ``settle``: writes what coroutines were to write soon.
    """

    def __init__(self, most: int, settle: Callable[[], None]) -> None:
        self._pool = ThreadPoolExecutor(most, "nexscout-serve")
        self._most, self._settle = most, settle
        self._coroutines: Coroutines | None = None

    async def do(self, work: Callable[[], T]) -> T:
        """Do something that blocks. It finds all written that was answered before."""
        await self.coroutines.run(self._settle)
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def run(self, work: Callable[[], T], size: int) -> T:
        """Do what the engine does of a request whose text has so many characters."""
        return await self.begin(work, size)

    def begin(self, work: Callable[[], T], size: int) -> asyncio.Future[T]:
        """The same, begun at once."""
        if size >= LARGE:
            return asyncio.get_running_loop().create_task(self.do(work))
        return self.coroutines.begin(work)

    @property
    def coroutines(self) -> Coroutines:
        """The coroutines of the running loop."""
        if self._coroutines is None:
            self._coroutines = Coroutines(min(_BLOCKING, self._most))
        return self._coroutines

    async def close(self) -> None:
        """Wait for what is running."""
        await self.coroutines.run(self._settle)
        await self.coroutines.drained()
        self.coroutines.close()
        self._pool.shutdown(wait=True)


class Running:
    """A request under way whose answer is handed over as it comes. ``size``: the characters of its text."""

    def __init__(
        self, threads: Threads, engine: Engine, request: AIRequest, actor: str, request_id: str, size: int = 0
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._pieces: list[str] = []
        self._news = asyncio.Event()
        self._gone = self._listens = False
        self._straight: Callable[[str], bool] | None = None
        self.request_id = request_id
        self.response: AIResponse | None = None

        def work() -> AIResponse:
            return engine.run(request, self._take, actor=actor, request_id=request_id)

        self._run = threads.begin(work, size)
        self._run.add_done_callback(lambda _: self._news.set())

    def _take(self, piece: str) -> None:
        if self._gone:
            raise ReaderGone
        if threading.get_ident() == self._thread:
            self._put(piece)
            return
        try:
            self._loop.call_soon_threadsafe(self._put, piece)
        except RuntimeError:  # the loop has ended
            self._gone = True

    def _put(self, piece: str) -> None:
        if self._straight is not None and self._listens and not self._pieces and self._straight(piece):
            return
        self._pieces.append(piece)
        self._news.set()

    def straight_to(self, take: Callable[[str], bool]) -> None:
        """Hand pieces to ``take`` as they come, while whoever listens to :meth:`pieces` waits for one; those for which it says
        False come by that way.
        """
        self._straight = take

    def leave(self) -> None:
        """Nobody listens any more: the call is ended at its next piece, and billed for what came."""
        self._gone = True

    async def pieces(self) -> AsyncIterator[list[str]]:
        """Pieces of text as they come, all that are there at a time; then ``response`` is there.

        Raises what the engine raised.
        """
        while True:
            if self._pieces:
                pieces, self._pieces = self._pieces, []
                yield pieces
            elif self._run.done():
                self.response = self._run.result()
                return
            else:
                self._news.clear()
                self._listens = True
                await self._news.wait()
                self._listens = False
