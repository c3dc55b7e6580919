"""Numbers on the command line: each says what it may be, so that none reaches a database that can't hold it."""

from __future__ import annotations

import pytest
from typer.main import get_command

from nexscout_cli.cli.typer_app import app
from tests.support.fuzzing import leaves

OF_REQUESTS = {"max_tokens", "seed", "n"}
"""The engine checks these, wherever a request comes from."""


def test_every_whole_number_of_a_command_line_has_bounds() -> None:
    numbers = [
        (" ".join(path), one.name, one.type)
        for path, command in leaves(get_command(app))
        for one in command.params
        if one.type.name.startswith("int") and one.name not in OF_REQUESTS
    ]
    assert len(numbers) > 15
    assert [(path, name) for path, name, kind in numbers if getattr(kind, "max", None) is None] == []
    assert [(path, name) for path, name, kind in numbers if getattr(kind, "min", None) is None] == []


@pytest.mark.parametrize("names", ["gpt-4o-minni", "auto,gpt-4o-minni", "5/day"])
def test_a_key_names_only_models_and_modes_that_there_are(nexscout, names: str) -> None:  # type: ignore[no-untyped-def]
    done = nexscout("keys", "create", "--models", names)
    assert done.exit == 2 and "there is no model" in done.stderr
    assert nexscout("keys", "list", "--json").stdout.count("key_id") == 0


@pytest.mark.parametrize("names", [",", "", "  , "])
def test_a_list_of_models_that_names_none_does_not_make_a_key_for_all(nexscout, names: str) -> None:  # type: ignore[no-untyped-def]
    done = nexscout("keys", "create", "--models", names)
    assert done.exit == 2 and "names no model" in done.stderr
    assert nexscout("keys", "list", "--json").stdout.count("key_id") == 0


def test_a_key_may_name_modes_and_models(nexscout) -> None:  # type: ignore[no-untyped-def]
    assert nexscout("keys", "create", "--models", "auto, gpt-4o-mini,fast").exit == 0
