"""The routing table of the design, rule by rule, on snapshots made by hand."""

from __future__ import annotations

from typing import Any

import pytest

from nexscout_cli.config import Settings
from nexscout_cli.engine.catalog.seed import EMBEDDED
from nexscout_cli.engine.planning.plan import Plan
from nexscout_cli.engine.planning.planner import Planner
from nexscout_cli.engine.snapshot import Profile
from nexscout_cli.errors import Blocked, NotPermitted, UsageError
from nexscout_cli.terms import TIERS
from tests.support.values import ANTHROPIC, OPENAI, count, request, snapshot

LONG = "Our company sells software for gardeners and we met their people at a fair in spring, as you may know. " * 5
LONGER = LONG + LONG
ANGRY = "I'm furious, they lied to me, and I want them to know that I hate every minute of this betrayal!"
DEEP = " ".join(
    f"Entry {n}: the number {n * 7919} was found beside {n * 104729} in the book of the year {1700 + n % 300}."
    for n in range(330)
)
SEED_ORDER = ["panic", "forced", "mode", "short", "emotional", "generation", "deepscan", "chatbot", "balanced"]

# what, request, snapshot, required quality (tier elite), model with all six, with Anthropic's alone, reason
CASES: list[tuple[str, dict[str, Any], dict[str, Any], float, str, str, str]] = [
    ("panic", {"feature": "ai_pitchdeck"}, {"panic": True}, 0.5, "gpt-4o-mini", "claude-3-haiku", "panic"),
    ("model", {"force_model": "claude-3-sonnet"}, {}, 0.9, "claude-3-sonnet", "claude-3-sonnet", "forced"),
    ("mode for this call", {"force_model": "expert"}, {}, 0.95, "gpt-4o", "claude-3-opus", "forced"),
    ("--mode for this call", {"mode": "pro"}, {}, 0.85, "gpt-4o-mini-high", "claude-3-sonnet", "manual_pro"),
    ("expert", {}, {"profile": Profile(preferred_mode="expert")}, 0.95, "gpt-4o", "claude-3-opus", "manual_expert"),
    (
        "fast",
        {"feature": "ai_pitchdeck"},
        {"profile": Profile(preferred_mode="fast")},
        0.7,
        "gpt-4o-mini",
        "claude-3-haiku",
        "manual_fast",
    ),
    ("pro", {}, {"profile": Profile(preferred_mode="pro")}, 0.85, "gpt-4o-mini-high", "claude-3-sonnet", "manual_pro"),
    ("pitch deck", {"feature": "ai_pitchdeck"}, {}, 0.95, "gpt-4o", "claude-3-opus", "complex_generation"),
    ("coaching", {"feature": "ai_coaching"}, {}, 0.95, "gpt-4o", "claude-3-opus", "complex_generation"),
    (
        "deep scan, large",
        {"feature": "ai_deepscan", "prompt": DEEP},
        {},
        0.95,
        "gpt-4o",
        "claude-3-opus",
        "deep_analysis",
    ),
    ("deep scan, small", {"feature": "ai_deepscan"}, {}, 0.7, "gpt-4o-mini", "claude-3-haiku", "simple_short_prompt"),
    ("objection", {"feature": "ai_objection"}, {}, 0.85, "gpt-4o-mini-high", "claude-3-sonnet", "emotional_complexity"),
    ("emotional", {"prompt": ANGRY}, {}, 0.85, "gpt-4o-mini-high", "claude-3-sonnet", "emotional_complexity"),
    (
        "short chat",
        {"feature": "ai_chatbot", "prompt": LONG[:599]},
        {},
        0.7,
        "gpt-4o-mini",
        "claude-3-haiku",
        "simple_chat",
    ),
    (
        "long chat",
        {"feature": "ai_chatbot", "prompt": LONGER[:600]},
        {},
        0.85,
        "gpt-4o-mini-high",
        "claude-3-sonnet",
        "complex_chat",
    ),
    ("short", {"prompt": LONG[:399]}, {}, 0.7, "gpt-4o-mini", "claude-3-haiku", "simple_short_prompt"),
    ("otherwise", {"prompt": LONG[:400]}, {}, 0.85, "gpt-4o-mini-high", "claude-3-sonnet", "balanced"),
]
IDS = [case[0] for case in CASES]


def plan(
    asked: dict[str, Any], world: dict[str, Any], names: tuple[str, ...], tier: str = "elite", **settings: Any
) -> Plan:
    planner = Planner(Settings().with_values(**settings), count)
    return planner.plan(request(**asked), snapshot(tier, names=names, **world))


@pytest.mark.parametrize(("name", "asked", "world", "quality", "six", "anthropic", "reason"), CASES, ids=IDS)
def test_each_row_of_the_table_names_its_model_and_its_reason(
    name: str, asked: dict[str, Any], world: dict[str, Any], quality: float, six: str, anthropic: str, reason: str
) -> None:
    with_all = plan(asked, world, (*OPENAI, *ANTHROPIC, EMBEDDED))
    assert (with_all.model.name, with_all.routing_reason, with_all.required_quality) == (six, reason, quality)
    alone = plan(asked, world, ANTHROPIC)
    assert (alone.model.name, alone.routing_reason) == (anthropic, reason)


@pytest.mark.parametrize(
    ("name", "asked", "world", "quality", "six", "anthropic", "reason"),
    [case for case in CASES if case[0] != "model"],
    ids=[i for i in IDS if i != "model"],
)
def test_with_the_embedded_model_alone_everything_goes_to_it_as_the_best_there_is(
    name: str, asked: dict[str, Any], world: dict[str, Any], quality: float, six: str, anthropic: str, reason: str
) -> None:
    only = plan(asked, world, (EMBEDDED,))
    assert (only.model.name, only.routing_reason, only.degraded) == (EMBEDDED, "best_available", False)
    assert any("best there is" in warning for warning in only.warnings)


@pytest.mark.parametrize("feature", ["ai_pitchdeck", "ai_coaching"])
def test_the_free_tier_gets_one_step_less_for_complex_generation(feature: str) -> None:
    assert plan({"feature": feature}, {}, OPENAI, "free").model.name == "gpt-4o-mini-high"
    assert plan({"feature": feature}, {}, ANTHROPIC, "free").model.name == "claude-3-sonnet"
    assert plan({"feature": feature}, {}, OPENAI, "pro").model.name == "gpt-4o"


def test_the_seeds_order_sends_a_short_request_for_a_pitch_deck_to_the_smallest_model() -> None:
    assert plan({"feature": "ai_pitchdeck"}, {}, OPENAI, routing__order=SEED_ORDER).model.name == "gpt-4o-mini"


FORCEABLE = {
    "free": {"gpt-4o-mini", "claude-3-haiku", EMBEDDED},
    "pro": {"gpt-4o-mini", "claude-3-haiku", EMBEDDED, "gpt-4o-mini-high", "claude-3-sonnet"},
    "elite": {*OPENAI, *ANTHROPIC, EMBEDDED},
    "enterprise": {*OPENAI, *ANTHROPIC, EMBEDDED},
}


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("name", [*OPENAI, *ANTHROPIC, EMBEDDED])
def test_a_model_may_be_forced_up_to_what_the_tier_allows(tier: str, name: str) -> None:
    if name in FORCEABLE[tier]:
        forced = plan({"force_model": name}, {}, (*OPENAI, *ANTHROPIC, EMBEDDED), tier)
        assert (forced.model.name, forced.routing_reason) == (name, "forced")
    else:
        with pytest.raises(NotPermitted, match="may force models"):
            plan({"force_model": name}, {}, (*OPENAI, *ANTHROPIC, EMBEDDED), tier)


MODES = {
    "free": {"auto", "fast"},
    "pro": {"auto", "fast", "pro"},
    "elite": {"auto", "fast", "pro", "expert"},
    "enterprise": {"auto", "fast", "pro", "expert"},
}


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("mode", ["auto", "fast", "pro", "expert"])
@pytest.mark.parametrize("option", ["mode", "force_model"])
def test_a_mode_may_be_asked_for_where_the_tier_has_it(tier: str, mode: str, option: str) -> None:
    if mode in MODES[tier]:
        assert plan({option: mode}, {}, OPENAI, tier).mode == mode
    else:
        with pytest.raises(NotPermitted, match=f"mode {mode}"):
            plan({option: mode}, {}, OPENAI, tier)


def test_a_model_that_is_free_of_charge_may_be_forced_by_anyone_in_panic_too() -> None:
    forced = plan({"force_model": EMBEDDED}, {}, (*OPENAI, EMBEDDED), "free")
    assert forced.model.name == EMBEDDED and forced.max_energy == 0


def test_a_name_nobody_knows_is_a_usage_error_with_the_nearest_one() -> None:
    with pytest.raises(UsageError) as caught:
        plan({"force_model": "gpt4o-mini"}, {}, OPENAI)
    assert "gpt-4o-mini" in caught.value.suggestion


def test_a_model_without_its_key_cannot_be_forced() -> None:
    with pytest.raises(Blocked) as caught:
        plan({"force_model": "claude-3-opus"}, {}, OPENAI)
    assert caught.value.code == "model_unavailable" and "no key" in caught.value.message


def test_a_retired_model_is_tried_with_a_warning_when_it_is_forced() -> None:
    world = snapshot()
    models = tuple(m._replace(retired=m.name == "gpt-4o") for m in world.models)
    world = world._replace(models=models, available=world.available - {"gpt-4o"})
    planner = Planner(Settings(), count)
    forced = planner.plan(request(force_model="gpt-4o"), world)
    assert forced.model.name == "gpt-4o" and any("retired" in warning for warning in forced.warnings)
    assert planner.plan(request(feature="ai_pitchdeck"), world).model.name == "claude-3-opus"


def test_without_any_model_the_request_is_blocked_with_what_to_do() -> None:
    with pytest.raises(Blocked) as caught:
        plan({}, {}, ())
    assert "smollm2-135m" in caught.value.suggestion and "doctor" in caught.value.suggestion


def test_the_best_above_the_floor_is_used_where_none_reaches_the_requirement() -> None:
    best = plan({"feature": "ai_pitchdeck"}, {}, ("gpt-4o-mini", "claude-3-haiku", EMBEDDED))
    assert (best.model.name, best.routing_reason) == ("claude-3-haiku", "best_available")


def test_the_cheapest_is_judged_by_this_very_request() -> None:
    world = snapshot()
    dear_in = tuple(m._replace(price_in=m.price_in * 100) if "mini" in m.name else m for m in world.models)
    assert (
        Planner(Settings(), count).plan(request(LONG[:390]), world._replace(models=dear_in)).model.name
        == "claude-3-haiku"
    )


def test_a_model_whose_window_is_too_small_is_passed_over() -> None:
    world = snapshot()
    narrow = tuple(m._replace(max_tokens=4_000) if m.name == "gpt-4o" else m for m in world.models)
    chosen = Planner(Settings(), count).plan(request(DEEP, "ai_deepscan"), world._replace(models=narrow))
    assert chosen.model.name == "claude-3-opus" and chosen.allow_proceed


def test_of_two_equally_cheap_models_the_one_that_served_this_user_well_is_taken() -> None:
    world = snapshot()
    mini = next(m for m in world.models if m.name == "gpt-4o-mini")
    twins = (*world.models, mini._replace(name="twin"))
    for better in ("twin", "gpt-4o-mini"):
        profile = Profile(model_preference={better: 0.9, "twin" if better != "twin" else "gpt-4o-mini": 0.2})
        chosen = Planner(Settings(), count).plan(
            request(), world._replace(models=twins, available=world.available | {"twin"}, profile=profile)
        )
        assert chosen.model.name == better
