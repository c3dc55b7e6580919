"""A command's start-up imports only what it needs. Told by what is imported, never by the clock."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.openai_server import OpenAIServer

COMMAND = Path(sys.executable).with_name("nexscout")
LINE = ("run", "--feature", "ai_message", "Write a follow-up to Sarah")


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A home that has been used: its database is made, the tokenizer's table is there, one answer is kept."""
    folder = tmp_path_factory.mktemp("startup")
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "NEXSCOUT_HOME": str(folder),
        "NEXSCOUT_ACTOR": "ada",
        "OPENAI_API_KEY": "x",
        "NEXSCOUT_EMBEDDED_MODEL": "/nonexistent/model.gguf",
        "PYTHONPROFILEIMPORTTIME": "1",
    }
    with OpenAIServer() as server:
        for line in (("models", "set", "gpt-4o-mini", "--api-base", server.url), LINE):
            subprocess.run(
                [COMMAND, *line], env=env, cwd=folder, capture_output=True, check=True, stdin=subprocess.DEVNULL
            )
    yield env


def imported(env: dict[str, str], *line: str) -> set[str]:
    """Every top-level module that a command imports."""
    return {name.partition(".")[0] for name in modules(env, *line)}


def modules(env: dict[str, str], *line: str) -> set[str]:
    """Every module that a command imports."""
    ended = subprocess.run(
        [COMMAND, *line], env=env, cwd=env["HOME"], capture_output=True, check=True, stdin=subprocess.DEVNULL, text=True
    )
    assert ended.stdout
    names = re.findall(r"^import time:[^|]*\|[^|]*\|\s*(\S+)\s*$", ended.stderr, re.MULTILINE)
    assert "nexscout_cli" in names
    return set(names)


HEAVY = {"litellm", "openai", "httpx", "pydantic", "tiktoken", "xllamacpp", "vaderSentiment", "tomlkit", "numpy"}
CASES = [
    (("--version",), HEAVY | {"typing", "contextlib", "typer", "rich", "sqlite3", "sqlite_utils", "tomllib", "regex"}),
    (LINE, HEAVY | {"typer", "rich", "sqlite_utils", "regex"}),
    (("mode", "show"), HEAVY | {"typer", "rich", "sqlite_utils", "regex"}),
    (("report",), HEAVY | {"typer", "rich", "sqlite_utils", "jinja2", "markupsafe"}),
    (
        ("simulate", "Hello there"),
        {"litellm", "openai", "httpx", "pydantic", "tiktoken", "xllamacpp", "typer", "rich", "sqlite_utils"},
    ),
]


@pytest.mark.parametrize(("line", "without"), CASES, ids=lambda value: value[0] if isinstance(value, tuple) else "")
def test_a_command_imports_none_of_what_it_does_not_need(
    env: dict[str, str], line: tuple[str, ...], without: set[str]
) -> None:
    assert imported(env, *line) & without == set()


def test_what_other_policies_need_is_not_loaded_under_the_rules(env: dict[str, str]) -> None:
    estimates = {
        f"nexscout_cli.engine.{name}"
        for name in (
            "routing.difficulty",
            "routing.thresholds",
            "routing.estimates",
            "answers.doubt",
            "answers.second_opinion",
        )
    }
    assert modules(env, "simulate", "Hello there") & estimates == set()
    assert modules(env, "simulate", "Hello there", "--policy", "learned") & estimates


VALUES = {f"nexscout_cli.engine.{name}" for name in ("book_types", "store_ports", "report_port", "maintenance_port")}


@pytest.mark.parametrize(
    ("line", "without"),
    [
        (LINE, VALUES),
        (("mode", "show"), VALUES | {"nexscout_cli.engine.learning.observation", "nexscout_cli.engine.model"}),
        (("report",), VALUES | {"nexscout_cli.engine.learning.observation"}),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_command_makes_no_values_and_ports_that_it_does_not_use(
    env: dict[str, str], line: tuple[str, ...], without: set[str]
) -> None:
    assert modules(env, *line) & without == set()


def test_the_cached_run_of_the_case_above_was_cached(env: dict[str, str]) -> None:
    ended = subprocess.run(
        [COMMAND, *LINE, "--json"],
        env=env,
        cwd=env["HOME"],
        capture_output=True,
        check=True,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    assert '"from_cache": true' in ended.stdout
