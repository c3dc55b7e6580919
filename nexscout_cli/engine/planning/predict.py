"""Step 6: how many tokens a call will take. Input is counted; the answer's length is predicted, and corrected by the past."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.engine.chat import Message
from nexscout_cli.engine.length.learning import Level, Trend, forecast, scopes
from nexscout_cli.engine.plan_types import Forecast, Shape
from nexscout_cli.engine.planning.thinking import Seen, thinking

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nexscout_cli.engine.model import Model
    from nexscout_cli.engine.request import AIRequest
    from nexscout_cli.engine.snapshot import Snapshot

MESSAGE_OVERHEAD = 4
REPLY_OVERHEAD = 3
TEMPLATE_MARGIN = 16
"""The chat template's tokens, per message and for the reply (OpenAI's cookbook, "How to count tokens"); a hold's slack."""

FOREIGN_FACTOR = 1.5
"""What a count by another tokenizer is multiplied with in a hold, until usage has taught a tighter bound."""

FACTOR_SAMPLES, FACTOR_MARGIN = 20, 1.1
"""Usage reports before a model's learned input factor bounds a hold, and the slack on the most that was seen."""
FACTOR_WEIGHT = 3.0
"""How many reports our own count is worth in the factor that is expected."""

MAX_ANSWER_TOKENS = 20_000
"""Tokens of an answer where nothing bounds it."""
_FORMULA_OVERHEAD = 200


def counted(messages: tuple[Message, ...], content_tokens: int) -> int:
    """Input tokens of a chat call: the contents' tokens plus the template's."""
    return content_tokens + MESSAGE_OVERHEAD * len(messages) + REPLY_OVERHEAD


def input_factor(n: int, mean: float, most: float) -> tuple[float, float]:
    """A provider's input tokens ÷ our count, from ``n`` reports with that mean and maximum: as expected (shrunk toward 1),
    and what bounds it in a hold.
    """
    expected = (FACTOR_WEIGHT + n * mean) / (FACTOR_WEIGHT + n)
    return expected, most * FACTOR_MARGIN if n >= FACTOR_SAMPLES else max(most, FOREIGN_FACTOR)


def formula(request: AIRequest, context_chars: int) -> int:
    """The baseline to beat: ((prompt chars + context JSON chars) ÷ 4 + 200) × 2.5 total tokens."""
    return round(((len(request.question) + context_chars) / 4 + _FORMULA_OVERHEAD) * 2.5)


class Answer(NamedTuple):
    """The answer's length as predicted, in tokens: expected and its 90th percentile; ``shipped`` is what is learned against."""

    expected: int
    p90: int
    shipped: Trend


def answer(
    request: AIRequest, lengths: Mapping[tuple[str, str], Level], model: str, name: str, asked: int, shape: Shape | None
) -> Answer:
    """The answer's length, 1 ≤ expected ≤ P90 ≤ the shape's bound.

    The shipped prediction, from the request and ``model`` (its LiteLLM name), corrected by what the levels of
    ``lengths`` have learned: the feature's, the feature and model's (catalog ``name``), and then this user's.
    ``asked`` are the tokens of the user's message.
    """
    from nexscout_cli.engine.length.model import shipped  # its patterns take milliseconds to compile

    manner = f"{request.tone or ''} {request.goal or ''}"
    before = shipped(request.question, asked, request.feature, manner, model, shape.words if shape else None)
    after = forecast(before, (lengths[key] for key in scopes(request.user_id, name) if key in lengths))
    bound = shape.max_tokens if shape else MAX_ANSWER_TOKENS
    expected = max(1, min(bound, round(_tokens(after.mean))))
    p90 = max(expected, min(bound, math.ceil(_tokens(after.mean + after.edge * after.sd))))
    return Answer(expected, p90, before)


def _tokens(ln: float) -> float:
    return math.exp(min(ln, math.log(MAX_ANSWER_TOKENS)))


def with_extras(forecast: Forecast, expected: int, most: int, answers: int) -> Forecast:
    """A forecast with input tokens beside the texts, and with several answers, each as long as one.

    Nothing is learned of how the provider counts where not only texts are counted.
    """
    return forecast._replace(
        input_tokens=forecast.input_tokens + expected,
        max_input_tokens=forecast.max_input_tokens + most,
        output_tokens=forecast.output_tokens * answers,
        max_output_tokens=forecast.max_output_tokens * answers,
        p90_output_tokens=forecast.p90_output_tokens * answers,
        thinking=forecast.thinking * answers,
        thinking_room=forecast.thinking_room * answers,
        counted=0 if expected or most else forecast.counted,
        answers=answers,
    )


def estimate(
    request: AIRequest, snapshot: Snapshot, model: Model, input_tokens: int, exact: bool, asked: int, shape: Shape
) -> Forecast:
    """Tokens expected, at the 90th percentile and at worst. ``input_tokens`` is the local count of all that is sent and
    ``asked`` of the user's message, ``exact`` when its tokenizer is the provider's.

    At worst the provider counts the input by its own tokenizer and template, and answers to the bound.
    """
    learned = snapshot.input_factors.get(model.name)
    if exact or model.free:
        expected, worst = input_tokens, input_tokens + TEMPLATE_MARGIN
    else:
        mean, most = learned or (1.0, FOREIGN_FACTOR)
        expected, worst = round(input_tokens * mean), math.ceil(input_tokens * most) + TEMPLATE_MARGIN
    counted = 0 if exact or model.free else input_tokens
    length = answer(request, snapshot.output_lengths, model.litellm_model, model.name, asked, shape)
    seen = snapshot.thinking.get(model.name)
    thought = thinking(model, request.options.effort, Seen(*seen) if seen else None, shape.max_tokens)
    return Forecast(
        expected,
        length.expected + thought.expected,
        max(worst, expected),
        shape.max_tokens + thought.room,
        length.p90 + min(thought.room, 2 * thought.expected),
        counted,
        length.shipped,
        thought.expected,
        thought.room,
    )
