"""OpenRouter's records: the activity export as CSV (a line for each generation), ``/api/v1/activity`` (a row for each day,
model and endpoint) and ``/api/v1/generation``.

Cached input is inside the prompt, thinking inside the completion. OpenRouter says what each cost; where a key of one's own
was used, its provider's part is on top.
"""

from __future__ import annotations

from collections.abc import Iterable

from nexscout_cli.engine.imported.record import BadRow, Imported, Row, amount, count, model_of, moment, name


def parse(row: Row) -> Iterable[Imported]:
    """The usage of a generation, or of a day."""
    if "date" in row:
        return (_day(row),)
    if not (key := row.get("generation_id") or row.get("id")):
        raise BadRow("it has no id, so it could be counted twice")
    given = count(_first(row, "native_tokens_prompt", "tokens_prompt"))
    made = count(_first(row, "native_tokens_completion", "tokens_completion"))
    # Where counts are OpenRouter's own and not the model's, a part may be larger than the whole.
    cached = min(count(_first(row, "native_tokens_cached", "tokens_cached")), given)
    thought = min(count(_first(row, "native_tokens_reasoning", "tokens_reasoning")), made)
    return (
        Imported(
            at=moment(row.get("created_at")),
            model=model_of(_first(row, "model_permaslug", "model")),
            provider="openrouter",
            key=str(key),
            input=given - cached,
            cached=cached,
            output=made - thought,
            reasoning=thought,
            cost=_cost(row, ("cost_total", "total_cost", "usage"), ("byok_usage_inference", "upstream_inference_cost")),
            user=name(_first(row, "user", "api_key_name")),
            feature=name(_first(row, "app_name", "origin")),
        ),
    )


def _day(row: Row) -> Imported:
    made = count(row.get("completion_tokens"))
    thought = min(count(row.get("reasoning_tokens")), made)
    model = model_of(_first(row, "model_permaslug", "model"))
    return Imported(
        at=moment(row["date"]),
        model=model,
        provider="openrouter",
        key=f"{row['date']} {model} {row.get('endpoint_id') or row.get('provider_name') or ''}",
        input=count(row.get("prompt_tokens")),
        output=made - thought,
        reasoning=thought,
        requests=count(row.get("requests")),
        cost=_cost(row, ("usage",), ("byok_usage_inference",)),
    )


def _cost(row: Row, names: tuple[str, ...], others: tuple[str, ...]) -> int | None:
    own = amount(_first(row, *names))
    return None if own is None else own + (amount(_first(row, *others)) or 0)


def _first(row: Row, *names: str) -> object:
    return next((row[one] for one in names if row.get(one) not in (None, "")), None)
