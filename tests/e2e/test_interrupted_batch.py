"""A batch that is stopped with Ctrl-C goes on where it ended, and nothing that was answered is asked again."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.openai_server import OpenAIServer

ROWS = 60


@pytest.mark.slow
def test_after_an_interrupt_resume_asks_only_for_what_was_not_answered(
    served: Any, server: OpenAIServer, tmp_path: Path
) -> None:
    server.reply = lambda body: f"About {body['messages'][1]['content']}"
    server.delay = 0.4
    rows = [{"id": f"r{n}", "feature": "ai_deepscan", "prompt": f"customer {n}"} for n in range(ROWS)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    line = ("batch", "rows.jsonl", "--out", "out.jsonl")
    process = served.start(*line, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    end = time.monotonic() + 60
    while server.hits < 15 and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    stopped = server.hits
    assert process.returncode == 130 and b"--resume" in err and b"Traceback" not in err and out == b""
    assert 15 <= stopped < ROWS
    answered = [json.loads(text) for text in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len(answered) == stopped and all(
        answer["success"] for answer in answered
    )  # what was in flight was waited for
    assert served.books.listed("attempts", "state") == ["posted"] * stopped
    assert served.books.total("accounts", "held") == 0

    server.delay = 0
    done = served(*line, "--resume", "--json").json
    assert (done["rows"], done["skipped"], done["succeeded"], done["failed"]) == (ROWS, stopped, ROWS - stopped, 0)
    assert server.hits == ROWS
    asked = Counter(request.body["messages"][1]["content"] for request in server.requests)
    assert asked == Counter(f"customer {n}" for n in range(ROWS))
    results = {
        answer["id"]: answer["result"] for answer in map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    }
    assert results == {f"r{n}": f"About customer {n}" for n in range(ROWS)}
    assert served.books.count("usage") == ROWS
    assert served.books.total("usage", "cost_usd") == served.books.total("accounts", "spent", kind="usd")


@pytest.mark.slow
def test_a_batch_that_is_killed_loses_no_answer_that_was_written(
    served: Any, server: OpenAIServer, tmp_path: Path
) -> None:
    server.delay = 0.4
    (tmp_path / "rows.jsonl").write_text(
        "".join(json.dumps({"id": str(n), "prompt": f"customer {n}"}) + "\n" for n in range(20))
    )
    line = ("batch", "rows.jsonl", "--out", "out.jsonl")
    process = served.start(*line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while server.hits < 8 and time.monotonic() < end:
        time.sleep(0.02)
    process.kill()
    process.wait(30)
    written = [answer["id"] for answer in map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())]
    assert written
    server.delay = 0
    done = served(*line, "--resume", ok=False)
    answers = {a["id"]: a for a in map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())}
    assert len(answers) == 20
    unknown = [answer for answer in answers.values() if not answer["success"]]
    assert all(answer["error"]["code"] in ("unknown", "in_progress") for answer in unknown) and len(unknown) <= 5
    assert done.status == (7 if unknown else 0)
    asked = Counter(request.body["messages"][1]["content"] for request in server.requests)
    assert max(asked.values()) == 1 and all(asked[f"customer {name}"] == 1 for name in written)


def test_a_second_interrupt_leaves_at_once_and_says_so(served: Any, server: OpenAIServer, tmp_path: Path) -> None:
    server.delay = 8
    (tmp_path / "rows.jsonl").write_text('{"prompt": "Hello"}\n')
    process = served.start("batch", "rows.jsonl", "--out", "out.jsonl", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    end = time.monotonic() + 60
    while server.hits < 1 and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and b"left at once" in err and b"Traceback" not in err
    assert served.books.listed("attempts", "state") == ["sent"]
