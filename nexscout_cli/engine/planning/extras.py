"""Tokens that tools, schemas and pictures add to a call's input: expected, and at most. Pure.

Pictures are counted by the providers' published formulas, or by their upper bound where a picture's size is not known:
OpenAI, "Images and vision: calculating costs"; Anthropic, "Vision: evaluate image size"; Google, "Understand and count
tokens". Tools and schemas: nobody publishes how they are written into the prompt. Their JSON is counted, which is more than
OpenAI's own form of it takes; Anthropic adds a system text for tools (its page "Tool use: pricing").
"""

from __future__ import annotations

import base64
import json
import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from nexscout_cli.engine.chat import Image, Message
    from nexscout_cli.engine.model import Model
    from nexscout_cli.engine.request import AIRequest

TOOLS_SLACK = 1.5
"""What the count of tools and schemas is multiplied with in a hold."""
TOOLS_TEXT = 16
ANTHROPIC_TOOLS_TEXT = 530
"""Tokens of the text that stands before the tools; Anthropic's largest is 530 (Claude 3 Opus, any tool)."""
PER_CALL = 12
"""Tokens around a tool call or its result in the conversation so far."""


class Extra(NamedTuple):
    """Input tokens beside the texts: expected and at most."""

    expected: int = 0
    most: int = 0

    def __add__(self, other: object) -> Extra:
        assert isinstance(other, Extra)
        return Extra(self.expected + other.expected, self.most + other.most)


class _Tiles(NamedTuple):
    """A picture's tokens by tiles of 512 pixels: ``base``, and ``tile`` for each."""

    base: int
    tile: int


class _Patches(NamedTuple):
    """A picture's tokens by patches of 32 pixels, 1,536 at most, times ``factor``."""

    factor: float


_OPENAI: tuple[tuple[str, _Tiles | _Patches], ...] = (
    (r"gpt-4o-mini", _Tiles(2_833, 5_667)),
    (r"gpt-4\.1-mini|gpt-5(?:\.\d+)?-mini", _Patches(1.62)),
    (r"gpt-4\.1-nano|gpt-5(?:\.\d+)?-nano", _Patches(2.46)),
    (r"o4-mini", _Patches(1.72)),
    (r"o\d", _Tiles(75, 150)),
    (r"gpt-5", _Tiles(70, 140)),
    (r"gpt-4", _Tiles(85, 170)),
)
"""OpenAI's table, the first name that fits."""
_PATCHES = 1_536
_ANTHROPIC_PIXELS = 750
_ANTHROPIC_MOST = 4_784
"""Anthropic: width × height ÷ 750 after scaling to 1,568 pixels; newer models take 2,576 pixels, 4,784 tokens at most."""
_GEMINI_TILE, _GEMINI_MOST = 258, 2_240
"""Google: 258 for each tile of 768 pixels; Gemini 3 at its highest resolution 2,240."""
_UNKNOWN_MOST = 6_500
"""More than any published formula gives for one picture, but for gpt-4o-mini's own."""


def extras(request: AIRequest, messages: tuple[Message, ...], model: Model, count: Callable[[str], int]) -> Extra:
    """What tools, the answer's schema, pictures and tool calls add to the input of a call."""
    found = Extra()
    for message in messages:
        for picture in message.images:
            found += picture_tokens(picture, model.litellm_model)
        for call in message.tool_calls:
            size = count(call.name) + count(call.arguments) + PER_CALL
            found += Extra(size, math.ceil(size * TOOLS_SLACK) + PER_CALL)
        if message.tool_call_id is not None:
            found += Extra(PER_CALL, 3 * PER_CALL)
    options = request.options
    if options.tools is not None:
        text = ANTHROPIC_TOOLS_TEXT if _of(model.litellm_model, "anthropic", "bedrock") else TOOLS_TEXT
        size = count(_compact(options.tools))
        found += Extra(size + (text * 3 // 5), math.ceil(size * TOOLS_SLACK) + text + PER_CALL)
    if options.wants_json:
        text = ANTHROPIC_TOOLS_TEXT if _of(model.litellm_model, "anthropic", "bedrock") else TOOLS_TEXT
        size = count(_compact(options.response_format))
        found += Extra(size + text // 2, math.ceil(size * TOOLS_SLACK) + text + PER_CALL)
    return found


def picture_tokens(picture: Image, litellm_model: str) -> Extra:
    """The tokens of one picture."""
    size = dimensions(picture.url)
    provider, _, name = litellm_model.partition("/")
    if provider in ("openai", "azure"):
        by = next((rule for pattern, rule in _OPENAI if re.match(pattern, name.removeprefix("ft:"))), None)
        if by is not None:
            return _openai(by, picture, size)
    if _of(litellm_model, "anthropic", "bedrock", "vertex_ai"):
        expected = _ANTHROPIC_MOST if size is None else math.ceil(_scaled_area(*size, 1_568) / _ANTHROPIC_PIXELS)
        most = _ANTHROPIC_MOST if size is None else math.ceil(_scaled_area(*size, 2_576) / _ANTHROPIC_PIXELS)
        return Extra(min(expected, 1_600), min(_ANTHROPIC_MOST, most) + TOOLS_TEXT)
    if provider == "gemini":
        expected = _GEMINI_TILE if size is None or max(size) <= 384 else _GEMINI_TILE * _tiles_of(*size, 768)
        return Extra(expected, max(expected, _GEMINI_MOST))
    return Extra(1_000, _UNKNOWN_MOST)


def _openai(by: _Tiles | _Patches, picture: Image, size: tuple[int, int] | None) -> Extra:
    if isinstance(by, _Patches):
        patches = _PATCHES if size is None else min(_PATCHES, math.ceil(size[0] / 32) * math.ceil(size[1] / 32))
        tokens = math.ceil(patches * by.factor)
        return Extra(tokens, tokens + TOOLS_TEXT)
    low = picture.detail == "low"
    tiles = 0 if low else 8 if size is None else _tiles_of(*_fitted(*size), 512)
    tokens = by.base + by.tile * tiles
    # For "auto" the provider chooses low or high; high is the dearer one.
    return Extra(tokens, tokens + TOOLS_TEXT)


def _fitted(width: int, height: int) -> tuple[int, int]:
    """A picture's size as OpenAI scales it: into 2,048 × 2,048, then to a shorter side of 768 at most."""
    scale = min(1.0, 2_048 / max(width, height))
    scale = min(scale, 768 / min(width, height))
    return math.ceil(width * scale), math.ceil(height * scale)


def _tiles_of(width: int, height: int, side: int) -> int:
    return math.ceil(width / side) * math.ceil(height / side)


def _scaled_area(width: int, height: int, longest: int) -> float:
    scale = min(1.0, longest / max(width, height))
    return width * scale * height * scale


@lru_cache(maxsize=64)
def dimensions(url: str) -> tuple[int, int] | None:
    """Width and height in pixels of a picture in a data URL; None where the URL is an address or cannot be read."""
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:"):
        return None
    from io import BytesIO

    import imagesize  # type: ignore[import-untyped]

    try:
        size = imagesize.get(BytesIO(base64.b64decode(data)))
    except Exception:  # noqa: BLE001 - a broken picture: its upper bound counts
        return None
    return size if min(size) > 0 else None


def _of(litellm_model: str, *providers: str) -> bool:
    provider, _, name = litellm_model.partition("/")
    return provider in providers and (provider == "anthropic" or "claude" in name)


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
