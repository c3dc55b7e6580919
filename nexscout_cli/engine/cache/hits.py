"""What the ledger is told of an answer that is given from the cache. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.engine.catalog.baseline import baseline_model
from nexscout_cli.engine.learning.observation import unbilled
from nexscout_cli.engine.money import cost
from nexscout_cli.engine.recalled import CachedAnswer, Hit

if TYPE_CHECKING:
    from datetime import datetime

    from nexscout_cli.config import Settings
    from nexscout_cli.engine.request import AIRequest, Json
    from nexscout_cli.engine.snapshot import Snapshot


def hit(
    request_id: str,
    request: AIRequest,
    cached: CachedAnswer,
    snapshot: Snapshot,
    settings: Settings,
    now: datetime,
    **more: Json,
) -> Hit:
    """A cached answer that is given. ``more``: mode, answer, fingerprint."""
    baseline = baseline_model(snapshot.models, settings)
    worth = cost(cached.input_tokens, cached.output_tokens, baseline.price_in, baseline.price_out)
    learned = unbilled(request, cached.model, now, settings)
    return Hit(
        request_id=request_id,
        user_id=request.user_id,
        feature=request.feature,
        cached=cached,
        # An answer below the floor saves what it cost itself, and not what a better one would have cost.
        baseline=cached.cost if cached.quality < settings["routing.floor"] else worth,
        lesson=learned._replace(cached=True, tokens_saved=cached.input_tokens + cached.output_tokens, outcome=1.0),
        idempotency_key=request.options.idempotency_key,
        **more,
    )
