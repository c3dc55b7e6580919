"""Conversations on a command line: which one goes on, and what its next request takes from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from nexscout_cli.cli import declared

if TYPE_CHECKING:
    from nexscout_cli.cli.request_options import Given
    from nexscout_cli.cli.session import Session
    from nexscout_cli.engine.conversations import Conversation
    from nexscout_cli.engine.pipeline import Engine
    from nexscout_cli.engine.request import AIRequest
    from nexscout_cli.engine.talk import Talk

Continue = Annotated[bool, declared.Option("-C", "--continue", help="Go on with the latest conversation.")]
Named = Annotated[
    str | None,
    declared.Option("--conversation", metavar="ID", help="Go on with this conversation (its beginning will do)."),
]


def earlier(session: Session, given: Given, latest: bool, name: str | None) -> Conversation | None:
    """The conversation that is to go on, or None. ``given`` gets its feature, and its messages are read as what follows it.

    Raises UsageError where there is none, or where conversations are not kept.
    """
    if not latest and name is None:
        return None
    from nexscout_cli.cli import chat_files
    from nexscout_cli.engine import talk

    user = session.subject(given["user_id"])
    kept = talk.earlier(session.store.conversations, session.settings, session.actor, user, name)
    given["feature"] = given["feature"] or kept.feature
    if given["messages"] is not None:
        limit = session.settings["firewall.max_bytes"]
        given["messages"] = chat_files.messages(given["messages"], limit, talk.messages_of(kept))
    return kept


def says_nothing(text: str | None, latest: bool, name: str | None) -> bool:
    """Whether there is no prompt; an empty pipe is none where a conversation goes on."""
    return text is None or ((latest or name is not None) and not text.strip())


def next_turn(kept: Conversation | None, asked: AIRequest) -> AIRequest:
    """The request as a turn of the conversation that goes on, where one does. Raises UsageError."""
    if kept is None:
        return asked
    from nexscout_cli.engine import talk

    return talk.next_turn(kept, asked)


def talk(session: Session, engine: Engine, kept: Conversation | None) -> Talk | None:
    """The conversation that a request is a turn of; None where none goes on and none is kept."""
    if kept is None and not session.settings["conversations.keep"]:
        return None
    from nexscout_cli.engine.talk import Talk

    return Talk(engine, session.store.conversations, kept)
