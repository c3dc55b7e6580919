"""A share of the advantage to keep becomes a threshold, by curves that only ever rise."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.engine.routing.thresholds import curve, threshold

POLICIES = ("learned", "cascade")


@pytest.mark.parametrize("policy", POLICIES)
def test_more_strong_calls_keep_more_and_start_from_a_lower_bar(policy: str) -> None:
    points = curve(policy)
    assert points[0][2:] == (0.0, 0.0)
    assert points[-1][2:] == (1.0, 1.0)
    for fewer, more in pairwise(points):
        assert fewer.strong_share <= more.strong_share
        assert fewer.kept <= more.kept
        assert fewer.difficulty >= more.difficulty
        assert fewer.doubt >= more.doubt


@given(st.sampled_from(POLICIES), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_target_never_calls_the_strong_model_less(policy: str, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert threshold(policy, low).kept >= low
    assert threshold(policy, low).strong_share <= threshold(policy, high).strong_share


def test_nothing_to_keep_asks_for_no_strong_call_and_a_cascade_needs_fewer_than_the_prompt_alone() -> None:
    for policy in POLICIES:
        assert threshold(policy, 0).strong_share == 0
    for target in (0.5, 0.8, 0.95):
        assert threshold("cascade", target).strong_share < threshold("learned", target).strong_share


@pytest.mark.parametrize("target", [-0.1, 1.1, float("nan")])
def test_what_is_no_share_is_refused(target: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        threshold("learned", target)
