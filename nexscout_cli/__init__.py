"""NexScout stands in front of every LLM call and governs what it costs.

    from nexscout_cli import AIRequest, run_ai_optimized
    answer = run_ai_optimized(AIRequest(user_id="ana", feature="ai_message", prompt="Write to Sarah"))

Everything is imported when it is first used, so that ``import nexscout_cli`` costs nothing.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False
"""As typing's; importing that would double the time of ``nexscout --version``."""

_TYPES = {
    "AIRequest": "request",
    "AIResponse": "response",
    "Attachment": "request",
    "Options": "request",
    "Plan": "planning.plan",
}

__all__ = [
    "AIRequest",
    "AIResponse",
    "Attachment",
    "Engine",
    "Options",
    "Plan",
    "__version__",
    "budget",
    "check_cost_firewall",
    "choose_model",
    "get_efficiency_profile",
    "open_engine",
    "openai_client",
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
    from typing import Any

    from nexscout_cli.api import (
        Engine,
        check_cost_firewall,
        choose_model,
        get_efficiency_profile,
        open_engine,
        openai_client,
        record_feedback,
        run_ai_batch,
        run_ai_batch_async,
        run_ai_optimized,
        run_ai_optimized_async,
        set_preferred_mode,
        set_routing_policy,
        simulate_cost,
    )
    from nexscout_cli.budgets import budget
    from nexscout_cli.engine.planning.plan import Plan
    from nexscout_cli.engine.request import AIRequest, Attachment, Options
    from nexscout_cli.engine.response import AIResponse


def __getattr__(name: str) -> Any:
    if module := _TYPES.get(name):
        from importlib import import_module

        return getattr(import_module(f"nexscout_cli.engine.{module}"), name)
    if name == "budget":
        from nexscout_cli.budgets import budget

        return budget
    if name in __all__:
        from nexscout_cli import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
