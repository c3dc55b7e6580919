"""A request's texts: as they were given, and as the messages that are sent."""

from __future__ import annotations

import json
from collections.abc import Callable

from nexscout_cli.engine.chat import SYSTEM, Message, message_of
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.plan_types import Shape
from nexscout_cli.engine.request import AIRequest

Count = Callable[[str, str], tuple[int, bool]]
"""Tokens of a text for a litellm model, and whether that model's provider counts the same way."""


def context_text(request: AIRequest) -> str:
    """The context as it is sent: JSON, or the text itself."""
    if request.context is None:
        return ""
    if isinstance(request.context, str):
        return request.context
    return json.dumps(request.context, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def originals(request: AIRequest) -> tuple[str, ...]:
    """The texts of a request as they were given: prompt, context, attachments."""
    return (request.prompt, context_text(request), *(a.text for a in request.attachments))


def user_text(request: AIRequest, texts: tuple[str, ...]) -> str:
    """The user's message that those texts make."""
    prompt, context, *attachments = texts
    user = [prompt]
    if context:
        user.append(f"Context:\n{context}")
    user += [
        f'<attachment name="{a.name}">\n{text}\n</attachment>'
        for a, text in zip(request.attachments, attachments, strict=True)
    ]
    return "\n\n".join(user)


def messages(request: AIRequest, model: Model, shape: Shape, texts: tuple[str, ...]) -> tuple[Message, ...]:
    """The messages of a call: system text and instructions, the conversation so far, then the user's.

    A conversation's own system text stands first, as it was written. The answer's shape is not asked for in words where the
    answer's form is given, or tools may be called: what is said of length would bend them.
    """
    first = 0
    while first < len(request.messages) and request.messages[first].role in SYSTEM:
        first += 1
    own, before = request.messages[:first], request.messages[first:]
    free = not request.options.wants_json and request.options.tools is None
    added = [part for part in (request.options.system, model.instruction, shape.instructions if free else "") if part]
    system = own
    if own and own[-1].plain and own[-1].role == "system":
        system = (*own[:-1], own[-1]._replace(content="\n".join([own[-1].content, *added])))
    elif added:
        system = (*own, Message("system", "\n".join(added)))
    if not request.prompt:
        return (*system, *before)
    user = message_of("user", [user_text(request, texts), *request.images])
    return (*system, *before, user)
