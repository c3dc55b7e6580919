"""Policies learned and cascade, on snapshots made by hand; how difficult a prompt is and where the limits lie is given."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexscout_cli.config import Settings
from nexscout_cli.engine.planning.plan import Plan
from nexscout_cli.engine.planning.planner import Planner
from nexscout_cli.engine.planning.resolve import resolve
from nexscout_cli.engine.routing.difficulty import Difficulty
from nexscout_cli.engine.routing.thresholds import Threshold
from nexscout_cli.engine.snapshot import Limit, Profile
from nexscout_cli.errors import UsageError
from tests.support.values import ANTHROPIC, OPENAI, count, request, snapshot

ANGRY = "I'm furious, they lied to me, and I want them to know that I hate every minute of this betrayal!"
LIMIT = 0.4


@pytest.fixture(autouse=True)
def _given(monkeypatch: pytest.MonkeyPatch) -> None:
    def difficulty(prompt: str, factors: dict[str, float]) -> Difficulty:
        hard = 0.9 if "hard" in prompt else 0.1
        return Difficulty(hard, int(hard * 5), (("the word hard", hard),))

    def threshold(policy: str, target: float) -> Threshold:
        return Threshold(LIMIT, 0.5, 0.3, target)

    monkeypatch.setattr(importlib.import_module("nexscout_cli.engine.routing.difficulty"), "difficulty", difficulty)
    monkeypatch.setattr(importlib.import_module("nexscout_cli.engine.routing.thresholds"), "threshold", threshold)


def plan(
    policy: str | None, prompt: str = "An easy one", feature: str = "ai_message", *, tier: str = "elite", **world: Any
) -> Plan:
    options = {name: world.pop(name) for name in ("max_cost", "force_model", "mode") if name in world}
    names = world.pop("names", OPENAI)
    asked = request(prompt, feature, policy=policy, **options)
    return Planner(Settings(), count).plan(asked, snapshot(tier, names=names, **world))


@pytest.mark.parametrize(
    ("policy", "prompt", "feature", "tier", "quality", "model", "reason"),
    [
        ("learned", "An easy one", "ai_message", "elite", 0.7, "gpt-4o-mini", "learned_easy"),
        ("learned", "A hard one", "ai_message", "elite", 0.95, "gpt-4o", "learned_hard"),
        ("learned", "A hard one", "ai_message", "free", 0.85, "gpt-4o-mini-high", "learned_hard"),
        ("learned", "An easy one " * 60, "ai_chatbot", "elite", 0.7, "gpt-4o-mini", "learned_easy"),
        ("learned", "An easy one", "ai_pitchdeck", "elite", 0.95, "gpt-4o", "complex_generation"),
        ("learned", "An easy one", "ai_objection", "elite", 0.85, "gpt-4o-mini-high", "emotional_complexity"),
        ("learned", ANGRY, "ai_message", "elite", 0.85, "gpt-4o-mini-high", "emotional_complexity"),
        ("learned", "A hard one", "ai_objection", "elite", 0.95, "gpt-4o", "learned_hard"),
        ("cascade", "An easy one", "ai_message", "elite", 0.7, "gpt-4o-mini", "cascade_first"),
        ("cascade", "A hard one", "ai_message", "elite", 0.95, "gpt-4o", "cascade_hard"),
        ("cascade", "An easy one", "ai_coaching", "elite", 0.95, "gpt-4o", "complex_generation"),
        ("cascade", "An easy one", "ai_objection", "elite", 0.85, "gpt-4o-mini-high", "cascade_first"),
        ("cascade", "An easy one", "ai_objection", "free", 0.85, "gpt-4o-mini-high", "emotional_complexity"),
    ],
)
def test_difficulty_moves_the_requirement_but_never_below_what_the_feature_asks_for(
    policy: str, prompt: str, feature: str, tier: str, quality: float, model: str, reason: str
) -> None:
    made = plan(policy, prompt, feature, tier=tier)
    assert (made.required_quality, made.model.name, made.routing_reason) == (quality, model, reason)


@pytest.mark.parametrize("policy", ["learned", "cascade"])
@pytest.mark.parametrize(
    "world",
    [
        {"force_model": "gpt-4o-mini-high"},
        {"force_model": "pro"},
        {"mode": "fast"},
        {"profile": Profile(preferred_mode="expert")},
        {"panic": True},
    ],
    ids=str,
)
def test_a_forced_model_a_mode_and_panic_are_followed_under_every_policy(policy: str, world: dict[str, Any]) -> None:
    made, ruled = plan(policy, "A hard one", **world), plan("rules", "A hard one", **world)
    assert made._replace(request=ruled.request, decision=ruled.decision, basis=ruled.basis) == ruled
    assert made.cascade is None and made.decision.target is None


def test_the_calls_policy_goes_before_the_users_and_that_before_the_installations() -> None:
    installed = Settings().with_values(routing__policy="cascade")

    def named(call: str | None, user: str | None) -> str:
        world = snapshot(names=OPENAI, profile=Profile(policy=user))
        return Planner(installed, count).plan(request(policy=call), world).decision.policy

    assert (named("rules", "learned"), named(None, "learned"), named(None, None)) == ("rules", "learned", "cascade")


def test_an_unknown_policy_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        plan("cheapest")
    assert "cascade" in caught.value.suggestion


def test_a_cascade_quotes_both_steps_expected_and_worst() -> None:
    made, strong = plan("cascade"), plan("cascade").cascade.strong  # type: ignore[union-attr]
    assert strong.model.name == "gpt-4o"
    assert made.predicted_cost == made.own_cost + round(0.3 * strong.own_cost)
    assert made.max_cost == made.own_max_cost + strong.own_max_cost
    assert made.max_energy == made.energy_of(made.max_cost)
    shown = made.as_json()
    assert shown["predicted_tokens"] == shown["predicted_input_tokens"] + shown["predicted_output_tokens"]
    assert [(s["model"], s["chance"]) for s in shown["cascade"]["steps"]] == [("gpt-4o-mini", 1.0), ("gpt-4o", 0.3)]
    assert shown["expected"] == {"quality_target": 0.95, "kept": 0.95, "strong_share": 0.3}


def test_how_often_a_second_step_comes_is_learned_from_the_own_ledger() -> None:
    never, always = (plan("cascade", doubts=(score,) * 60).cascade for score in (0.1, 0.9))
    assert never is not None and always is not None
    assert never.chance == pytest.approx(0.3 * 20 / 80) and always.chance == pytest.approx((0.3 * 20 + 60) / 80)


def test_max_cost_covers_the_whole_cascade_or_there_is_none() -> None:
    whole = plan("cascade")
    bounded = plan("cascade", max_cost=whole.max_cost)
    assert bounded == whole._replace(
        request=whole.request._replace(options=whole.request.options._replace(max_cost=whole.max_cost)),
        cascade=bounded.cascade,
        basis=bounded.basis,
    )
    less = plan("cascade", max_cost=whole.max_cost - 10_000_000)
    assert less.cascade is not None and less.max_cost <= whole.max_cost - 10_000_000
    alone = plan("cascade", max_cost=whole.own_max_cost + 1_000)
    assert alone.cascade is None and alone.allow_proceed
    told = next(warning for warning in alone.warnings if "would not be sent up" in warning)
    assert told.endswith("; $0.000001000 is left for it")  # what the first step leaves, which is not --max-cost
    assert alone.expected is None and whole.expected is not None


def test_without_a_better_model_there_is_nothing_to_send_up_to() -> None:
    made = plan("cascade", names=("gpt-4o-mini",))
    assert made.cascade is None and made.model.name == "gpt-4o-mini"
    assert made.expected is plan("learned", "A hard one", names=("gpt-4o-mini",)).expected is None


def test_what_is_expected_of_the_target_is_said_only_where_the_estimate_decided() -> None:
    for prompt in ("An easy one", "A hard one"):
        assert plan("learned", prompt).expected == {"quality_target": 0.95, "kept": 0.95, "strong_share": 0.3}
    assert plan("learned", feature="ai_pitchdeck").expected is plan("rules").expected is None


def test_a_model_that_is_dearer_and_no_better_is_left_out_except_by_the_rules() -> None:
    names = (*ANTHROPIC[1:], *OPENAI)
    dear = {m.name: m for m in snapshot().models}
    twins = (dear["gpt-4o-mini"], dear["gpt-4o-mini"]._replace(name="twin", price_out=900_000), dear["gpt-4o"])
    world = {"models": twins, "names": ("gpt-4o-mini", "twin", "gpt-4o")}
    verdicts = {one.model: one.verdict for one in plan("learned", **world).decision.candidates}
    assert verdicts == {"gpt-4o-mini": "chosen", "twin": "dominated", "gpt-4o": "dearer"}
    assert {one.verdict for one in plan("rules", **world).decision.candidates} == {"chosen", "dearer"}
    # Of the seeded catalog gpt-4o makes sonnet needless: it costs less and is better by any measure.
    found = {one.model: one for one in plan("learned", "A hard one", names=names).decision.candidates}
    assert found["claude-3-sonnet"].verdict == "dominated"
    ruled = plan("rules", feature="ai_objection", names=("claude-3-sonnet", "gpt-4o"))
    assert ruled.decision.candidates[-2].verdict != "dominated"


def test_verdicts_in_a_bucket_decide_there_and_nowhere_else() -> None:
    bad: Any = {("gpt-4o-mini", 0): (0, 8)}
    assert plan("learned", verdicts=bad).model.name == "gpt-4o-mini-high"
    assert plan("learned", verdicts={("gpt-4o-mini", 3): (0, 8)}).model.name == "gpt-4o-mini"
    assert plan("learned", verdicts={("gpt-4o-mini", None): (0, 8)}).model.name == "gpt-4o-mini-high"
    few, none = plan("learned", verdicts={("gpt-4o-mini", 0): (0, 2)}), plan("learned")
    assert few._replace(basis=none.basis) == none


def test_the_decision_says_what_was_weighed_and_what_became_of_each_model() -> None:
    made = plan("learned", "A hard one", limits=(Limit("usd", "user", "day", 10**9, 1_000_000),)).decision
    assert (made.difficulty, made.bucket, made.limit, made.weighed) == (0.9, 4, LIMIT, (("the word hard", 0.9),))
    verdicts = {one.model: (one.verdict, one.cost is None) for one in made.candidates}
    assert verdicts["gpt-4o"] == ("not_allowed", False)
    assert verdicts["gpt-4o-mini-high"] == ("chosen", False)
    assert verdicts["gpt-4o-mini"] == ("below", False)
    assert verdicts["claude-3-opus"] == ("unavailable", True)


def test_only_a_policy_that_governs_is_part_of_a_cached_answers_key() -> None:
    def key(**asked: Any) -> str:
        return resolve(request(**asked), snapshot(), Settings()).policy_in_key

    assert (
        key()
        == key(policy="rules")
        == key(policy="learned", force_model="gpt-4o")
        == key(policy="cascade", mode="pro")
        == ""
    )
    assert len({key(), key(policy="learned"), key(policy="cascade")}) == 3
    other = Settings().with_values(routing__quality_target=0.8)
    assert resolve(request(policy="learned"), snapshot(), other).policy_in_key != key(policy="learned")


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(["An easy one", "A hard one", "An easy one " * 80]),
    st.sampled_from(["ai_message", "ai_objection", "ai_pitchdeck"]),
    st.sampled_from(["free", "pro", "elite"]),
    st.integers(0, 200),
    st.integers(0, 10**8),
    st.integers(0, 10**4),
    st.one_of(st.none(), st.integers(0, 10**8)),
)
def test_a_cascade_that_may_proceed_holds_no_more_than_there_is(
    prompt: str, feature: str, tier: str, energy: int, usd: int, tokens: int, most: int | None
) -> None:
    limits = (Limit("usd", "user", "day", 10**9, usd), Limit("tokens", "user", "day", 10**6, tokens))
    made = plan("cascade", prompt, feature, tier=tier, energy=energy, limits=limits, max_cost=most)
    if not made.allow_proceed:
        assert made.cascade is None
        return
    steps = [made, *([made.cascade.strong] if made.cascade else [])]
    assert made.max_cost <= usd and made.max_energy <= energy and made.predicted_cost <= made.max_cost
    assert sum(step.max_total_tokens for step in steps) <= tokens
    assert most is None or made.max_cost <= most
