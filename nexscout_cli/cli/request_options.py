"""The table of request options as options of a command: what Typer is told, and what a request is made of."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer

from nexscout_cli.engine.options import TABLE, Option

Given = dict[str, Any]
"""What stands on a command line, by the names of the table: None, False or an empty list where nothing is said."""

_TYPES = {
    "text": str | None,
    "whole": int | None,
    "number": float | None,
    "switch": bool,
    "dollars": str | None,
    "json": list[str] | None,
    "files": list[str] | None,
    "chat": str | None,
    "images": list[str] | None,
    "messages": str | None,
}


class Entries(tuple[Option, ...]):
    """Options of the table. As a parameter's default in a command it stands for all of them: see :func:`takes_options`."""


EVERY = Entries(TABLE)
OF_A_BATCH = Entries(option for option in TABLE if option.for_batch)


def until(name: str) -> Entries:
    """The table's options up to this one."""
    return Entries(TABLE[: _place(name) + 1])


def after(name: str) -> Entries:
    """The table's options after this one."""
    return Entries(TABLE[_place(name) + 1 :])


def _place(name: str) -> int:
    return [option.name for option in TABLE].index(name)


def takes_options(command: Callable[..., int]) -> Callable[..., int]:
    """A command with each parameter whose default is :class:`Entries` replaced by these options.

    The command gets what was given for them as one :data:`Given`.
    """
    signature = inspect.signature(command, eval_str=True)
    groups = {p.name: p.default for p in signature.parameters.values() if isinstance(p.default, Entries)}
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        parameters += _parameters(groups[parameter.name]) if parameter.name in groups else [parameter]

    def called(**values: Any) -> int:
        given = {
            name: {option.name: values.pop(option.name) for option in group if option.flags}
            for name, group in groups.items()
        }
        return command(**values, **given)

    called.__name__, called.__doc__, called.__module__ = command.__name__, command.__doc__, command.__module__
    called.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return called


def _parameters(options: Iterable[Option]) -> list[inspect.Parameter]:
    return [
        inspect.Parameter(
            option.name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=False if option.kind == "switch" else None,
            annotation=Annotated[_TYPES[option.kind], typer.Option(*option.flags, help=option.help)],
        )
        for option in options
        if option.flags
    ]
