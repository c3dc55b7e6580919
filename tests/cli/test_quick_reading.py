"""A plain line is read without Typer, and means what Typer makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.main import get_command

from nexscout_cli.cli import declared, mode, quick
from nexscout_cli.cli.app import main
from nexscout_cli.cli.commands import COMMANDS, module_of
from nexscout_cli.cli.typer_app import typed

Leaf = tuple[tuple[str, ...], declared.Function]


def leaves(app: declared.App, path: tuple[str, ...]) -> Iterator[Leaf]:
    """Every command below an app: the words that name it, and its function."""
    for command in app.commands:
        yield ((*path, command.name) if app.is_group else path), command.function
    for name, group in app.groups.items():
        yield from leaves(group, (*path, name))


LEAVES = [leaf for name in COMMANDS for leaf in leaves(import_module(module_of(name)).app, (name,))]
VALUES = [
    "7",
    "0",
    "1",
    "007",
    "1.5",
    ".5",
    "12.",
    "x",
    "two words",
    "",
    "a=b",
    "-",
    "--",
    "-x",
    "-1",
    "é",
    "²",
    "1_0",
    "9" * 16,
]


def recording(app: declared.App, record: Callable[[declared.Function, dict[str, Any]], None]) -> declared.App:
    """The app with functions that only say what they were given."""

    def noting(function: declared.Function) -> declared.Function:
        def note(**values: Any) -> int:
            record(function, values)
            return 0

        note.__name__, note.__doc__ = function.__name__, function.__doc__
        note.declared = declared.parameters(function)  # type: ignore[attr-defined]
        return note

    copy = declared.App(otherwise=app.otherwise, **app.said)
    copy.commands = [each._replace(function=noting(each.function)) for each in app.commands]
    copy.groups = {name: recording(group, record) for name, group in app.groups.items()}
    if app.before is not None:
        copy.before, copy.before_said = noting(app.before), app.before_said
    return copy


def by_typer(name: str, words: list[str]) -> list[tuple[declared.Function, dict[str, Any]]]:
    seen: list[tuple[declared.Function, dict[str, Any]]] = []
    app = recording(import_module(module_of(name)).app, lambda function, values: seen.append((function, values)))
    get_command(typed(app))(words, prog_name=name, standalone_mode=False)
    return seen


def plainly(calls: list[tuple[declared.Function, dict[str, Any]]]) -> list[tuple[declared.Function, dict[str, Any]]]:
    """Calls with the context as the one thing that is read of it."""
    return [
        (function, {name: getattr(value, "invoked_subcommand", value) for name, value in values.items()})
        for function, values in calls
    ]


@st.composite
def lines(draw: st.DrawFn) -> list[str]:
    """A line for one of the commands, of words that are mostly its own."""
    path, function = draw(st.sampled_from(LEAVES))
    options = [each for each in declared.parameters(function) if isinstance(each.declared, declared.Option)]
    words: list[str] = []
    needed = [each for each in declared.parameters(function) if each.default is declared.REQUIRED]
    words += [draw(st.sampled_from(VALUES[:9])) for each in needed if isinstance(each.declared, declared.Argument)]
    for option in draw(st.lists(st.sampled_from(options), max_size=4)) if options else []:
        assert isinstance(option.declared, declared.Option)
        flag = draw(st.sampled_from([part for each in option.declared.flags for part in each.split("/")]))
        value = draw(st.sampled_from(VALUES))
        if option.type in (bool, bool | None):
            words.append(draw(st.sampled_from([flag, flag, flag, f"{flag}={value}"])))
        else:
            words += draw(
                st.sampled_from([[flag, value], [flag, value], [f"{flag}={value}"], [flag], [f"{flag}{value}"]])
            )
    words += draw(st.lists(st.sampled_from([*VALUES, "--help", "-h", "-qy", "--nothing"]), max_size=1))
    return [*path, *words]


@settings(max_examples=400, deadline=None)
@given(line=lines())
def test_what_is_read_without_typer_is_what_typer_reads(line: list[str]) -> None:
    name, *words = line
    calls = quick.read(import_module(module_of(name)).app, words)
    if calls is None:
        return
    expected = by_typer(name, words)
    assert plainly(calls) == plainly(expected)
    assert [[(key, type(value)) for key, value in sorted(given.items()) if key != "ctx"] for _, given in calls] == [
        [(key, type(value)) for key, value in sorted(given.items()) if key != "ctx"] for _, given in expected
    ]


@pytest.mark.parametrize(
    "line",
    [
        ["run", "--feature", "ai_message", "Write to Sarah"],
        [
            "run",
            "-q",
            "-m",
            "gpt-4o",
            "--max-tokens",
            "50",
            "--temperature=0.5",
            "--attach",
            "a",
            "--attach",
            "b",
            "Hi",
        ],
        ["run", "--no-stream", "Hi"],
        ["mode", "show", "--user", "bob", "--json"],
        ["report", "models", "--since", "7d"],
        ["models", "key", "list"],
        ["cache", "clean"],
        ["db", "check"],
    ],
    ids=" ".join,
)
def test_lines_of_every_day_are_read_without_typer(line: list[str]) -> None:
    calls = quick.read(import_module(module_of(line[0])).app, line[1:])
    assert calls is not None
    assert plainly(calls) == plainly(by_typer(line[0], line[1:]))


@pytest.mark.parametrize(
    "line",
    [
        ["mode"],
        ["mode", "show", "--help"],
        ["mode", "shwo"],
        ["mode", "set"],
        ["run", "--max-tokens", "many", "Hi"],
        ["run", "--max-tokens", "-1", "Hi"],
        ["run", "Hi", "there"],
        ["run", "--", "Hi"],
        ["run", "--feature"],
        ["run", "--feature", "a", "--feature", "b", "Hi"],
        ["report", "--json=yes"],
        ["report", "-q7"],
        ["import", "usage.csv", "--from", "csv"],
    ],
    ids=" ".join,
)
def test_what_is_not_plain_is_left_to_typer(line: list[str]) -> None:
    assert quick.read(import_module(module_of(line[0])).app, line[1:]) is None


def test_the_whole_command_line_can_be_had_for_typers_own_runner(home: Any) -> None:
    from typer.testing import CliRunner

    from nexscout_cli.cli.app import app

    done = CliRunner().invoke(app, ["mode", "show", "--json"])
    assert done.exit_code == 0 and '"mode"' in done.output


@pytest.mark.parametrize(("error", "said"), [(EOFError(), "aborted"), (KeyboardInterrupt(), "interrupted")])
def test_who_answers_nothing_has_interrupted_the_command(
    error: BaseException, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def asks(*_: object) -> int:
        raise error

    monkeypatch.setattr(mode, "_show", asks)
    assert main(["mode", "show"]) == 130
    assert capsys.readouterr().err == f"nexscout: {said}\n"
