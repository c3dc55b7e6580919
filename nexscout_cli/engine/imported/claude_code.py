"""Session files of Claude Code (``~/.claude/projects/**/*.jsonl``): a line for each message, answers with their usage.

A message stands there several times, while it grows and in sessions that were resumed: its id and its request's make the
key. Input, cache reads and cache writes stand beside each other.
"""

from __future__ import annotations

from collections.abc import Iterable

from nexscout_cli.engine.imported.record import Imported, Row, amount, count, model_of, moment, name, part, rest


def parse(row: Row) -> Iterable[Imported]:
    """The usage of an answer's line."""
    message = part(row, "message")
    usage = part(message, "usage")
    model = message.get("model")
    if not usage or model == "<synthetic>":
        return ()
    written, by_age = count(usage.get("cache_creation_input_tokens")), part(usage, "cache_creation")
    hour = count(by_age.get("ephemeral_1h_input_tokens"))
    ids = message.get("id"), row.get("requestId")
    return (
        Imported(
            at=moment(row.get("timestamp")),
            model=model_of(model),
            provider="anthropic",
            key=f"{ids[0]} {ids[1]}"
            if all(ids)
            else f"{row.get('sessionId')} {row.get('uuid')} {row.get('timestamp')}",
            input=count(usage.get("input_tokens")),
            cached=count(usage.get("cache_read_input_tokens")),
            cache_write=rest(written, hour),
            cache_write_1h=hour,
            output=count(usage.get("output_tokens")),
            cost=amount(row.get("costUSD")),
            feature=name(str(row.get("cwd") or "").rstrip("/\\").replace("\\", "/").rpartition("/")[2]),
        ),
    )
