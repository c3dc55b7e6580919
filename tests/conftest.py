"""Shared fixtures: a home of its own for every test that asks, and the command run in this process."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings

# How fast a machine is that others use too says nothing about a property: no limit on time, for no example.
settings.register_profile(
    "unhurried", parent=settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unhurried")


class Ran(NamedTuple):
    exit: int
    stdout: str
    stderr: str


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty NEXSCOUT_HOME that is also the current folder; no keys, no settings; the actor is ``owner``."""
    for name in list(os.environ):
        if name.startswith(("NEXSCOUT_", "XDG_")) or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NEXSCOUT_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NEXSCOUT_ACTOR", "owner")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def nexscout(home: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run a command line in this process: ``nexscout("mode", "show")`` gives exit, stdout and stderr."""
    from nexscout_cli.cli.app import main

    def run(*argv: object) -> Ran:
        capsys.readouterr()
        status = main([str(word) for word in argv])
        return Ran(status, *capsys.readouterr())

    return run
