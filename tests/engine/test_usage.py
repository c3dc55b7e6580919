"""What tokens of each class cost, and the bound that a hold is taken at."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexscout_cli.engine.usage import INPUT, OUTPUT, Rates, Tokens

OF_A_TEXT_IN = ("input", "cached", "cache_write")
OF_A_TEXT_OUT = ("output", "reasoning")
PRICE = st.integers(0, 10**9)
RATES = st.builds(
    Rates,
    PRICE,
    PRICE,
    st.dictionaries(
        st.sampled_from(("cached", "cache_write", "cache_write_1h", "reasoning", "audio_in", "request")), PRICE
    ),
)
COUNT = st.integers(0, 10**6)


@settings(max_examples=500, deadline=None)
@given(RATES, st.lists(COUNT, min_size=3, max_size=3), st.lists(COUNT, min_size=2, max_size=2), COUNT, COUNT)
def test_a_hold_covers_every_mix_of_classes_within_its_bound(
    rates: Rates, given_: list[int], taken: list[int], more_in: int, more_out: int
) -> None:
    used = Tokens(**dict(zip(OF_A_TEXT_IN, given_, strict=True)), **dict(zip(OF_A_TEXT_OUT, taken, strict=True)))
    assert rates.most(used.total_in + more_in, used.total_out + more_out) >= rates.cost(used)


@settings(max_examples=200, deadline=None)
@given(RATES, st.lists(COUNT, min_size=10, max_size=10))
def test_a_cost_is_the_sum_over_classes_rounded_up_once(rates: Rates, counts: list[int]) -> None:
    used = Tokens(**dict(zip((*INPUT, *OUTPUT), counts, strict=True)))
    exact = sum(Fraction(rates.of(name) * getattr(used, name), 1000) for name in (*INPUT, *OUTPUT))
    exact += rates.special.get("request", 0)
    assert exact <= rates.cost(used) < exact + 1


def test_a_class_without_a_price_costs_what_a_plain_token_of_its_side_does() -> None:
    plain = Rates(2_000, 8_000)
    assert plain.cost(Tokens(1, 1)) == plain.cost(Tokens(0, 0, cached=1, reasoning=1)) == 10
    assert Rates(2_000, 8_000, {"cache_write": 2_500}).cost(Tokens(cache_write_1h=2)) == 5


@pytest.mark.parametrize(
    ("used", "nano"),
    [
        (Tokens(80, 100, cached=1_920), 3_600_000),
        (Tokens(2_000, 100), 6_000_000),
    ],
)
def test_gpt_4o_with_and_without_its_cache(used: Tokens, nano: int) -> None:
    assert Rates(2_500_000, 10_000_000, {"cached": 1_250_000}).cost(used) == nano


def test_fees_are_by_the_piece() -> None:
    rates = Rates(0, 0, {"request": 5_000_000, "search": 10_000_000})
    assert rates.cost(Tokens(5, 5, searches=2)) == 25_000_000
    assert rates.most(5, 5) == rates.request_fee == 5_000_000
