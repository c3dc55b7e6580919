"""Providers' usage records, each in its own shape, as one record of ours. Counts are handed on unchecked: the engine checks.

What stands inside another count and what beside it differs. OpenAI: cached input is inside prompt_tokens, thinking inside
completion_tokens; endpoints that speak its protocol may count thinking beside, which total_tokens shows. Anthropic and
Bedrock: what was read from and written to the cache is beside input_tokens. Gemini: cached content is inside
promptTokenCount, thinking and the results of tools are beside. Sources: the providers' API references; `docs/money.md` has
a recorded record of each.
"""

from __future__ import annotations

from typing import Any

from nexscout_cli.engine.call import Usage
from nexscout_cli.engine.request import Json

Record = dict[str, Any]


def usage_of(reported: Record) -> Usage | None:
    """The usage that a provider reported; None where the record says nothing of tokens."""
    for names, read in _SHAPES:
        if any(name in reported for name in names):
            return read(reported)
    return None


def _openai(record: Record) -> Usage:
    details, made = _part(record, "prompt_tokens_details"), _part(record, "completion_tokens_details")
    given, taken = record.get("prompt_tokens"), record.get("completion_tokens")
    reasoning = _first(made, "reasoning_tokens") or _first(record, "reasoning_tokens") or 0
    if _is_beside(record.get("total_tokens"), given, taken, reasoning):
        taken = _plus(taken, reasoning)
    creation = _part(record, "cache_creation")
    return Usage(
        given,
        taken,
        cached=_first(details, "cached_tokens")
        or _first(record, "prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens")
        or 0,
        cache_write=_first(details, "cache_write_tokens", "cache_creation_tokens")
        or _first(record, "cache_creation_input_tokens")
        or 0,
        cache_write_1h=_first(creation, "ephemeral_1h_input_tokens") or 0,
        reasoning=reasoning,
        audio_in=_first(details, "audio_tokens") or 0,
        audio_out=_first(made, "audio_tokens") or 0,
        image_in=_first(details, "image_tokens") or 0,
        image_out=_first(made, "image_tokens") or 0,
        searches=_searches(record),
        cost=_own_cost(record),
        service_tier=record.get("service_tier"),
    )


def _anthropic(record: Record) -> Usage:
    if "input_tokens_details" in record or "output_tokens_details" in record:
        return _responses(record)
    read, written = record.get("cache_read_input_tokens"), record.get("cache_creation_input_tokens")
    hour = _first(_part(record, "cache_creation"), "ephemeral_1h_input_tokens") or 0
    return Usage(
        _plus(record.get("input_tokens"), read, written),
        record.get("output_tokens"),
        cached=read or 0,
        cache_write=_plus(written or 0, -hour) if isinstance(hour, int) else written,
        cache_write_1h=hour,
        searches=_searches(record),
        cost=_own_cost(record),
        service_tier=record.get("service_tier"),
    )


def _responses(record: Record) -> Usage:
    """OpenAI's responses: names as Anthropic's, counts inside as in its chat completions."""
    details, made = _part(record, "input_tokens_details"), _part(record, "output_tokens_details")
    return Usage(
        record.get("input_tokens"),
        record.get("output_tokens"),
        cached=_first(details, "cached_tokens") or 0,
        cache_write=_first(details, "cache_write_tokens") or 0,
        reasoning=_first(made, "reasoning_tokens") or 0,
        searches=_searches(record),
        cost=_own_cost(record),
        service_tier=record.get("service_tier"),
    )


def _bedrock(record: Record) -> Usage:
    read, written = record.get("cacheReadInputTokens"), record.get("cacheWriteInputTokens")
    given = _plus(record.get("inputTokens"), read, written)
    return Usage(given, record.get("outputTokens"), cached=read or 0, cache_write=written or 0)


def _gemini(record: Record) -> Usage:
    thoughts, tools = record.get("thoughtsTokenCount"), record.get("toolUsePromptTokenCount")
    given, made = _by_modality(record, "promptTokensDetails"), _by_modality(record, "candidatesTokensDetails")
    return Usage(
        _plus(record.get("promptTokenCount"), tools),
        _plus(record.get("candidatesTokenCount", 0 if thoughts is not None else None), thoughts),
        cached=record.get("cachedContentTokenCount") or 0,
        reasoning=thoughts or 0,
        audio_in=given.get("AUDIO", 0),
        audio_out=made.get("AUDIO", 0),
        image_in=given.get("IMAGE", 0),
        image_out=made.get("IMAGE", 0),
    )


def _cohere(record: Record) -> Usage:
    billed = _part(record, "billed_units")
    return Usage(billed.get("input_tokens"), billed.get("output_tokens"), searches=billed.get("search_units") or 0)


def _ollama(record: Record) -> Usage:
    return Usage(record.get("prompt_eval_count"), record.get("eval_count"))


_SHAPES = (
    (("prompt_tokens", "completion_tokens"), _openai),
    (("billed_units",), _cohere),
    (("input_tokens", "output_tokens"), _anthropic),
    (("inputTokens", "outputTokens"), _bedrock),
    (("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount"), _gemini),
    (("prompt_eval_count", "eval_count"), _ollama),
)


def _is_beside(total: Json, given: Json, taken: Json, reasoning: Json) -> bool:
    """Whether thinking is counted beside the answer: then the total has it on top."""
    counts = (total, given, taken, reasoning)
    if any(isinstance(value, bool) or not isinstance(value, int) for value in counts):
        return False
    return bool(reasoning > 0 and total - given - taken == reasoning)


def _plus(value: Json, *more: Json) -> Json:
    """A count with others that stand beside it; what is not a whole number is left out of a sum, and kept alone."""
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    return value + sum(one for one in more if isinstance(one, int) and not isinstance(one, bool))


def _part(record: Record, name: str) -> Record:
    part = record.get(name)
    return part if isinstance(part, dict) else {}


def _first(record: Record, *names: str) -> Json:
    return next((record[name] for name in names if record.get(name) is not None), None)


def _searches(record: Record) -> Json:
    tools = _part(record, "server_tool_use")
    return _first(tools, "web_search_requests") or _first(record, "num_search_queries") or 0


def _own_cost(record: Record) -> Json:
    """What the provider says the call cost, in dollars: a number, or parts of which one is the total.

    Where it billed a key of the user's own at another provider, that provider's part is on top.
    """
    cost = record.get("cost")
    if isinstance(cost, dict):
        return cost.get("total_cost")
    upstream = _part(record, "cost_details").get("upstream_inference_cost")
    if record.get("is_byok") is True and _is_number(cost) and _is_number(upstream):
        return cost + upstream
    return cost


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _by_modality(record: Record, name: str) -> Record:
    rows = record.get(name)
    found = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return {str(row.get("modality")): row.get("tokenCount") or 0 for row in found}
