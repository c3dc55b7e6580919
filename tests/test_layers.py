"""Imports run one way: cli → engine → values; store and providers stand beside and know no command line."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import nexscout_cli

ROOT = Path(nexscout_cli.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
UI = {"typer", "rich", "click"}
FORBIDDEN = {
    "engine": UI
    | {
        "sqlite3",
        "sqlite_utils",
        "litellm",
        "httpx",
        "xllamacpp",
        "nexscout_cli.store",
        "nexscout_cli.providers",
        "nexscout_cli.cli",
        "nexscout_cli.assemble",
        "nexscout_cli.api",
    },
    "store": UI
    | {
        "litellm",
        "httpx",
        "xllamacpp",
        "nexscout_cli.cli",
        "nexscout_cli.providers",
        "nexscout_cli.assemble",
        "nexscout_cli.api",
    },
    "providers": UI
    | {
        "sqlite3",
        "sqlite_utils",
        "nexscout_cli.cli",
        "nexscout_cli.store",
        "nexscout_cli.assemble",
        "nexscout_cli.api",
    },
    "config": UI
    | {
        "sqlite3",
        "sqlite_utils",
        "litellm",
        "httpx",
        "xllamacpp",
        "nexscout_cli.engine",
        "nexscout_cli.store",
        "nexscout_cli.providers",
        "nexscout_cli.cli",
        "nexscout_cli.assemble",
        "nexscout_cli.api",
    },
    "cli": {"litellm", "httpx", "xllamacpp", "openai"},
    "": UI | {"litellm", "httpx", "xllamacpp"},
}
"""What no module of a layer may import, at its top or in a function. ``""``: the modules beside the layers."""
MAY = {
    ("__main__.py", "nexscout_cli.cli"),
    ("providers/litellm/provider.py", "litellm"),
    ("providers/litellm/provider.py", "httpx"),
    ("providers/embedded/provider.py", "xllamacpp"),
}


def imports(path: Path) -> set[str]:
    """Every module that a file imports anywhere, but for type checking alone; ``import_module`` counts."""
    names: set[str] = set()
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).endswith("import_module")
            and isinstance(node.args[0], ast.Constant)
        ):
            names.add(str(node.args[0].value))
    return names


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_nothing_from_a_layer_that_stands_above_or_beside_it(path: Path) -> None:
    file = str(path.relative_to(ROOT))
    layer = file.partition("/")[0] if "/" in file else ""
    found = {
        (name, bad)
        for name in imports(path)
        for bad in FORBIDDEN[layer]
        if within(name, bad) and (file, bad) not in MAY
    }
    assert not found


def test_litellm_is_imported_in_one_place() -> None:
    assert [
        str(path.relative_to(ROOT)) for path in FILES if any(within(name, "litellm") for name in imports(path))
    ] == ["providers/litellm/provider.py"]


def test_only_the_command_line_imports_typer_and_rich() -> None:
    others = [
        path
        for path in FILES
        if path.parent.name != "cli" and any(within(name, ui) for name in imports(path) for ui in UI)
    ]
    assert others == []


def test_no_module_is_thousands_of_lines_long() -> None:
    assert max(len(path.read_text().splitlines()) for path in FILES) < 700
