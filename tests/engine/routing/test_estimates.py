from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.engine.routing.estimates import Estimates, corrected, measured
from tests.support.values import catalog, model

QUALITY = st.floats(0.01, 0.99)
COUNT = st.integers(0, 200)


def test_without_verdicts_nothing_drifts() -> None:
    assert all(corrected(m.quality, 0, 0) == m.quality for m in catalog())


def test_a_few_verdicts_change_nothing_and_many_decide() -> None:
    moved = [corrected(0.7, 0, bad) for bad in range(41)]
    assert moved[:4] == [0.7] * 4 and moved[4] < 0.7 and moved[40] < 0.35
    assert corrected(0.7, 3, 0) == 0.7 and corrected(0.7, 60, 0) > 0.85


@given(QUALITY, COUNT, COUNT)
def test_an_estimate_stays_a_share_and_moves_only_toward_what_was_said(quality: float, good: int, bad: int) -> None:
    after = corrected(quality, good, bad)
    assert 0 <= after <= 1
    assert corrected(quality, good + 1, bad) >= after - 1e-9 or after == quality
    if not bad:
        assert after >= quality
    if not good:
        assert after <= quality


def test_what_was_measured_counts_only_while_the_name_calls_what_was_measured() -> None:
    opus = model("claude-3-opus")
    assert measured(model("gpt-4o")) and measured(opus)
    assert measured(opus._replace(litellm_model="anthropic/claude-opus-4-5")) == {}
    assert measured(model("gpt-4o-mini-high")) == {}


def test_measured_on_the_same_sets_goes_before_the_catalogs_quality() -> None:
    models = catalog()
    found = Estimates({}, 0).dominated(models, lambda m: m.price_in + m.price_out)
    assert found["claude-3-sonnet"].basis.startswith("measured")
    assert all(one.theirs >= one.own for one in found.values())
    # No measurement of another model: the catalog says that it is worth its price.
    other = tuple(m._replace(litellm_model="x/y") if m.name == "claude-3-haiku" else m for m in models)
    assert "claude-3-haiku" not in Estimates({}, 0).dominated(other, lambda m: m.price_in + m.price_out)


def test_nothing_dominates_the_cheapest_and_nothing_is_dominated_by_what_is_dearer() -> None:
    models = catalog()
    price = {m.name: m.price_in + m.price_out for m in models}
    found = Estimates({}, None).dominated(models, lambda m: price[m.name])
    assert all(price[one.by] < price[name] for name, one in found.items())
    assert not {one.by for one in found.values()} & found.keys()


def test_enough_bad_verdicts_make_a_dear_model_needless() -> None:
    bad = {("claude-3-opus", 2): (0, 60), ("gpt-4o", 2): (60, 0)}
    other = tuple(m._replace(litellm_model="x/y") for m in catalog())
    assert "claude-3-opus" in Estimates(bad, 2).dominated(other, lambda m: m.price_out)
    assert "claude-3-opus" not in Estimates(bad, 1).dominated(other, lambda m: m.price_out)
