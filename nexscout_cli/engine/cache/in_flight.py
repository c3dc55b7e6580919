"""One call for identical requests in flight: who comes second waits for the first one's answer, for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.errors import Interrupted

if TYPE_CHECKING:
    from nexscout_cli.engine.asked import Asked
    from nexscout_cli.engine.interrupts import Interrupts
    from nexscout_cli.engine.ports import Clock, Ledger

MIN_PAUSE, MAX_PAUSE = 0.02, 0.25
"""Seconds between two looks at the ledger: twice as long each time."""


def wait(ledger: Ledger, clock: Clock, interrupts: Interrupts, asked: Asked, seconds: float) -> None:
    """Wait until no living process answers under the request's cache key any more, ``seconds`` at the most.

    Raises Interrupted when a signal asks to stop; the request holds nothing yet.
    """
    assert asked.cache_key is not None
    end, pause = clock.monotonic() + seconds, MIN_PAUSE
    while ledger.in_flight(asked.actor, asked.request.user_id, asked.cache_key) and clock.monotonic() < end:
        if interrupts.stopping:
            raise Interrupted("interrupted; nothing was sent")
        clock.sleep(pause)
        pause = min(2 * pause, MAX_PAUSE)
