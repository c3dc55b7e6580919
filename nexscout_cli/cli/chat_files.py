"""What a command line names of a chat request: files with pictures, tools, schemas and conversations."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nexscout_cli import files
from nexscout_cli.engine.chat import Image, Message, conversation, image, picture_kind
from nexscout_cli.engine.chat_options import concise, format_for
from nexscout_cli.errors import Blocked, UsageError

MAX_IMAGE_BYTES = 20_000_000


def tools(name: str, limit: int) -> Any:
    """The functions of a file: a JSON list, each whole, or as ``{"name": …, "parameters": …}`` alone."""
    found = _json(name, limit)
    if not isinstance(found, list):
        found = [found]
    return [
        {"type": "function", "function": tool} if isinstance(tool, dict) and "name" in tool else tool for tool in found
    ]


def tool_choice(text: str, limit: int) -> Any:
    """A word of chat completions, or a function by its name."""
    if text in ("auto", "none", "required"):
        return text
    return {"type": "function", "function": {"name": text}}


def schema(text: str, limit: int) -> Any:
    """The form of an answer: ``json`` for any object, a file with a JSON schema, or fields in a line."""
    if text == "json":
        return {"type": "json_object"}
    text = text.removeprefix("@")
    path = Path(text)
    if text.endswith(".json") or (len(text) < 255 and path.is_file()):
        found = _json(text, limit)
        if not isinstance(found, dict):
            raise UsageError(f"{text} is not a JSON schema", 'for instance {"type": "object", "properties": {}}')
        return format_for(found)
    if text.lstrip()[:1] == "{":
        return format_for(files.parse_json(text, "--schema"))
    return format_for(concise(text))


def stop(text: str, limit: int) -> Any:
    """The text itself."""
    return text


def images(names: list[str], limit: int) -> tuple[Image, ...]:
    """Pictures: files become data URLs, https addresses stay. Raises UsageError, Blocked."""
    return tuple(_picture(name) for name in names)


def messages(name: str, limit: int, before: tuple[Message, ...] = ()) -> tuple[Message, ...]:
    """A conversation: a JSON list of messages, or an object that has it as ``messages``. ``before``: what it goes on from."""
    found = _json(name, limit)
    if isinstance(found, dict) and "messages" in found:
        if other := sorted(found.keys() - {"messages"}):
            raise UsageError(
                f"{name} has {other[0]!r:.60} beside its messages, and of it only those are read",
                "leave it out of the file, and give it as an option",
            )
        found = found["messages"]
    return conversation(found, before=before)


READ: dict[str, Callable[[Any, int], Any]] = {
    "tools": tools,
    "tool_choice": tool_choice,
    "response_format": schema,
    "stop": stop,
    "images": images,
    "messages": messages,
}
"""How what was said for an option is read, by its name."""


def _json(name: str, limit: int) -> Any:
    name = name.removeprefix("@")  # as a prompt's file is written
    return files.parse_json(files.read_text(Path(name).expanduser(), limit), name)


def _picture(name: str) -> Image:
    if name.startswith(("https://", "http://", "data:")):
        return image(name, "auto", "--image")
    try:
        data = files.read_regular(Path(name).expanduser(), MAX_IMAGE_BYTES)
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"cannot read {name:.300}: {getattr(error, 'strerror', None) or error}", "check the name"
        ) from error
    except UsageError as error:  # what is said there is for texts
        raise UsageError(f"--image: {error.message}", "give a picture: PNG, JPEG, GIF or WebP") from error
    except Blocked as error:
        raise Blocked(error.message, "send a smaller picture", code=error.code) from error
    kind = picture_kind(data)
    if kind is None:
        raise UsageError(f"{name:.300} is not a picture that models take", "PNG, JPEG, GIF or WebP")
    return image(f"data:image/{kind};base64,{base64.b64encode(data).decode()}", "auto", "--image")
