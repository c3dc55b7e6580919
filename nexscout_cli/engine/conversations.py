"""Conversations that are kept, as values, and the store's book of them as a protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Turn(NamedTuple):
    """What one request added: ``messages`` as chat completions write them, what was asked and what was answered.

    ``model`` answered it; ``cost`` is nano-dollars, as the books have it; ``at`` is ISO time, UTC.
    """

    request_id: str
    messages: Sequence[dict[str, Any]]
    model: str = ""
    cost: int = 0
    at: str = ""


class Conversation(NamedTuple):
    """A kept conversation of one user. Its name is the id of its first request.

    ``options``: what it goes on with where a turn does not say otherwise, by the names of Options. ``length`` (turns) and
    ``cost`` (nano-dollars) are of all of it; ``turns`` is empty in a list, where ``begins`` has the first message.
    """

    id: str
    user_id: str
    feature: str
    options: dict[str, Any]
    at: str
    length: int
    cost: int
    turns: tuple[Turn, ...] = ()
    begins: str = ""


class Conversations(Protocol):
    """Conversations that are kept. Each belongs to one user; an admin may act for others."""

    def begin(self, actor: str, user_id: str, feature: str, options: dict[str, Any], turn: Turn) -> None:
        """Keep the first turn of a new conversation."""

    def add(
        self, actor: str, conversation: Conversation, options: dict[str, Any], turn: Turn, *, next_only: bool = False
    ) -> bool:
        """Keep one more turn; False where the conversation was forgotten meanwhile: then nothing is kept.

        ``next_only``: nor where it has gone on since, another turn being there after those of ``conversation``.
        """

    def take_back(self, actor: str, conversation: Conversation) -> bool:
        """Remove the last turn of ``conversation``, and all of it with its only one; False where it has gone on since."""

    def find(self, actor: str, user_id: str, name: str | None) -> Conversation:
        """The user's conversation whose name begins so; None: the one used last. Raises UsageError where there is none."""

    def listing(self, actor: str, user_id: str, limit: int) -> list[Conversation]:
        """The user's conversations, the one used last first."""

    def forget(self, actor: str, user_id: str, name: str | None, *, dry_run: bool = False) -> int:
        """Remove one of the user's conversations, or all; returns how many that were (or would be)."""
