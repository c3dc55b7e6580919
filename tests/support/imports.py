"""The package as a graph: which module imports which, and how large its parts are. Read from the source; nothing is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import nexscout_cli

ROOT = Path(nexscout_cli.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))


class Function(NamedTuple):
    """A function or method: where it is, how many lines and parameters it has (``self`` and ``cls`` not counted).

    ``command``: it is one of the command line's.
    """

    place: str
    lines: int
    parameters: int
    command: bool


def name_of(path: Path) -> str:
    """A file's module."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(path: Path, typing: bool = False) -> frozenset[str]:
    """Every module that a file imports anywhere; ``import_module`` of a constant counts.

    ``typing``: what is imported for type checking alone counts too.
    """
    names: set[str] = set()
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree) if typing else _run(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            names |= {str(name.value) for name in node.args[:1] if isinstance(name, ast.Constant)}
    return frozenset(names)


def _run(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that are executed: not those under ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        yield node
        yield from _run(node)


def graph() -> dict[str, set[str]]:
    """The modules of the package, each with those of the package that it names, be it for type checking alone."""
    modules = {name_of(path) for path in FILES}
    found: dict[str, set[str]] = {}
    for path in FILES:
        own = name_of(path)
        # `from package import module` names the package too; what is meant is the module.
        wanted = imports(path, typing=True) & modules
        packages = {name for name in wanted if any(other.startswith(name + ".") for other in wanted)}
        found[own] = wanted - packages - {own}
    return found


def circles() -> list[set[str]]:
    """Groups of modules that import each other, directly or not (Tarjan's strongly connected components)."""
    edges, index, low = graph(), dict[str, int](), dict[str, int]()
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in edges[node]:
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            group = set(stack[stack.index(node) :])
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(group)

    for node in edges:
        if node not in index:
            visit(node)
    return found


def functions() -> Iterator[Function]:
    """Every function and method of the package."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                given = node.args
                names = [arg.arg for arg in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
                count = len([name for name in names if name not in ("self", "cls")])
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                command = any(ast.unparse(mark).startswith("app.c") for mark in node.decorator_list)
                yield Function(f"{path.relative_to(ROOT)}:{node.name}", lines, count, command)
