from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.engine.catalog.seed import seeded
from nexscout_cli.engine.evidence import Evidence, evidence, with_evidence
from nexscout_cli.engine.request import AIRequest, Options
from nexscout_cli.engine.routing import audit

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
MODELS = {model.name: model for model in seeded()}


def request(text: str, **options: Any) -> AIRequest:
    return AIRequest("ada", "ai_chatbot", text, options=Options(**options))


def test_the_share_that_is_asked_for_is_drawn_and_the_same_on_a_second_look() -> None:
    drawn = [audit.drawn(request(f"question {n}"), NOW, 0.02) for n in range(10_000)]
    assert 150 < sum(drawn) < 250
    assert drawn == [audit.drawn(request(f"question {n}"), NOW.replace(hour=13), 0.02) for n in range(10_000)]
    assert not any(audit.drawn(request(f"question {n}"), NOW, 0.0) for n in range(100))
    assert not audit.drawn(request("x", service_tier="batch"), NOW, 1.0)


def test_audits_and_misshapen_answers_are_evidence_and_doubts_and_what_cannot_be_compared_are_none() -> None:
    rows = [
        ("gpt-4o", {"audit": "gpt-4o-mini", "agrees": True}),
        ("gpt-4o", {"audit": "gpt-4o-mini", "agrees": None}),
        ("claude-3-haiku", {"unfit": True}),
        ("gpt-4o-mini", {"score": 0.9, "limit": 0.4, "reasons": []}),
        ("claude-3-haiku", {"score": 0.9, "limit": 0.4, "reasons": [], "agrees": False}),
    ]
    assert evidence(rows) == [Evidence("gpt-4o-mini", True), Evidence("claude-3-haiku", False)]
    found = with_evidence({("gpt-4o-mini", 2): (1, 0)}, evidence(rows))
    assert found == {("gpt-4o-mini", 2): (1, 0), ("gpt-4o-mini", None): (1, 0), ("claude-3-haiku", None): (0, 1)}


@given(st.integers(0, 5_000), st.integers(0, 5_000))
def test_no_evidence_makes_a_model_count_for_more_than_the_margin_above_the_catalog(good: int, bad: int) -> None:
    mini = MODELS["gpt-4o-mini"]
    careful = audit.Careful({("gpt-4o-mini", 1): (good, 0), ("gpt-4o-mini", None): (0, bad)})
    assert careful.quality(mini) <= mini.quality + audit.MARGIN
    if not good + bad:
        assert careful.quality(mini) == mini.quality


def test_the_bandit_is_no_worse_than_the_rules_by_more_than_the_margin_and_better_where_a_model_fails() -> None:
    """Two models, a share of the cheap answers is checked; what is required moves with the request, as rules ask for it."""
    mini, strong = MODELS["gpt-4o-mini"], MODELS["gpt-4o"]
    for truth in (0.2, 0.5, mini.quality, 0.95):
        chance = random.Random(int(truth * 100))
        verdicts: dict[Any, tuple[int, int]] = {}
        ours = rules = 0.0
        for _ in range(6_000):
            required = chance.choice((0.5, mini.quality, mini.quality + 0.04, mini.quality + 0.12))
            careful = audit.Careful(verdicts)
            cheap = careful.quality(mini) >= required
            ours += truth if cheap else strong.quality
            rules += truth if mini.quality >= required else strong.quality
            if cheap and chance.random() < 0.05:
                verdicts = with_evidence(verdicts, [Evidence(mini.name, chance.random() < truth)])
        assert ours / 6_000 >= rules / 6_000 - audit.MARGIN
        if truth < 0.4:
            assert ours > 1.05 * rules
