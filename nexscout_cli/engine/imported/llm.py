"""The log of simonw/llm (``logs.db``): its ``turns`` (from 0.36 on) or ``responses``, as rows of its tables.

Details of tokens are the provider's own record. ``response_json`` names the model that really answered where llm's own name
is a local one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from nexscout_cli.engine.imported.record import BadRow, Imported, Row, count, model_of, moment, name, part, rest

TABLES = ("turns", "responses")
COLUMNS = (
    *("id", "model", "resolved_model", "response_json", "datetime_utc", "input_tokens", "output_tokens"),
    *("token_details", "prompt", "system", "parent_message_hash"),
)
"""What is read of each table, as far as it has it."""
PARENT = """SELECT m.parent_hash, m.role, group_concat(p.text, char(10)) FROM messages m
LEFT JOIN parts p ON p.message_hash = m.hash AND p.type = 'text' WHERE m.hash = ? GROUP BY m.hash"""
"""A message by its hash: the one before it, who said it, and its text."""
Message = Callable[[str], tuple[Any, ...] | None]


def parser(message: Message | None) -> Callable[[Row], Iterable[Imported]]:
    """A parser of rows; with ``message``, which runs PARENT for a hash, prompts are read too."""

    def parse(row: Row) -> Iterable[Imported]:
        details, answered = _json(row.get("token_details")), _json(row.get("response_json"))
        given, made = row.get("input_tokens"), row.get("output_tokens")
        if given is None and made is None:
            raise BadRow("llm logged no tokens for it")
        model = model_of(row.get("resolved_model") or name(answered.get("model")) or row.get("model"))
        anthropic = "cache_read_input_tokens" in details or "cache_creation_input_tokens" in details
        cached = count(
            details.get("cache_read_input_tokens")
            or part(details, "prompt_tokens_details").get("cached_tokens")
            or part(details, "input_tokens_details").get("cached_tokens")
            or details.get("cachedContentTokenCount")
        )
        thought = count(
            part(details, "completion_tokens_details").get("reasoning_tokens")
            or part(details, "output_tokens_details").get("reasoning_tokens")
            or details.get("thoughtsTokenCount")  # which llm's plugin for Gemini has added to the output
        )
        return (
            Imported(
                at=moment(row.get("datetime_utc")),
                model=model,
                provider=_provider(model),
                key=str(row.get("id")),
                input=count(given) if anthropic else rest(count(given), cached),
                cached=cached,
                cache_write=count(details.get("cache_creation_input_tokens")),
                output=rest(count(made), thought),
                reasoning=thought,
                feature="llm",
                messages=_messages(row, message) if message else None,
            ),
        )

    return parse


def _messages(row: Row, message: Message) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    at, seen = row.get("parent_message_hash"), set[str]()
    while isinstance(at, str) and at not in seen and (one := message(at)):
        seen.add(at)
        found.append((str(one[1]), str(one[2] or "")))
        at = one[0]
    if not found:
        found = [("user", str(row.get("prompt") or ""))]
        if row.get("system"):
            found.append(("system", str(row["system"])))
    return tuple(reversed(found))


def _provider(model: str) -> str:
    head, slash, _ = model.partition("/")
    if slash:
        return head
    return next((who for start, who in _MAKERS.items() if model.startswith(start)), "")


_MAKERS = {
    **dict.fromkeys(("gpt-", "o1", "o3", "o4", "chatgpt"), "openai"),
    "claude": "anthropic",
    "gemini": "gemini",
    **dict.fromkeys(("mistral", "codestral", "magistral"), "mistral"),
    "deepseek": "deepseek",
}


def _json(text: Any) -> Row:
    if isinstance(text, dict):
        return text
    try:
        value = json.loads(text) if text else {}
    except (ValueError, RecursionError, TypeError):
        return {}
    return value if isinstance(value, dict) else {}
