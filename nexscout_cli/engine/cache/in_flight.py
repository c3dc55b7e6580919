"""One call for identical requests in flight: who comes second waits for the first one's answer, for a while."""

from __future__ import annotations

from nexscout_cli.engine.interrupts import interrupts
from nexscout_cli.engine.ports import Clock, Ledger
from nexscout_cli.engine.progress import Progress
from nexscout_cli.errors import Interrupted

MIN_PAUSE, MAX_PAUSE = 0.02, 0.25
"""Seconds between two looks at the ledger: twice as long each time."""


def wait(ledger: Ledger, clock: Clock, run: Progress, seconds: float) -> None:
    """Wait until no living process answers under the run's cache key any more, ``seconds`` at the most.

    Raises Interrupted when a signal asks to stop; the run holds nothing yet.
    """
    assert run.cache_key is not None
    end, pause = clock.monotonic() + seconds, MIN_PAUSE
    while ledger.in_flight(run.actor, run.request.user_id, run.cache_key) and clock.monotonic() < end:
        if interrupts.stopping:
            raise Interrupted("interrupted; nothing was sent")
        clock.sleep(pause)
        pause = min(2 * pause, MAX_PAUSE)
