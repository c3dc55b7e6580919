"""LiteLLM's spend logs, ``LiteLLM_SpendLogs``: rows as JSON (``/spend/logs``) or as CSV of the table.

``prompt_tokens`` has cache reads and writes within it, for every provider. A row that LiteLLM's own cache answered cost
nothing. Details of tokens are within the metadata.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from nexscout_cli.engine.imported.record import BadRow, Imported, Row, amount, count, model_of, moment, name, part, rest
from nexscout_cli.engine.imported.texts import messages_of


def parser(texts: bool) -> Callable[[Row], Iterable[Imported]]:
    """A parser of rows; with ``texts``, which reads prompts where the proxy kept them."""

    def parse(row: Row) -> Iterable[Imported]:
        if row.get("status") == "failure":
            raise BadRow("the request failed")
        more = part(_object(row.get("metadata")), "additional_usage_values")
        given, made = count(row.get("prompt_tokens")), count(row.get("completion_tokens"))
        cached, written = count(more.get("cache_read_input_tokens")), count(more.get("cache_creation_input_tokens"))
        hour = count(
            part(part(more, "prompt_tokens_details"), "cache_creation_token_details").get("ephemeral_1h_input_tokens")
        )
        thought = count(part(more, "completion_tokens_details").get("reasoning_tokens"))
        provider, model = name(row.get("custom_llm_provider")), model_of(row.get("model"))
        return (
            Imported(
                at=moment(row.get("startTime")),
                model=model.removeprefix(f"{provider}/") if provider else model,
                provider=provider,
                key=_key(row),
                input=rest(given, cached, written),
                cached=cached,
                cache_write=rest(written, hour),
                cache_write_1h=hour,
                output=rest(made, thought),
                reasoning=thought,
                cost=amount(row.get("spend")),
                user=name(row.get("end_user") or row.get("user")),
                feature=_tag(row.get("request_tags")),
                messages=messages_of(_value(row.get("messages"))) if texts else None,
            ),
        )

    return parse


def _key(row: Row) -> str:
    if not row.get("request_id"):
        raise BadRow("it has no id, so it could be counted twice")
    return str(row["request_id"])


def _tag(tags: Any) -> str:
    found = _value(tags)
    return name(next((tag for tag in found if isinstance(tag, str)), "")) if isinstance(found, list) else ""


def _object(value: Any) -> Row:
    found = _value(value)
    return found if isinstance(found, dict) else {}


def _value(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None
