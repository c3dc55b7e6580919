"""The table of request options as options of a command: as a command declares them, and what a request is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from nexscout_cli.cli import declared
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
    signature = declared.parameters(command)
    groups = {each.name: each.default for each in signature if isinstance(each.default, Entries)}
    parameters: list[declared.Parameter] = []
    for each in signature:
        parameters += _parameters(groups[each.name]) if each.name in groups else [each]

    def called(**values: Any) -> int:
        given = {
            name: {option.name: values.pop(option.name) for option in group if option.flags}
            for name, group in groups.items()
        }
        return command(**values, **given)

    called.__name__, called.__doc__, called.__module__ = command.__name__, command.__doc__, command.__module__
    called.declared = parameters  # type: ignore[attr-defined]
    return called


def _parameters(options: Iterable[Option]) -> list[declared.Parameter]:
    return [
        declared.Parameter(
            option.name,
            _TYPES[option.kind],
            declared.Option(*option.flags, help=option.help),
            False if option.kind == "switch" else None,
        )
        for option in options
        if option.flags
    ]
