"""The documentation as a site, and the commands on all of its pages."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli.config import SETTINGS
from tests.support.openai_server import OpenAIServer

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = {
    f"{page.stem}-{number}": block
    for page in sorted((ROOT / "docs").glob("*.md"))
    for number, block in enumerate(BLOCK.findall(page.read_text()), 1)
}
NOT_RUN = {
    "batches-1": "the job's answers take their time, and its commands end with 9 until they are there",
    "batches-2": "JOB stands for the name of a job",
    "batches-3": "lines of a crontab",
    "configuration-1": "asks for keys at a terminal",
    "import-2": "reads the logs of other programs, at the places where those have them",
    "pages-2": "sends mail",
    "pages-3": "a server, which runs until it is stopped",
    "pages-4": "makes three months of usage, which takes minutes",
    "postgres-1": "a database server on another machine",
    "postgres-2": "a database server on another machine",
    "reconcile-1": "the exports of one's own accounts; ends with 1 where they differ",
    "serve-1": "a server, which runs until it is stopped",
    "serve-3": "needs that server, and KEY stands for a key",
    "serve-4": "a server, which runs until it is stopped",
}
"""Blocks that cannot be run as they stand, and why."""
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c6360000000020001e221bc33"
    "0000000049454e44ae426082"
)
CLAUDE = {
    "type": "assistant",
    "timestamp": "2026-11-02T08:00:00.123Z",
    "sessionId": "s1",
    "requestId": "req_1",
    "message": {
        "id": "msg_1",
        "model": "claude-sonnet-4-5-20250929",
        "usage": {
            "input_tokens": 4,
            "output_tokens": 50,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 9,
        },
    },
}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
FILES: dict[str, Any] = {
    "prospects.jsonl": {"id": "1", "prompt": "Write to Sarah"},
    "letter.txt": "Dear Ann, I am Bob, 30 years old, from Oslo.",
    "receipt.json": {"type": "object", "properties": {"name": {"type": "string"}}},
    "tools.json": [TOOL],
    "talk.json": [{"role": "user", "content": "Is it warm today?"}, {"role": "assistant", "content": "It is."}],
    "old.yaml": "prompt: 'Summarise: $input'\n",
    ".claude/projects/shop/s1.jsonl": CLAUDE,
}
"""What the blocks read, by its place in the home."""


def answer(body: dict[str, Any]) -> str:
    """What the provider says: the JSON that a schema wants, else a sentence."""
    return json.dumps({"name": "Bob", "age": 30, "city": "Oslo"}) if body.get("response_format") else "Hello there."


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("tasks")
    for name, held in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(held if isinstance(held, str) else json.dumps(held) + "\n")
    (folder / "receipt.png").write_bytes(PNG)
    subprocess.run(["git", "init", "-q", folder], check=True)
    with OpenAIServer(answer) as server:
        env = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "NEXSCOUT_HOME": str(folder),
            "NEXSCOUT_ACTOR": "ada",
            "OPENAI_API_KEY": "x",
            "OPENAI_BASE_URL": server.url,
            "HOOK_SECRET": "a-secret-of-a-hook",
            "AZURE_EU_KEY": "y",
        }
        for user in ("ana", "customer-17"):
            subprocess.run(["nexscout", "user", "set-tier", user, "free"], env=env, capture_output=True, check=True)
        yield env


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BLOCKS.keys() - NOT_RUN.keys()))
def test_the_commands_of_a_page_run_as_they_stand(home: dict[str, str], name: str, tmp_path: Path) -> None:
    own = tmp_path / "home"  # what one page sets is nothing to another
    shutil.copytree(home["HOME"], own)
    done = subprocess.run(
        ["bash", "-euc", BLOCKS[name]],
        env=home | {"HOME": str(own), "NEXSCOUT_HOME": str(own)},
        cwd=own,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, (BLOCKS[name], done.stdout, done.stderr)


def test_each_block_that_is_not_run_is_there_and_says_why() -> None:
    assert NOT_RUN.keys() <= BLOCKS.keys() and all(NOT_RUN.values())


def test_the_address_of_the_server_is_the_same_on_every_page() -> None:
    text = "".join((ROOT / "docs" / f"{name}.md").read_text() for name in ("serve", "howto", "python", "pages"))
    assert set(re.findall(r"127\.0\.0\.1:(\d+)", text)) == {str(SETTINGS["serve.port"].default)}


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("material") is None, reason="the extra docs is not installed")
def test_the_site_is_built_without_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    done = subprocess.run(["sh", ROOT / "scripts" / "site", "--out", tmp_path / "site"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "site" / "reference.html").is_file()
