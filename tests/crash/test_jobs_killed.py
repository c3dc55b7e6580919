"""A job whose process is killed at each request it makes, before it arrives and after it was answered: 0 lost, 0 twice."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.batch_server import BatchServer, priced
from tests.support.postgres import new_database

ROOT = Path(__file__).resolve().parents[2]
ROWS = 3
OPENAI = ["POST /v1/files", "POST /v1/batches", "GET /v1/batches/X", "GET /v1/files/X/content"]
MESSAGES = "POST /v1/messages/batches"


class Home:
    """A home whose commands run as processes that the provider kills."""

    def __init__(self, folder: Path, server: BatchServer) -> None:
        self.folder, self.server = folder, server
        self.env = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ} | {
            "HOME": str(folder),
            "NEXSCOUT_HOME": str(folder),
            "NEXSCOUT_ACTOR": "ada",
            "NEXSCOUT_JOBS_UNSURE_SECONDS": "0",
            "OPENAI_API_KEY": "x",
            "OPENAI_BASE_URL": f"{server.root}/v1",
            "ANTHROPIC_API_KEY": "y",
            "ANTHROPIC_BASE_URL": server.root,
            "PYTHONPATH": str(ROOT),
        }
        lines = [json.dumps({"id": str(n), "prompt": f"What is {n}?"}) + "\n" for n in range(ROWS)]
        (folder / "rows.jsonl").write_text("".join(lines))

    def run(self, *argv: str, kill: tuple[str, str] | None = None) -> tuple[int, Any]:
        """A command; ``kill``: at which request, and before it is done or after it was answered."""
        process = subprocess.Popen(
            [sys.executable, "-m", "nexscout_cli", *argv],
            env=self.env,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

        def strike(step: str) -> bool:
            if kill is None or step != kill[0]:
                return False
            process.send_signal(signal.SIGKILL)
            process.wait()
            return True

        self.server.before = strike if kill and kill[1] == "before" else lambda step: False
        # After: what was asked is done, and its answer never arrives.
        self.server.done = strike if kill and kill[1] == "after" else lambda step: False
        out, err = process.communicate(timeout=60)
        assert "Traceback" not in err, err
        return process.returncode, json.loads(out, parse_float=str) if out.strip() else None

    def rows(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.folder / "nexscout.db")) as connection:
            return [row[0] for row in connection.execute(query)]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with BatchServer() as server:
        yield Home(tmp_path, server)


def finish(home: Home) -> Any:
    """Go on until the job has ended."""
    for _ in range(8):
        status, said = home.run("jobs", "poll", "--json")
        if status != 9:
            return home.run("jobs", "list", "--json")[1]["rows"][0]
    raise AssertionError(said)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", OPENAI)
def test_a_job_that_was_killed_is_answered_and_paid_once(home: Home, step: str, when: str) -> None:
    home.server.states = ["completed"]
    killed = home.run("batch", "rows.jsonl", "--later", "--out", "out.jsonl", "--json", kill=(step, when))[0]
    if killed == 0:
        killed = home.run("jobs", "poll", "--json", kill=(step, when))[0]
    assert killed == -signal.SIGKILL
    job = finish(home)
    assert (job["succeeded"], job["held_usd"]) == (ROWS, "0.000000000")
    assert len(home.server.batches) == 1, "one batch was made, whoever died"
    assert home.rows("SELECT count(*) FROM ai_model_usage WHERE outcome = 'posted'") == [ROWS]
    assert len({json.loads(line)["id"] for line in (home.folder / "out.jsonl").read_text().splitlines()}) == ROWS
    assert home.run("db", "check")[0] == 0


@pytest.mark.parametrize(("step", "when"), [(MESSAGES, "before"), (MESSAGES, "after")])
def test_a_batch_that_has_no_name_of_ours_is_found_again(home: Home, step: str, when: str) -> None:
    assert (
        home.run(
            "models",
            "add",
            "c",
            "--litellm-model",
            "anthropic/claude-t",
            "--type",
            "small",
            *priced("ANTHROPIC_API_KEY"),
        )[0]
        == 0
    )
    home.server.states = ["ended"]
    # A batch of somebody else's with as many rows, from the same time, is not taken for ours.
    home.server.other_batch("anthropic", ROWS)
    killed = home.run("batch", "rows.jsonl", "--later", "-m", "c", "--out", "out.jsonl", "--json", kill=(step, when))[0]
    if killed == 0:
        killed = home.run("jobs", "poll", "--json", kill=(step, when))[0]
    assert killed == -signal.SIGKILL
    job = finish(home)
    assert (job["succeeded"], job["held_usd"], len(home.server.batches)) == (ROWS, "0.000000000", 2)
    assert home.rows("SELECT count(*) FROM ai_model_usage WHERE outcome = 'posted'") == [ROWS]
    assert home.run("db", "check")[0] == 0


def test_processes_that_go_on_with_one_job_at_once_send_and_post_it_once(home: Home) -> None:
    home.server.states = ["completed"]
    assert home.run("batch", "rows.jsonl", "--later", "--json")[0] == 0
    done: list[int] = []
    threads = [threading.Thread(target=lambda: done.append(home.run("jobs", "poll", "--json")[0])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(done) <= {0, 9}
    assert finish(home)["succeeded"] == ROWS
    assert home.rows("SELECT count(*) FROM ai_model_usage WHERE outcome = 'posted'") == [ROWS]
    assert len(home.server.batches) == 1


def test_over_a_server_of_databases_a_killed_job_goes_on_elsewhere(home: Home) -> None:
    home.server.states = ["completed"]
    home.env["NEXSCOUT_DB"] = new_database()
    assert home.run("batch", "rows.jsonl", "--later", "--json", kill=("POST /v1/batches", "after"))[0] < 0
    job = finish(home)
    assert (job["succeeded"], job["held_usd"], len(home.server.batches)) == (ROWS, "0.000000000", 1)
    assert home.run("db", "check")[0] == 0
