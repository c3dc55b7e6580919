"""What pictures, tools and schemas add to a call: the providers' published examples, and bounds that hold."""

from __future__ import annotations

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.config import Settings
from nexscout_cli.engine.chat import Image
from nexscout_cli.engine.options import SENT
from nexscout_cli.engine.planning.extras import dimensions, picture_tokens
from nexscout_cli.engine.planning.planner import Planner
from tests.support.values import count, request, snapshot

TOOLS = [{"type": "function", "function": {"name": "f", "description": "x" * 400, "parameters": {"type": "object"}}}]


def png(width: int, height: int) -> Image:
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", width, height, 8, 2, 0, 0, 0) + bytes(4)
    return Image("data:image/png;base64," + base64.b64encode(head).decode())


@pytest.mark.parametrize(
    ("model", "picture", "tokens"),
    [
        # OpenAI, "Calculating costs": its own two examples, and one of low detail.
        ("openai/gpt-4o", png(1024, 1024), 765),
        ("openai/gpt-4o", png(2048, 4096), 1_105),
        ("openai/gpt-4o", png(4096, 8192)._replace(detail="low"), 85),
        ("openai/gpt-4o-mini", png(512, 512), 2_833 + 5_667),
        ("openai/gpt-4.1-mini", png(1024, 1024), 1_659),
        # Anthropic, "Evaluate image size": 200 × 200 is about 54 tokens, 1,000 × 1,000 about 1,334.
        ("anthropic/claude-haiku-4-5", png(200, 200), 54),
        ("anthropic/claude-haiku-4-5", png(1000, 1000), 1_334),
        # Google: 258 up to 384 pixels, else 258 a tile.
        ("gemini/gemini-2.5-flash", png(300, 300), 258),
        ("gemini/gemini-2.5-flash", png(1536, 768), 516),
    ],
)
def test_a_picture_counts_as_its_provider_publishes(model: str, picture: Image, tokens: int) -> None:
    assert picture_tokens(picture, model).expected == tokens


@given(
    st.sampled_from(
        [
            "openai/gpt-4o",
            "openai/gpt-4o-mini",
            "openai/o3",
            "openai/gpt-5-nano",
            "anthropic/claude-x",
            "gemini/g",
            "xai/g",
        ]
    ),
    st.integers(1, 8_000),
    st.integers(1, 8_000),
)
def test_no_picture_counts_for_more_than_its_bound_nor_than_one_of_unknown_size(
    model: str, width: int, height: int
) -> None:
    found, unknown = picture_tokens(png(width, height), model), picture_tokens(Image("https://a.example/x.png"), model)
    assert 0 < found.expected <= found.most
    assert found.most <= unknown.most or model.startswith("gemini/")  # Gemini takes no addresses


def test_the_size_is_read_from_the_first_bytes_and_a_broken_picture_has_none() -> None:
    assert dimensions(png(640, 480).url) == (640, 480)
    assert dimensions("data:image/png;base64,AAAA") is None
    assert dimensions("https://example.com/a.png") is None


@pytest.mark.parametrize(
    "more", [{"tools": TOOLS}, {"response_format": {"type": "json_object"}}, {"images": (png(900, 900),)}]
)
def test_what_stands_beside_the_text_is_expected_and_held(more: dict) -> None:  # type: ignore[type-arg]
    planner = Planner(Settings(), count)
    plain, rich = (planner.plan(request("Hello there", **one), snapshot()) for one in ({}, more))
    assert rich.forecast.input_tokens > plain.forecast.input_tokens - 40  # no words on style beside tools or a schema
    assert rich.forecast.max_input_tokens > rich.forecast.input_tokens and rich.forecast.counted == 0
    assert rich.max_cost >= rich.predicted_cost


def test_several_answers_are_held_and_bounded_each() -> None:
    planner = Planner(Settings(), count)
    one, three = (planner.plan(request("Hello there", n=n), snapshot()) for n in (None, 3))
    assert three.forecast.max_output_tokens == 3 * one.forecast.max_output_tokens
    assert three.forecast.output_tokens == 3 * one.forecast.output_tokens
    assert three.own_max_cost > 2 * one.own_max_cost
    assert "n" in SENT
