"""A plain line read without Typer, which takes half of a short command's time to import.

Plain: the command's name, its options as they are declared, one value each, and its arguments. Anything else (help, a
mistake, ``--``, a value that begins with a dash, a type of its own) is left to Typer: what is read here is what it reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from nexscout_cli.cli import declared

Call = tuple[declared.Function, dict[str, Any]]

_TEXT, _SWITCH, _WHOLE, _NUMBER, _LIST = "text", "switch", "whole", "number", "list"
_KINDS: dict[Any, str] = {
    str: _TEXT,
    str | None: _TEXT,
    bool: _SWITCH,
    bool | None: _SWITCH,
    int: _WHOLE,
    int | None: _WHOLE,
    float: _NUMBER,
    float | None: _NUMBER,
    list[str] | None: _LIST,
}
_KNOWN = {"help", "metavar", "show_default", "min", "max"}
"""What may be said of a parameter that is read here: each of them is minded, or changes nothing but the help."""


class _NotPlain(Exception):
    """Typer is to read this line."""


def read(app: declared.App, words: Sequence[str]) -> list[Call] | None:
    """What to call for a line, in this order; None where the line is not plain."""
    calls: list[Call] = []
    try:
        while app.is_group:
            name = words[0] if words else ""
            command = next((each for each in app.commands if each.name == name), None)
            if app.before is not None and (command or name in app.groups):
                calls.append((app.before, _before(app.before, name)))
            words = words[1:]
            if command:
                return [*calls, (command.function, _values(command.function, words))]
            if name not in app.groups:
                return None
            app = app.groups[name]
        return [*calls, (app.commands[0].function, _values(app.commands[0].function, words))]
    except _NotPlain:
        return None


def _before(function: declared.Function, name: str) -> dict[str, Any]:
    """What a function in front of the commands is given where none of its options are."""
    return {
        each.name: declared.Context(name) if each.type is declared.Context else each.default
        for each in declared.parameters(function)
    }


def _values(function: declared.Function, words: Sequence[str]) -> dict[str, Any]:
    parameters = declared.parameters(function)
    flags, arguments = _flags(parameters)
    values: dict[str, Any] = {}
    bare: list[str] = []
    rest = iter(words)
    for word in rest:
        if not word.startswith("-") or word == "-":
            bare.append(word)
            continue
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if name not in flags:
            raise _NotPlain
        parameter, state = flags[name]
        _take(values, parameter, _said(parameter, state, value if equals else None, rest))
    if len(bare) > len(arguments):
        raise _NotPlain
    for argument, word in zip(arguments, bare, strict=False):
        _take(values, argument, _read(argument, word))
    for parameter in parameters:
        if parameter.name not in values:
            if parameter.default is declared.REQUIRED:
                raise _NotPlain
            values[parameter.name] = parameter.default
    return values


def _flags(
    parameters: Sequence[declared.Parameter],
) -> tuple[dict[str, tuple[declared.Parameter, bool]], list[declared.Parameter]]:
    """Options by their flags, each with what a switch becomes by it; and the arguments."""
    flags: dict[str, tuple[declared.Parameter, bool]] = {}
    arguments = []
    for parameter in parameters:
        if not isinstance(parameter.declared, declared.Option):
            arguments.append(parameter)
            continue
        for flag in parameter.declared.flags:
            on, _, off = flag.partition("/")
            flags[on] = parameter, True
            if off:
                flags[off] = parameter, False
    return flags, arguments


def _said(parameter: declared.Parameter, state: bool, value: str | None, rest: Iterator[str]) -> Any:
    """What an option is given: a switch by its flag, another by ``=`` or by the next word."""
    if _KINDS.get(parameter.type) == _SWITCH:
        if value is not None:
            raise _NotPlain
        return state
    if value is None:
        value = next(rest, "-")
    if value.startswith("-"):
        raise _NotPlain
    return _read(parameter, value)


def _read(parameter: declared.Parameter, word: str) -> Any:
    """A word as a value of the parameter's type."""
    kind = _KINDS.get(parameter.type)
    said = parameter.declared.said if parameter.declared else {}
    if kind in (None, _SWITCH) or not said.keys() <= _KNOWN:
        raise _NotPlain
    if kind in (_TEXT, _LIST):
        return word
    if not word.replace(".", "", kind == _NUMBER).isdecimal() or not word.isascii() or len(word) > 15:
        raise _NotPlain
    number = int(word) if kind == _WHOLE else float(word)
    if not said.get("min", number) <= number <= said.get("max", number):
        raise _NotPlain
    return number


def _take(values: dict[str, Any], parameter: declared.Parameter, value: Any) -> None:
    """Add a value; only a list is given more than once."""
    if _KINDS.get(parameter.type) == _LIST and isinstance(parameter.declared, declared.Option):
        values.setdefault(parameter.name, []).append(value)
    elif parameter.name in values or _KINDS.get(parameter.type) == _LIST:
        raise _NotPlain
    else:
        values[parameter.name] = value
