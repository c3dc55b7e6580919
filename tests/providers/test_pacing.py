"""A busy loop reads its streams less often, each of them again and again, and none before its rest is over."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexscout_cli.providers import pacing
from nexscout_cli.providers.pacing import LONGEST, Pace


class Machine:
    """A loop and its clocks: time passes when nothing is due, and ``busy`` is the share of it that the loop works."""

    def __init__(self) -> None:
        self.now, self.used, self.busy = 100.0, 0.0, 0.0
        self.events, self.running, self.away = self, 0, 0
        self._due: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = count()

    def call_later(self, delay: float, call: Callable[..., None], *args: Any) -> None:
        heapq.heappush(self._due, (self.now + delay, next(self._number), call, args))

    def monotonic(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return self.used

    def run(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + seconds
        while self._due and self._due[0][0] <= until:
            due, _, call, args = heapq.heappop(self._due)
            self.pass_to(max(self.now, due))
            call(*args)
        self.pass_to(until)

    def pass_to(self, now: float) -> None:
        self.used += (now - self.now) * self.busy
        self.now = now


class Stream:
    """Notes when its rests end."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.ended = machine, []

    def go_on(self) -> None:
        self.ended.append(self.machine.now)


def paced(machine: Machine) -> Pace:
    pacing.time = machine  # type: ignore[assignment, attr-defined]
    return Pace(machine)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "time", pacing.time)


def test_streams_of_an_idle_loop_never_rest() -> None:
    machine = Machine()
    pace = paced(machine)
    pace.begin()
    machine.busy = 0.3
    machine.run(5)
    assert pace.rest == 0


def test_the_busier_the_loop_the_longer_its_streams_rest_and_no_longer_than_the_bound() -> None:
    machine = Machine()
    pace = paced(machine)
    pace.begin()
    machine.busy = 0.9
    rests = []
    for _ in range(30):
        machine.run(0.1)
        rests.append(pace.rest)
    assert rests == sorted(rests)
    assert rests[-1] == LONGEST
    machine.busy = 0.1
    machine.run(5)
    assert pace.rest == 0


def test_without_streams_nothing_is_looked_at() -> None:
    machine = Machine()
    pace = paced(machine)
    pace.begin()
    machine.busy = 0.9
    machine.run(1)
    pace.end()
    machine.run(1)
    assert (pace.rest, machine._due) == (0.0, [])
    pace.begin()
    machine.run(1)
    assert pace.rest > 0


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 0.05), min_size=1, max_size=60), st.floats(0.01, LONGEST))
def test_each_rest_ends_once_and_not_before_its_time(gaps: list[float], rest: float) -> None:
    machine = Machine()
    pace = paced(machine)
    pace.rest = rest
    begun: list[tuple[float, Stream]] = []
    for gap in gaps:
        machine.run(gap)
        stream = Stream(machine)
        begun.append((machine.now, stream))
        pace.let_rest(stream)
    machine.run(rest + 1)
    for at, stream in begun:
        (ended,) = stream.ended
        assert at + rest - 1e-6 <= ended <= at + rest + 0.1
    assert not machine._due


def test_what_has_gathered_goes_on_a_few_at_a_time() -> None:
    machine = Machine()
    pace = paced(machine)
    pace.rest = 0.1
    streams = [Stream(machine) for _ in range(40)]
    for stream in streams:
        pace.let_rest(stream)
    machine.run(1)
    at = [stream.ended[0] for stream in streams]
    assert at == sorted(at)
    assert max(at.count(moment) for moment in at) == 8


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 30), st.integers(0, 3))
def test_rests_last_longer_while_requests_are_begun_but_not_much(streams: int, others: int) -> None:
    machine = Machine()
    pace = paced(machine)
    pace.rest, machine.away, machine.running = 0.1, others, others + 1
    resting = [Stream(machine) for _ in range(streams)]
    begun = machine.now
    for stream in resting:
        pace.let_rest(stream)
    machine.run(0.12)
    assert not any(stream.ended for stream in resting)
    machine.running = others  # all that there are wait for other servers
    machine.run(0.05)
    assert all(stream.ended[0] <= begun + 0.14 for stream in resting)
    machine.running = others + 1
    late = Stream(machine)
    pace.let_rest(late)
    begun = machine.now
    machine.run(0.2)
    assert begun + 0.12 <= late.ended[0] <= begun + 0.14
