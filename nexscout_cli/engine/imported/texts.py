"""Prompts in the shapes that logs keep them in, as roles and texts."""

from __future__ import annotations

from typing import Any

Messages = tuple[tuple[str, str], ...]
_ROLES = {"system", "user", "assistant", "developer", "tool"}


def messages_of(value: Any) -> Messages | None:
    """A prompt's messages: a text, a list of messages, or an object that has one; None where there is no text."""
    if isinstance(value, str):
        return (("user", value),) if value.strip() else None
    if isinstance(value, dict):
        for key in ("messages", "input", "prompt"):
            if key in value:
                return messages_of(value[key])
        return messages_of([value]) if "role" in value else None
    if not isinstance(value, list):
        return None
    found = tuple((role(one.get("role")), text_of(one.get("content"))) for one in value if isinstance(one, dict))
    return found if any(text for _, text in found) else None


def role(value: Any) -> str:
    """A role as we know it; what is none is the user's."""
    return "system" if value == "developer" else value if value in _ROLES else "user"


def text_of(content: Any) -> str:
    """The text of a message's content: text, or parts of which some are."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "\n".join(
        str(part["text"]) for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)
    )
