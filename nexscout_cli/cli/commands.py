"""Which commands there are, and which module has each."""

from __future__ import annotations

COMMANDS = (
    "run",
    "chat",
    "conversation",
    "template",
    "simulate",
    "batch",
    "jobs",
    "mode",
    "cache",
    "models",
    "energy",
    "user",
    "report",
    "import",
    "reconcile",
    "replay",
    "log",
    "top",
    "why",
    "feedback",
    "config",
    "trust",
    "serve",
    "open",
    "keys",
    "budget",
    "alerts",
    "db",
    "doctor",
)
"""Each is a module of this package with an ``app``; imported only when it is the one that runs."""

_MODULES = {"import": "import_"}
"""Modules that cannot be called as their command is."""


def module_of(command: str) -> str:
    """The module that has a command."""
    return f"nexscout_cli.cli.{_MODULES.get(command, command)}"
