"""A conversation in the format of chat completions: its messages as values, read from JSON and written back.

Source: OpenAI API reference, "Create chat completion", field ``messages``.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from typing import Any, NamedTuple

from nexscout_cli.errors import UsageError

Json = Any

SYSTEM = ("system", "developer")
ROLES = (*SYSTEM, "user", "assistant", "tool")
DETAILS = ("auto", "low", "high")
_DATA = r"(?i)data:(image/(?:png|jpeg|gif|webp));base64,"
_BASE64 = r"[A-Za-z0-9+/]+={0,2}"
_HEAD = 16
"""Characters of base64 in which a picture's kind shows."""
_NAME = r"[A-Za-z0-9_-]{1,64}"
_ADDRESS = r"https://[^\s/\"<>\\]+(?:/[^\s\"<>\\]*)?"
# Patterns are compiled where they are used: most commands never read a conversation.
_PICTURES = ((b"\x89PNG\r\n", "png"), (b"\xff\xd8\xff", "jpeg"), (b"GIF8", "gif"), (b"RIFF", "webp"))
_FIELDS = {
    "system": {"role", "content", "name"},
    "developer": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "tool_calls", "refusal"},
    "tool": {"role", "content", "tool_call_id"},
}
_EXAMPLE = '[{"role": "user", "content": "Hello"}]'


class Image(NamedTuple):
    """A picture in a user's message: a data URL (PNG, JPEG, GIF, WebP in base64) or an https address.

    ``detail``: auto, low or high.
    """

    url: str
    detail: str = "auto"

    @property
    def embedded(self) -> tuple[str, str] | None:
        """Its media type and base64 text, where the picture itself is in the URL."""
        found = re.match(_DATA, self.url)
        return (found[1].lower(), self.url[found.end() :]) if found else None


class ToolCall(NamedTuple):
    """A function that the model wants to be called; ``arguments`` is JSON text, as the model wrote it."""

    id: str
    name: str
    arguments: str

    def as_json(self) -> dict[str, Json]:
        """As chat completions write it."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}

    @classmethod
    def from_json(cls, kept: dict[str, Json]) -> ToolCall:
        """The call that :meth:`as_json` made."""
        return cls(kept["id"], kept["function"]["name"], kept["function"]["arguments"])


class Message(NamedTuple):
    """One chat message. ``content`` is all of its text.

    ``parts``: text and pictures in their order, where there is more than one text. ``tool_calls`` are an assistant's,
    ``tool_call_id`` says which of them a tool's message answers, ``name`` tells participants of one role apart.
    """

    role: str
    content: str
    parts: tuple[str | Image, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None

    @property
    def pieces(self) -> tuple[str | Image, ...]:
        """Text and pictures in their order; no empty text."""
        return self.parts or ((self.content,) if self.content else ())

    @property
    def images(self) -> tuple[Image, ...]:
        """Its pictures."""
        return tuple(part for part in self.parts if isinstance(part, Image))

    @property
    def plain(self) -> bool:
        """Whether it is a role and a text, and nothing else."""
        return not (self.parts or self.tool_calls or self.tool_call_id or self.name)

    def as_json(self) -> dict[str, Json]:
        """As chat completions write it."""
        content: Json = self.content
        if self.parts:
            content = [_part_as_json(part) for part in self.parts]
        elif self.tool_calls and not self.content:
            content = None
        message: dict[str, Json] = {"role": self.role, "content": content}
        if self.tool_calls:
            message["tool_calls"] = [call.as_json() for call in self.tool_calls]
        if self.tool_call_id is not None:
            message["tool_call_id"] = self.tool_call_id
        if self.name is not None:
            message["name"] = self.name
        return message


def message_of(role: str, parts: list[str | Image], **more: Json) -> Message:
    """A message of texts and pictures; a single text makes a plain one."""
    content = "\n".join(part for part in parts if isinstance(part, str))
    several = len(parts) > 1 or any(isinstance(part, Image) for part in parts)
    return Message(role, content, tuple(parts) if several else (), **more)


def conversation(value: Json, label: str = "messages", before: tuple[Message, ...] = ()) -> tuple[Message, ...]:
    """The messages of a JSON list. Raises UsageError that names the message and the field that is wrong.

    ``before``: messages that they go on from, whose tool calls they may answer.
    """
    if not isinstance(value, list) or not value:
        raise UsageError(f"{label} is a list of messages", f"for instance {_EXAMPLE}")
    found: list[Message] = []
    called = {call.id for message in before for call in message.tool_calls}
    for number, one in enumerate(value):
        where = f"{label}[{number}]"
        message = _message(one, where)
        called |= {call.id for call in message.tool_calls}
        if message.role == "tool" and message.tool_call_id not in called:
            raise UsageError(
                f"{where}.tool_call_id {message.tool_call_id!r:.60} is the id of no tool call before it",
                "a tool's message follows the assistant's message that calls it",
            )
        found.append(message)
    return tuple(found)


def as_messages(given: Json) -> tuple[Message, ...]:
    """Messages as values from what a program has: values, or JSON as :func:`conversation` reads it. Raises UsageError."""
    if isinstance(given, tuple) and all(isinstance(one, Message) for one in given):
        return given
    if not isinstance(given, list | tuple):
        raise UsageError("messages is a list of messages", f"for instance {_EXAMPLE}")
    return conversation([one.as_json() if isinstance(one, Message) else one for one in given]) if given else ()


def as_pictures(given: Json) -> tuple[Image, ...]:
    """Pictures as values from what a program has: values, or their addresses. Raises UsageError."""
    if not isinstance(given, list | tuple):
        raise UsageError("images is a list of addresses", 'for instance ["https://example.com/a.png"]')
    return tuple(
        one if isinstance(one, Image) else image(one, "auto", f"images[{number}]") for number, one in enumerate(given)
    )


def asked(messages: tuple[Message, ...]) -> str:
    """The text of the last user message; empty where there is none."""
    return next((message.content for message in reversed(messages) if message.role == "user"), "")


def _message(one: Json, where: str) -> Message:
    if not isinstance(one, dict):
        raise UsageError(f"{where} is not a JSON object", f"for instance {_EXAMPLE}")
    role = one.get("role")
    if role not in ROLES:
        raise UsageError(f"{where}.role cannot be {role!r:.40}", f"one of: {', '.join(ROLES)}")
    said = {name: value for name, value in one.items() if value is not None}
    if unknown := sorted(said.keys() - _FIELDS[role]):
        raise UsageError(f"{where}.{unknown[0]:.40} is not known in a message of {role}", "leave it out")
    if said.get("refusal"):
        raise UsageError(f"{where}.refusal is not taken", "leave the message out, or give its text as content")
    calls = _calls(said.get("tool_calls"), where) if role == "assistant" else ()
    parts = _parts(said.get("content"), role, where, empty=bool(calls))
    answers = said.get("tool_call_id")
    if role == "tool" and not (isinstance(answers, str) and answers):
        raise UsageError(f"{where} has no tool_call_id", "it says which call the message answers")
    name = said.get("name")
    if name is not None and not (isinstance(name, str) and re.fullmatch(_NAME, name)):
        raise UsageError(f"{where}.name cannot be {name!r:.40}", "up to 64 letters, digits, - and _")
    return message_of(role, parts, tool_calls=calls, tool_call_id=answers, name=name)


def _parts(content: Json, role: str, where: str, *, empty: bool) -> list[str | Image]:
    if content is None and empty:
        return []
    if isinstance(content, str):
        return [_text(content, f"{where}.content")] if content or not empty else []
    if not isinstance(content, list) or not content:
        raise UsageError(f"{where}.content is neither text nor a list of parts", f"for instance {_EXAMPLE}")
    return [_part(part, role, f"{where}.content[{number}]") for number, part in enumerate(content)]


def _part(part: Json, role: str, where: str) -> str | Image:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and part.keys() <= {"type", "text"}:
        return _text(part.get("text"), f"{where}.text")
    if kind == "image_url" and role == "user" and part.keys() <= {"type", "image_url"}:
        given = part.get("image_url")
        given = {"url": given} if isinstance(given, str) else given
        if isinstance(given, dict) and given.keys() <= {"url", "detail"}:
            return image(given.get("url"), given.get("detail") or "auto", f"{where}.image_url.url")
    wanted = "text, or image_url" if role == "user" else "text"
    if kind in ("text", "image_url") and isinstance(part, dict):
        extra = sorted(part.keys() - {"type", kind})
        raise UsageError(f"{where}{'.' + extra[0] if extra else ''} is not taken", f"a part of {role} is {wanted}")
    raise UsageError(f"{where}.type cannot be {kind!r:.40} in a message of {role}", f"one of: {wanted}")


def picture_kind(data: bytes) -> str | None:
    """Which kind of picture that providers take bytes begin as (png, jpeg, gif, webp); None for anything else."""
    kind = next((kind for first, kind in _PICTURES if data.startswith(first)), None)
    return None if kind == "webp" and data[8:12] != b"WEBP" else kind


def image(url: Json, detail: Json, where: str) -> Image:
    """A picture, checked. Raises UsageError for an address that is neither an image's data URL nor https.

    ``where`` is what an error calls it.
    """
    if detail not in DETAILS:
        raise UsageError(
            f"{where.removesuffix('.url')}.detail cannot be {detail!r:.40}", f"one of: {', '.join(DETAILS)}"
        )
    if isinstance(url, str):
        found = Image(url, detail)
        if (data := found.embedded) is not None and len(data[1]) % 4 == 0 and re.fullmatch(_BASE64, data[1]):
            if picture_kind(a2b_base64(data[1][:_HEAD])) is None:
                raise UsageError(f"{where} has no picture in its data", "send a whole PNG, JPEG, GIF or WebP")
            return found
        if re.fullmatch(_ADDRESS, url):
            return found
    shown = f"{url!r:.40}" if isinstance(url, str) else f"a {type(url).__name__}"
    raise UsageError(
        f"{where} cannot be {shown}", "an https address, or data:image/png;base64,… (PNG, JPEG, GIF or WebP)"
    )


def _calls(given: Json, where: str) -> tuple[ToolCall, ...]:
    if given is None:
        return ()
    if not isinstance(given, list):
        raise UsageError(f"{where}.tool_calls is not a list", 'for instance [{"id": "1", "type": "function", …}]')
    found = []
    for number, call in enumerate(given):
        at = f"{where}.tool_calls[{number}]"
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or call.get("type", "function") != "function":
            raise UsageError(f"{at} is not a function call", "only functions are taken as tools")
        texts = (call.get("id"), function.get("name"), function.get("arguments", ""))
        if not all(isinstance(text, str) for text in texts) or not texts[0] or not texts[1]:
            raise UsageError(f"{at} needs id, name and arguments as text", "send the call as the model gave it")
        found.append(ToolCall(*(_text(text, at) for text in texts)))
    return tuple(found)


def _text(value: Json, where: str) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{where} is {type(value).__name__}, not text", "give a string")
    if "\0" in value:
        raise UsageError(f"{where} has a NUL character", "send text only")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{where} is not valid text (a lone surrogate)", "send valid UTF-8") from error
    return value


def _part_as_json(part: str | Image) -> dict[str, Json]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    address = {"url": part.url} if part.detail == "auto" else {"url": part.url, "detail": part.detail}
    return {"type": "image_url", "image_url": address}
