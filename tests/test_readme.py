"""The README's tour is what the commands really print."""

from __future__ import annotations

import os
import re
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

from nexscout_cli.cli.app import COMMANDS
from nexscout_cli.providers.embedded import model_file

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def readme() -> ModuleType:
    loader = SourceFileLoader("readme", str(ROOT / "scripts" / "readme"))
    spec = spec_from_loader("readme", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.skipif(
    not model_file.is_present(Path(os.environ.get("NEXSCOUT_EMBEDDED_MODEL", "none"))), reason="needs the model's file"
)
def test_every_command_of_the_tour_prints_what_the_readme_shows(readme: ModuleType) -> None:
    shown = readme.steps((ROOT / "README.md").read_text())
    real = readme.tour([command for command, _ in shown])
    assert len(shown) > 10
    for (command, output), (printed, status) in zip(shown, real, strict=True):
        assert status == 0, f"{command}\n{printed}"
        assert readme.same(command, output, printed), f"{command}\n{printed}"


def test_every_command_is_named_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    assert [name for name in COMMANDS if not re.search(rf"\b{name}\b", text)] == []
