from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
SCRIPT = ROOT / "scripts" / "bench" / "all-judgement"


@pytest.fixture(scope="module")
def bench() -> Any:
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        spec = importlib.util.spec_from_loader("all_judgement", SourceFileLoader("all_judgement", str(SCRIPT)))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(SCRIPT.parent))


def test_a_folder_without_the_files_is_refused_by_the_first_that_is_missing(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, SCRIPT, tmp_path], capture_output=True, text=True)
    assert done.returncode == 2
    assert f"zeroeval_dev.jsonl(.gz) is not in {tmp_path}" in done.stderr
    assert done.stdout == ""


def test_on_line_answers_of_one_length_are_met_and_their_median_too(bench: Any) -> None:
    from_file = [bench.Answers("x", "What is it?", 4, {"m": 50})] * 40
    error, constant, bias, held = bench.learned(from_file, "m")
    assert constant == 0.0
    assert error < 0.05
    assert bias == pytest.approx(1.0, abs=0.05)
    assert held == 1.0


def test_a_stream_is_the_same_each_time_and_of_one_model(bench: Any) -> None:
    from_file = [bench.Answers("x", f"{n}?", 4, {"m" if n % 2 else "other": n + 1}) for n in range(50)]
    first = bench.stream([from_file], "m")
    assert first == bench.stream([from_file], "m")
    assert all("m" in row.answers for row in first)
    assert len(first) == 25


def test_the_table_of_emotion_counts_every_labelled_text_once_by_language_and_once_by_set(bench: Any) -> None:
    texts = [json.loads(line) for line in (ROOT / "fixtures" / "emotion.jsonl").read_text("utf-8").splitlines()]
    lines = [line.split() for line in bench.emotion().splitlines()[1:]]
    assert sum(int(line[1]) for line in lines) == 2 * len(texts)


def test_each_figure_is_held_against_its_limits(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "MET", [])
    bench.hold("bias", 0.55, 0.8, 1.25)
    bench.hold("coverage", 0.8, 0.8)
    bench.hold("ratio", 0.86, float("-inf"), 0.85)
    assert [line[2:] for line in bench.MET] == [
        ("0.8 to 1.25", "NO"),
        ("at least 0.8", "yes"),
        ("at most 0.85", "NO"),
    ]


def test_the_figures_of_a_task_left_out_are_read_from_the_table(bench: Any) -> None:
    text = "set  models  error\ncrux, without a fifth  9  0.1\ncrux, without the task  48  0.22  0.41  1.09"
    assert bench.told(text, ", without the task") == [("crux", [48.0, 0.22, 0.41, 1.09])]
