"""A cached answer that is given: one small write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.jsontext import dumps
from nexscout_cli.store.sqlite import answers, profiles, usage, users
from nexscout_cli.store.sqlite.requests import enter_request, keep_answer, take_key
from nexscout_cli.store.sqlite.states import move_request

if TYPE_CHECKING:
    from nexscout_cli.engine.recalled import Hit
    from nexscout_cli.engine.request import Json
    from nexscout_cli.store.sqlite.transaction import Transaction


def record(t: Transaction, hit: Hit) -> None:
    """Enter a cached answer that was given."""
    cached = hit.cached
    users.ensure(t, hit.user_id)
    if hit.idempotency_key is not None:
        take_key(t, hit.user_id, hit.idempotency_key, hit.request_id)
        enter_request(t, hit.request_id, hit.user_id, hit.feature, hit.idempotency_key, hit.fingerprint)
        move_request(t, hit.request_id, "posted")
        keep_answer(t, hit.request_id, dumps(hit.answer))
    if cached.id:
        answers.count_use(t, cached.id)
    usage.record(t, usage_of(hit))
    profiles.learn(t, hit.user_id, hit.lesson)


def usage_of(hit: Hit) -> dict[str, Json]:
    """The row of usage of a hit."""
    cached = hit.cached
    return {
        "request_id": hit.request_id,
        "n": 0,
        "user_id": hit.user_id,
        "feature": hit.feature,
        "model_used": cached.model,
        "outcome": "hit",
        "mode": hit.mode,
        "routing_reason": "cache",
        "cached_response": 1,
        "cache_match": cached.match,
        "baseline_usd": hit.baseline,
        "avoided_usd": cached.cost,
        "tokens_saved": cached.input_tokens + cached.output_tokens,
        "metadata": {"cached_from": cached.source},
    }
