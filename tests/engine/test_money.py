from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.engine import money

TOKENS = st.integers(0, 10**7)
PRICES = st.integers(0, 10**9)
SURGE = st.sampled_from([1000, 1250, 1500, 2000])


@given(TOKENS, TOKENS, PRICES, PRICES)
def test_a_cost_is_exact_and_rounded_up_once(tokens_in: int, tokens_out: int, price_in: int, price_out: int) -> None:
    exact = Decimal(tokens_in * price_in + tokens_out * price_out) / 1000
    assert 0 <= money.cost(tokens_in, tokens_out, price_in, price_out) - exact < 1


@pytest.mark.parametrize(
    ("dollars", "pico"), [("0.00015", 150_000), ("0.075", 75_000_000), (0.0025, 2_500_000), ("0", 0)]
)
def test_prices_per_thousand_tokens_become_pico_dollars_per_token(dollars: str | float, pico: int) -> None:
    assert money.price_per_1k(dollars) == pico


@pytest.mark.parametrize(
    ("amount", "nano"), [("0.05", 50_000_000), ("1e-9", 1), ("0.0000000001", 1), (2, 2 * 10**9), ("0", 0)]
)
def test_amounts_become_nano_dollars_rounded_up(amount: str | int, nano: int) -> None:
    assert money.to_nano(amount) == nano


@pytest.mark.parametrize("amount", ["", "abc", "-1", "nan", "inf", "-0.01", "1e30", "1,5", "$1"])
def test_what_is_no_amount_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match="amount"):
        money.to_nano(amount)


@pytest.mark.parametrize("price", ["1e-30", "1e-400", "0.0000000001", "0.1234567891", "-1", "1e30", "1_0", "nan"])
def test_a_price_that_cannot_be_kept_exactly_is_refused_and_never_free(price: str) -> None:
    with pytest.raises(ValueError, match=r"amount|finer"):
        money.price_per_1k(price)


@given(st.decimals(0, 10**6, places=9))
def test_every_price_of_nine_places_is_kept_exactly(price: Decimal) -> None:
    assert Decimal(money.price_per_1k(price)).scaleb(-9) == price


@given(st.integers(-(10**18), 10**18))
def test_dollars_are_shown_with_all_nine_decimals(nano: int) -> None:
    text = money.dollars(nano)
    assert Decimal(text) * 10**9 == nano == money.usd(nano) * 10**9
    assert len(text.partition(".")[2]) == 9


@pytest.mark.parametrize(
    ("nano", "surge", "energy"),
    [
        (0, 1000, 0),
        (1, 1000, 1),
        (15_000_000, 1000, 1),
        (15_000_001, 1000, 2),
        (15_000_000, 1250, 2),
        (150_000_000, 2000, 20),
    ],
)
def test_energy_is_at_least_one_and_rounded_up_under_surge(nano: int, surge: int, energy: int) -> None:
    assert money.energy_for(nano, surge, 15_000_000) == energy


@given(st.integers(1, 10**6), SURGE, st.integers(1, 10**9))
def test_what_energy_affords_never_costs_more_energy_than_that(energy: int, surge: int, unit: int) -> None:
    affords = money.nano_for_energy(energy, surge, unit)
    assert money.energy_for(affords, surge, unit) <= energy
    assert money.energy_for(affords + 1, surge, unit) > energy
