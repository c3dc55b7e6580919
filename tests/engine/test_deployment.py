"""Which deployment a call goes to, as a pure choice."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.engine.deployment import Deployment, Full, Use, Wanted, choose, cool_down, free_name, waiting

A, B, C = Deployment("a"), Deployment("b"), Deployment("c")


def shares(places: tuple[Deployment, ...], uses: dict[str, Use], tokens: int = 100) -> Counter[str]:
    """How many of a thousand calls go to each place."""
    found: Counter[str] = Counter()
    for n in range(1000):
        place = choose(Wanted(places, frozenset(), n / 1000), uses, tokens)
        assert isinstance(place, Deployment)
        found[place.name] += 1
    return found


def test_a_weight_is_a_share() -> None:
    assert shares((A._replace(weight=3), B), {}) == {"a": 750, "b": 250}


def test_what_is_left_of_the_narrowest_limit_counts() -> None:
    places = (A._replace(rpm=100, concurrency=4), B)
    assert shares(places, {"a": Use(requests=10, in_flight=3)}) == {"a": 200, "b": 800}


def test_a_slow_place_and_one_that_fails_get_less_and_never_nothing() -> None:
    slow = shares((A, B), {"a": Use(latency_ms=4000.0), "b": Use(latency_ms=1000.0)})
    assert slow == {"a": 200, "b": 800}
    failing = shares((A, B), {"a": Use(error_rate=0.5)})
    assert failing == {"a": 200, "b": 800}
    assert shares((A, B), {"a": Use(error_rate=1.0, latency_ms=10**6), "b": Use(latency_ms=1.0)})["a"] > 0


def test_a_place_of_no_weight_is_asked_only_where_there_is_no_other() -> None:
    standby = B._replace(weight=0)
    assert shares((A, standby), {}) == {"a": 1000}
    assert shares((A, standby), {"a": Use(cooling=5.0, failure="server")}) == {"b": 1000}


def test_one_that_cools_down_is_asked_where_all_do_but_not_one_that_is_limited() -> None:
    wanted = Wanted((A, B), frozenset(), 0.5)
    tired = {"a": Use(cooling=9.0, failure="server"), "b": Use(cooling=5.0, failure="unreached")}
    assert choose(wanted, tired, 1) == B
    tired["b"] = Use(cooling=5.0, failure="limited")
    assert choose(wanted, tired, 1) == Full(5.0)


def test_places_to_avoid_are_left_out() -> None:
    assert choose(Wanted((A, B), frozenset("a"), 0.0), {}, 1) == B
    assert choose(Wanted((A,), frozenset("a"), 0.0), {}, 1) == Full(None)


def test_a_call_larger_than_a_minute_fits_nowhere() -> None:
    assert choose(Wanted((A._replace(tpm=50),), frozenset(), 0.0), {}, 51) == Full(None)


def test_a_cool_down_doubles_and_honours_what_the_provider_asks() -> None:
    assert [cool_down(A, n, "server", None) for n in (1, 2, 3, 50)] == [5, 10, 20, 60]
    assert cool_down(A, 1, "limited", 90.0) == 90 and cool_down(A, 1, "rejected", None) == 0


def test_a_new_place_is_called_by_its_provider() -> None:
    assert free_name([], None, "") == "default"
    assert free_name(["azure", "azure-2"], "azure/gpt", "azure") == "azure-3"
    assert free_name([], "gpt-4o", "") == "other"


LIMIT = st.none() | st.integers(1, 20)
PLACES = st.lists(
    st.builds(
        Deployment,
        st.sampled_from("abcdef"),
        weight=st.integers(0, 5),
        rpm=LIMIT,
        tpm=st.none() | st.integers(1, 2000),
        concurrency=LIMIT,
    ),
    max_size=5,
    unique_by=lambda place: place.name,
).map(tuple)
USES = st.dictionaries(
    st.sampled_from("abcdef"),
    st.builds(
        Use,
        requests=st.integers(0, 25),
        tokens=st.integers(0, 2500),
        in_flight=st.integers(0, 25),
        leaves=st.floats(0, 60),
        latency_ms=st.none() | st.floats(0, 10**6),
        error_rate=st.floats(0, 1),
        failure=st.sampled_from([None, "limited", "server"]),
        cooling=st.sampled_from([0.0, 3.0]),
    ),
)


@given(PLACES, USES, st.integers(0, 1000), st.floats(0, 1, exclude_max=True), st.sets(st.sampled_from("abc")))
def test_no_place_is_chosen_beyond_its_limits(
    places: tuple[Deployment, ...], uses: dict[str, Use], tokens: int, chance: float, avoid: set[str]
) -> None:
    found = choose(Wanted(places, frozenset(avoid), chance), uses, tokens)
    if isinstance(found, Full):
        assert found.seconds is None or 0 < found.seconds <= 60
        return
    use = uses.get(found.name, Use())
    assert found.name not in avoid and waiting(found, use, tokens) == 0
    assert found.rpm is None or use.requests < found.rpm
    assert found.tpm is None or use.tokens + tokens <= found.tpm
    assert found.concurrency is None or use.in_flight < found.concurrency
