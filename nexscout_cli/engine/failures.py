"""What can go wrong with a call to a provider, and what it means for the hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nexscout_cli.engine.call import Usage

LABELS = ("refused_key", "rejected", "too_long", "limited", "server", "unreached", "unknown", "other")
"""What a failed attempt is counted as; ``other``: its process died, or it is from before failures were kept by kind."""


class ProviderFailure(Exception):
    """A call that gave no answer. ``message`` is safe to show: it holds no key and no prompt.

    ``kind`` decides what happens next:

    ========== ============================================ ======= =======================
    kind       when                                         hold    next
    ========== ============================================ ======= =======================
    unreached  refused, DNS, TLS, missing key or runtime     void    the next model
    rejected   400 401 403 404 413 422, policy refusal       void    the next model, no retry
    too_long   context window exceeded                       void    a larger window
    limited    429                                           void    retry after ``retry_after``
    server     500 502 503 529 with an error body            void    retry with backoff
    unknown    408 504, hang, reset, cut or damaged answer   stays   at most once more
    ========== ============================================ ======= =======================

    ``partial`` is the text a stream had delivered before it broke, ``usage`` what it had reported.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        partial: str = "",
        usage: Usage | None = None,
        provider_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status
        self.retry_after = retry_after
        self.partial = partial
        self.usage = usage
        self.provider_id = provider_id

    @property
    def label(self) -> str:
        """What reports count it as: its kind, or ``refused_key`` where the provider refused the key (401, 403)."""
        return "refused_key" if self.status in (401, 403) else self.kind


def mishap(kind: str, error: Exception) -> ProviderFailure:
    """An error of our own in the middle of a call; its kind alone is told, for its message may hold anything."""
    return ProviderFailure(kind, f"its answer could not be handled here ({type(error).__name__})")


class CallInterrupted(KeyboardInterrupt):
    """A signal ended the call; ``failure`` says whether it had been sent (unknown) or not (unreached)."""

    def __init__(self, failure: ProviderFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class ReaderGone(Exception):
    """Raised by an ``on_text`` callback when nobody reads the stream any more: the provider stops and says what it had."""
