"""One call for identical requests in flight: who comes second waits for the first one's answer, for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.errors import Interrupted

if TYPE_CHECKING:
    from nexscout_cli.engine.asked import Asked
    from nexscout_cli.engine.interrupts import Interrupts
    from nexscout_cli.engine.ports import Clock, Ledger

MIN_PAUSE = 0.02
"""Seconds between two looks at the ledger: twice as long each time, as long as the ledger's longest pause."""


def wait(ledger: Ledger, clock: Clock, interrupts: Interrupts, asked: Asked, seconds: float) -> None:
    """Wait until no living process answers under the request's cache key any more, ``seconds`` at the most.

    Raises Interrupted when a signal asks to stop; the request holds nothing yet.
    """
    assert asked.cache_key is not None
    end, pause = clock.monotonic() + seconds, MIN_PAUSE
    user_id, key = asked.request.user_id, asked.cache_key
    while clock.monotonic() < end:
        if ledger.may_have_ended(user_id, key) and not ledger.in_flight(asked.actor, user_id, key):
            return
        if interrupts.stopping:
            raise Interrupted("interrupted; nothing was sent")
        clock.sleep(pause)
        pause = min(2 * pause, ledger.longest_pause)
