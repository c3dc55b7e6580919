"""One exception tree: every failure a user can meet has a code, a message, a suggestion and an exit status.

The exit statuses are published (README, "Exit codes") and never change meaning.
"""

from __future__ import annotations

from typing import Any


class NexScoutError(Exception):
    """A failure with something to say to the user.

    ``message`` says what is wrong, ``suggestion`` what to do or type next; both are plain text of one line.
    ``details`` holds machine-readable extras for ``--json`` (never secrets).
    """

    code = "internal"
    exit_status = 1

    def __init__(
        self, message: str, suggestion: str = "", *, code: str | None = None, details: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.details = details
        self.message = message
        self.suggestion = suggestion
        if code is not None:
            self.code = code

    def as_json(self) -> dict[str, Any]:
        """The ``error`` object of every JSON answer."""
        shown = {"code": self.code, "message": self.message, "suggestion": self.suggestion}
        return shown if self.details is None else shown | {"details": self.details}


class UsageError(NexScoutError):
    """Wrong option, bad file, bad JSON, an idempotency key with other content."""

    code = "usage"
    exit_status = 2


class Blocked(NexScoutError):
    """Refused by the firewall, a budget or a cap, before anything was sent."""

    code = "blocked"
    exit_status = 3


class NotEnoughEnergy(NexScoutError):
    """The subject's balance does not cover the call."""

    code = "not_enough_energy"
    exit_status = 4


class ProvidersFailed(NexScoutError):
    """Every model that could be tried failed; no energy was charged."""

    code = "providers_failed"
    exit_status = 5


class StoreError(NexScoutError):
    """The database or the configuration cannot be used."""

    code = "store"
    exit_status = 6


class ConfigError(StoreError):
    """A setting has a value that cannot be used."""

    code = "config"


class RowsFailed(NexScoutError):
    """A batch ended with some rows failed."""

    code = "rows_failed"
    exit_status = 7


class NotPermitted(NexScoutError):
    """Not allowed for this user, tier or role."""

    code = "not_permitted"
    exit_status = 8


class InProgress(NexScoutError):
    """The same idempotency key is still live, or its outcome is unknown."""

    code = "in_progress"
    exit_status = 9


class Interrupted(NexScoutError):
    """Stopped by a signal; what was in flight has been settled."""

    code = "interrupted"
    exit_status = 130


class DuplicateInFlight(Exception):
    """Another request with the same cache key is being answered at this moment."""


class NoRoom(Exception):
    """Every deployment of a model is at its limits. ``seconds`` until one may have room; None: never for this call."""

    def __init__(self, seconds: float | None) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class StalePlan(Exception):
    """Between plan and hold a balance, a cap or the catalog changed: the plan must be made again."""
