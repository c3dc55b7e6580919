"""What a key may name: modes, and models with their prices, as ``/v1/models`` lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nexscout_cli.engine.money import usd
from nexscout_cli.engine.request import AIRequest

if TYPE_CHECKING:
    from nexscout_cli.config import Settings
    from nexscout_cli.engine.book_types import ApiKey
    from nexscout_cli.engine.pipeline import Engine


def listed(engine: Engine, settings: Settings, key: ApiKey) -> list[dict[str, Any]]:
    """The modes of the key's user, and the models that can be called now and the key may name, each a row."""
    world = engine.snapshot(AIRequest(key.user_id, settings["feature"], "?"), key.user_id)
    modes = settings[f"tiers.{world.tier}.modes"]
    rows: list[dict[str, Any]] = [
        {"id": mode, "object": "model", "created": 0, "owned_by": "nexscout", "mode": True} for mode in modes
    ]
    for model in world.models:
        if model.name in world.available and (not key.models or model.name in key.models):
            prices = {"input": usd(model.price_in).scaleb(-3), "output": usd(model.price_out).scaleb(-3)}
            rows.append(
                {
                    "id": model.name,
                    "object": "model",
                    "created": 0,
                    "owned_by": model.litellm_model.partition("/")[0],
                    "usd_per_token": prices,
                    "context_window": model.max_tokens,
                    "max_output": model.max_output,
                    "can": None if model.abilities is None else list(model.abilities),
                }
            )
    return rows
