"""Answers worth keeping, inside a transaction: looking one up, keeping one, counting its use."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from nexscout_cli.engine.recalled import CachedAnswer
from nexscout_cli.store.sqlite import claims
from nexscout_cli.store.sqlite.transaction import Transaction, stamp

if TYPE_CHECKING:
    from nexscout_cli.engine.settlement import Attempt, Charge, Delivery

_LOOK_UP = """SELECT id, response_text, model_used, quality, input_tokens, output_tokens, cost_usd, {match}, request_id
    FROM cached_ai_responses WHERE user_id = ? AND {column} = ? AND expires_at > ? ORDER BY id DESC LIMIT 1"""
_BY_REQUEST = _LOOK_UP.format(match="'exact'", column="prompt_hash")
_BY_FORM = _LOOK_UP.format(match="'canonical'", column="form_hash")
_REPLACED = (
    "form_hash",
    "request_id",
    "model_used",
    "quality",
    "response_text",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "tokens_saved",
    "created_at",
    "last_used_at",
    "expires_at",
)
_KEEP = f"""INSERT INTO cached_ai_responses (prompt_hash, user_id, feature, {", ".join(_REPLACED)})
    VALUES (?, ?, ?, {", ".join("?" * len(_REPLACED))}) ON CONFLICT (user_id, prompt_hash) DO UPDATE SET
    {", ".join(f"{name} = excluded.{name}" for name in _REPLACED)}"""


def find(t: Transaction, user_id: str, prompt_hash: str, form_hash: str | None) -> CachedAnswer | None:
    """The user's answer under that key, else the latest under that of a canonical form; none that has expired."""
    row = t.execute(_BY_REQUEST, (user_id, prompt_hash, t.stamp)).fetchone()
    if row is None and form_hash is not None:
        row = t.execute(_BY_FORM, (user_id, form_hash, t.stamp)).fetchone()
    return CachedAnswer(*row) if row else None


def in_flight(t: Transaction, user_id: str, prompt_hash: str) -> bool:
    """Whether a request under that key is open and the process of its last attempt lives."""
    row = t.execute(
        "SELECT owner, created_at FROM attempts WHERE claim = ?", (claims.on_key(user_id, prompt_hash),)
    ).fetchone()
    return row is not None and t.lives(*row)


def count_use(t: Transaction, cached_id: int) -> None:
    """Count a hit."""
    t.execute(
        "UPDATE cached_ai_responses SET hit_count = hit_count + 1, last_used_at = ? WHERE id = ?", (t.stamp, cached_id)
    )


def keep(t: Transaction, attempt: Attempt, delivery: Delivery, charge: Charge) -> None:
    """Keep an answer for as long as answers are kept; a newer one for the same key takes its place."""
    settlement = attempt.settlement
    expires = stamp(t.now + timedelta(days=t.rules.cache_days))
    t.execute(
        _KEEP,
        (
            delivery.cache_key,
            settlement.user_id,
            settlement.feature,
            delivery.form_key,
            attempt.request_id,
            settlement.model,
            settlement.quality,
            delivery.text,
            charge.input_tokens,
            charge.output_tokens,
            charge.cost,
            charge.tokens,
            t.stamp,
            t.stamp,
            expires,
        ),
    )
