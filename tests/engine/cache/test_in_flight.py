from __future__ import annotations

from typing import Any

import pytest

from nexscout_cli.engine.cache import in_flight
from nexscout_cli.engine.course import Asked
from nexscout_cli.engine.interrupts import Interrupts
from nexscout_cli.errors import Interrupted
from tests.support.clock import SettableClock
from tests.support.values import NOW, request


class Looks:
    """A ledger that is asked whether another request is in flight, and says so that many times."""

    def __init__(self, times: int) -> None:
        self.left = times

    longest_pause = 0.25

    def may_have_ended(self, user_id: str, prompt_hash: str) -> bool:
        return True

    def in_flight(self, actor: str, user_id: str, prompt_hash: str) -> bool:
        self.left -= 1
        return self.left >= 0


def waiting(times: int, seconds: float, interrupts: Interrupts | None = None) -> tuple[Any, float]:
    """The ledger after the wait, and the seconds that went by."""
    clock, ledger = SettableClock(NOW), Looks(times)
    asked = Asked("r1", request("Hello"), "ada", 0.0, cache_key="k")
    begun = clock.monotonic()
    in_flight.wait(ledger, clock, interrupts or Interrupts(), asked, seconds)  # type: ignore[arg-type]
    return ledger, clock.monotonic() - begun


def test_it_waits_as_long_as_the_other_is_in_flight() -> None:
    ledger, seconds = waiting(3, 60)
    assert ledger.left == -1 and seconds == pytest.approx(0.02 + 0.04 + 0.08)


def test_it_does_not_wait_where_nothing_is_in_flight() -> None:
    assert waiting(0, 60)[1] == 0


def test_it_waits_no_longer_than_the_bound() -> None:
    ledger, seconds = waiting(10**6, 5)
    assert ledger.left > 0 and 5 <= seconds <= 5 + Looks.longest_pause


def test_a_signal_ends_the_wait() -> None:
    interrupts = Interrupts()
    interrupts.stop()
    with pytest.raises(Interrupted):
        waiting(5, 60, interrupts)
