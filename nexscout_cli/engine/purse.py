"""A purse that all requests of a piece of a program draw on, together: the books hold them to it, in any process."""

from __future__ import annotations

import os
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nexscout_cli.engine.request import AIRequest
    from nexscout_cli.engine.response import AIResponse


class Purse:
    """What some requests may cost together: ``cost`` nano-dollars for each user they are for.

    ``name`` is the run that the books know it by: processes that use one name share it. ``paid`` is what answers here have
    cost or may have (nano-dollars), ``refused`` counts requests that it did not cover. Thread-safe.
    """

    def __init__(self, cost: int, name: str = "purse") -> None:
        self.cost = cost
        self.name = f"{name[:40]}:{os.urandom(5).hex()}"
        self.paid = self.refused = 0
        self._lock = threading.Lock()

    def over(self, request: AIRequest) -> AIRequest:
        """The request as one that draws on this purse; one that has a run of its own keeps it."""
        if request.caller.run is not None:
            return request
        return request._replace(caller=request.caller._replace(run=self.name, run_cost=self.cost))

    def hear(self, request: AIRequest, response: AIResponse) -> None:
        """Count what came of a request that draws on it."""
        if request.caller.run != self.name:
            return
        with self._lock:
            self.paid += response.paid
            self.refused += response.error is not None and response.error["code"] in _REFUSALS


_REFUSALS = ("usd_cap", "max_cost")
here: ContextVar[Purse | None] = ContextVar("nexscout_purse", default=None)
"""The purse of this piece of the program."""
_everywhere: list[Purse] = []
"""The purse of the whole process, where it has one: threads that a program makes know no context."""


def current() -> Purse | None:
    """The purse that requests draw on here: of this piece of the program, else of the process."""
    return here.get() or (_everywhere[-1] if _everywhere else None)


def for_the_process(purse: Purse | None) -> None:
    """Let every request of this process draw on a purse; None: on none any more."""
    _everywhere[:] = [] if purse is None else [purse]
