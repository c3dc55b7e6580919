"""Step 6: how many tokens a call will take. Input is counted; the answer's length is learned from the request and the past."""

from __future__ import annotations

import math
import re

from nexscout_cli.engine.types import AIRequest, Forecast, Message, Model, Snapshot

MESSAGE_OVERHEAD = 4
REPLY_OVERHEAD = 3
TEMPLATE_MARGIN = 16
"""The chat template's tokens, per message and for the reply (OpenAI's cookbook, "How to count tokens"); a hold's slack."""

FOREIGN_FACTOR = 1.5
"""What a count by another tokenizer is multiplied with in a hold, until usage has taught a tighter bound."""

PRIOR_WEIGHT = 5.0
_PRIOR = {
    "ai_message": 140,
    "ai_objection": 180,
    "ai_chatbot": 220,
    "ai_sequence": 450,
    "ai_coaching": 450,
    "ai_deepscan": 600,
    "ai_pitchdeck": 800,
}
_DEFAULT_PRIOR = 260
_TOKENS_PER_WORD = 1.35
_UNITS = {
    "word": _TOKENS_PER_WORD,
    "sentence": 24.0,
    "paragraph": 110.0,
    "line": 14.0,
    "bullet": 26.0,
    "point": 30.0,
    "item": 26.0,
    "step": 34.0,
    "slide": 70.0,
    "email": 160.0,
    "message": 110.0,
    "idea": 40.0,
    "page": 600.0,
}
_NUMBERS = {
    "one": 1,
    "a": 1,
    "single": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "twelve": 12,
    "twenty": 20,
    "fifty": 50,
}
_NUMBER = r"\d{1,5}|" + "|".join(_NUMBERS)
# Of "a 200-word email" the number is 200, not "a".
_LENGTH = re.compile(
    rf"\b({_NUMBER})[\s-]+(?:(?!(?:{_NUMBER})\b)\w+[\s-]+)?(" + "|".join(_UNITS) + r")s?\b", re.IGNORECASE
)
_FORMULA_OVERHEAD = 200


def counted(messages: tuple[Message, ...], content_tokens: int) -> int:
    """Input tokens of a chat call: the contents' tokens plus the template's."""
    return content_tokens + MESSAGE_OVERHEAD * len(messages) + REPLY_OVERHEAD


def formula(request: AIRequest, context_chars: int) -> int:
    """The baseline to beat: ((prompt chars + context JSON chars) ÷ 4 + 200) × 2.5 total tokens."""
    return round(((len(request.prompt) + context_chars) / 4 + _FORMULA_OVERHEAD) * 2.5)


def expected_output(request: AIRequest, snapshot: Snapshot, bound: int) -> int:
    """Expected tokens of the answer, 1..bound.

    A length asked for in the prompt ("in 50 words", "3 bullet points") decides; else the feature's prior, shrunk
    toward what all users' and then this user's answers to the feature were: geometric means, weighted by how much was seen.
    """
    asked = [
        (int(n) if n.isdigit() else _NUMBERS[n.lower()]) * _UNITS[unit.lower()]
        for n, unit in _LENGTH.findall(request.prompt[-2000:])
    ]
    prior = max(asked) if asked else float(_PRIOR.get(request.feature, _DEFAULT_PRIOR))
    level = math.log(max(prior, 1.0))
    if not asked:
        for scope in ("all", "user"):
            n, mean = snapshot.output_lengths.get(scope, (0, 0.0))
            level = (level * PRIOR_WEIGHT + mean * n) / (PRIOR_WEIGHT + n)
    return max(1, min(bound, round(math.exp(level))))


def estimate(
    request: AIRequest, snapshot: Snapshot, model: Model, input_tokens: int, exact: bool, bound: int
) -> Forecast:
    """Tokens expected and at worst. ``input_tokens`` is the local count, ``exact`` when its tokenizer is the provider's.

    At worst the provider counts the input by its own tokenizer and template, and answers to the bound.
    """
    learned = snapshot.input_factors.get(model.name)
    if exact or model.free:
        expected, worst = input_tokens, input_tokens + TEMPLATE_MARGIN
    else:
        mean, most = learned or (1.0, FOREIGN_FACTOR)
        expected, worst = round(input_tokens * mean), math.ceil(input_tokens * most) + TEMPLATE_MARGIN
    counted = 0 if exact or model.free else input_tokens
    return Forecast(expected, expected_output(request, snapshot, bound), max(worst, expected), bound, counted)
