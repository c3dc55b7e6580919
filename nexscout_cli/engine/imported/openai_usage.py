"""OpenAI's usage export: pages of ``/v1/organization/usage/completions``, or the dashboard's CSV with the same names.

A row is a bucket of time by project, user, key and model. Cached input is inside the input, thinking inside the output and
not told apart. Batches cost half. Costs are another export, without tokens: it is for
``reconcile``.
"""

from __future__ import annotations

from collections.abc import Iterable

from nexscout_cli.engine.imported.record import BadRow, Imported, Row, count, model_of, moment, name, rest

_BY = ("project_id", "user_id", "api_key_id", "model", "batch", "service_tier")


def parse(row: Row) -> Iterable[Imported]:
    """The usage of a bucket, or of a line of CSV."""
    results = row.get("results")
    if not isinstance(results, list):
        return (_counted(row, row),)
    return [_counted(row, result) for result in results if isinstance(result, dict)]


def _counted(bucket: Row, result: Row) -> Imported:
    if "amount" in result or "amount_value" in result:
        raise BadRow("it is an amount without tokens: `nexscout reconcile` reads cost exports")
    start = bucket.get("start_time")
    cached = count(result.get("input_cached_tokens"))
    return Imported(
        at=moment(start),
        model=model_of(result.get("model")),
        provider="openai",
        key=" ".join(str(part) for part in (start, bucket.get("end_time"), *(result.get(name) or "" for name in _BY))),
        input=rest(count(result.get("input_tokens")), cached),
        cached=cached,
        output=count(result.get("output_tokens")),
        requests=count(result.get("num_model_requests")),
        user=name(result.get("user_id")),
        feature=name(result.get("project_id")),
        half=str(result.get("batch")).lower() == "true",
    )
