"""Anthropic's usage export: pages of ``/v1/organizations/usage_report/messages``, or the console's CSV.

A row is a bucket of time by key, workspace, model, tier and window. Input, cache reads and cache writes stand beside each
other. There is no count of requests in it: each row counts as one. Its cost report is for ``reconcile``.
"""

from __future__ import annotations

from collections.abc import Iterable

from nexscout_cli.engine.imported.record import BadRow, Imported, Row, count, model_of, moment, name, part

_BY = ("api_key_id", "workspace_id", "model", "service_tier", "context_window", "inference_geo", "speed")
_CSV_BY = ("api_key", "workspace", "model_version", "usage_type", "context_window", "inference_geo", "speed")


def parse(row: Row) -> Iterable[Imported]:
    """The usage of a bucket, or of a line of CSV."""
    results = row.get("results")
    if isinstance(results, list):
        return [_counted(row, result) for result in results if isinstance(result, dict)]
    if "usage_date_utc" not in row:
        return (_counted(row, row),)
    return (_line(row),)


def _counted(bucket: Row, result: Row) -> Imported:
    if "amount" in result:
        raise BadRow("it is an amount without tokens: `nexscout reconcile` reads cost exports")
    start, written = bucket.get("starting_at"), part(result, "cache_creation")
    return Imported(
        at=moment(start),
        model=model_of(result.get("model")),
        provider="anthropic",
        key=" ".join(str(part) for part in (start, bucket.get("ending_at"), *(result.get(name) or "" for name in _BY))),
        input=count(result.get("uncached_input_tokens")),
        cached=count(result.get("cache_read_input_tokens")),
        cache_write=count(written.get("ephemeral_5m_input_tokens")),
        cache_write_1h=count(written.get("ephemeral_1h_input_tokens")),
        output=count(result.get("output_tokens")),
        user=name(result.get("api_key_id")),
        feature=name(result.get("workspace_id")),
        half=result.get("service_tier") == "batch",
    )


def _line(row: Row) -> Imported:
    if "cost_usd" in row:
        raise BadRow("it is an amount without tokens: `nexscout reconcile` reads cost exports")
    return Imported(
        at=moment(row["usage_date_utc"]),
        model=model_of(row.get("model_version")),
        provider="anthropic",
        key=" ".join(str(row.get(name) or "") for name in ("usage_date_utc", *_CSV_BY)),
        input=count(row.get("usage_input_tokens_no_cache")),
        cached=count(row.get("usage_input_tokens_cache_read")),
        cache_write=count(row.get("usage_input_tokens_cache_write_5m")),
        cache_write_1h=count(row.get("usage_input_tokens_cache_write_1h")),
        output=count(row.get("usage_output_tokens")),
        user=name(row.get("api_key")),
        feature=name(row.get("workspace")),
        half=row.get("usage_type") == "batch",
    )
