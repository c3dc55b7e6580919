from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexscout_cli.config import Settings
from nexscout_cli.engine.length.learning import Level
from nexscout_cli.engine.planning.firewall import nano_per_unit
from nexscout_cli.engine.planning.plan import Plan
from nexscout_cli.engine.planning.planner import Planner
from nexscout_cli.engine.planning.resolve import resolve
from nexscout_cli.engine.planning.shape import plain_shape
from nexscout_cli.engine.request import Attachment
from nexscout_cli.engine.snapshot import Limit, Profile
from nexscout_cli.engine.validate import check_request
from nexscout_cli.errors import Blocked, NexScoutError, UsageError
from nexscout_cli.jsontext import dumps
from tests.support.values import EMBEDDED, NOW, OPENAI, QUESTION, count, model, request, snapshot

PLANNER = Planner(Settings(), count)
WORDY = "They met.\n\n[1,   2,   3]\n\n" * 200


def plan(asked: dict[str, Any] | None = None, **world: Any) -> Plan:
    return PLANNER.plan(request(**(asked or {})), snapshot(**world))


def test_a_plan_is_a_pure_function_of_request_and_snapshot() -> None:
    assert plan({"prompt": WORDY}) == plan({"prompt": WORDY})


def test_its_json_has_the_agreed_keys() -> None:
    shown = json.loads(dumps(plan().as_json()))
    assert set(shown) >= {
        "predicted_tokens",
        "predicted_input_tokens",
        "predicted_output_tokens",
        "predicted_cost_usd",
        "max_cost_usd",
        "predicted_energy",
        "max_energy",
        "recommended_model",
        "routing_reason",
        "emotional_complexity",
        "compression",
        "shape",
        "warnings",
        "allow_proceed",
        "error",
    }
    assert shown["predicted_tokens"] == shown["predicted_input_tokens"] + shown["predicted_output_tokens"]


def test_the_model_is_sent_system_text_instruction_shape_prompt_context_and_attachments() -> None:
    made = plan(
        {
            "system": "You are Sarah's friend.",
            "context": {"company": "TechCo"},
            "prompt": "Hello",
            "feature": "ai_objection",
            "attachments": (Attachment("notes.md", "One two"),),
        }
    )
    system, user = made.messages
    assert system.content.startswith("You are Sarah's friend.\nThink the problem through")
    assert made.shape.instructions in system.content
    assert (
        user.content
        == 'Hello\n\nContext:\n{"company":"TechCo"}\n\n<attachment name="notes.md">\nOne two\n</attachment>'
    )


def test_the_worst_case_is_what_the_bound_and_the_price_make() -> None:
    made = plan({"force_model": "gpt-4o"})
    assert made.max_cost == made.forecast.max_input_tokens * 2_500 + made.shape.max_tokens * 10_000
    assert made.forecast.max_output_tokens == made.shape.max_tokens == 3_000


def test_a_large_prompt_is_compressed_and_says_by_how_much() -> None:
    made = plan({"prompt": WORDY})
    assert made.compression.applied and made.compression.tokens_after < made.compression.tokens_before
    assert len(made.messages[1].content) < len(WORDY)


def test_compression_can_be_turned_off() -> None:
    made = Planner(Settings().with_values(compress="off"), count).plan(request(WORDY), snapshot())
    assert not made.compression.applied and made.messages[1].content == WORDY


def test_low_energy_compresses_small_prompts_too() -> None:
    small = "They were kind.\n\n[1,   2,   3]\n\n" * 8
    assert not plan({"prompt": small}).compression.applied
    assert plan({"prompt": small}, energy=499).compression.applied


def test_a_balance_that_covers_only_the_expected_call_lowers_the_bound() -> None:
    made = plan({"feature": "ai_pitchdeck"}, energy=1)
    assert made.model.name == "gpt-4o" and made.allow_proceed
    assert made.shape.max_tokens < 3_000 and made.max_energy == 1
    assert any("bounded" in warning for warning in made.warnings)


def test_a_model_is_not_chosen_for_what_only_its_own_answers_have_taught() -> None:
    untaught = plan({"prompt": "Hello"})
    shipped = untaught.forecast.shipped
    short = Level().after(shipped, untaught.forecast.output_tokens, 1, False)
    taught = plan({"prompt": "Hello"}, output_lengths={("*", "claude-3-haiku"): short})
    assert taught.model == untaught.model


def test_near_a_cap_the_ladder_is_descended_before_anything_is_refused() -> None:
    deck = {"feature": "ai_pitchdeck"}
    whole = plan(deck)
    seen = []
    for left in (whole.max_cost, whole.predicted_cost // 2, 200_000, 50_000):
        made = plan(deck, limits=(Limit("usd", "user", "day", 10**9, left),))
        assert made.max_cost <= left or not made.allow_proceed
        seen.append((made.model.name, made.allow_proceed))
    assert seen == [("gpt-4o", True), ("gpt-4o-mini-high", True), ("gpt-4o-mini", True), ("gpt-4o", False)]


def test_whoever_is_sent_down_the_ladder_is_told_why() -> None:
    made = plan({"feature": "ai_pitchdeck"}, limits=(Limit("usd", "total", "month", 10**9, 1_000_000),))
    assert made.model.name != "gpt-4o"
    assert any("gpt-4o was not allowed" in warning and made.model.name in warning for warning in made.warnings)


def test_the_ladder_ends_at_the_floor_and_the_refusal_names_the_way_out() -> None:
    made = plan({}, limits=(Limit("usd", "user", "day", 10**9, 0),))
    assert not made.allow_proceed and made.exit_status == 3
    assert made.error and EMBEDDED in made.error["suggestion"]


def test_a_forced_model_is_not_swapped_for_another() -> None:
    made = plan({"force_model": "gpt-4o"}, limits=(Limit("usd", "user", "day", 10**9, 100),))
    assert made.model.name == "gpt-4o" and not made.allow_proceed


def test_the_embedded_models_own_bound_holds() -> None:
    assert plan({"force_model": EMBEDDED}).shape.max_tokens == 512


def test_a_call_nobody_is_charged_for_costs_no_energy() -> None:
    made = plan({"skip_energy_charge": True, "force_model": "gpt-4o"}, energy=0)
    assert made.allow_proceed and (made.predicted_energy, made.max_energy) == (0, 0) and made.predicted_cost > 0


def test_every_available_model_is_compared_cheapest_first() -> None:
    plans = PLANNER.compare(request(), snapshot())
    assert [p.model.name for p in plans][:2] == [EMBEDDED, "gpt-4o-mini"]
    assert {p.model.name for p in plans} == snapshot().available
    assert [p.predicted_cost for p in plans] == sorted(p.predicted_cost for p in plans)


def test_an_alternative_keeps_the_surge_and_asks_for_no_new_energy() -> None:
    first = plan({"force_model": "gpt-4o"}, surge_milli=1500)
    after = PLANNER.alternative(first, first.request, model("gpt-4o-mini"), snapshot(energy=0), last_resort=False)
    assert (after.allow_proceed, after.surge_milli, after.routing_reason, after.degraded) == (
        True,
        1500,
        "fallback",
        False,
    )


def test_the_last_resort_is_marked_degraded() -> None:
    first = plan({"force_model": "gpt-4o"})
    after = PLANNER.alternative(first, first.request, model(EMBEDDED), snapshot(), last_resort=True)
    assert (after.routing_reason, after.degraded, after.max_energy) == ("last_resort", True, 0)


def test_in_busy_hours_the_usual_day_is_part_of_the_forecast() -> None:
    hours = tuple(10 if 9 <= hour < 17 else 0 for hour in range(24))
    limits = (Limit("tokens", "user", "day", 50_000, 30_000),)
    profile = Profile(predicted_daily_usage=80_000, peak_hours=hours)
    made = plan({}, limits=limits, profile=profile, tokens_today=20_000)
    assert any("usual pace" in warning for warning in made.warnings)
    late = plan({}, limits=limits, profile=profile, tokens_today=20_000, now=NOW.replace(hour=20))
    assert not any("usual pace" in warning for warning in late.warnings)


def test_a_preferred_length_shapes_the_answer_once_enough_was_seen_and_never_the_cache_key() -> None:
    few, many = ({"n": n} for n in (4, 5))
    asked = request()
    for style, told in ((few, False), (many, True)):
        world = snapshot(profile=Profile(preferred_output_length="short", writing_style=style))
        assert ("short answers" in PLANNER.plan(asked, world).shape.instructions) is told
        assert plain_shape(asked, world, Settings()) == plain_shape(asked, snapshot(), Settings())


def test_an_unknown_policy_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="policy"):
        plan({"policy": "cheapest"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"prompt": ""},
        {"prompt": " \n"},
        {"prompt": "a\0b"},
        {"prompt": "\ud800"},
        {"feature": "message"},
        {"feature": "ai_"},
        {"feature": "ai_" + "x" * 62},
        {"feature": "ai_a-b"},
        {"feature": "ai_é"},
        {"user_id": ""},
        {"user_id": "*"},
        {"user_id": " ada"},
        {"user_id": "a\nb"},
        {"user_id": "x" * 201},
        {"max_tokens": 0},
        {"temperature": 2.1},
        {"temperature": -0.1},
        {"tone": "a\0"},
        {"context": "a\0"},
    ],
    ids=lambda wrong: ascii(str(wrong)[:40]),
)
def test_what_no_model_could_be_asked_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        check_request(request(**wrong), Settings())
    assert caught.value.suggestion


@pytest.mark.parametrize("temperature", [float("nan"), float("inf")])
def test_a_temperature_that_is_no_number_is_refused(temperature: float) -> None:
    with pytest.raises(UsageError):
        check_request(request(temperature=temperature), Settings())


@pytest.mark.parametrize(
    "part",
    [
        {"prompt": "x" * 2_000_001},
        {"attachments": (Attachment("a", "x" * 2_000_001),)},
        {"context": {"k": "x" * 2_000_001}},
        {"system": "é" * 1_000_001},
    ],
    ids=lambda part: next(iter(part)),
)
def test_input_beyond_the_bytes_that_are_read_is_blocked(part: dict[str, Any]) -> None:
    with pytest.raises(Blocked):
        check_request(request(**part), Settings())


@pytest.mark.parametrize("context", [{"k": ["\ud800"]}, {"\ud800": 1}, "\ud800"], ids=ascii)
def test_broken_text_inside_a_context_is_refused_too(context: Any) -> None:
    with pytest.raises(UsageError):
        check_request(request(context=context), Settings())


@settings(max_examples=60, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=300).filter(
        str.strip
    ),
    st.sampled_from(["free", "pro", "elite", "enterprise"]),
    st.integers(0, 200),
    st.integers(0, 10**8),
    st.integers(0, 10**4),
    st.sampled_from([1000, 1500, 2000]),
    st.sampled_from([None, 1, 50, 4_000]),
    st.sampled_from(["ai_message", "ai_pitchdeck"]),
)
def test_a_plan_that_may_proceed_holds_no_more_than_there_is(
    text: str, tier: str, energy: int, usd: int, tokens: int, surge: int, bound: int | None, feature: str
) -> None:
    world = snapshot(
        tier,
        names=OPENAI,
        energy=energy,
        surge_milli=surge,
        limits=(Limit("usd", "user", "day", 10**9, usd), Limit("tokens", "user", "day", 10**6, tokens)),
    )
    try:
        made = PLANNER.plan(request(text, feature)._replace(options=request(max_tokens=bound).options), world)
    except NexScoutError:
        return
    if made.allow_proceed:
        assert made.max_cost <= usd and made.max_total_tokens <= tokens and made.max_energy <= energy
        assert made.predicted_cost <= made.max_cost and made.predicted_energy <= made.max_energy
        assert made.forecast.max_output_tokens >= made.shape.max_tokens
        assert made.nano_per_energy == nano_per_unit(Settings())
    else:
        assert made.error and made.error["suggestion"] and made.exit_status in (3, 4)


class Tokenizer:
    """Counts as the others do, and how often each text was counted for each model."""

    def __init__(self) -> None:
        self.asked: Counter[tuple[str, str]] = Counter()

    def __call__(self, text: str, litellm_model: str) -> tuple[int, bool]:
        self.asked[text, litellm_model] += 1
        return count(text, litellm_model)


@pytest.mark.parametrize("policy", ["rules", "learned", "cascade"])
def test_no_text_is_counted_twice_for_a_model(policy: str) -> None:
    tokens = Tokenizer()
    plan = Planner(Settings(), tokens).plan(request(QUESTION, policy=policy), snapshot())
    of_models = {key: times for key, times in tokens.asked.items() if key[1]}
    assert len({model for _, model in of_models}) > 2 and set(of_models.values()) == {1}
    assert plan.error is None


def test_a_further_attempt_at_the_same_model_counts_and_decides_nothing_again() -> None:
    tokens = Tokenizer()
    planner = Planner(Settings(), tokens)
    asked, world = request("Write a haiku. " * 400), snapshot()
    plan = planner.plan(asked, world)
    tokens.asked.clear()
    again = planner.alternative(plan, asked, plan.model, world, last_resort=False)
    assert tokens.asked == {}
    assert again.basis.texts is plan.basis.texts and again.decision is plan.decision
    assert again._replace(basis=plan.basis, warnings=plan.warnings) == plan


def test_a_further_attempt_looks_at_budgets_again() -> None:
    planner, asked, world = Planner(Settings(), count), request(), snapshot()
    plan = planner.plan(asked, world)
    poor = world._replace(limits=(Limit("usd", "user", "day", 10**9, 0),))
    again = planner.alternative(plan, asked, plan.model, poor, last_resort=False)
    assert again.error is not None and again.error["code"] == "usd_cap"


def test_what_a_request_asks_for_is_resolved_once_and_handed_on() -> None:
    asked, world = request(mode="fast", compress="off"), snapshot()
    resolved = resolve(asked, world, Settings())
    assert (resolved.mode, resolved.forced, resolved.by_difficulty, resolved.compression.mode) == (
        "fast",
        None,
        False,
        "off",
    )
    planner = Planner(Settings(), count)
    assert planner.plan(asked, world, resolved) == planner.plan(asked, world)
    assert planner.plan(asked, world, resolved._replace(mode="panic")).mode == "panic"
