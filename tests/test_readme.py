"""What README.md and the pages of docs/ show is what the commands really print."""

from __future__ import annotations

import os
import re
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

from nexscout_cli.cli.commands import COMMANDS
from nexscout_cli.providers.embedded import model_file

ROOT = Path(__file__).resolve().parent.parent


def _script() -> ModuleType:
    loader = SourceFileLoader("readme", str(ROOT / "scripts" / "readme"))
    spec = spec_from_loader("readme", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


readme = _script()


@pytest.mark.slow
@pytest.mark.skipif(
    not model_file.is_present(Path(os.environ.get("NEXSCOUT_EMBEDDED_MODEL", "none"))), reason="needs the model's file"
)
@pytest.mark.parametrize("page", readme.pages(), ids=lambda page: page.name)
def test_every_command_of_a_page_prints_what_the_page_shows(page: Path) -> None:
    shown = readme.steps(page.read_text())
    real = readme.tour([command for command, _ in shown])
    for (command, output), (printed, status) in zip(shown, real, strict=True):
        assert status == 0, f"{command}\n{printed}"
        assert readme.same(command, output, printed), f"{command}\n{printed}"


def test_the_readme_and_the_pages_that_need_it_show_real_output() -> None:
    counts = {page.name: len(readme.steps(page.read_text())) for page in readme.pages()}
    assert counts.keys() >= {"README.md", "tour.md", "routing.md", "compression.md"}
    assert counts["tour.md"] > 10
    assert sum(counts.values()) > 20


def test_output_is_compared_by_its_words_and_not_by_its_figures() -> None:
    assert readme.same("nexscout log", "cost $0.12", "cost  $0.50")
    assert not readme.same("nexscout log", "cost $0.12", "price $0.12")
    assert not readme.same("nexscout run hello", "", "an answer")


def test_every_command_is_named_in_the_page_of_commands() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    assert [name for name in COMMANDS if not re.search(rf"^\| `{name}` \|", text, re.MULTILINE)] == []
