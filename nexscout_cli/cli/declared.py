"""What a command declares: its options, its arguments, its name. Values that cost nothing to make.

A plain line is read by them alone (``quick.py``); Typer is told of them (``typer_app.py``) where help, a mistake or
anything else than a plain line needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

Function = Callable[..., int | None]
F = TypeVar("F", bound=Function)


class Option:
    """An option in ``Annotated[type, Option("-u", "--user", help=…)]``; what else is said of it is Typer's own."""

    def __init__(self, *flags: str, **said: Any) -> None:
        self.flags, self.said = flags, said


class Argument:
    """An argument in ``Annotated[type, Argument(help=…)]``."""

    flags: tuple[str, ...] = ()

    def __init__(self, **said: Any) -> None:
        self.said = said


class Context(NamedTuple):
    """What the function in front of a group's commands is given: the command's name, or None."""

    invoked_subcommand: str | None


REQUIRED = object()
"""The default of a parameter that must be given."""


class Parameter(NamedTuple):
    """A parameter of a command's function: the type it is declared as, and its default or ``REQUIRED``."""

    name: str
    type: Any
    declared: Option | Argument | None
    default: Any


class Command(NamedTuple):
    """A command of a group: its function, and what is Typer's own."""

    name: str
    function: Function
    said: dict[str, Any]


class App:
    """A command, or a group of them. ``otherwise``: the command of a line that names none."""

    def __init__(self, *, otherwise: str | None = None, **said: Any) -> None:
        self.otherwise, self.said = otherwise, said
        self.commands: list[Command] = []
        self.groups: dict[str, App] = {}
        self.before: Function | None = None
        self.before_said: dict[str, Any] = {}

    @property
    def is_group(self) -> bool:
        """Whether a command's name comes first."""
        return self.before is not None or bool(self.groups) or len(self.commands) > 1

    def command(self, name: str | None = None, **said: Any) -> Callable[[F], F]:
        """Declare a command, by default under its function's name."""

        def declare(function: F) -> F:
            self.commands.append(Command(name or function.__name__.lower().replace("_", "-"), function, said))
            return function

        return declare

    def callback(self, **said: Any) -> Callable[[F], F]:
        """Declare what is called before each command; its docstring is the group's help."""

        def declare(function: F) -> F:
            self.before, self.before_said = function, said
            return function

        return declare

    def add(self, app: App, name: str) -> None:
        """Add a group within this one."""
        self.groups[name] = app


def parameters(function: Function) -> Sequence[Parameter]:
    """The parameters of a command's function, in their order."""
    made: Sequence[Parameter] | None = getattr(function, "declared", None)
    if made is not None:
        return made
    code, defaults = function.__code__, function.__defaults__ or ()
    names = code.co_varnames[: code.co_argcount]
    given = (*[REQUIRED] * (len(names) - len(defaults)), *defaults)
    return [parameter(function, name, default) for name, default in zip(names, given, strict=True)]


def parameter(function: Function, name: str, default: Any) -> Parameter:
    """A parameter of a function, its annotation read."""
    annotation = function.__annotations__[name]
    if isinstance(annotation, str):
        annotation = eval(annotation, function.__globals__)  # noqa: S307 - the text is this program's own
    declared = getattr(annotation, "__metadata__", (None,))[0]
    return Parameter(name, annotation if declared is None else annotation.__origin__, declared, default)
