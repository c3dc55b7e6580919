"""The documentation as a site, and the commands on its pages of tasks and questions."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.openai_server import OpenAIServer

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = [
    pytest.param(block, id=f"{name}-{number}")
    for name in ("howto", "faq")
    for number, block in enumerate(BLOCK.findall((ROOT / "docs" / f"{name}.md").read_text()), 1)
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("tasks")
    with OpenAIServer() as server:
        yield {
            "PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}",
            "HOME": str(folder),
            "NEXSCOUT_HOME": str(folder),
            "NEXSCOUT_ACTOR": "ada",
            "OPENAI_API_KEY": "x",
            "OPENAI_BASE_URL": server.url,
        }


@pytest.mark.slow
@pytest.mark.parametrize("block", BLOCKS)
def test_the_commands_of_a_page_run_as_they_stand(home: dict[str, str], block: str) -> None:
    for user in ("ana", "customer-17"):
        subprocess.run(["nexscout", "user", "set-tier", user, "free"], env=home, capture_output=True, check=True)
    done = subprocess.run(
        ["bash", "-euc", block], env=home, cwd=home["HOME"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, (block, done.stdout, done.stderr)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("material") is None, reason="the extra docs is not installed")
def test_the_site_is_built_without_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    done = subprocess.run(["sh", ROOT / "scripts" / "site", "--out", tmp_path / "site"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "site" / "reference.html").is_file()
