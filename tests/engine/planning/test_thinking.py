"""Room for thinking: how much a bound leaves for it, what is expected, and what was learned of a model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.engine.planning.planner import Planner
from nexscout_cli.engine.planning.thinking import ROOM, Seen, Thinking, thinking
from nexscout_cli.terms import EFFORTS
from tests.support.values import count, model, request, snapshot

MINI = model("gpt-4o-mini")._replace(max_output=None)
THINKER = MINI._replace(reasons=True)
CLAUDE = THINKER._replace(litellm_model="anthropic/claude-haiku-4-5")


def test_a_model_that_does_not_think_needs_no_room() -> None:
    assert {thinking(MINI, effort, None, 500) for effort in (None, *EFFORTS)} == {Thinking()}


def test_the_room_follows_the_effort() -> None:
    assert [thinking(THINKER, effort, None, 500).room for effort in EFFORTS] == [ROOM[effort] for effort in EFFORTS]
    assert thinking(THINKER, "none", None, 500) == Thinking()
    assert thinking(THINKER, None, None, 500) == thinking(THINKER, "medium", None, 500)


def test_a_model_that_thinks_only_when_asked_has_room_only_when_asked() -> None:
    assert thinking(CLAUDE, None, None, 500) == Thinking()
    assert thinking(CLAUDE, "low", None, 500).room == ROOM["low"]


def test_what_a_model_took_before_is_expected_and_its_most_has_room() -> None:
    assert thinking(THINKER, "low", Seen(9, 700.0, 3_000.0), 500) == Thinking(700, 4_500)
    assert thinking(THINKER, "low", Seen(1, 10.0, 10.0), 500) == Thinking(256, 1_024)


def test_answer_and_thinking_together_stay_within_the_longest_answer() -> None:
    assert thinking(THINKER._replace(max_output=1_000), "high", None, 800).room == 200
    assert thinking(THINKER._replace(max_output=500), "high", None, 800) == Thinking()


@given(
    st.sampled_from([None, *EFFORTS]),
    st.none() | st.builds(Seen, st.integers(1, 99), st.floats(0, 1e5), st.floats(0, 1e6)),
    st.integers(1, 10_000),
    st.none() | st.integers(1, 200_000),
)
def test_what_is_expected_always_has_room(effort: str | None, seen: Seen | None, answer: int, most: int | None) -> None:
    expected, room = thinking(THINKER._replace(max_output=most), effort, seen, answer)
    assert 0 <= expected <= room
    assert most is None or room == 0 or answer + room <= most


def plan_of(effort: str | None = None, **options: object):  # type: ignore[no-untyped-def]
    world = snapshot(models=(THINKER,), available=frozenset({THINKER.name}))
    from nexscout_cli.config import Settings

    return Planner(Settings(), count).plan(request(effort=effort, **options), world)


def test_a_plan_holds_the_room_and_shows_it_apart() -> None:
    plain, low = plan_of("none"), plan_of("low")
    assert low.forecast.max_output_tokens == plain.forecast.max_output_tokens + ROOM["low"]
    assert low.shape.max_tokens == plain.shape.max_tokens  # the answer's own bound is as it was
    assert low.as_json()["thinking"] == {"expected": 256, "room": 1_024}
    assert low.forecast.output_tokens == plain.forecast.output_tokens + 256
    assert low.max_cost - plain.max_cost == THINKER.most(0, ROOM["low"])


@pytest.mark.parametrize("cost", [100_000, 300_000, 1_000_000])
def test_a_budget_shortens_thinking_and_answer(cost: int) -> None:
    plan = plan_of("high", max_cost=cost)
    assert plan.max_cost <= cost or plan.error is not None
    if plan.error is None:
        assert plan.forecast.max_output_tokens == plan.shape.max_tokens + plan.forecast.thinking_room
        assert plan.forecast.thinking <= plan.forecast.thinking_room
        assert plan.forecast.output_tokens <= plan.forecast.p90_output_tokens <= plan.forecast.max_output_tokens
