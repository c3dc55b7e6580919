"""What the engine needs from outside, as protocols: the store, the providers, the clock, and someone to tell."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from nexscout_cli.engine.call import Call, Completion, OnText
from nexscout_cli.engine.plan_types import Plan
from nexscout_cli.engine.request import AIRequest, Json
from nexscout_cli.engine.settlement import Attempt, CachedAnswer, Charge, Delivery
from nexscout_cli.engine.snapshot import Snapshot


class Clock(Protocol):
    """Time, injected."""

    def now(self) -> datetime:
        """The time, aware, UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


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
    """Someone to tell what the engine is doing; for notes on a terminal."""

    def note(self, text: str) -> None:
        """Hear of a retry or a fallback, in one line."""


class Ledger(Protocol):
    """The store, as the pipeline uses it. Every method is one transaction, and refuses what its actor may not do."""

    def snapshot(self, request: AIRequest) -> Snapshot:
        """Step 0: the world a plan is made from. Raises NotPermitted, UsageError."""

    def recall(self, user_id: str, key: str, fingerprint: str) -> dict[str, Json] | None:
        """Step 1: the first answer under an idempotency key, None for a new one. Raises UsageError, InProgress."""

    def cached(self, user_id: str, prompt_hash: str, form_hash: str | None = None) -> CachedAnswer | None:
        """Step 2: the user's answer under a cache key, else under the key of a canonical form."""

    def in_flight(self, user_id: str, prompt_hash: str) -> bool:
        """Whether a live process is answering a request under that cache key."""

    def record_hit(
        self,
        request_id: str,
        request: AIRequest,
        hit: CachedAnswer,
        fingerprint: str,
        answer: dict[str, Json],
        mode: str,
    ) -> None:
        """Count a cached answer that was given."""

    def record_refusal(self, request_id: str, plan: Plan, reason: str) -> None:
        """Enter the prediction of a plan that was not run."""

    def hold(
        self, request_id: str, fingerprint: str, plan: Plan, deadline: datetime, cache_key: str | None = None
    ) -> Attempt:
        """T1: reserve the plan's worst case. Raises StalePlan when a balance, a cap or the catalog no longer allows it,
        DuplicateInFlight when another request under ``cache_key`` is open.
        """

    def mark_sent(self, attempt: Attempt) -> None:
        """T2: from here on the provider may have been reached."""

    def void(self, attempt: Attempt, reason: str) -> None:
        """Give an attempt's hold back."""

    def mark_unknown(self, attempt: Attempt, reason: str, provider_id: str | None) -> None:
        """Keep an attempt's hold until somebody knows what became of it."""

    def post(
        self,
        attempt: Attempt,
        charge: Charge,
        provider_id: str | None,
        delivery: Delivery | None,
        doubt: dict[str, Json] | None = None,
    ) -> None:
        """T3: enter the true charge; without a delivery no energy is charged and the request stays open.

        ``doubt`` is what was found when the answer was checked.
        """

    def deliver(self, attempt: Attempt, charge: Charge, delivery: Delivery) -> None:
        """Deliver the answer of an attempt that was posted without a delivery."""

    def fail(self, request_id: str, request: AIRequest, code: str, message: str) -> None:
        """End a request that delivered nothing, and give its energy back."""
