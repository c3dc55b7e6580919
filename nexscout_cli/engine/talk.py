"""A conversation turn by turn: what was said before goes with each request, and what is said is kept where it may be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nexscout_cli.engine.chat import Message, ToolCall, conversation, message_of
from nexscout_cli.engine.conversations import Turn
from nexscout_cli.engine.planning.texts import originals, user_text
from nexscout_cli.errors import NexScoutError, UsageError

if TYPE_CHECKING:
    from nexscout_cli.config import Settings
    from nexscout_cli.engine.call import OnText
    from nexscout_cli.engine.conversations import Conversation, Conversations
    from nexscout_cli.engine.pipeline import Confirm, Engine
    from nexscout_cli.engine.request import AIRequest
    from nexscout_cli.engine.response import AIResponse

REMEMBERED = ("system", "force_model", "mode", "effort", "tools")
"""The options that a conversation goes on with where a turn does not say otherwise."""


def earlier(book: Conversations, settings: Settings, actor: str, user_id: str, name: str | None) -> Conversation:
    """The kept conversation of a user whose name begins so; None: the one used last.

    Raises UsageError where there is none, or where conversations are not kept.
    """
    if not settings["conversations.keep"]:
        raise UsageError(
            "conversations are not kept, so none can be continued",
            "`nexscout config set conversations.keep on` keeps them from then on",
        )
    return book.find(actor, user_id, name)


CUT = "cut"
"""The key beside an answer's message that was cut at its bound."""


def messages_of(kept: Conversation) -> tuple[Message, ...]:
    """All messages of a kept conversation, in their order."""
    said = [{k: v for k, v in message.items() if k != CUT} for turn in kept.turns for message in turn.messages]
    return conversation(said) if said else ()


def next_turn(kept: Conversation, request: AIRequest) -> AIRequest:
    """The request as a turn of a kept conversation. Raises UsageError where it passes over a tool call."""
    said = messages_of(kept)
    _check_answered(_open_calls(said), request)
    return _next(said, kept.options, request)


def _next(said: tuple[Message, ...], remembered: Mapping[str, Any], request: AIRequest) -> AIRequest:
    """The request after what was said, with the options that it does not say otherwise."""
    options = request.options
    chosen = options.force_model is not None or options.mode is not None
    more = {
        name: value
        for name, value in remembered.items()
        if getattr(options, name) is None and not (chosen and name in ("force_model", "mode"))
    }
    return request._replace(messages=(*said, *request.messages), options=options._replace(**more))


def _open_calls(said: tuple[Message, ...]) -> tuple[ToolCall, ...]:
    return said[-1].tool_calls if said else ()


class Talk:
    """A conversation of one user. Each turn is written right after its answer was posted, in a transaction of its own.

    A crash in between loses the turn: the answer is paid and in the books, and the conversation does not have it.
    ``kept``: the conversation that it goes on with. ``name``: what it is kept under, None while it is not.
    """

    def __init__(self, engine: Engine, book: Conversations, kept: Conversation | None = None) -> None:
        self._engine = engine
        self._book = book
        self._kept = kept
        self.name = kept.id if kept else None
        self.turns = kept.length if kept else 0
        self.paid = kept.cost if kept else 0
        """Nano-dollars that it has cost so far, with what calls of unknown outcome may still cost."""
        self._options: dict[str, Any] = dict(kept.options) if kept else {}
        self._said = messages_of(kept) if kept else ()

    @property
    def open_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls of the last turn, whose results the next one must bring."""
        return _open_calls(self._said)

    def request(self, request: AIRequest) -> AIRequest:
        """The request as it is made in this conversation: what was said before, and the options that it goes on with."""
        return _next(self._said, self._options, request)

    def say(self, request: AIRequest, on_text: OnText | None = None, confirm: Confirm | None = None) -> AIResponse:
        """Answer the next turn. It belongs to the conversation once it has an answer. Raises as :meth:`Engine.run`."""
        _check_answered(self.open_calls, request)
        whole = self.request(request)
        response = self._engine.run(whole, on_text, confirm)
        self.paid += response.paid
        answer = _answer(response)
        if answer is None:
            return response
        added = (*request.messages, *_question(request), answer)
        self._said = (*self._said, *added)
        self._options = {name: value for name in REMEMBERED if (value := getattr(whole.options, name)) is not None}
        self.turns += 1
        return self._keep(whole, added, response)

    def _keep(self, request: AIRequest, added: tuple[Message, ...], response: AIResponse) -> AIResponse:
        """Write the turn, if it may be. That it could not be is a warning: the answer is there, and paid."""
        if not self._engine.settings["conversations.keep"]:
            return response
        known = response.metadata
        assert known is not None
        turn = Turn(known.request_id, [message.as_json() for message in added])
        actor = self._engine.actor
        try:
            if self._kept is None and self.name is None:
                self._book.begin(actor, request.user_id, request.feature, self._options, turn)
                self.name = turn.request_id
                self._kept = self._book.find(actor, request.user_id, self.name)
            elif self._kept is None or not self._book.add(actor, self._kept, self._options, turn):
                self._kept = None
                raise UsageError("the conversation was forgotten meanwhile")
        except NexScoutError as error:
            warning = f"this turn was not kept: {error.message}"
            return response._replace(metadata=known._replace(warnings=(*known.warnings, warning)))
        return response


def _check_answered(calls: tuple[ToolCall, ...], request: AIRequest) -> None:
    """Refuse a turn that passes over a tool call of the turn before: providers do, too. Raises UsageError."""
    given = {message.tool_call_id for message in request.messages}
    if missing := next((call for call in calls if call.id not in given), None):
        raise UsageError(
            f"the model called {missing.name}, and the call {missing.id!r} has no answer yet",
            "give its result in a file of --messages: "
            f'[{{"role": "tool", "tool_call_id": {json.dumps(missing.id)}, "content": "…"}}]',
        )


def _question(request: AIRequest) -> tuple[Message, ...]:
    """The user's message as it is sent, before it is shortened; none where the messages are the whole conversation."""
    if not request.prompt:
        return ()
    return (message_of("user", [user_text(request, originals(request)), *request.images]),)


def _answer(response: AIResponse) -> Message | None:
    """The assistant's message; None where there is no answer, or it was given and kept before."""
    if not response.success or response.replayed or response.metadata is None:
        return None
    first = response.answers[0]
    if not (first.text.strip() or first.tool_calls):
        return None
    return Message("assistant", first.text, tool_calls=first.tool_calls)
