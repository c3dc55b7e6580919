"""OpenTelemetry spans of answers, by its conventions for generative AI; no prompt, no answer and no key is in them.

They are made where the standard variables name a collector (``OTEL_EXPORTER_OTLP_ENDPOINT``); the extra is ``nexscout[otel]``.
Source: OpenTelemetry semantic conventions, "Semantic conventions for generative client AI spans".
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from nexscout_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nexscout_cli.engine.response import AIResponse

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def traces() -> Traces | None:
    """Where spans go; None where the environment names no collector. Raises UsageError where the extra is not installed."""
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise UsageError(f"traces need the package {error.name}", "pip install 'nexscout[otel]'") from error
    provider = TracerProvider(
        resource=Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "nexscout")})
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Traces(provider)


class Traces:
    """One span for each answer, or failure; a ``traceparent`` header makes it part of the caller's trace."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("nexscout")

    def answered(self, model: str, response: AIResponse, began: float, headers: Mapping[str, str]) -> None:
        """Tell of an answer that was asked for ``began`` (monotonic seconds), of a named ``model``."""
        from opentelemetry import propagate
        from opentelemetry.trace import SpanKind, StatusCode

        now = time.time_ns()
        span = self._tracer.start_span(
            f"chat {model}",
            context=propagate.extract(dict(headers)),
            kind=SpanKind.SERVER,
            start_time=now - round((time.monotonic() - began) * 1e9),
            attributes=attributes(model, response),
        )
        if response.error is not None:
            span.set_status(StatusCode.ERROR, response.error["code"])
        span.end(now)

    def close(self) -> None:
        """Send what was not sent yet."""
        self._provider.shutdown()


def attributes(model: str, response: AIResponse) -> dict[str, Any]:
    """What a span says of an answer."""
    found: dict[str, Any] = {"gen_ai.operation.name": "chat", "gen_ai.request.model": model}
    if response.error is not None:
        found["error.type"] = response.error["code"]
    known = response.metadata
    if known is None:
        return found
    return found | {
        "gen_ai.response.id": known.request_id,
        "gen_ai.response.model": known.model_used or "",
        "gen_ai.usage.input_tokens": known.input_tokens,
        "gen_ai.usage.output_tokens": known.output_tokens,
        "gen_ai.response.finish_reasons": tuple(one.finish_reason or "" for one in response.answers),
        "nexscout.cost_usd": float(known.cost_usd),
        "nexscout.energy": known.energy_cost,
        "nexscout.cache": known.cache_match or "miss",
        "nexscout.routing_reason": known.routing_reason or "",
    }
