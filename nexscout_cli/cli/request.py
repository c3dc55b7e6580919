"""The request that a command line asks for: its options as values, and where the prompt comes from."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from nexscout_cli import files
from nexscout_cli.cli import declared
from nexscout_cli.cli.request_options import Given
from nexscout_cli.cli.session import Session
from nexscout_cli.engine.money import to_nano
from nexscout_cli.engine.names import check_user
from nexscout_cli.engine.options import FIELDS, OPTIONS, TABLE, Option, default_of
from nexscout_cli.engine.request import AIRequest, Options
from nexscout_cli.errors import UsageError

AsJson = Annotated[bool, declared.Option("--json", help="One JSON document on stdout.")]

_SUFFIX = re.compile(
    r"\.(txt|md|rst|json|jsonl|csv|tsv|log|py|js|ts|html|xml|ya?ml|toml|ini|sql|sh|prompt|docx?|pdf|eml)$", re.I
)
_ABSOLUTE = re.compile(r"/[\w.-]+/[\w./-]+$")
_MAX_NAME = 255


def build(session: Session, text: str, given: Given) -> AIRequest:
    """The request of a command line. Raises UsageError for what makes none."""
    settings = session.settings
    if given["user_id"] is not None:
        check_user(given["user_id"])  # an empty name is a script's mistake, and must not charge the actor
    limit = settings["firewall.max_bytes"]
    values = {
        option.name: _value(option, said, limit)
        for option in TABLE
        if (said := given.get(option.name)) not in (None, []) and said is not False
    }
    options = Options(**{name: values[name] for name in OPTIONS if name in values})
    fields = {name: values[name] for name in FIELDS if name in values}
    fields["user_id"] = session.subject(given["user_id"])
    fields.setdefault("feature", settings["feature"])
    return AIRequest(prompt=text, options=options, **fields)


def by_default(session: Session, asked: AIRequest, earlier: Mapping[str, Any] | None = None) -> AIRequest:
    """The request with the model that the setting names, where neither it nor what it goes on with says otherwise."""
    name, said = session.settings["model"], asked.options
    if not name or said.force_model or said.mode or said.policy or {"force_model", "mode"} & (earlier or {}).keys():
        return asked
    return asked._replace(options=said._replace(force_model=name))


def _value(option: Option, said: Any, limit: int) -> Any:
    """What a request holds for what was said on the command line."""
    match option.kind:
        case "switch":
            return not default_of(option)
        case "dollars":
            return dollars(said, option.flags[-1])
        case "json":
            return parse_context(said, limit)
        case "files":
            return tuple(files.attachment(Path(name), limit) for name in said)
        case "messages" if isinstance(said, tuple):  # of a conversation that goes on, read with what was said before
            return said
        case "chat" | "images" | "messages":
            from nexscout_cli.cli import chat_files

            return chat_files.READ[option.name](said, limit)
    return said


def dollars(text: str | None, option: str) -> int | None:
    """Nano-dollars of an option's amount. Raises UsageError."""
    if text is None:
        return None
    try:
        return to_nano(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}", f"for instance {option} 0.05") from error


def parse_context(parts: list[str] | None, limit: int) -> Any:
    """The context from ``k=v`` and ``@file.json`` parts: objects are merged, another JSON value stands alone."""
    if not parts:
        return None
    merged: dict[str, Any] = {}
    for part in parts:
        if part.startswith("@"):
            value = files.parse_json(files.read_text(Path(part[1:]), limit), part[1:])
            if not isinstance(value, dict):
                if len(parts) > 1:
                    raise UsageError(f"{part[1:]} is not a JSON object, so nothing can be added to it", "give it alone")
                return value
            merged |= value
            continue
        name, equals, value = part.partition("=")
        if not equals or not name:
            raise UsageError(
                f"--context {part[:60]!r} is neither KEY=VALUE nor @FILE", "for instance -c company=TechCo"
            )
        merged[name] = value
    return merged


def prompt_for_run(given: str | None, limit: int) -> str | None:
    """The prompt of ``run``: text, ``-``, ``@FILE``, with what is piped in after it; None when there is none at all."""
    if given is None or given == "-":
        return files.read_stdin(limit) if given == "-" or files.stdin_is_piped() else None
    if given.startswith("@"):
        text = _at(given, limit)
    else:
        if _is_file_name(given):
            if _exists(given):
                raise UsageError(f"{given!r} is a file; its name cannot be a prompt", f"did you mean @{given} ?")
            raise UsageError(f"no such file: {given}", f"write @{given} for a file, or more words for a prompt")
        text = given
    if files.stdin_is_piped():
        piped = files.read_stdin(limit)
        if piped.strip():
            text = f"{text}\n\n{piped}"
    return text


def prompt_for_simulate(given: str | None, limit: int) -> str | None:
    """The prompt of ``simulate``: as for ``run``, but a file's name is the file."""
    if given is not None and given != "-" and not given.startswith("@") and (_is_file_name(given) or _exists(given)):
        given = "@" + given
    return prompt_for_run(given, limit)


def _at(given: str, limit: int) -> str:
    return given[1:] if given.startswith("@@") else files.read_text(_home(given[1:]), limit)


def _home(name: str) -> Path:
    """A path with ``~`` for the home folder: behind an @ the shell leaves it alone."""
    return Path(os.path.expanduser(name))  # noqa: PTH111 - Path.expanduser raises for an unknown user


def _is_file_name(text: str) -> bool:
    """Whether a prompt looks like a file's name: one word with a text file's ending, a path, or a file that is there."""
    if len(text) > _MAX_NAME or any(ch.isspace() for ch in text.strip()) or not text.strip():
        return False
    return (
        bool(_SUFFIX.search(text))
        or text.startswith(("./", "../", "~/"))
        or _ABSOLUTE.match(text) is not None
        or _exists(text)
    )


def _exists(text: str) -> bool:
    try:
        return len(text) <= _MAX_NAME and Path(text).is_file()
    except (OSError, ValueError):
        return False
