"""The command line as Typer has it: for help, mistakes, and every line that is not plain (``quick.py``)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from typer.core import TyperGroup
from typer.main import get_command

from nexscout_cli.cli import declared, output
from nexscout_cli.cli.commands import COMMANDS, module_of


class LazyGroup(TyperGroup):
    """A group whose commands are imported when they are asked for."""

    def __init__(self, **extra: Any) -> None:
        super().__init__(**extra)
        self.commands = dict.fromkeys(COMMANDS)  # type: ignore[arg-type]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        command = get_command(typed(import_module(module_of(cmd_name)).app))
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=LazyGroup,
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", "-V", help="Print the version and exit."),
    debug: bool = typer.Option(
        False, "--debug", help="Show the traceback of an error; may stand anywhere on the line."
    ),
    install_man: bool = typer.Option(
        False,
        "--install-man",
        help="Install the man page for this user, and exit.",
        is_eager=True,
        callback=lambda wanted: _install_man() if wanted else None,
    ),
    no_color: bool = typer.Option(False, "--no-color", help="No colours; may stand anywhere on the line."),
) -> None:
    """Stands in front of every LLM call and governs what it costs.

    \b
    nexscout run --feature ai_message "Write a follow-up to Sarah about our meeting"
    nexscout simulate prompt.txt          what a call would cost; nothing is sent
    nexscout report --since 7d            where the money went
    nexscout cache clean                  from cron
    nexscout doctor                       what works here and what doesn't

    Answers go to stdout, everything else to stderr. Exit: 0 done, 2 usage, 3 blocked, 4 not enough energy,
    5 every provider failed, 6 database or configuration, 7 rows failed, 8 not permitted, 9 in progress, 130 interrupted.
    """
    if version:
        from nexscout_cli import __version__

        output.out(f"nexscout {__version__}")
        raise typer.Exit


def _install_man() -> None:
    from nexscout_cli.cli import manual

    output.out(f"{manual.install(app)}: `man nexscout` shows it")
    raise typer.Exit


def typed(declared_app: declared.App) -> typer.Typer:
    """A command, or a group with all of its own, as Typer's."""
    said = dict(declared_app.said)
    if declared_app.otherwise is not None:
        said["cls"] = type("_Otherwise", (_Otherwise,), {"otherwise": declared_app.otherwise})
    made = typer.Typer(rich_markup_mode=None, add_completion=False, **said)
    if declared_app.before is not None:
        made.callback(**declared_app.before_said)(_function(declared_app.before))
    for command in declared_app.commands:
        made.command(command.name, **command.said)(_function(command.function))
    for name, group in declared_app.groups.items():
        made.add_typer(typed(group), name=name)
    return made


class _Otherwise(TyperGroup):
    """A group whose command need not be named: what names none is what the one named here is given."""

    otherwise: str

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = [self.otherwise, *args]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return self.commands.get(cmd_name) or self.commands[self.otherwise]


def _function(function: declared.Function) -> Callable[..., int | None]:
    """The function with its parameters as Typer reads them."""

    def called(**values: Any) -> int | None:
        return function(**values)

    called.__name__, called.__doc__, called.__module__ = function.__name__, function.__doc__, function.__module__
    shown = [_parameter(each) for each in declared.parameters(function)]
    called.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    called.__annotations__ = {}
    return called


def _parameter(parameter: declared.Parameter) -> inspect.Parameter:
    about, annotation = parameter.declared, parameter.type
    if annotation is declared.Context:
        annotation = typer.Context
    elif isinstance(about, declared.Option):
        annotation = Annotated[annotation, typer.Option(*about.flags, **{"metavar": _metavar(annotation)} | about.said)]
    elif isinstance(about, declared.Argument):
        annotation = Annotated[annotation, typer.Argument(**{"metavar": parameter.name.upper()} | about.said)]
    default = inspect.Parameter.empty if parameter.default is declared.REQUIRED else parameter.default
    return inspect.Parameter(parameter.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _metavar(annotation: Any) -> str | None:
    """What help calls a value of this type; None for one that is said by the flag alone."""
    types = set(get_args(annotation)) or {annotation}
    if types & {int, float}:
        return "NUMBER"
    return "FILE" if Path in types else "TEXT" if str in types or list[str] in types else None
