"""Many requests: some at a time, identical ones sharing one call, nothing lost when it is stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Executor, ThreadPoolExecutor, wait

from nexscout_cli.engine.cache.key import identity
from nexscout_cli.engine.pipeline import Engine
from nexscout_cli.engine.request import AIRequest
from nexscout_cli.engine.response import AIResponse
from nexscout_cli.errors import Blocked, Interrupted, NexScoutError
from nexscout_cli.waiting import Wake

Done = Callable[[int, AIResponse], None]


class Allowance:
    """What a batch may still cost: each call takes its worst case out and puts back what it did not use. Nano-dollars."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._taken = 0
        self._lock = threading.Lock()
        self._waiting: list[Wake] = []

    def take(self, expected: int, most: int) -> int:
        """Reserve ``most``, or what is left where that covers ``expected``; 0 when it does not.

        Waits for what others have reserved and may put back.
        """
        while True:
            with self._lock:
                if most <= self._left or not self._taken:
                    amount = min(most, self._left)
                    if amount < expected:
                        return 0
                    self._left -= amount
                    self._taken += amount
                    return amount
                wake = Wake()
                self._waiting.append(wake)
            wake.wait()

    def put_back(self, amount: int, spent: int) -> None:
        """End a reservation, of which ``spent`` is gone."""
        with self._lock:
            self._left += amount - spent
            self._taken -= amount
            waiting, self._waiting = self._waiting, []
        for wake in waiting:
            wake.set()


def run(
    engine: Engine,
    requests: Sequence[AIRequest],
    concurrency: int = 5,
    *,
    max_cost: int | None = None,
    done: Done | None = None,
) -> list[AIResponse]:
    """Answer ``requests``, ``concurrency`` at a time; responses in their order. ``done`` hears of each as it ends.

    ``max_cost`` (nano-dollars) bounds what all of them cost together. On an interrupt no new work is begun, what is in
    flight is settled, and Interrupted is raised.
    """
    requests = [request.settled for request in requests]
    allowance = None if max_cost is None else Allowance(max_cost)
    responses: dict[int, AIResponse] = {}

    broken = threading.Event()

    def work(group: list[int]) -> None:
        try:
            answer(group)
        except BaseException:
            broken.set()  # at once: who waits for this thread may come later than the next row
            raise

    def answer(group: list[int]) -> None:
        first: AIResponse | None = None
        for index in group:
            if broken.is_set():
                return
            shared = first if first is not None and _shareable(first) else None
            response = _respond(engine, requests[index], shared, allowance)
            first = shared or response
            responses[index] = response
            if done is not None:
                done(index, response)

    with _executor(engine, concurrency) as pool:
        futures = [pool.submit(work, group) for group in _groups(requests)]
        try:
            for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                future.result()
        except BaseException as error:
            pool.shutdown(wait=True, cancel_futures=True)
            if isinstance(error, KeyboardInterrupt):
                raise Interrupted(
                    "interrupted; what was in flight has been settled", "the same line with --resume goes on"
                ) from None
            raise
    return [responses[index] for index in range(len(requests))]


def _executor(engine: Engine, most: int) -> Executor:
    """Coroutines, whose waits cost nothing, where all that the engine waits for lets others go on; else threads."""
    most = max(1, most)
    if not engine.lets_others_go_on:
        return ThreadPoolExecutor(most)
    from nexscout_cli.coroutines import CoroutineExecutor

    return CoroutineExecutor(most)


def _groups(requests: Sequence[AIRequest]) -> Iterable[list[int]]:
    """The places of requests, those of identical ones together."""
    groups: dict[object, list[int]] = {}
    for index, request in enumerate(requests):
        key = identity(request) if request.options.allow_cache else index
        groups.setdefault(key, []).append(index)
    return groups.values()


def _respond(engine: Engine, request: AIRequest, shared: AIResponse | None, allowance: Allowance | None) -> AIResponse:
    """A row's answer: an identical one's, or its own."""
    try:
        return _one(engine, request, allowance) if shared is None else engine.share(request, shared)
    except NexScoutError:
        raise
    except Exception as error:  # noqa: BLE001 - one row's trouble is that row's, whatever it is
        return _broken(error)


def _one(engine: Engine, request: AIRequest, allowance: Allowance | None) -> AIResponse:
    """Run one request within the allowance: its own ``max_cost`` is at most what it could reserve there."""
    if allowance is None:
        return engine.run(request, patient=True)
    try:
        plan = engine.simulate(request)
    except NexScoutError:
        return engine.run(request, patient=True)
    amount = allowance.take(plan.predicted_cost, plan.max_cost)
    spent = amount
    try:
        # What is not covered may still be answered by the cache, which costs nothing.
        own = request.options.max_cost
        bound = amount if own is None else min(own, amount)
        response = engine.run(request._replace(options=request.options._replace(max_cost=bound)), patient=True)
        spent = response.paid
    finally:
        allowance.put_back(amount, spent)
    if (
        amount < plan.predicted_cost
        and response.error is not None
        and response.error["code"] in ("max_cost", "usd_cap")
    ):
        refusal = Blocked("the batch's --max-cost does not cover this row", "raise --max-cost", code="max_cost")
        return response._replace(error=refusal.as_json())
    return response


def _broken(error: Exception) -> AIResponse:
    """A row that an error of our own has ended; its kind alone is told, for its message may hold anything."""
    bug = NexScoutError(
        f"unexpected failure: {type(error).__name__}",
        "this is a bug; `nexscout --debug run` with the same prompt shows more to report",
    )
    return AIResponse(False, None, bug.as_json(), None, bug.exit_status)


def _shareable(first: AIResponse) -> bool:
    """Whether an answer serves identical requests; one from the cache is better asked for there again."""
    known = first.metadata
    return first.success and known is not None and not known.degraded and not known.from_cache
