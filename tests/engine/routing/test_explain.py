from __future__ import annotations

from nexscout_cli.engine.plan_types import Candidate, Decision
from nexscout_cli.engine.routing import explain


def test_an_estimate_and_a_limit_that_differ_are_never_told_as_the_same() -> None:
    made = Decision(
        "learned", "simple_chat", 0.7, 0.7, "learned_easy", "auto", "elite", "ai_chatbot", 9, 0.0,
        (Candidate("gpt-4o-mini", 11_400, 0.7, "chosen"),), 0.1479, 0, 1.0, (), 0.1512, 0.95, 0.89, 0.95,
    )  # fmt: skip
    assert "estimated at 0.1479 (bucket 0 of 0–4); from 0.1512 on" in explain.requirement(made.as_json())[0]
    far = made._replace(difficulty=0.1021)
    assert "estimated at 0.10 (bucket 0 of 0–4); from 0.15 on" in explain.requirement(far.as_json())[0]
