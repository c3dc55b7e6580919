"""How far a request has come, and the answer that can be given of it."""

from __future__ import annotations

import os
from typing import NamedTuple

from nexscout_cli.engine.call import Completion, OnText
from nexscout_cli.engine.money import usd
from nexscout_cli.engine.plan_types import Plan
from nexscout_cli.engine.ports import Clock
from nexscout_cli.engine.request import AIRequest, Json
from nexscout_cli.engine.response import AIResponse
from nexscout_cli.engine.settlement import Attempt, Charge
from nexscout_cli.engine.snapshot import Snapshot


class Held(NamedTuple):
    """An attempt whose hold was taken, and the plan it carries out."""

    attempt: Attempt
    plan: Plan


class Doubted(NamedTuple):
    """A first answer of a cascade that was posted and not delivered, with its doubt; ``confirmed`` by a second opinion."""

    held: Held
    charge: Charge
    completion: Completion
    score: float
    confirmed: bool = False


class Progress:
    """What one request has come to so far. ``unsettled`` is what attempts of unknown outcome hold, in nano-dollars."""

    def __init__(self, request: AIRequest, actor: str, clock: Clock, on_text: OnText | None = None) -> None:
        self._clock = clock
        self._started = clock.monotonic()
        self.request_id = new_id(clock)
        self.request = request
        self.actor = actor
        self.on_text = on_text
        self.fingerprint = ""
        self.cache_key: str | None = None
        self.form_key: str | None = None
        self.claims = True
        """Whether its call stands for all requests under its cache key; one that has waited in vain goes alone."""
        self.plan: Plan | None = None
        self.confirmed: Plan | None = None
        self.tried: Plan | None = None
        """The plan whose attempt was held last."""
        self._quoted_tokens: int | None = None
        self.posted: list[Charge] = []
        self.doubted: Doubted | None = None
        self.unsettled = 0
        self.energy = 0
        self.warnings: list[str] = []
        self._snapshot: Snapshot | None = None

    @property
    def snapshot(self) -> Snapshot:
        """The world as it was last read."""
        assert self._snapshot is not None, "step 0 comes first"
        return self._snapshot

    @snapshot.setter
    def snapshot(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def quoted_tokens(self, plan: Plan) -> int:
        """Tokens that the request was predicted to take by its first plan, which is ``plan`` until one was held."""
        if self.tried is None:
            self._quoted_tokens = plan.predicted_tokens
        assert self._quoted_tokens is not None
        return self._quoted_tokens

    def response(
        self,
        text: str | None,
        plan: Plan | None,
        *,
        truncated: bool = False,
        error: dict[str, str] | None = None,
        exit_status: int = 0,
    ) -> AIResponse:
        """The agreed answer: with ``text``, or with ``error`` and its exit status. ``plan`` is the one that delivered."""
        shown = plan or self.plan
        metadata = self.metadata(
            shown.model.name if shown else None,
            routing_reason=shown.routing_reason if shown else None,
            plan=shown,
            degraded=bool(plan and plan.degraded),
            truncated=truncated,
        )
        return AIResponse(error is None, text, error, metadata, exit_status)

    def metadata(
        self,
        model: str | None,
        *,
        cache_match: str | None = None,
        routing_reason: str | None = None,
        plan: Plan | None = None,
        degraded: bool = False,
        truncated: bool = False,
    ) -> dict[str, Json]:
        """The agreed metadata; tokens and cost are sums over the attempts posted so far."""
        quote = self.plan if self.doubted else plan  # what was quoted was the whole cascade
        tokens_in = sum(charge.input_tokens for charge in self.posted)
        tokens_out = sum(charge.output_tokens for charge in self.posted)
        return {
            "request_id": self.request_id,
            "model_used": model,
            "tokens_used": tokens_in + tokens_out,
            "input_tokens": tokens_in,
            "output_tokens": tokens_out,
            "energy_cost": self.energy,
            "from_cache": cache_match is not None,
            "cache_match": cache_match,
            "compression_applied": bool(plan and plan.compression.applied),
            "cost_usd": usd(sum(charge.cost for charge in self.posted)),
            "unsettled_usd": usd(self.unsettled),
            "execution_time_ms": round((self._clock.monotonic() - self._started) * 1000),
            "routing_reason": routing_reason,
            "degraded": degraded,
            "truncated": truncated,
            "flags": sorted({flag for charge in self.posted for flag in charge.flags}),
            "warnings": [*(plan.warnings if plan else ()), *self.warnings],
            "plan": quote.as_json() if quote else None,
        }


def new_id(clock: Clock) -> str:
    """A request's name: 11 hexadecimal digits of the time in milliseconds and 10 of chance, so that names sort by time."""
    return f"{int(clock.now().timestamp() * 1000):011x}{os.urandom(5).hex()}"
