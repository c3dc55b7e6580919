"""A request from the fields of a batch line: what is missing comes from defaults, what is wrong is said."""

from __future__ import annotations

from collections.abc import Callable

from nexscout_cli.engine import option_names, options
from nexscout_cli.engine.chat import Image, as_pictures, conversation
from nexscout_cli.engine.request import AIRequest, Attachment, Json, Options
from nexscout_cli.errors import UsageError

FIELDS = ("id", "prompt", "user", *options.FIELDS, "options")
"""The names a line may have; ``user`` is another word for ``user_id``."""

ReadAttachment = Callable[[str], Attachment]


def parse(row: Json, defaults: AIRequest, attach: ReadAttachment) -> AIRequest:
    """The request a line stands for. Raises UsageError with the field that is wrong."""
    if not isinstance(row, dict):
        raise UsageError("the line is not a JSON object", 'for instance {"id": "1", "prompt": "…"}')
    if unknown := [str(name) for name in row if name not in FIELDS]:
        raise _unknown_field(unknown[0])
    prompt, user = _text(row, "prompt"), _text(row, "user")
    if prompt is None and not row.get("messages"):
        raise UsageError("the line has no prompt", 'for instance {"id": "1", "prompt": "…"}')
    given: dict[str, Json] = {} if user is None else {"user_id": user}
    for name, field in options.FIELDS.items():
        value = _text(row, name) if field.kind == "text" else row.get(name)
        if value is not None:
            given.setdefault(name, READ[field.kind](value, attach) if field.kind in READ else value)
    return defaults._replace(prompt=prompt or "", options=_options(row.get("options") or {}, defaults.options), **given)


def _unknown_field(name: str) -> UsageError:
    if name in options.OPTIONS:
        return UsageError(f"there is no field {name!r:.80}", f'it is an option: "options": {{"{name}": …}}')
    return UsageError(f"there is no field {name!r:.80}", f"fields: {', '.join(FIELDS)}")


def _text(row: dict[str, Json], name: str) -> str | None:
    value = row.get(name)
    if value is not None and not isinstance(value, str):
        raise UsageError(f"{name} is text, not {type(value).__name__}", "put it in quotes")
    return value


def _attached(names: Json, attach: ReadAttachment) -> tuple[Attachment, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError("attachments is a list of file names", 'for instance ["notes.txt"]')
    return tuple(attach(name) for name in names)


def _pictures(given: Json, attach: ReadAttachment) -> tuple[Image, ...]:
    """Pictures by address: a row names no picture's file."""
    return as_pictures(given)


READ: dict[str, Callable[[Json, ReadAttachment], Json]] = {
    "files": _attached,
    "images": _pictures,
    "messages": lambda value, attach: conversation(value),
}
"""How a field is read whose value in a program is not what stands in JSON."""


def _options(given: Json, defaults: Options) -> Options:
    if not isinstance(given, dict):
        raise UsageError("options is a JSON object", 'for instance {"max_tokens": 200}')
    values: dict[str, Json] = {}
    for name, value in given.items():
        option = options.OPTIONS.get(name)
        if option is None:
            near = option_names.nearest(str(name))
            names = f"options: {', '.join(options.OPTIONS)}"
            raise UsageError(f"there is no option {name!r:.80}", f"did you mean {near}?" if near else names)
        if value is not None:
            values[name] = options.from_json(option, value, f"option {name}")
    return defaults._replace(**values)
