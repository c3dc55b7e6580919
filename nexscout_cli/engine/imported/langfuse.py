"""Langfuse's observations, as its interface and its exports give them. Those that are no generations count nothing.

``usageDetails`` has a count for each class, and these add up; older ones have ``usage`` or counts of their own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from nexscout_cli.engine.imported.record import BadRow, Imported, Row, amount, count, model_of, moment, name, part, rest
from nexscout_cli.engine.imported.texts import messages_of

_CACHED = ("input_cached_tokens", "cache_read_input_tokens", "input_cache_read", "input_cached_content_token_count")
_WRITTEN = ("cache_creation_input_tokens", "input_cache_creation", "input_cache_creation_5m")
_WRITTEN_1H = ("input_cache_creation_1h",)
_THOUGHT = ("output_reasoning_tokens", "output_reasoning", "thoughts_token_count")
_TOTAL = ("total", "input", "output")


def parser(texts: bool) -> Callable[[Row], Iterable[Imported]]:
    """A parser of observations; with ``texts``, which reads their input."""

    def parse(row: Row) -> Iterable[Imported]:
        if str(row.get("type", "GENERATION")).upper() not in ("GENERATION", "EMBEDDING"):
            return ()
        if not row.get("id"):
            raise BadRow("it has no id, so it could be counted twice")
        details, prices = _object(row.get("usageDetails")), _object(row.get("costDetails"))
        plain = part(row, "usage")
        given = details.get("input", plain.get("input", row.get("promptTokens", row.get("inputUsage"))))
        made = details.get("output", plain.get("output", row.get("completionTokens", row.get("outputUsage"))))
        cached, written, hour = (_sum(details, names) for names in (_CACHED, _WRITTEN, _WRITTEN_1H))
        thought = _sum(details, _THOUGHT)
        inside = not _adds_up(details)
        return (
            Imported(
                at=moment(row.get("startTime")),
                model=model_of(row.get("model") or row.get("providedModelName")),
                provider="",
                key=str(row["id"]),
                input=rest(count(given), cached, written, hour) if inside else count(given),
                cached=cached,
                cache_write=written,
                cache_write_1h=hour,
                output=rest(count(made), thought) if inside else count(made),
                reasoning=thought,
                cost=amount(_cost(row, prices)),
                user=name(row.get("userId")),
                feature=name(row.get("traceName") or row.get("name")),
                messages=messages_of(_value(row.get("input"))) if texts else None,
            ),
        )

    return parse


def _cost(row: Row, prices: Row) -> Any:
    for value in (prices.get("total"), row.get("totalCost"), row.get("calculatedTotalCost")):
        if value is not None and value != "" and (value or prices):
            return value
    return None


def _adds_up(details: Row) -> bool:
    """Whether the classes stand beside each other; where a total says that they don't, parts are inside the whole."""
    if "total" not in details:
        return True
    beside = sum(count(value) for key, value in details.items() if key != "total")
    return beside <= count(details["total"])


def _sum(details: Row, names: tuple[str, ...]) -> int:
    return sum(count(details.get(one)) for one in names)


def _object(value: Any) -> Row:
    found = _value(value)
    return found if isinstance(found, dict) else {}


def _value(value: Any) -> Any:
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
