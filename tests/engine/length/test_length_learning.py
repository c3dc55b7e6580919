from __future__ import annotations

import itertools
import math
import random

import pytest

from nexscout_cli.engine.length.learning import EDGES, Level, Trend, forecast

SHIPPED = Trend(4.0, 5.0, 0.8, 1.3)


def run(pairs: list[tuple[Trend, int]], *, levels: int = 2) -> list[tuple[float, bool]]:
    """Each answer's expected tokens before it was learned, and whether it stayed below its P90."""
    known = [Level()] * levels
    seen = []
    for shipped, tokens in pairs:
        made = forecast(shipped, known)
        above = tokens > math.exp(made.mean + made.edge * made.sd)
        seen.append((math.exp(made.mean), not above))
        known = [level.after(shipped, round(math.exp(made.mean)), tokens, above) for level in known]
    return seen


def test_nothing_learned_leaves_the_shipped_prediction() -> None:
    made = forecast(SHIPPED, ())
    assert made == SHIPPED
    assert forecast(SHIPPED, [Level()]) == made


@pytest.mark.parametrize("tokens", [5, 60, 148, 900])
def test_equal_answers_are_met_ever_more_closely(tokens: int) -> None:
    expected = [mean for mean, _ in run([(SHIPPED, tokens)] * 40)]
    errors = [abs(math.log(mean / tokens)) for mean in expected]
    assert all(later <= max(earlier, 0.07) for earlier, later in itertools.pairwise(errors))
    assert errors[-1] < 0.1


def test_longer_answers_teach_a_longer_forecast() -> None:
    after = [
        forecast(SHIPPED, [Level().after(SHIPPED, 148, tokens, False)]).mean for tokens in (30, 100, 150, 700, 1_000)
    ]
    assert after == sorted(after)


def test_a_narrow_level_with_little_seen_stays_near_the_wide_one() -> None:
    wide, narrow = Level(), Level().after(SHIPPED, 148, 20, False)
    for _ in range(60):
        wide = wide.after(SHIPPED, 400, 400, False)
    once = forecast(SHIPPED, [wide, narrow]).mean
    for _ in range(60):
        narrow = narrow.after(SHIPPED, 20, 20, False)
    often = forecast(SHIPPED, [wide, narrow]).mean
    assert math.log(20) < once < math.log(400)
    assert abs(often - math.log(20)) < 0.15 < abs(once - math.log(20))


def test_what_a_longer_prompt_does_to_the_answer_is_learned() -> None:
    draw = random.Random(1)
    pairs = []
    for _ in range(150):
        t = draw.uniform(3, 7)
        pairs.append((Trend(t, 5.0, 0.8, 1.3), round(math.exp(2 + 0.7 * t + draw.gauss(0, 0.1)))))
    errors = [abs(mean - tokens) / tokens for (mean, _), (_, tokens) in zip(run(pairs), pairs, strict=True)]
    assert sum(errors[50:]) / 100 < 0.12


@pytest.mark.parametrize("spread", [0.1, 0.4, 1.0])
@pytest.mark.parametrize("skewed", [False, True])
def test_what_is_called_p90_holds_nine_times_of_ten(spread: float, skewed: bool) -> None:
    draw = random.Random(2)

    def tokens() -> int:
        noise = draw.expovariate(1) if skewed else draw.gauss(0, 1)
        return max(1, round(120 * math.exp(spread * noise)))

    held = [below for _, below in run([(SHIPPED, tokens()) for _ in range(600)])]
    assert 0.88 <= sum(held) / len(held) <= 0.92
    assert 0.86 <= sum(held[-200:]) / 200 <= 0.94


def test_an_answer_that_ran_away_does_not_ruin_the_level() -> None:
    pairs = [(SHIPPED, 150)] * 40 + [(SHIPPED, 200_000)] + [(SHIPPED, 150)]
    before, after = run(pairs)[40][0], run(pairs)[41][0]
    assert after < 1.1 * before


def test_the_edge_stays_in_its_range() -> None:
    low, high = EDGES
    for above, end in ((True, high), (False, low)):
        level = Level()
        for _ in range(500):
            level = level.after(SHIPPED, 150, 150, above)
        assert level.edge == end
