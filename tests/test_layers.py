"""Imports run one way: cli and api → engine ← store and providers. No circle, and nothing grows too large to read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.imports import FILES, ROOT, circles, functions, imports

UI = {"typer", "rich", "click"}
DATABASES = {"sqlite3", "sqlite_utils", "psycopg"}
NETWORK = {"litellm", "httpx", "openai", "aiohttp"}
FRONT = {"nexscout_cli.cli", "nexscout_cli.assemble", "nexscout_cli.api"}
FORBIDDEN = {
    "engine": UI
    | DATABASES
    | NETWORK
    | FRONT
    | {"xllamacpp", "nexscout_cli.pages", "nexscout_cli.store", "nexscout_cli.providers"},
    "store": UI | NETWORK | FRONT | {"xllamacpp", "nexscout_cli.pages", "nexscout_cli.providers"},
    "providers": UI | DATABASES | FRONT | {"nexscout_cli.pages", "nexscout_cli.store"},
    "cli": DATABASES | NETWORK | {"xllamacpp", "nexscout_cli.store"},
    "server": UI
    | DATABASES
    | {"xllamacpp", "nexscout_cli.store", "nexscout_cli.cli", "nexscout_cli.providers", "litellm"},
    "pages": UI
    | DATABASES
    | NETWORK
    | FRONT
    | {"xllamacpp", "starlette", "nexscout_cli.store", "nexscout_cli.providers", "nexscout_cli.server"},
    "config": UI
    | DATABASES
    | NETWORK
    | FRONT
    | {"xllamacpp", "nexscout_cli.store", "nexscout_cli.providers", "nexscout_cli.engine"},
    "": UI | DATABASES | NETWORK | {"xllamacpp"},
}
"""What no module of a layer may import, at its top or in a function. ``""``: the modules beside the layers."""
MAY = {
    ("__main__.py", "nexscout_cli.cli"): "the command's entry",
    ("providers/litellm/provider.py", "litellm"): "the one place that calls it",
    ("providers/litellm/provider.py", "httpx"): "LiteLLM's own client, which is watched",
    ("providers/embedded/provider.py", "xllamacpp"): "the embedded model's runtime",
}
"""Exceptions, each with its reason."""
VALUES = {
    "alerts",
    "book_types",
    "budgets",
    "catalog.recovery_rules",
    "catalog.seed",
    "conversations",
    "jobs.values",
    "learning.observation",
    "learning.profile",
    "length.learning",
    "model",
    "money",
    "names",
    "deployment",
    "evidence",
    "percentiles",
    "plan_types",
    "ports",
    "recalled",
    "report_values",
    "report_window",
    "request",
    "settlement",
    "snapshot",
    "store_ports",
    "store_rules",
    "sums",
    "tiers",
    "usage",
}
"""The modules of the engine that a store may know: values and ports. What they hold is handed to it ready."""


def layer(path: Path) -> str:
    file = str(path.relative_to(ROOT))
    return file.partition("/")[0] if "/" in file else ""


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_nothing_from_a_layer_that_stands_above_or_beside_it(path: Path) -> None:
    file = str(path.relative_to(ROOT))
    found = {
        (name, bad)
        for name in imports(path)
        for bad in FORBIDDEN[layer(path)]
        if within(name, bad) and (file, bad) not in MAY
    }
    assert not found


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles() == []


def test_a_store_knows_the_engines_values_and_ports_alone() -> None:
    known = {f"nexscout_cli.engine.{name}" for name in VALUES}
    packages = {name.rpartition(".")[0] for name in known} | {"nexscout_cli.engine"}
    found = {
        (str(path.relative_to(ROOT)), name)
        for path in FILES
        if layer(path) == "store"
        for name in imports(path)
        if within(name, "nexscout_cli.engine") and name not in packages
        if not any(within(name, module) for module in known)
    }
    assert found == set()


@pytest.mark.parametrize(
    ("folder", "databases"), [("store/sqlite/", {"sqlite3", "sqlite_utils"}), ("store/postgres/", {"psycopg"})]
)
def test_a_database_is_used_in_its_store_alone(folder: str, databases: set[str]) -> None:
    assert [
        str(path.relative_to(ROOT))
        for path in FILES
        if not str(path.relative_to(ROOT)).startswith(folder)
        and any(within(name, database) for name in imports(path) for database in databases)
    ] == []


def test_litellm_is_imported_in_one_place() -> None:
    assert [
        str(path.relative_to(ROOT)) for path in FILES if any(within(name, "litellm") for name in imports(path))
    ] == ["providers/litellm/provider.py"]


def test_only_the_command_line_imports_typer_and_rich() -> None:
    assert [
        str(path.relative_to(ROOT))
        for path in FILES
        if layer(path) != "cli" and any(within(name, ui) for name in imports(path) for ui in UI)
    ] == []


MAX_MODULE, MAX_FUNCTION, MAX_PARAMETERS = 400, 60, 8
LONG_FUNCTIONS = {
    "engine/answers/doubt.py:symptoms": "one table: what may be wrong with an answer, an entry for each symptom",
}


WIDE_FUNCTIONS = {
    "cli/model_options.py:change": "the options that `models add` and `models set` share, as the command line hands them over",
}


def test_no_module_is_too_long() -> None:
    assert [str(path.relative_to(ROOT)) for path in FILES if len(path.read_text().splitlines()) > MAX_MODULE] == []


def test_no_function_is_too_long_or_takes_too_much() -> None:
    """Commands are excepted: their parameters and help are the command line's."""
    own = [one for one in functions() if not one.command]
    long = {one.place for one in own if one.lines > MAX_FUNCTION}
    wide = {one.place for one in own if one.parameters > MAX_PARAMETERS}
    assert (long, wide) == (set(LONG_FUNCTIONS), set(WIDE_FUNCTIONS))
