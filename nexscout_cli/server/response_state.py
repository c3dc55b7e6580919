"""Responses that go on with earlier ones: conversations that are kept, by the names that responses have.

A response's name is ``resp_REQUEST``, or ``resp_REQUEST_CONVERSATION`` where it goes on with a conversation. It is that one's
next turn; where another response was faster, or it goes on with an earlier turn, it begins a conversation of its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from nexscout_cli.engine.chat import Message
from nexscout_cli.engine.conversations import Conversation, Turn
from nexscout_cli.engine.talk import CUT, messages_of
from nexscout_cli.errors import UsageError
from nexscout_cli.server import responses
from nexscout_cli.server.errors import HttpError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
        ask = responses.read(body, self._key, headers, settings, self._before, goes_on)
        return ask._replace(previous=name_of(self._kept, -1)) if self._kept else ask

    def keep(self, ask: Ask, response: AIResponse) -> None:
        """Keep what was asked and answered, where it is to be kept. Raises NexScoutError where it cannot be."""
        known = response.metadata
        if not ask.added or not response.success or response.replayed or known is None:
            return
        first = response.answers[0]
        added = (*ask.added, Message("assistant", first.text, tool_calls=first.tool_calls))
        user, cut = self._key.user_id, {CUT: True} if first.finish_reason == "length" else {}
        if self._kept is not None:
            turn = Turn(known.request_id, _written(added, cut))
            if self._book.add(user, self._kept, self._kept.options, turn, next_only=True):
                return
            self._book.find(user, user, self._kept.id)  # what was forgotten meanwhile is not kept again
        whole = Turn(known.request_id, _written((*self._before, *added), cut))
        self._book.begin(user, user, ask.request.feature, {}, whole)


def _written(messages: Sequence[Message], beside: dict[str, Any]) -> list[dict[str, Any]]:
    """Messages as they are kept, the last one with what stands beside it."""
    *before, last = (message.as_json() for message in messages)
    return [*before, last | beside]


def earlier(book: Conversations, settings: Settings, key: ApiKey, body: Document) -> Earlier:
    """What a body goes on with. Raises UsageError, HttpError 404 where the response that it names is not kept."""
    name = body.get("previous_response_id")
    if not name or not settings["conversations.keep"]:
        return Earlier(book, key, None)
    return Earlier(book, key, up_to(book, key, name))


def name_of(kept: Conversation, at: int) -> str:
    """The name of the response that a turn of a conversation is."""
    turn = kept.turns[at].request_id
    return f"resp_{turn}" if turn == kept.id else f"resp_{turn}_{kept.id}"


def up_to(book: Conversations, key: ApiKey, name: Any) -> Conversation:
    """The conversation that a response is of, with its turns up to the response. Raises HttpError 404 where it is not kept."""
    found = _NAME.fullmatch(name) if isinstance(name, str) else None
    for conversation in reversed(found.groups()) if found else ():
        kept = _find(book, key, conversation) if conversation else None
        names = [turn.request_id for turn in kept.turns] if kept else []
        if kept and found and found[1] in names:
            return kept._replace(turns=kept.turns[: names.index(found[1]) + 1])
    raise HttpError(
        404, f"there is no response {str(name)!r:.80}", "it may have been forgotten, or not stored", code="not_found"
    )


def _find(book: Conversations, key: ApiKey, name: str) -> Conversation | None:
    try:
        return book.find(key.user_id, key.user_id, name)
    except UsageError:
        return None
