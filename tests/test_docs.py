"""README, docs/ and the pages beside them: short where it counts, whole, and without a link that leads nowhere."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from nexscout_cli import errors
from nexscout_cli.cli.typer_app import app
from nexscout_cli.config import SETTINGS
from nexscout_cli.engine.request import Options

ROOT = Path(__file__).resolve().parent.parent
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *DOCS]
LINE = 132
"""Characters of a line of prose; tables and blocks of output may be wider."""
ANYWHERE = {"--help", "--debug", "--no-color"}

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCED.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    heads = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def links(page: Path) -> Iterator[str]:
    """Where a page leads inside the project."""
    return (link for link in _LINK.findall(prose(page)) if "://" not in link)


def commands(page: Path) -> Iterator[list[str]]:
    """The words of each call of nexscout in a page's blocks of shell."""
    for kind, block in _FENCED.findall(page.read_text()):
        if kind not in ("sh", "console"):
            continue
        for line in re.sub(r"\\\n", " ", block).splitlines():
            if kind == "console" and not line.startswith("$ "):
                continue
            for part in re.split(r"\$\(|[|)]", line.removeprefix("$ ")):
                words = shlex.split(part, comments=True) if part.count('"') % 2 == 0 else []
                while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                    del words[0]
                if words and words[0] in ("nexscout", "scripts/nexscout"):
                    yield words[1:]


def unknown_words(words: list[str]) -> list[str]:
    """What of a line of nexscout there is not: a command, or an option."""
    command: Any = get_command(app)
    rest = list(words)
    while hasattr(command, "get_command") and rest and not rest[0].startswith("-"):
        found = command.get_command(None, rest[0])
        if found is None:
            return [rest[0]]
        command = found
        del rest[0]
    known = {option for param in command.params for option in (*param.opts, *param.secondary_opts)} | ANYWHERE
    return [word for word in rest if word.startswith("--") and word.partition("=")[0] not in known]


def test_the_readme_has_fewer_than_200_lines() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 200


def test_the_readme_leads_to_every_page() -> None:
    led_to = {(ROOT / link.partition("#")[0]).resolve() for link in links(ROOT / "README.md")}
    assert [page.name for page in PAGES[1:] if page not in led_to] == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_every_link_inside_the_project_leads_somewhere(page: Path) -> None:
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_line_that_a_page_shows_has_only_commands_and_options_that_exist(page: Path) -> None:
    for words in commands(page):
        assert unknown_words(words) == [], words


def test_a_command_line_with_what_does_not_exist_would_be_found() -> None:
    assert sum(len(list(commands(page))) for page in PAGES) > 40
    assert unknown_words(["report", "--since", "7d"]) == []
    assert unknown_words(["report", "--sinse", "7d"]) == ["--sinse"]
    assert unknown_words(["cache", "tidy"]) == ["tidy"]


def test_every_setting_is_explained() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    names = {re.sub(r"^tiers\.\w+", "tiers.TIER", name) for name in SETTINGS}
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []


def test_a_setting_that_a_project_may_set_is_marked() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    marked = set(re.findall(r"^\| `([\w.]+)` \* \|", text, re.MULTILINE))
    assert marked == {name for name, setting in SETTINGS.items() if setting.project}


def test_every_request_option_is_explained() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    assert [name for name in Options._fields if f"`{name}`" not in text] == []


def test_every_exit_code_is_explained() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    explained = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    classes = [
        kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.NexScoutError)
    ]
    assert explained == {0} | {kind.exit_status for kind in classes}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lines_of_prose_are_short_enough_to_read_in_a_terminal(page: Path) -> None:
    long = [line for line in prose(page).splitlines() if len(line) > LINE and not line.startswith("|")]
    assert long == []


def test_the_page_of_architecture_names_every_room_of_the_engine_and_only_files_that_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    package = ROOT / "nexscout_cli"
    rooms = [folder.parent.name for folder in (package / "engine").glob("*/__init__.py")]
    assert [room for room in rooms if f"`{room}/`" not in text] == []
    named = set(re.findall(r"`([\w./-]+\.py)`", text))
    files = [str(path) for path in (*package.rglob("*.py"), *(ROOT / "tests").rglob("*.py"))]
    assert [name for name in sorted(named) if not any(file.endswith(f"/{name}") for file in files)] == []
