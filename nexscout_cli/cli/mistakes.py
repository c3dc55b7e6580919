"""What is wrong with a command line, in plain words. What is not known here is told in Typer's."""

from __future__ import annotations

import re
from typing import Any

_NO_NUMBER = re.compile(r"^(?P<value>.*) is not (?:a valid (?:int|float)\b|in the range\b)", re.DOTALL)
_NO_COMMAND = re.compile(r"^No such command '(?P<name>.*?)'\.(?: Did you mean (?P<near>.*)\?)?$", re.DOTALL)
_EXTRA = re.compile(r"^Got unexpected extra argument(?:s|\(s\))? \((?P<words>.*)\)$", re.DOTALL)
_NEEDS = re.compile(r"^Option (?P<name>\S+) requires an argument")
_TAKES_NONE = re.compile(r"^Option (?P<name>\S+) does not take a value")


def told(error: Any) -> tuple[str, str]:
    """A mistake as Typer raises it: what is wrong, and what to do."""
    kind, text = type(error).__name__, error.format_message().replace("\n", " ")
    path = error.ctx.command_path if getattr(error, "ctx", None) else "nexscout"
    shows = f"`{path} --help` shows what there is"
    raw = str(getattr(error, "message", text))
    if kind == "NoSuchOption":
        near = sorted(error.possibilities or ())
        asked = f"did you mean {' or '.join(filter(None, (', '.join(near[:-1]), near[-1])))}? " if near else ""
        return f"there is no option {error.option_name}", asked + shows
    if kind == "MissingParameter":
        return f"{_name(error.param)} is missing", shows
    if kind == "BadParameter" and (found := _NO_NUMBER.match(raw)) and (wanted := _number(error.param)):
        return f"{_name(error.param)} is {wanted}, not {found['value'].strip(chr(39)):.80}", shows
    if found := _NO_COMMAND.match(raw):
        near = f"did you mean {found['near'].replace(chr(39), '')}? " if found["near"] else ""
        return f"there is no command {found['name']!r:.80}", near + shows
    if found := _EXTRA.match(raw):
        return f"too many words: {found['words']:.80}", f"put quotes around a text of several words; {shows}"
    if found := _NEEDS.match(raw):
        return f"{_unquoted(found['name'])} needs a value", shows
    if found := _TAKES_NONE.match(raw):
        return f"{_unquoted(found['name'])} takes no value", shows
    return text, shows


def _unquoted(name: str) -> str:
    return name.strip("'")


def _name(parameter: Any) -> str:
    """``--limit`` or ``PROMPT``."""
    if parameter is None:
        return "a value"
    if parameter.param_type_name == "option":
        return str(max(parameter.opts, key=len))
    return str(parameter.metavar or parameter.name).strip("[]")


def _number(parameter: Any) -> str:
    """Which numbers a parameter takes; empty for one that takes none."""
    known = getattr(parameter, "type", None)
    kind = {"int": "a whole number", "float": "a number"}.get(str(getattr(known, "name", "")).partition(" ")[0], "")
    low, high = getattr(known, "min", None), getattr(known, "max", None)
    if kind and low is not None and high is not None:
        return f"{kind} from {low} to {high}"
    if kind and low is not None:
        return f"{kind}, at least {low}"
    return f"{kind}, at most {high}" if kind and high is not None else kind
