"""NexScout stands in front of every LLM call and governs what it costs.

    from nexscout_cli import AIRequest, run_ai_optimized
    answer = run_ai_optimized(AIRequest(user_id="ana", feature="ai_message", prompt="Write to Sarah"))

Everything is imported when it is first used, so that ``import nexscout_cli`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_TYPES = ("AIRequest", "AIResponse", "Attachment", "Options", "Plan")

__all__ = [
    "AIRequest",
    "AIResponse",
    "Attachment",
    "Engine",
    "Options",
    "Plan",
    "__version__",
    "check_cost_firewall",
    "choose_model",
    "get_efficiency_profile",
    "open_engine",
    "record_feedback",
    "run_ai_batch",
    "run_ai_batch_async",
    "run_ai_optimized",
    "run_ai_optimized_async",
    "set_preferred_mode",
    "set_routing_policy",
    "simulate_cost",
]

if TYPE_CHECKING:
    from nexscout_cli.api import (
        Engine,
        check_cost_firewall,
        choose_model,
        get_efficiency_profile,
        open_engine,
        record_feedback,
        run_ai_batch,
        run_ai_batch_async,
        run_ai_optimized,
        run_ai_optimized_async,
        set_preferred_mode,
        set_routing_policy,
        simulate_cost,
    )
    from nexscout_cli.engine.types import AIRequest, AIResponse, Attachment, Options, Plan


def __getattr__(name: str) -> Any:
    if name in _TYPES:
        from nexscout_cli.engine import types

        return getattr(types, name)
    if name in __all__:
        from nexscout_cli import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
