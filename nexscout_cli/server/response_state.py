"""Responses that go on with earlier ones: conversations that are kept, by the names that responses have.

A response's name is ``resp_REQUEST``, or ``resp_REQUEST_CONVERSATION`` where it goes on with a conversation. It is that one's
next turn; where another response was faster, or it goes on with an earlier turn, it begins a conversation of its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nexscout_cli.engine.chat import Message
from nexscout_cli.engine.conversations import Conversation, Turn
from nexscout_cli.engine.talk import messages_of
from nexscout_cli.errors import UsageError
from nexscout_cli.server import responses
from nexscout_cli.server.errors import HttpError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nexscout_cli.config import Settings
    from nexscout_cli.engine.book_types import ApiKey
    from nexscout_cli.engine.conversations import Conversations
    from nexscout_cli.engine.response import AIResponse
    from nexscout_cli.server.protocol import Ask, Document

_NAME = re.compile(r"resp_([0-9a-f]{21})(?:_([0-9a-f]{21}))?")


class Earlier:
    """What one request for a response goes on with. ``kept``: the turns up to the response that it names."""

    def __init__(self, book: Conversations, key: ApiKey, kept: Conversation | None) -> None:
        self._book, self._key, self._kept = book, key, kept
        self._before = messages_of(kept) if kept else ()

    def read(self, body: Document, headers: Mapping[str, str], settings: Settings) -> Ask:
        """The request in a body. Raises UsageError, NotPermitted."""
        goes_on = self._kept.id if self._kept else ""
        return responses.read(body, self._key, headers, settings, self._before, goes_on)

    def keep(self, ask: Ask, response: AIResponse) -> None:
        """Keep what was asked and answered, where it is to be kept. Raises NexScoutError where it cannot be."""
        known = response.metadata
        if not ask.added or not response.success or response.replayed or known is None:
            return
        first = response.answers[0]
        added = (*ask.added, Message("assistant", first.text, tool_calls=first.tool_calls))
        user = self._key.user_id
        if self._kept is not None:
            turn = Turn(known.request_id, [message.as_json() for message in added])
            if self._book.add(user, self._kept, self._kept.options, turn, next_only=True):
                return
            self._book.find(user, user, self._kept.id)  # what was forgotten meanwhile is not kept again
        whole = Turn(known.request_id, [message.as_json() for message in (*self._before, *added)])
        self._book.begin(user, user, ask.request.feature, {}, whole)


def earlier(book: Conversations, settings: Settings, key: ApiKey, body: Document) -> Earlier:
    """What a body goes on with. Raises UsageError, HttpError 404 where the response that it names is not kept."""
    name = body.get("previous_response_id")
    if not name or not settings["conversations.keep"]:
        return Earlier(book, key, None)
    found = _NAME.fullmatch(name) if isinstance(name, str) else None
    for conversation in reversed(found.groups()) if found else ():
        kept = _find(book, key, conversation) if conversation else None
        names = [turn.request_id for turn in kept.turns] if kept else []
        if kept and found and found[1] in names:
            return Earlier(book, key, kept._replace(turns=kept.turns[: names.index(found[1]) + 1]))
    raise HttpError(
        404, f"there is no response {str(name)!r:.80}", "it may have been forgotten, or not stored", code="not_found"
    )


def _find(book: Conversations, key: ApiKey, name: str) -> Conversation | None:
    try:
        return book.find(key.user_id, key.user_id, name)
    except UsageError:
        return None
