"""What the engine needs from outside to answer a request, as protocols: the ledger, the providers, the clock, an observer.

The actor is part of each call: a store answers for many at once, and checks for each call what its actor may do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from nexscout_cli.engine.budgets import Budget
    from nexscout_cli.engine.call import Call, Completion, OnText
    from nexscout_cli.engine.catalog.comparison import Listed
    from nexscout_cli.engine.model import Model
    from nexscout_cli.engine.recalled import CachedAnswer, Hit, Recalled
    from nexscout_cli.engine.settlement import (
        Attempt,
        Charge,
        Delivery,
        Failure,
        Order,
        Posting,
        Prediction,
    )
    from nexscout_cli.engine.snapshot import Experience, World


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

    def available(self, model: Model) -> str | None:
        """None when the model can be called now, else one short line that says what is missing. Must be cheap."""

    def complete(self, call: Call, on_text: OnText | None) -> Completion:
        """Make the call. With ``on_text`` the answer is handed over piece by piece as it comes.

        Raises ProviderFailure; when ``on_text`` raises ReaderGone, stops reading and returns what had come,
        with finish_reason ``reader_gone``.
        """


@runtime_checkable
class KnowsPrices(Protocol):
    """A provider that knows what models cost that the catalog does not have."""

    def listed(self, target: str) -> Listed | None:
        """What a table of prices says of a target (a ``litellm_model``); None for one that is not in it."""


class Observer(Protocol):
    """Someone to tell what the engine is doing; for notes on a terminal."""

    def note(self, text: str) -> None:
        """Hear of a retry or a fallback, in one line."""


class Ledger(Protocol):
    """The books of calls. Each method is one transaction; all raise NotPermitted for what their actor may not do."""

    def world(
        self, actor: str, user_id: str, feature: str, budgets: Sequence[Budget], owners: Sequence[str] = ()
    ) -> World:
        """Step 0: what the store knows that a plan depends on, with the use of the ``budgets`` that have a cap, and of those
        that were set for the ``owners``.

        Raises UsageError for a user that cannot be.
        """

    def experience(self, actor: str, user_id: str, feature: str) -> Experience:
        """What was said and doubted of a feature's answers; read only under policies that look at it."""

    def recall(self, actor: str, user_id: str, key: str) -> Recalled | None:
        """Step 1: what is on record under a user's idempotency key."""

    def cached(self, actor: str, user_id: str, prompt_hash: str, form_hash: str | None = None) -> CachedAnswer | None:
        """Step 2: the user's answer under a cache key, else under the key of a canonical form."""

    longest_pause: float
    """Seconds that may lie between two questions of who waits for what is in flight."""

    def in_flight(self, actor: str, user_id: str, prompt_hash: str) -> bool:
        """Whether a live process is answering a request under that cache key."""

    def may_have_ended(self, user_id: str, prompt_hash: str) -> bool:
        """Whether what was in flight under that key may not be any more: then it is worth a look."""

    def record_hit(self, actor: str, hit: Hit) -> None:
        """Count a cached answer that was given."""

    def record_refusal(self, actor: str, prediction: Prediction, reason: str) -> None:
        """Enter the prediction of a plan that was not run, and nothing else."""

    def hold(self, actor: str, order: Order) -> Attempt:
        """T1: reserve the worst case of one attempt.

        Raises StalePlan when a balance, a cap, a tier or the catalog no longer allows it, DuplicateInFlight when another
        request under the order's cache key is open, InProgress when another request has its idempotency key, NoRoom when
        each deployment that is wanted is at its limits.
        """

    def mark_sent(self, actor: str, attempt: Attempt) -> None:
        """T2: from here on the provider may have been reached."""

    def void(
        self, actor: str, attempt: Attempt, reason: str, label: str = "other", retry_after: float | None = None
    ) -> None:
        """Give an attempt's hold back: it never arrived, or was definitely refused. ``label``: one of failures.LABELS.

        ``retry_after``: seconds that the provider asked to wait.
        """

    def mark_unknown(
        self, actor: str, attempt: Attempt, reason: str, provider_id: str | None, label: str = "unknown"
    ) -> None:
        """Keep an attempt's hold until somebody knows what became of it."""

    def post(self, actor: str, attempt: Attempt, posting: Posting) -> None:
        """T3: enter the true charge in every book at once."""

    def deliver(self, actor: str, attempt: Attempt, charge: Charge, delivery: Delivery) -> None:
        """Deliver the answer of an attempt that was posted without a delivery."""

    def fail(self, actor: str, failure: Failure) -> None:
        """End a request that delivered nothing, and give its energy back."""
