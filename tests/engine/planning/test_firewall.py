from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.config import Settings
from nexscout_cli.engine.length.learning import Trend
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.money import energy_for, to_nano
from nexscout_cli.engine.plan_types import Forecast
from nexscout_cli.engine.planning import firewall
from nexscout_cli.engine.planning.firewall import Verdict
from nexscout_cli.engine.snapshot import Limit, Snapshot
from nexscout_cli.errors import Blocked, NotEnoughEnergy
from tests.support.values import EMBEDDED, model, request, snapshot


def call(tokens: int, expected: int, most_in: int, most_out: int) -> Forecast:
    return Forecast(tokens, expected, most_in, most_out, expected, tokens, Trend(0.0, 0.0, 1.0, 1.3))


CALL = call(1_000, 200, 1_016, 1_500)


def check(
    forecast: Forecast = CALL,
    world: Snapshot | None = None,
    to: Model | None = None,
    *,
    charge: bool = True,
    max_cost: int | None = None,
) -> Verdict:
    return firewall.check(
        request(max_cost=max_cost), world or snapshot(), Settings(), to or model("gpt-4o"), forecast, charge
    )


def tight(unit: str, left: int, scope: str = "user", window: str = "day") -> Snapshot:
    return snapshot(limits=(Limit(unit, scope, window, 10**12, left),))


def test_a_call_that_every_budget_covers_is_allowed_whole() -> None:
    assert check() == Verdict(1_500, (), None)


@pytest.mark.parametrize(
    ("tokens", "blocked", "warned"),
    [(15_000, False, False), (15_001, False, True), (20_000, False, True), (20_001, True, False)],
)
def test_above_15_000_predicted_tokens_it_warns_and_above_20_000_it_blocks(
    tokens: int, blocked: bool, warned: bool
) -> None:
    verdict = check(call(tokens - 200, 200, tokens - 200, 200))
    assert (verdict.refusal is not None, bool(verdict.warnings)) == (blocked, warned)
    if verdict.refusal:
        assert verdict.refusal.exit_status == 3 and "smaller parts" in verdict.refusal.suggestion


def test_what_the_window_does_not_take_is_blocked_and_a_tight_one_bounds_the_answer() -> None:
    narrow = model("gpt-4o")._replace(max_tokens=1_100)
    refusal = check(to=narrow).refusal
    assert isinstance(refusal, Blocked) and refusal.code == "context_window"
    assert check(to=narrow._replace(max_tokens=1_300)).bound == 1_300 - 1_016


@pytest.mark.parametrize("scope", ["user", "total"])
@pytest.mark.parametrize("window", ["day", "month"])
@pytest.mark.parametrize(("unit", "code"), [("usd", "usd_cap"), ("tokens", "token_budget")])
def test_a_budget_that_does_not_cover_the_expected_call_blocks_it_with_reason_and_suggestion(
    scope: str, window: str, unit: str, code: str
) -> None:
    refusal = check(world=tight(unit, 10, scope, window)).refusal
    assert isinstance(refusal, Blocked) and refusal.code == code and refusal.exit_status == 3
    assert {"day": "daily", "month": "monthly"}[window] in refusal.message
    assert EMBEDDED in refusal.suggestion


@pytest.mark.parametrize(("unit", "left"), [("usd", 1_016 * 2_500 + 300 * 10_000), ("tokens", 1_316)])
def test_a_budget_that_covers_the_expected_call_but_not_the_worst_lowers_the_bound_to_what_it_affords(
    unit: str, left: int
) -> None:
    verdict = check(world=tight(unit, left))
    assert (verdict.bound, verdict.refusal) == (300, None)
    assert any("300 tokens" in warning for warning in verdict.warnings)


def test_max_cost_is_a_budget_too() -> None:
    assert check(max_cost=to_nano("0.001")).refusal is not None
    assert check(max_cost=1_016 * 2_500 + 250 * 10_000).bound == 250


def test_too_little_energy_is_refused_with_exit_4_and_a_way_out() -> None:
    refusal = check(world=snapshot(energy=0)).refusal
    assert isinstance(refusal, NotEnoughEnergy) and refusal.exit_status == 4
    assert f"--model {EMBEDDED}" in refusal.suggestion


def test_energy_is_no_matter_to_a_call_that_is_not_charged() -> None:
    assert check(world=snapshot(energy=0), charge=False).refusal is None


def test_nothing_is_too_dear_for_a_free_model() -> None:
    poor = tight("usd", 0)._replace(energy=0)
    assert check(call(100, 50, 116, 500), poor, model(EMBEDDED), max_cost=0).refusal is None


def test_surge_makes_the_same_balance_afford_less() -> None:
    calm, busy = check(world=snapshot(energy=1)), check(world=snapshot(energy=1, surge_milli=2000))
    assert calm.bound > busy.bound


@given(
    st.integers(0, 3_000),
    st.integers(1, 500),
    st.integers(0, 4_500),
    st.integers(0, 200),
    st.integers(-10, 10**8),
    st.integers(-10, 10**5),
    st.sampled_from([1000, 1250, 2000]),
    st.sampled_from(["gpt-4o", "claude-3-opus", "gpt-4o-mini"]),
)
def test_whatever_is_allowed_costs_at_worst_what_every_budget_has_left(
    tokens: int, expected: int, more: int, energy: int, usd: int, budget: int, surge: int, name: str
) -> None:
    forecast = call(tokens, expected, tokens + 16, expected + more)
    world = snapshot(
        energy=energy,
        surge_milli=surge,
        limits=(Limit("usd", "user", "day", 10**9, usd), Limit("tokens", "total", "month", 10**6, budget)),
    )
    verdict = check(forecast, world, model(name))
    if verdict.refusal is None:
        worst = model(name).cost(forecast.max_input_tokens, verdict.bound)
        assert worst <= usd
        assert forecast.max_input_tokens + verdict.bound <= budget
        assert energy_for(worst, surge, firewall.nano_per_unit(Settings())) <= energy
        assert expected <= verdict.bound <= forecast.max_output_tokens
