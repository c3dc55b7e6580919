"""Requests as coroutines: the engine as it is, each run a greenlet on the event loop, which waits without keeping a thread."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from greenlet import getcurrent, greenlet

from nexscout_cli import waiting

T = TypeVar("T")


class _Course(greenlet):  # type: ignore[misc]  # the package has no types
    """One run, and the loop that it is on."""

    loop: Coroutines | None = None


def _here() -> Coroutines | None:
    return getattr(getcurrent(), "loop", None)


class Coroutines:
    """Runs code that waits as coroutines of the running event loop. ``most``: threads for what can only block.
    ``writes_behind``: see :class:`nexscout_cli.waiting.Loop`.

    All of it belongs to the loop's thread, but for the function that ends a wait.
    """

    def __init__(self, most: int, *, writes_behind: bool = True) -> None:
        self.events = asyncio.get_running_loop()
        self.writes_behind = writes_behind
        self.away = 0
        self._thread = threading.get_ident()
        self._pool = ThreadPoolExecutor(most, "nexscout-blocking")
        self._writing = ThreadPoolExecutor(1, "nexscout-commits")
        self._running: set[_Course] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._at_end: list[Callable[[], None]] = []
        waiting.found_by(_here)

    async def run(self, work: Callable[[], T]) -> T:
        """What ``work`` returns or raises. It goes on to its end even where nobody waits for that any more."""
        return await self.begin(work)

    def begin(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """The same, begun at once: on return it has come to its first wait."""
        done: asyncio.Future[T] = self.events.create_future()

        def body() -> None:
            try:
                value = work()
            except BaseException as error:  # noqa: BLE001 - whoever waits is to hear of it
                if not done.done():
                    done.set_exception(error)
            else:
                if not done.done():
                    done.set_result(value)

        self.start(body)
        return done

    def start(self, work: Callable[[], None]) -> None:
        """Run something as a coroutine whose end nobody waits for; ``work`` raises nothing."""

        def body() -> None:
            try:
                work()
            finally:
                self._running.discard(course)
                if not self._running:
                    self._idle.set()

        course = _Course(body)
        course.loop = self
        course.gr_context = contextvars.copy_context()
        self._running.add(course)
        self._idle.clear()
        if _here() is None:
            course.switch()
        else:  # the loop is to be who it comes back to, not the coroutine that starts it
            course.parent = getcurrent().parent
            self.events.call_soon(course.switch)

    @property
    def running(self) -> int:
        """See :class:`nexscout_cli.waiting.Loop`."""
        return len(self._running)

    async def drained(self) -> None:
        """Wait until nothing runs any more."""
        await self._idle.wait()

    def suspend(self, begin: Callable[[Callable[[], None]], None]) -> None:
        """See :class:`nexscout_cli.waiting.Loop`."""
        course = getcurrent()

        def resume() -> None:
            if threading.get_ident() == self._thread:
                self.events.call_soon(course.switch)
            else:
                self.events.call_soon_threadsafe(course.switch)

        begin(resume)
        assert course.parent is not None
        course.parent.switch()

    def until_ready(self, file: int, *, writable: bool = False) -> None:
        """See :class:`nexscout_cli.waiting.Loop`."""
        course = getcurrent()

        def ready() -> None:
            self.events.remove_reader(file)
            if writable:
                self.events.remove_writer(file)
            course.switch()

        self.events.add_reader(file, ready)
        if writable:
            self.events.add_writer(file, ready)
        assert course.parent is not None
        course.parent.switch()

    def in_thread(self, work: Callable[[], T]) -> T:
        """See :class:`nexscout_cli.waiting.Loop`."""
        return self._done_by(self._pool, work)

    def in_writers_thread(self, work: Callable[[], T]) -> T:
        """See :class:`nexscout_cli.waiting.Loop`."""
        return self._done_by(self._writing, work)

    def to_end(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """See :class:`nexscout_cli.waiting.Loop`."""
        return self._ended(self.events.create_task(coroutine))

    def _done_by(self, pool: Executor, work: Callable[[], T]) -> T:
        # The thread wakes the coroutine itself: by a future of the loop's that takes the loop three turns.
        return self._ended(pool.submit(work))

    def _ended(self, future: asyncio.Future[T] | Future[T]) -> T:
        if not future.done():
            self.suspend(lambda resume: future.add_done_callback(lambda _: resume()))
        return future.result()

    def sleep(self, seconds: float) -> None:
        """See :class:`nexscout_cli.waiting.Loop`."""

        def begin(resume: Callable[[], None]) -> None:
            self.events.call_later(seconds, resume)

        self.suspend(begin)

    def at_end(self, work: Callable[[], None]) -> None:
        """See :class:`nexscout_cli.waiting.Loop`."""
        self._at_end.append(work)

    def close(self) -> None:
        """Let go of the threads, and of what is to end with the loop."""
        for work in self._at_end:
            work()
        self._pool.shutdown(wait=True)
        self._writing.shutdown(wait=True)


class InThreads:
    """Something whose methods block, for coroutines: each call is made in a thread while others go on."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        """The method of that name, or the value."""
        method = getattr(self._inner, name)
        if not callable(method):
            return method

        def call(*args: Any, **named: Any) -> Any:
            loop = waiting.here()
            work = functools.partial(method, *args, **named)
            return work() if loop is None else loop.in_thread(work)

        return call


class CoroutineExecutor(Executor):
    """Runs what it is given as coroutines, at most ``most`` at a time, on an event loop in a thread of its own.

    For programs that have no loop. What waits on it are coroutines, so that many wait at the price of one thread; whoever
    submits is in another thread, and hears of each by its future.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._busy = 0
        self._stop = asyncio.Event()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._live, name="nexscout-coroutines", daemon=True)
        self._failed: BaseException | None = None
        self._thread.start()
        self._begun.wait()
        if self._failed is not None:
            raise RuntimeError("no event loop could be started") from self._failed

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run ``fn`` when its turn comes."""
        future: Future[T] = Future()
        work = functools.partial(fn, *args, **kwargs)
        self._coroutines.events.call_soon_threadsafe(self._take, future, work)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the loop when all that was submitted has ended. ``cancel_futures``: what has not begun does not begin."""

        def end() -> None:
            while cancel_futures and self._waiting:
                self._waiting.popleft()[0].cancel()
            self._stop.set()

        with suppress(RuntimeError):  # it has ended before
            self._coroutines.events.call_soon_threadsafe(end)
        if wait:
            self._thread.join()

    def _live(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(self._until_stopped())
        except BaseException as error:  # noqa: BLE001 - no file may be left to be opened
            self._failed = error
        finally:
            self._begun.set()

    async def _until_stopped(self) -> None:
        self._coroutines = Coroutines(self._most, writes_behind=False)
        self._begun.set()
        await self._stop.wait()
        await self._coroutines.drained()
        self._coroutines.close()

    def _take(self, future: Future[Any], work: Callable[[], Any]) -> None:
        self._waiting.append((future, work))
        if self._busy < self._most:
            self._busy += 1
            self._coroutines.start(self._work)

    def _work(self) -> None:
        while self._waiting:
            future, work = self._waiting.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - whoever waits is to hear of it
                future.set_exception(error)
        self._busy -= 1


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """The faster loop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
