"""The command line over a server: NEXSCOUT_SERVER and a key, and no database here."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.conftest import Scout
from tests.support.openai_server import OpenAIServer
from tests.support.waiting import until


class Far:
    """The command line on a machine of its own, that knows a server and a key."""

    def __init__(self, home: Path, shared: Scout, key: str) -> None:
        self.home = home
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("NEXSCOUT_", "OPENAI_"))}
        self.env = kept | {
            "HOME": str(home),
            "NEXSCOUT_HOME": str(home),
            "NEXSCOUT_SERVER": shared.url,
            "NEXSCOUT_SERVER_KEY": key,
        }

    def __call__(self, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "nexscout_cli", *argv],
            env=self.env | env,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )


@pytest.fixture
def far(tmp_path: Path, shared: Scout) -> Far:
    name = f"far{tmp_path.name}".replace("_", "-").lower()[:40]
    shared("user", "set-tier", name, "pro")
    return Far(tmp_path, shared, shared.key("--user", name))


def test_a_run_is_answered_and_booked_by_the_server_and_makes_no_database_here(
    far: Far, provider: OpenAIServer
) -> None:
    provider.reply = "Hello from afar."
    done = far("run", "--json", "-m", "gpt-4o-mini", "Hello")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["result"]) == (0, "Hello from afar.") and answer["metadata"]["cost_usd"] > 0
    listed = json.loads(far("log", "--json").stdout)["rows"]
    assert [row["request_id"] for row in listed] == [answer["metadata"]["request_id"]]
    assert far("log", answer["metadata"]["request_id"]).stdout.startswith("request")
    assert not list(far.home.glob("*.db"))


def test_a_stream_is_shown_whole_and_attachments_go_along(far: Far, provider: OpenAIServer) -> None:
    (far.home / "notes.md").write_text("The code word is walrus.")
    provider.reply = "It is walrus."
    done = far("run", "--stream", "--no-cache", "--attach", "notes.md", "Which word?")
    assert (done.returncode, done.stdout) == (0, "It is walrus.\n")
    assert "walrus" in json.dumps(provider.requests[-1].body["messages"])


def test_a_stream_is_shown_as_it_comes(far: Far, provider: OpenAIServer) -> None:
    provider.reply, provider.pause = "One two three four.", 0.3
    asked = [sys.executable, "-m", "nexscout_cli", "run", "--stream", "--no-cache", "Count slowly"]
    with subprocess.Popen(
        asked, env=far.env, cwd=far.home, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        first = os.read(process.stdout.fileno(), 1_000)
        assert first and process.poll() is None
        assert first.decode() + process.stdout.read().decode() == "One two three four.\n"
    assert process.returncode == 0


def test_a_reader_who_leaves_a_stream_is_billed_for_what_came(far: Far, provider: OpenAIServer) -> None:
    provider.reply, provider.pause = " ".join(map(str, range(40))), 0.1
    asked = [sys.executable, "-m", "nexscout_cli", "run", "--stream", "--no-cache", "-m", "gpt-4o-mini", "Count on"]
    with subprocess.Popen(
        asked, env=far.env, cwd=far.home, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None and os.read(process.stdout.fileno(), 1_000)
        process.stdout.close()
    until(lambda: json.loads(far("log", "--json").stdout)["rows"][0].get("outcome") == "answered")
    assert 0 < json.loads(far("log", "--json").stdout)["rows"][0]["output_tokens"] < 60


def test_a_stream_that_is_refused_says_why(far: Far, provider: OpenAIServer) -> None:
    done = far("run", "--stream", "--no-cache", "--max-cost", "0.000000001", "-m", "gpt-4o-mini", "Hello")
    assert (done.returncode, done.stdout) == (3, "") and "max-cost" in done.stderr
    provider.fail = 500
    done = far("run", "--stream", "--no-cache", "-m", "gpt-4o-mini", "Hello")
    assert (done.returncode, done.stdout) == (5, "")


def test_a_quote_says_what_simulate_says(far: Far, provider: OpenAIServer) -> None:
    quote = json.loads(far("simulate", "--json", "Write to Sarah").stdout)
    assert quote["allow_proceed"] is True and quote["predicted_cost_usd"] > 0 and "exit_status" not in quote
    assert "may proceed" in far("simulate", "Write to Sarah").stdout and provider.requests == []


def test_a_batch_goes_through_the_server(far: Far, provider: OpenAIServer) -> None:
    rows = [{"id": str(n), "prompt": f"Name number {n}", "options": {"max_tokens": 20}} for n in range(3)]
    (far.home / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = far("batch", "rows.jsonl", "--out", "answers.jsonl", "--max-cost", "0.01")
    answers = [json.loads(line) for line in (far.home / "answers.jsonl").read_text().splitlines()]
    assert (done.returncode, sorted(row["id"] for row in answers)) == (0, ["0", "1", "2"]), done.stderr
    assert all(row["success"] for row in answers) and len(provider.requests) == 3


def test_a_report_shows_the_keys_own_user(far: Far, provider: OpenAIServer) -> None:
    far("run", "--no-cache", "Hello once more")
    told = json.loads(far("report", "models", "--json").stdout)
    assert sum(row["requests"] for row in told["rows"]) == 1
    assert "requests" in far("report", "models").stdout


def test_refusals_keep_their_exit_status_and_their_words(far: Far, shared: Scout, provider: OpenAIServer) -> None:
    blocked = far("run", "--json", "--max-cost", "0.0000001", "--no-cache", "-m", "gpt-4o-mini", "A long answer")
    assert blocked.returncode == 3 and json.loads(blocked.stdout)["error"]["code"] == "max_cost"
    provider.fail = 500
    assert far("run", "--no-cache", "Hello while it is down").returncode == 5
    wrong = far("run", "Hello", NEXSCOUT_SERVER_KEY="nx-wrong")
    assert wrong.returncode == 8 and "not valid" in wrong.stderr and "Traceback" not in wrong.stderr
    gone = far("run", "Hello", NEXSCOUT_SERVER="http://127.0.0.1:9")
    assert gone.returncode == 6 and "cannot be reached" in gone.stderr
    assert far("run", "Hello", NEXSCOUT_SERVER="nowhere").returncode == 2
    assert far("energy", "show").returncode == 2


def test_the_answer_of_a_warm_server_costs_the_client_little_cpu(far: Far, provider: OpenAIServer) -> None:
    def cpu() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def cost(*argv: str) -> float:
        before = cpu()
        subprocess.run([sys.executable, *argv], env=far.env, cwd=far.home, capture_output=True, check=True)
        return cpu() - before

    asked = ("-m", "nexscout_cli", "run", "-q", "Hello again")
    cost(*asked)
    # In multiples of an empty program's, so that a busy machine does not count: 0.15 s were 12 of them where it was measured.
    assert min(cost(*asked) for _ in range(3)) <= 14 * min(cost("-c", "pass") for _ in range(3))
