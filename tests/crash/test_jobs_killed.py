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
SUBMIT = ("batch", "rows.jsonl", "--later", "--out", "out.jsonl", "--json")
POLL = ("jobs", "poll", "--json")


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
            "GEMINI_API_KEY": "z",
            "GEMINI_API_BASE": f"{server.root}/v1beta",
            "PYTHONPATH": str(ROOT),
        }
        lines = [json.dumps({"id": str(n), "prompt": f"What is {n}?"}) + "\n" for n in range(ROWS)]
        (folder / "rows.jsonl").write_text("".join(lines))

    def run(self, *argv: str, kill: tuple[str, str] | None = None, nth: int = 1, **env: str) -> tuple[int, Any]:
        """A command; ``kill``: at the nth request of which kind, and before it is done or after it was answered."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.launcher" if env else "nexscout_cli", *argv],
            env=self.env | env,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

        left = [nth]

        def strike(step: str) -> bool:
            if kill is None or step != kill[0]:
                return False
            left[0] -= 1
            if left[0]:
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

    def dies(self, point: str, *argv: str, nth: int = 1) -> None:
        """A command that dies inside the nth commit of a step of a job's."""
        status = self.run(*argv, CRASH_POINT=f"inside a job's {point}", CRASH_NTH=str(nth))[0]
        assert status == -signal.SIGKILL, (point, status)

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


def check_paid_once(home: Home, given: int, taken: int, batches: int = 1) -> None:
    """The job goes on to its end: each row is answered and paid once, at half of those prices (pico-dollars a token)."""
    job = finish(home)
    cost = (40 * given // 2 + 8 * taken // 2 + 999) // 1000
    assert (job["succeeded"], job["cost_usd"], job["held_usd"]) == (ROWS, f"{ROWS * cost / 1e9:.9f}", "0.000000000")
    assert len(home.server.batches) == batches, "one batch was made, whoever died"
    ids = [json.loads(line)["id"] for line in (home.folder / "out.jsonl").read_text().splitlines()]
    assert sorted(ids) == [str(n) for n in range(ROWS)]
    assert home.run("db", "check")[0] == 0


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


def test_a_job_that_dies_at_each_of_geminis_requests_in_turn_is_answered_and_paid_once(home: Home) -> None:
    added = ("models", "add", "g", "--litellm-model", "gemini/gemini-t", "--type", "small", *priced("GEMINI_API_KEY"))
    assert home.run(*added)[0] == 0
    home.server.states = ["completed"]
    create, find, batch = "POST /v1beta/models/gemini-t:batchGenerateContent", "GET /v1beta/batches", "GET /v1beta/X"
    assert home.run(*SUBMIT, "-m", "g", kill=(create, "before"))[0] == -signal.SIGKILL
    # It is looked for, made, and found again; then it is asked how far it is, and for its answers.
    for step, when in ((find, "before"), (find, "after"), (create, "after"), (find, "after")):
        assert home.run(*POLL, kill=(step, when))[0] == -signal.SIGKILL, (step, when)
    assert home.run(*POLL)[0] == 9
    for nth, when in ((1, "before"), (1, "after"), (2, "before"), (2, "after")):
        assert home.run(*POLL, kill=(batch, when), nth=nth)[0] == -signal.SIGKILL, (nth, when)
    check_paid_once(home, 1_000_000, 5_000_000)


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_a_job_that_dies_inside_each_of_its_commits_in_turn_is_answered_and_paid_once(home: Home, store: str) -> None:
    if store == "postgres":
        home.env["NEXSCOUT_DB"] = new_database()
    home.server.states = ["completed"]
    home.dies("begin", *SUBMIT)
    assert home.run("jobs", "list", "--json")[1]["rows"] == []
    home.dies("hold", *SUBMIT, nth=2)
    # Of a part's moves: the file that was uploaded, that the batch is asked for, the batch that was made, and was found again.
    for point, nth in (
        *(("reopen", 1), ("hold", 3), ("add_part", 1), ("take", 1), ("submit", 1)),
        *(("move", 1), ("move", 2), ("move", 2), ("move", 1), ("let_go", 1)),
        *(("move", 1), ("post", 2), ("post", 1), ("move", 2), ("close", 1)),
    ):
        home.dies(point, *POLL, nth=nth)
    check_paid_once(home, 150_000, 600_000)


def test_a_job_that_dies_while_it_gives_back_and_loses_rows_does_each_once(home: Home) -> None:
    home.server.states = ["completed"]
    home.server.fate = lambda number: ("answered", "failed", "missing")[number]
    assert home.run(*SUBMIT)[0] == 0
    for point, nth in (("post", 1), ("give_back", 1), ("lose", 1), ("move", 2)):
        home.dies(point, *POLL, nth=nth)
    job = finish(home)
    assert (job["succeeded"], job["failed"], job["cost_usd"]) == (1, 2, "0.000005400")
    assert home.rows("SELECT state FROM attempts ORDER BY id") == ["posted", "voided", "unknown"]
    assert len((home.folder / "out.jsonl").read_text().splitlines()) == ROWS
    assert home.run("db", "check")[0] == 0


def test_a_cancellation_that_dies_is_none_and_the_job_goes_on_or_is_cancelled_again(home: Home) -> None:
    home.dies("hold", *SUBMIT, nth=3)
    (name,) = home.rows("SELECT id FROM jobs")
    home.dies("cancel", "jobs", "cancel", name)
    assert home.rows("SELECT state FROM jobs") == ["open"]
    home.dies("end", "jobs", "cancel", name, nth=2)
    job = finish(home)
    assert (job["state"], job["succeeded"], job["held_usd"]) == ("ended", 0, "0.000000000")
    assert home.server.batches == {} and home.run("db", "check")[0] == 0
