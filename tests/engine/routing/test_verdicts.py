"""Whose verdicts count how much."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.engine.snapshot import Given, pooled

PLACE = ("gpt-4o", 2)


def by(user: str, good: int, bad: int) -> Given:
    return Given(user, *PLACE, good, bad)


def test_ones_own_verdicts_all_count() -> None:
    assert pooled("ada", [by("ada", 2, 300)]) == {PLACE: (2, 300)}


def test_every_other_user_has_one_vote_and_who_is_undecided_none() -> None:
    others = [by("b", 9, 1), by("c", 0, 100), by("d", 3, 3)]
    assert pooled("ada", others) == {PLACE: (1, 1)}
    assert pooled("ada", [by("d", 3, 3)]) == {}


def test_models_and_buckets_are_kept_apart() -> None:
    found = pooled("ada", [by("ada", 1, 0), Given("ada", "gpt-4o", None, 0, 1), Given("b", "other", 2, 4, 0)])
    assert found == {PLACE: (1, 0), ("gpt-4o", None): (0, 1), ("other", 2): (1, 0)}


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), max_size=8),
    st.tuples(st.integers(0, 500), st.integers(0, 500)),
)
def test_nobody_weighs_more_than_a_vote_with_others_however_much_they_say(
    others: list[tuple[int, int]], own: tuple[int, int]
) -> None:
    rows = [by("ada", *own), *(by(f"u{n}", *each) for n, each in enumerate(others))]
    good, bad = pooled("ada", rows).get(PLACE, (0, 0))
    assert good >= 0 and bad >= 0 and good + bad <= sum(own) + len(others)
