"""What the engine needs from outside, as protocols: the store, the providers, the clock, and someone to tell."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from nexscout_cli.engine.types import (
    AIRequest, Attempt, CachedAnswer, Call, Charge, Completion, Delivery, Json, OnText, Plan, Snapshot,
)


class Clock(Protocol):
    """Time, injected. ``now`` is UTC and aware; ``monotonic`` in seconds."""

    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


class Provider(Protocol):
    """Whoever answers calls."""

    def available(self, model_name: str, litellm_model: str, api_key_env: str | None) -> str | None:
        """None when the model can be called now, else one short line that says what is missing. Must be cheap."""

    def complete(self, call: Call, on_text: OnText | None) -> Completion:
        """Make the call. With ``on_text`` the answer is handed over piece by piece as it comes.

        Raises ProviderFailure; when ``on_text`` raises ReaderGone, stops reading and returns what had come,
        with finish_reason ``reader_gone``.
        """


class Observer(Protocol):
    """Someone to tell what the engine is doing; for progress on a terminal."""

    def note(self, text: str) -> None: ...


class Ledger(Protocol):
    """The store, as the pipeline uses it. Every method is one transaction; ``actor`` is checked in each."""

    def snapshot(self, request: AIRequest) -> Snapshot: ...
    def recall(self, user_id: str, key: str, fingerprint: str) -> dict[str, Json] | None: ...
    def cached(self, user_id: str, prompt_hash: str) -> CachedAnswer | None: ...
    def record_hit(self, request_id: str, request: AIRequest, hit: CachedAnswer, fingerprint: str,
                   answer: dict[str, Json], mode: str) -> None: ...
    def record_refusal(self, request_id: str, plan: Plan, reason: str) -> None: ...
    def hold(self, request_id: str, fingerprint: str, plan: Plan, deadline: datetime) -> Attempt: ...
    def mark_sent(self, attempt: Attempt) -> None: ...
    def void(self, attempt: Attempt, reason: str) -> None: ...
    def mark_unknown(self, attempt: Attempt, reason: str, provider_id: str | None) -> None: ...
    def post(self, attempt: Attempt, charge: Charge, provider_id: str | None, delivery: Delivery | None) -> None: ...
    def fail(self, request_id: str, request: AIRequest, code: str, message: str) -> None: ...
