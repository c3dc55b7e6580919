"""The store's log and what users said of answers, as protocols."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from nexscout_cli.engine.book_types import Feedback, Live

Row = dict[str, Any]


class FeedbackBook(Protocol):
    """What users said of answers."""

    def record(self, actor: str, request: str, verdict: str, note: str | None = None) -> Feedback:
        """Enter a verdict, good or bad, on a request's answer; a second one replaces the first.

        An answer that was bad is removed from the cache, whether it was made or given again. ``request`` is an id or the
        beginning of one.
        """

    def by_model(self, actor: str, user_id: str | None) -> dict[str, tuple[int, int]]:
        """One user's good and bad verdicts by model; None: everyone's for an admin, else the actor's own."""


class Log(Protocol):
    """What became of requests, and why. Requests are named by their id or the beginning of it."""

    def latest(self, actor: str, user: str | None = None, limit: int = 20, before: datetime | None = None) -> list[Row]:
        """The latest requests that the actor may see, newest first; of those before a time."""

    def show(self, actor: str, request: str) -> Row:
        """One request: summary, prediction, attempts, entries, usage rows."""

    def why(self, actor: str, request: str) -> Row:
        """How a request's model was chosen, its attempts, and the verdict on it."""

    def full_id(self, actor: str, request: str) -> str:
        """The one request id that begins so."""

    def live(self, actor: str, minutes: int) -> Live:
        """What goes on now, over what the actor may see, and what went on in as many of the latest minutes."""
