"""The benchmark of `replay`'s forecast: made logs, forecast and then really run, come to the same within its range."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TEXT = "We counted the boxes twice and wrote each number down. "


def forecast(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "bench" / "forecast"), *args]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def written(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(path)


def test_a_log_costs_what_was_forecast(tmp_path: Path) -> None:
    ids = range(6)
    questions = [{"id": n, "prompt": f"There are {n + 3} boxes of {n + 5} pens. How many pens?"} for n in ids]
    questions.append({"id": 99, "prompt": "Nobody answered this one."})
    outputs = [{"id": n, "models": {"m": {"output": TEXT * (n + 1)}}} for n in ids]
    files = (written(tmp_path / "q.jsonl", questions), written(tmp_path / "o.jsonl", outputs))
    ended = forecast("--questions", files[0], "--outputs", files[1], "--name", "m", "--days", "1", "--json")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["recorded"]["requests"] == found["recorded"]["calls"] == 6
    assert found["demo"]["calls"] <= found["demo"]["requests"]
    for one in found.values():
        assert one["low"] <= one["real"] <= one["high"] < one["logged"] and abs(one["off"]) <= 0.1
        assert round(one["real"], 9) == round(one["billed"], 9)


def test_a_log_without_answers_is_told_in_one_line(tmp_path: Path) -> None:
    files = (written(tmp_path / "q.jsonl", [{"id": 1, "prompt": "Hi"}]), written(tmp_path / "o.jsonl", [{"id": 1}]))
    ended = forecast("--questions", files[0], "--outputs", files[1])
    assert (
        ended.returncode == 2
        and ended.stderr.strip() == "no row of q.jsonl and o.jsonl has an answer of gpt-4o-2024-08-06"
    )
