"""A row's request and plan as JSON, so that any process, on any host, can post what comes back for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexscout_cli.engine.call import Call
from nexscout_cli.engine.chat import Image, conversation
from nexscout_cli.engine.jobs.values import TIER, model_of
from nexscout_cli.engine.options import sent
from nexscout_cli.engine.plan_types import Candidate, Compression, Decision, Shape
from nexscout_cli.engine.planning.plan import Plan
from nexscout_cli.engine.request import AIRequest, Attachment, Caller, Json, Options

if TYPE_CHECKING:
    from nexscout_cli.engine.asked import Asked
    from nexscout_cli.engine.plan_types import Forecast

_COPIED = (
    "routing_reason",
    "required_quality",
    "emotional_complexity",
    "surge_milli",
    "nano_per_energy",
    "warnings",
    "degraded",
    "charge_energy",
    "mode",
)


def request_json(request: AIRequest) -> dict[str, Json]:
    """A request as JSON, its texts included."""
    return {
        "user_id": request.user_id,
        "feature": request.feature,
        "prompt": request.prompt,
        "goal": request.goal,
        "tone": request.tone,
        "context": request.context,
        "attachments": [list(one) for one in request.attachments],
        "options": {name: value for name, value in request.options._asdict().items() if value is not None},
        "messages": [message.as_json() for message in request.messages],
        "images": [list(one) for one in request.images],
        "caller": request.caller._asdict(),
    }


def request_of(kept: dict[str, Json]) -> AIRequest:
    """The request that :func:`request_json` was given."""
    caller = kept["caller"]
    return AIRequest(
        **{name: kept[name] for name in ("user_id", "feature", "prompt", "goal", "tone", "context")},
        attachments=tuple(Attachment(*one) for one in kept["attachments"]),
        options=Options(**kept["options"]),
        messages=conversation(kept["messages"]) if kept["messages"] else (),
        images=tuple(Image(*one) for one in kept["images"]),
        caller=Caller(**caller | {"tags": tuple(caller["tags"])}),
    )


def at_full_price(request: AIRequest, key: str) -> AIRequest:
    """The request as one that is answered at once; ``key`` keeps it from being paid twice where it has no key of its own."""
    options = request.options
    own = options.idempotency_key or key
    return request._replace(options=options._replace(service_tier=None, idempotency_key=own))


def later(request: AIRequest) -> AIRequest:
    """The request as one that is answered later, at that price."""
    return request._replace(options=request.options._replace(service_tier=TIER))


def plan_json(plan: Plan, asked: Asked) -> dict[str, Json]:
    """What is kept of a plan beside its settlement. It holds nothing of the prompt's text."""
    return {
        "model": plan.model._asdict(),
        "shape": plan.shape._asdict(),
        "compression": plan.compression._asdict(),
        "decision": plan.decision.as_json(),
        "plan": {name: getattr(plan, name) for name in _COPIED},
        "fingerprint": asked.fingerprint,
        "cache_key": asked.cache_key,
        "form_key": asked.form_key,
        "actor": asked.actor,
    }


def plan_of(kept: dict[str, Json], request: AIRequest, forecast: Forecast) -> Plan:
    """The plan that :func:`plan_json` was given, as far as an answer needs it: without the messages and its basis."""
    compression = kept["compression"]
    decision = kept["decision"]
    copied = kept["plan"]
    return Plan(
        request=request,
        model=model_of(kept["model"]),
        messages=(),
        shape=Shape(**kept["shape"]),
        compression=Compression(
            **compression
            | {name: tuple(compression[name]) for name in ("steps", "found")}
            | {"saved_by": tuple((name, count) for name, count in compression["saved_by"])}
        ),
        forecast=forecast,
        version=0,
        decision=Decision(
            **decision
            | {"candidates": tuple(Candidate(**one) for one in decision["candidates"])}
            | (
                {"weighed": tuple((name, weight) for name, weight in decision["weighed"])}
                if "weighed" in decision
                else {}
            )
        ),
        basis=None,  # type: ignore[arg-type]  # a later attempt has a plan of its own
        **copied | {"warnings": tuple(copied["warnings"])},
    )


def call_of(plan: Plan, timeout: float) -> Call:
    """The call that a row stands for. No provider is told of the tier: the batch itself is it."""
    options = sent(plan.request.options)
    options.pop("service_tier", None)
    return Call(
        plan.model,
        plan.messages,
        plan.forecast.max_output_tokens // plan.forecast.answers,
        plan.request.options.temperature,
        timeout,
        timeout,
        False,
        plan.request.options.effort if plan.model.reasons else None,
        plan.forecast.thinking_room // plan.forecast.answers,
        options,
    )
