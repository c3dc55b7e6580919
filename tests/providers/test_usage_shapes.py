"""Usage as providers report it: recorded records of each shape, and what the calls cost, worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli.engine.answers.charge import charge_for
from nexscout_cli.engine.call import Call, Completion, Usage
from nexscout_cli.engine.chat import Message
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.request import AIRequest
from nexscout_cli.engine.settlement import Charge
from nexscout_cli.providers.usage import usage_of
from nexscout_cli.providers.wires import provider
from nexscout_cli.providers.wires.targets import target_of
from tests.support.openai_server import delta, events, raw_server, respond

SHAPES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "fixtures" / "usage_shapes.json").read_text(encoding="utf-8")
)
ON_A_WIRE = [shape for shape in SHAPES if shape["wire"] != "record"]
DOCS = Path(__file__).parents[2] / "docs" / "money.md"


def model_of(shape: dict[str, Any], base: str | None = None) -> Model:
    """The model with the prices that the shape's hand calculation takes: dollars per million tokens are pico ÷ 10⁶."""
    prices = {name: round(dollars * 1_000_000) for name, dollars in shape["dollars_per_million"].items()}
    special = {name: pico for name, pico in prices.items() if name not in ("input", "output")}
    if "search" in special:  # by the piece, in nano-dollars
        special["search"] = round(shape["dollars_per_million"]["search"] * 1_000)
    target = shape["target"]
    return Model(
        "m",
        target,
        "small",
        prices["input"],
        prices["output"],
        200_000,
        0.7,
        0.9,
        "",
        True,
        False,
        base,
        None,
        {},
        special,
    )


class PlanOf:
    """As much of a plan as a charge looks at."""

    def __init__(self, model: Model) -> None:
        self.model, self.request = model, AIRequest("ada", "ai_chatbot", "Hello")
        self.forecast = type("Sizes", (), {"input_tokens": 10, "max_input_tokens": 9_999, "max_output_tokens": 9_999})


def charged(shape: dict[str, Any], usage: Usage | None) -> Charge:
    completion = Completion("An answer.", "stop", usage, None, None)
    return charge_for(PlanOf(model_of(shape)), completion, (), 10**12, len)  # type: ignore[arg-type]


def check(shape: dict[str, Any], usage: Usage | None) -> None:
    charge = charged(shape, usage)
    assert (charge.input_tokens, charge.output_tokens) == (shape["input_tokens"], shape["output_tokens"])
    assert charge.classes == shape["classes"]
    assert charge.cost == shape["nano_dollars"]
    assert set(charge.flags) <= {"cost_differs"}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape["name"])
def test_a_record_costs_what_was_worked_out_by_hand(shape: dict[str, Any]) -> None:
    check(shape, usage_of(shape["usage"]))


def body_of(shape: dict[str, Any]) -> bytes:
    usage = shape["usage"]
    if shape["wire"] == "anthropic":
        content = [{"type": "text", "text": "Yes."}]
        answer: dict[str, Any] = {"id": "m1", "type": "message", "content": content, "stop_reason": "end_turn"}
        return json.dumps(answer | {"usage": usage}).encode()
    if shape["wire"] == "gemini":
        candidate = {"content": {"parts": [{"text": "Yes."}]}, "finishReason": "STOP"}
        return json.dumps({"candidates": [candidate], "usageMetadata": usage}).encode()
    choice = {"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}
    return json.dumps({"id": "c1", "choices": [choice], "usage": usage}).encode()


def events_of(shape: dict[str, Any]) -> list[bytes]:
    usage = shape["usage"]
    if shape["wire"] == "anthropic":
        started = {name: value for name, value in usage.items() if name != "output_tokens"} | {"output_tokens": 1}
        text = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Yes."}}
        ended = {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": usage["output_tokens"]},
        }
        start = {"type": "message_start", "message": {"id": "m1", "content": [], "usage": started}}
        return [json.dumps(event).encode() for event in (start, text, ended, {"type": "message_stop"})]
    if shape["wire"] == "gemini":
        first = {"candidates": [{"content": {"parts": [{"text": "Y"}]}}], "usageMetadata": {"promptTokenCount": 1}}
        last = {
            "candidates": [{"content": {"parts": [{"text": "es."}]}, "finishReason": "STOP"}],
            "usageMetadata": usage,
        }
        return [json.dumps(event).encode() for event in (first, last)]
    told = {"id": "c1", "choices": [], "usage": usage}
    return [delta("Yes."), delta("", "stop"), json.dumps(told).encode(), b"[DONE]"]


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("shape", ON_A_WIRE, ids=lambda shape: shape["name"])
def test_over_the_wire_it_costs_the_same(shape: dict[str, Any], streamed: bool) -> None:
    behave = events(*events_of(shape)) if streamed else respond(body_of(shape))
    with raw_server(behave) as (url, _):
        model = model_of(shape, url)
        target = target_of(model)
        if target is None:
            pytest.skip(f"{shape['target']} is LiteLLM's to call")
        call = Call(model, (Message("user", "Really?"),), 500, None, 10.0, 20.0, streamed)
        check(shape, provider.complete(call, target, None).usage)


def test_there_are_enough_shapes_and_the_page_on_money_shows_each() -> None:
    assert len(SHAPES) >= 25
    page = DOCS.read_text(encoding="utf-8")
    for shape in SHAPES:
        assert f"| {shape['name']} |" in page, shape["name"]
        assert shape["sum"] in page, shape["name"]


@pytest.mark.parametrize(
    "record",
    [
        {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 11}},
        {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": -1}},
        {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": "all"}},
        {"prompt_tokens": 10, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 6}},
        {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 6, "audio_tokens": 6}},
    ],
)
def test_parts_that_contradict_the_whole_are_not_believed(record: dict[str, Any]) -> None:
    shape = {"target": "openai/x", "dollars_per_million": {"input": 2, "output": 8, "cached": 0.5, "cache_write": 2.5}}
    charge = charged(shape, usage_of(record))
    assert (charge.input_tokens, charge.output_tokens, charge.classes) == (10, 5, {})
    assert charge.cost == 10 * 2_500 + 5 * 8_000 and charge.flags == ("details_invalid",)


@pytest.mark.parametrize("cost", [0, -1, True, "much", float("nan"), float("inf"), 10**9, None, {"total_cost": None}])
def test_a_figure_of_the_providers_that_says_nothing_is_not_taken(cost: Any) -> None:
    shape = {"target": "openrouter/x", "dollars_per_million": {"input": 2, "output": 8}}
    charge = charged(shape, usage_of({"prompt_tokens": 10, "completion_tokens": 5, "cost": cost}))
    assert (charge.cost, charge.provider_cost, charge.flags) == (60_000, None, ())


def test_a_figure_of_a_provider_that_does_not_bill_by_it_is_kept_beside_and_flagged_when_far() -> None:
    shape = {"target": "openai/x", "dollars_per_million": {"input": 2, "output": 8}}
    near = charged(shape, usage_of({"prompt_tokens": 10, "completion_tokens": 5, "cost": 0.0000605}))
    assert (near.cost, near.provider_cost, near.flags) == (60_000, 60_500, ())
    far = charged(shape, usage_of({"prompt_tokens": 10, "completion_tokens": 5, "cost": 0.00007}))
    assert (far.cost, far.provider_cost, far.flags) == (60_000, 70_000, ("cost_differs",))


@pytest.mark.parametrize(
    ("tier", "flags"), [("priority", ("dearer_tier",)), ("default", ()), ("flex", ("cheaper_tier",)), (None, ())]
)
def test_a_dearer_tier_than_was_asked_for_is_flagged(tier: str | None, flags: tuple[str, ...]) -> None:
    shape = {"target": "openai/x", "dollars_per_million": {"input": 2, "output": 8}}
    usage = usage_of({"prompt_tokens": 10, "completion_tokens": 5, "service_tier": tier})
    assert charged(shape, usage).flags == flags
