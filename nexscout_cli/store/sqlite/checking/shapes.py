"""What each value must look like: JSON columns, times, and texts with a form of their own."""

from __future__ import annotations

import json
import re
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from nexscout_cli.store.sqlite.checking.findings import RESTORE, each, told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nexscout_cli.engine.book_types import Problem
    from nexscout_cli.store.sqlite.records import Record
    from nexscout_cli.store.sqlite.transaction import Transaction

Fault = str | None


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _object(of: Callable[[Any], bool] | None = None, needs: tuple[str, ...] = ()) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, dict)
        and all(name in value for name in needs)
        and (of is None or all(map(of, value.values())))
    )


def _list(of: Callable[[Any], bool], length: tuple[int, ...] = ()) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(of, value)) and (not length or len(value) in length)


def _text(value: Any) -> bool:
    return isinstance(value, str)


JSON: dict[tuple[str, str], tuple[str, Callable[[Any], bool]]] = {
    ("user_efficiency_profiles", "writing_style_profile"): ("an object of numbers", _object(_number)),
    ("user_efficiency_profiles", "common_patterns"): ("a list of texts", _list(_text)),
    ("user_efficiency_profiles", "pattern_counts"): ("an object of numbers", _object(_number)),
    ("user_efficiency_profiles", "peak_usage_hours"): ("24 numbers", _list(_whole, (0, 24))),
    ("user_efficiency_profiles", "model_preference_score"): ("an object of numbers", _object(_number)),
    ("user_efficiency_profiles", "prompt_heads"): ("a list of texts", _list(_text)),
    ("ai_model_configs", "params"): ("an object", _object()),
    ("ai_model_configs", "class_prices"): ("an object of prices", _object(lambda v: _whole(v) and v >= 0)),
    ("ai_model_configs", "abilities"): ("a list of texts", _list(_text)),
    ("requests", "answer"): ("an object with success and metadata", _object(None, ("success", "metadata"))),
    ("attempts", "price"): ("an object of prices", _object(lambda v: _whole(v) and v >= 0, ("input", "output"))),
    ("attempts", "plan"): ("a plan", _object(None, ("mode", "routing_reason"))),
    ("ai_model_usage", "metadata"): ("an object", _object()),
    ("ai_model_usage", "token_classes"): ("an object of counts", _object(lambda v: _whole(v) and v >= 0)),
    ("ai_cost_predictions", "decision"): ("an object", _object()),
    ("output_lengths", "state"): ("a list of 10 or 11 numbers", _list(_number, (10, 11))),
    ("api_keys", "models"): ("a list of texts", _list(_text)),
    ("conversations", "options"): ("an object", _object()),
    ("job_parts", "model"): ("a model", _object(None, ("name", "litellm_model"))),
    ("job_rows", "request"): ("a request", _object(None, ("user_id", "feature", "options"))),
    ("job_rows", "kept"): ("a plan", _object(None, ("model", "plan"))),
    ("job_rows", "body"): ("an object", _object()),
    ("job_rows", "answer"): ("an object with success and metadata", _object(None, ("success", "metadata"))),
    ("deployments", "class_prices"): ("an object of prices", _object(lambda v: _whole(v) and v >= 0)),
    ("conversation_turns", "messages"): ("a list of messages", _list(_object(None, ("role", "content")))),
}
"""Every JSON column, and what it holds."""

_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_WINDOW = re.compile(r"\d{4}-(0[1-9]|1[0-2])(-\d\d)?|\d{4}-W\d\d|ever")


def _stamp(text: Any) -> Fault:
    if isinstance(text, str) and _STAMP.fullmatch(text):
        try:
            datetime.fromisoformat(text)
        except ValueError:
            pass
        else:
            return None
    return "is no time as this program writes it"


def _like(pattern: str) -> Callable[[Any], Fault]:
    form = re.compile(pattern)
    return lambda text: None if isinstance(text, str) and form.fullmatch(text) else f"has not the form {pattern}"


def _count(value: Any) -> Fault:
    return None if _whole(value) and value >= 0 else "is no count"


def _mean(value: Any) -> Fault:
    return None if _number(value) and 0 <= value < float("inf") else "is no mean"


FORMS: dict[tuple[str, str], Callable[[Any], Fault]] = {
    **{
        (table, column): _stamp
        for table, columns in {
            "users": ("created_at",),
            "requests": ("created_at",),
            "attempts": ("created_at", "deadline", "settled_at"),
            "ledger_entries": ("created_at",),
            "ai_cost_predictions": ("created_at",),
            "ai_model_usage": ("created_at",),
            "cached_ai_responses": ("created_at", "last_used_at", "expires_at"),
            "feedback": ("created_at",),
            "seals": ("sealed_at",),
            "conversations": ("created_at", "used_at"),
            "conversation_turns": ("created_at",),
            "jobs": ("created_at", "ended_at"),
            "job_parts": ("begun_at", "until", "created_at", "ended_at"),
            "backups": ("made_at",),
            "deployment_states": ("cool_until",),
            "api_keys": ("created_at", "expires_at", "revoked_at", "last_used_at"),
        }.items()
        for column in columns
    },
    ("users", "granted_period"): _like(r"|\d{4}-(0[1-9]|1[0-2])"),
    ("users", "daily_token_budget"): _count,
    ("user_efficiency_profiles", "usage_day"): _like(r"|\d{4}-\d\d-\d\d"),
    ("attempts", "owner"): _like(r".*/.*/\d+/.+"),
    ("job_parts", "owner"): _like(r".*/.*/\d+/.+"),
    ("api_keys", "hash"): _like(r"[0-9a-f]{64}"),
    **{
        ("user_efficiency_profiles", column): _count
        for column in ("total_requests", "cache_hits", "usage_day_tokens", "predicted_daily_usage")
    },
    **{("user_efficiency_profiles", column): _mean for column in ("avg_token_per_request", "avg_output_tokens")},
    **{(table, column): _mean for table in ("input_factors", "thinking") for column in ("n", "mean", "most")},
}
"""Columns with a form of their own; null is checked by the schema."""

_KEYS = {
    "users": ("user_id",),
    "user_efficiency_profiles": ("user_id",),
    "ai_model_configs": ("model",),
    "requests": ("request_id",),
    "output_lengths": ("feature", "user_id", "model"),
    "feedback": ("request_id",),
    "input_factors": ("model",),
    "thinking": ("model",),
    "seals": ("day",),
    "conversation_turns": ("conversation", "n"),
    "job_rows": ("job", "n"),
    "deployments": ("model", "name"),
    "deployment_states": ("model", "name"),
    "backups": ("path",),
}
_RESET = {
    "output_lengths": "delete the row: what was learned is learned again",
    "input_factors": "delete the row: what was learned is learned again",
    "thinking": "delete the row: what was learned is learned again",
    "cached_ai_responses": "nexscout cache clear",
}


def problems(t: Transaction) -> Iterator[Problem]:
    """Every value that does not look like what its column holds, by row."""
    tables = dict.fromkeys(table for table, _ in (*JSON, *FORMS))
    for table in tables:
        yield from told("values", _of_table(t, table), _RESET.get(table, RESTORE))
    yield from told("values", _periods(t))


def _of_table(t: Transaction, table: str) -> Iterator[str]:
    json_columns = [column for of, column in JSON if of == table]
    forms = {column: form for (of, column), form in FORMS.items() if of == table}
    key = _KEYS.get(table, ("id",))

    def faults(row: Record) -> Iterator[str]:
        for column in json_columns:
            if row[column] is not None and (fault := _json_fault(row[column], *JSON[table, column])):
                yield f"has a {column} that {fault}"
        for column, form in forms.items():
            if row[column] is not None and (fault := form(row[column])):
                yield f"has a {column} ({row[column]!r:.40}) that {fault}"

    names = ", ".join(dict.fromkeys((*key, *json_columns, *forms)))
    rows = t.stream(f"SELECT {names} FROM {table}")
    return each(rows, lambda row: f"{table} {' '.join(str(row[name]) for name in key)}", faults)


def _json_fault(text: Any, what: str, holds: Callable[[Any], bool]) -> Fault:
    if isinstance(text, str) and len(text) <= _SHORT:  # the same few stand in most rows
        return _remembered(text, what, holds)
    return _judged(text, what, holds)


def _judged(text: Any, what: str, holds: Callable[[Any], bool]) -> Fault:
    try:
        value = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return f"is no JSON: {text!r:.40}"
    return None if holds(value) else f"is not {what}: {text!r:.60}"


_SHORT = 200
_remembered = lru_cache(maxsize=4_096)(_judged)


def _periods(t: Transaction) -> Iterator[str]:
    for row in t.execute("SELECT id, owner, kind, period FROM accounts"):
        if row["kind"] == "energy":
            wrong = row["period"] != "prepaid"
        else:
            wrong = not _WINDOW.fullmatch(str(row["period"]))
        if wrong:
            yield f"account {row['id']} ({row['kind']} of {row['owner']}) has the period {row['period']!r:.40}"
