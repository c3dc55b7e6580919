"""What a page says of a request: what it would cost, at which model, what compression leaves out; and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nexscout_cli.engine.compression.difference import pieces
from nexscout_cli.engine.money import usd
from nexscout_cli.engine.planning.texts import originals, user_text
from nexscout_cli.engine.routing import explain

if TYPE_CHECKING:
    from nexscout_cli.engine.planning.plan import Plan
    from nexscout_cli.engine.response import AIResponse

_UNTIL, _SHOWN = 200, 400
"""Characters of a run of sentences that stays as it is: longer ones are shown by their ends, above the second of these."""


def quoted(plan: Plan, others: Sequence[Plan]) -> dict[str, Any]:
    """What the quote of a plan shows, with a plan for each model beside it, cheapest first."""
    request = plan.request
    rows = sorted(others, key=lambda one: (one.predicted_cost, one.model.name))
    return {
        "plan": plan.as_json(),
        "chain": [step.model.name for _, step in plan.later],
        "why": explain.requirement(plan.decision.as_json()),
        "compared": [_row(one) for one in rows],
        "dearest": max((one.predicted_cost for one in rows), default=0) / 1e9 or 1.0,
        "left_out": _left_out(user_text(request, originals(request)), plan) if plan.compression.applied else [],
    }


def _row(plan: Plan) -> dict[str, Any]:
    return {
        "model": plan.model.name,
        "quality": plan.model.quality,
        "tokens in": plan.predicted_input_tokens,
        "tokens out": plan.predicted_output_tokens,
        "likely": usd(plan.predicted_cost),
        "at most": usd(plan.max_cost),
        "energy": plan.predicted_energy,
        "refused": None if plan.error is None else plan.error["message"],
    }


def _left_out(given: str, plan: Plan) -> list[tuple[str, str]] | None:
    """Kind and text of each piece, long ones that stay cut in their middle; None where there is too much to compare."""
    found = pieces(given, plan.messages[-1].content)
    if found is None:
        return None
    return [
        (kind, f"{text[:_UNTIL]} … {text[-_UNTIL:]}" if kind == "same" and len(text) > _SHOWN else text)
        for kind, text in found
    ]


def told(response: AIResponse, why: dict[str, Any] | None) -> dict[str, Any]:
    """What stands beside an answer: what it cost against what was said before, and why its model was chosen."""
    decision = why["decision"] if why else None
    lines = explain.requirement(decision) if decision else []
    return {
        "known": response.metadata,
        "error": response.error,
        "replayed": response.replayed,
        "lines": [*lines, *(explain.course(why) if why else [])],
    }
