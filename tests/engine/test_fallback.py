from __future__ import annotations

import pytest

from nexscout_cli.config import Settings
from nexscout_cli.engine import fallback
from nexscout_cli.engine.failures import ProviderFailure
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.planning.planner import Planner
from nexscout_cli.engine.snapshot import Profile, Snapshot
from tests.support.values import ANTHROPIC, EMBEDDED, OPENAI, count, request, snapshot

SETTINGS = Settings().with_values(fallback__embedded="always")


def failure(kind: str, retry_after: float | None = None) -> ProviderFailure:
    return ProviderFailure(kind, "made to fail", retry_after=retry_after)


@pytest.mark.parametrize("kind", ["unreached", "rejected", "too_long"])
def test_what_will_not_pass_is_not_tried_again(kind: str) -> None:
    assert fallback.pause(failure(kind), [kind], SETTINGS) is None


@pytest.mark.parametrize("kind", ["limited", "server"])
def test_faults_that_may_pass_get_two_more_tries_with_growing_pauses(kind: str) -> None:
    for tries, most in ((1, 0.5), (2, 1.0)):
        waits = [fallback.pause(failure(kind), [kind] * tries, SETTINGS, 0, n / 200) for n in range(201)]
        assert all(wait is not None and most / 2 <= wait <= most for wait in waits)
        assert len(set(waits)) > 1
    assert fallback.pause(failure(kind), [kind] * 3, SETTINGS) is None


def test_no_pause_is_longer_than_the_most() -> None:
    patient = SETTINGS.with_values(providers__retries=10)
    assert all((fallback.pause(failure("server"), ["server"] * tries, patient) or 0) <= 8 for tries in range(1, 11))


def test_retry_after_is_honoured_within_the_calls_deadline() -> None:
    assert fallback.pause(failure("limited", 0), ["limited"], SETTINGS) == 0
    assert fallback.pause(failure("limited", 59), ["limited"], SETTINGS) == 59
    assert fallback.pause(failure("limited", 61), ["limited"], SETTINGS) is None


def test_an_unknown_outcome_is_tried_once_more_and_no_oftener() -> None:
    assert fallback.pause(failure("unknown"), ["unknown"], SETTINGS) == 0
    assert fallback.pause(failure("unknown"), ["unknown", "unknown"], SETTINGS) is None
    assert fallback.pause(failure("server"), ["unknown", "server"], SETTINGS) is None


def ladder(first: str, world: Snapshot, larger_than: int = 0) -> list[str]:
    plan = Planner(SETTINGS, count).plan(request(force_model=first), world)

    def price(model: Model) -> int:
        return model.cost(plan.forecast.input_tokens, plan.forecast.output_tokens)

    return [m.name for m in fallback.ladder(plan, world, SETTINGS, price, larger_than)]


def test_cheaper_ones_come_first_best_first_then_dearer_ones_then_the_embedded() -> None:
    assert ladder("gpt-4o", snapshot()) == [
        "gpt-4o-mini-high",
        "claude-3-haiku",
        "gpt-4o-mini",
        "claude-3-sonnet",
        EMBEDDED,
    ]


def test_nothing_dearer_than_three_times_the_quote_is_tried() -> None:
    assert ladder("gpt-4o-mini", snapshot()) == ["gpt-4o-mini-high", "claude-3-haiku", EMBEDDED]
    assert ladder("claude-3-sonnet", snapshot(names=(*ANTHROPIC, EMBEDDED))) == ["claude-3-haiku", EMBEDDED]


def test_only_what_is_available_is_tried() -> None:
    assert ladder("gpt-4o", snapshot(names=OPENAI)) == ["gpt-4o-mini-high", "gpt-4o-mini"]
    assert ladder(EMBEDDED, snapshot(names=(EMBEDDED,))) == []


def test_a_request_too_long_goes_to_a_larger_window() -> None:
    assert ladder("gpt-4o", snapshot(), 128_000) == ["claude-3-haiku", "claude-3-sonnet"]


def test_of_two_alike_the_one_that_served_this_user_well_comes_first() -> None:
    world = snapshot()
    haiku = next(m for m in world.models if m.name == "claude-3-haiku")
    world = world._replace(
        models=(*world.models, haiku._replace(name="twin")),
        available=world.available | {"twin"},
        profile=Profile(model_preference={"twin": 0.9}),
    )
    names = ladder("gpt-4o", world)
    assert names.index("twin") < names.index("claude-3-haiku")
