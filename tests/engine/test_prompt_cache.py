from __future__ import annotations

import random
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.engine import prompt_cache as cache
from nexscout_cli.engine.call import Call
from nexscout_cli.engine.chat import Message
from nexscout_cli.engine.deployment import Deployment, Use, Wanted, choose
from nexscout_cli.engine.model import Model
from nexscout_cli.providers.wires import anthropic, targets

BENCH = Path(__file__).parents[2] / "scripts" / "bench" / "prompt_cache"
SYSTEM = " ".join(str(n) for n in range(3_000))
NOW = 1_000_000.0


def model(target: str = "openai/gpt-4o", name: str = "m", **prices: int) -> Model:
    special = prices or {"cached": 250, "cache_write": 3_125, "cache_write_1h": 5_000}
    return Model(name, target, "text", 2_500, 10_000, 200_000, 0.8, 0.5, "", True, False, None, None, {}, special)


def messages(*said: str) -> tuple[Message, ...]:
    roles = ("system", *("user", "assistant") * len(said))
    return tuple(Message(role, text) for role, text in zip(roles, said, strict=False))


def after(
    heads: tuple[str, ...], said: tuple[Message, ...], which: Model, at: float, billed: int = 1
) -> tuple[cache.Reading, tuple[str, ...]]:
    """What is expected of a prompt, and the heads after it was sent."""
    prompt = cache.prompt_of(said)
    found = cache.expected(prompt, prompt.chars // 4, which, cache.warm_heads(heads), at)
    return found, cache.learned(heads, cache.Sent(prompt.hashes, which.name, "", int(at), found, billed))


def test_a_beginning_that_was_sent_a_moment_ago_is_expected_at_the_cached_rate_in_steps_of_128() -> None:
    first, heads = after((), messages(SYSTEM, "one"), model(), NOW)
    second, _ = after(heads, messages(SYSTEM, "two"), model(), NOW + 60)
    assert first.cached == 0
    assert second.cached >= 1_024 and (second.cached - 1_024) % 128 == 0 and second.cached <= len(SYSTEM) // 4
    assert second.written == second.marked == 0


@pytest.mark.parametrize(
    ("later", "said", "which"),
    [
        (301, (SYSTEM, "two"), model()),
        (60, ("x" + SYSTEM, "two"), model()),
        (60, (SYSTEM, "two"), model(name="other")),
        (60, (SYSTEM[:2_000], "two"), model()),
        (60, (SYSTEM, "two"), model(cached=2_500)),
        (60, (SYSTEM, "two"), model("ollama/llama")),
    ],
)
def test_nothing_is_expected_later_of_another_text_or_model_of_a_short_text_or_where_no_rate_is_less(
    later: float, said: tuple[str, ...], which: Model
) -> None:
    _, heads = after((), messages(SYSTEM, "one"), model(), NOW)
    assert after(heads, messages(*said), which, NOW + later)[0] == cache.Reading()


def test_a_provider_that_does_not_bill_what_was_expected_is_believed_less_each_time() -> None:
    heads: tuple[str, ...] = ()
    seen = []
    for n in range(8):
        found, heads = after(heads, messages(SYSTEM, f"question {n}"), model(), NOW + 60 * n, billed=0)
        seen.append(found.cached)
    assert seen[0] == 0 and seen[1] > seen[3] > seen[7] > 0


def test_anthropic_is_marked_once_a_beginning_came_back_soon_and_reads_it_then() -> None:
    haiku, heads, seen = model("anthropic/claude-3-haiku-20240307"), (), []
    for n in range(6):
        found, heads = after(heads, messages(SYSTEM, f"question {n}"), haiku, NOW + 60 * n)
        seen.append(found)
    assert seen[0] == seen[1] == cache.Reading()
    written = next(n for n, found in enumerate(seen) if found.written)
    assert seen[written].cached == 0 and seen[written + 1].cached > 2_048 and seen[written + 1].marked


def test_a_beginning_that_comes_back_within_the_hour_is_kept_for_an_hour_where_that_pays() -> None:
    heads, hours = (), []
    for n in range(30):
        found, heads = after(heads, messages(SYSTEM, f"question {n}"), model("anthropic/x"), NOW + 1_200 * n)
        hours.append(found.hour)
    assert hours[-1] == 1
    assert model().most(1_000, 0, hour=True) == 5_000 * 1_000 // 1_000 > model().most(1_000, 0)


def test_one_that_comes_back_seldom_is_never_marked() -> None:
    heads: tuple[str, ...] = ()
    for n in range(30):
        found, heads = after(heads, messages(SYSTEM, f"question {n}"), model("anthropic/x"), NOW + 9_000 * n)
        assert found == cache.Reading()


@pytest.mark.parametrize(
    ("name", "least"), [("claude-3-haiku-20240307", 2_048), ("claude-3-opus", 1_024), ("claude-haiku-4-5", 4_096)]
)
def test_each_of_anthropics_models_has_its_own_least_size(name: str, least: int) -> None:
    rules = cache.rules_of(model(f"anthropic/{name}"))
    assert rules is not None and rules.least == least


@given(st.lists(st.integers(1, 6_000), min_size=1, max_size=6), st.integers(1, 12), st.booleans())
def test_a_mark_never_changes_what_is_sent(sizes: list[int], marked: int, hour: bool) -> None:
    said = messages(*("word " * size for size in sizes))
    mark = cache.mark_of(said, cache.Reading(0, 0, marked, int(hour)))
    plain, kept = (body(said, each) for each in (None, mark))
    assert text_of(plain) == text_of(kept)
    if mark is not None:
        assert str(kept).count("cache_control") == 1 and ("1h" in str(kept)) == hour


def body(said: tuple[Message, ...], mark: Any) -> dict[str, Any]:
    import json

    which = model("anthropic/claude-3-haiku-20240307")
    call = Call(which, said, 100, None, 10, 10, False, mark=mark)
    target = targets.target_of(which)
    assert target is not None
    found: dict[str, Any] = json.loads(anthropic.request(call, target, None).body)
    return found


def text_of(sent: dict[str, Any]) -> list[str]:
    def text(content: Any) -> str:
        return content if isinstance(content, str) else "".join(block["text"] for block in content)

    return [text(sent.get("system", "")), *(text(turn["content"]) for turn in sent["messages"])]


def test_the_place_that_has_the_beginning_is_taken_while_it_has_room() -> None:
    places = (Deployment("a"), Deployment("b", rpm=1))
    assert all(choose(Wanted(places, frozenset(), n / 10, "b"), {}, 1) == places[1] for n in range(10))
    full = {"b": Use(requests=1)}
    assert choose(Wanted(places, frozenset(), 0.9, "b"), full, 1) == places[0]
    prompt = cache.prompt_of(messages(SYSTEM, "one"))
    heads = cache.learned((), cache.Sent(prompt.hashes, "m", "b", int(NOW), cache.Reading(), 0))
    again = cache.prompt_of(messages(SYSTEM, "two"))
    assert cache.warm_place(again, model(), cache.warm_heads(heads), NOW + 60) == "b"
    assert cache.warm_place(again, model(), cache.warm_heads(heads), NOW + 4_000) is None


def test_no_text_is_kept_and_few_beginnings_are() -> None:
    heads: tuple[str, ...] = ("abcdef",)
    for n in range(40):
        _, heads = after(heads, messages(f"{n} " + SYSTEM, "one"), model(name=f"m{n % 9}"), NOW + n)
    assert heads[0] == "abcdef" and len(heads) == 1 + cache.MAX_WARM
    assert "100 101" not in str(heads)


@pytest.mark.parametrize("damage", ['["w1"', '["w1",1]', '["w1",' + '"x",' * 10 + '"x"]', '["w1",{}]', "[" * 90])
def test_a_damaged_head_is_passed_over(damage: str) -> None:
    _, heads = after((), messages(SYSTEM, "one"), model(), NOW)
    assert cache.warm_heads((damage, *heads)) == cache.warm_heads(heads) != []


def test_marks_are_never_dearer_for_any_kind_of_user_and_the_hold_bounds_what_is_billed() -> None:
    """The bench bills by the providers' rules, and asserts of each call that its hold is not exceeded."""
    sys.path.insert(0, str(BENCH.parent))
    try:
        bench = runpy.run_path(str(BENCH))
    finally:
        sys.path.remove(str(BENCH.parent))
    requests = list(bench["made"](random.Random(7).randrange(100), users=2))
    for name in ("claude-3-haiku", "claude-3-opus", "gpt-4o"):
        found = bench["simulate"](requests, name)
        assert all(row["with"] <= row["without"] for row in found.values()), found
        assert found["all"]["error"] < 0.15 * found["all"]["error of plain"]
    assert found["talk"]["with"] < 0.8 * found["talk"]["plain"]
