from __future__ import annotations

import gzip
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
SAMPLE = ROOT / "fixtures" / "answers.jsonl"
MODEL = "gpt-4o-mini-2024-07-18"
ROWS = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
FIGURES = {"n", "mape", "mdape", "bias", "p90_coverage", "us"}


def run(*arguments: str | Path, status: int = 0) -> str:
    script = ROOT / "scripts" / "bench" / "predict"
    done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr


def measured(*arguments: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*arguments, "--json"))
    assert set(found) == {"ours", "formula", "constant"}
    return found


def test_the_figures_of_the_formula_and_the_constant_are_what_the_file_says() -> None:
    pairs = [(row, row["models"][MODEL]["out_tokens"]) for row in ROWS if MODEL in row.get("models", {})]
    used = [row["in_tokens"] + out for row, out in pairs]
    formula = [round((len(row["prompt"]) / 4 + 200) * 2.5) for row, _ in pairs]
    middle = statistics.median(used)
    found = measured(SAMPLE, "--model", MODEL)
    for name, predicted in (("formula", formula), ("constant", [middle] * len(used))):
        errors = [abs(p - u) / u for p, u in zip(predicted, used, strict=True)]
        assert set(found[name]) == FIGURES
        assert found[name]["n"] == len(used)
        assert found[name]["mape"] == pytest.approx(statistics.mean(errors))
        assert found[name]["mdape"] == pytest.approx(statistics.median(errors))
        assert found[name]["bias"] == pytest.approx(sum(predicted) / sum(used))


def test_ours_is_the_products_own_prediction_and_errs_least() -> None:
    from nexscout_cli.engine.planning.predict import answer
    from nexscout_cli.engine.request import AIRequest

    found = measured(SAMPLE, "--model", MODEL)
    errors, held = [], []
    for row in ROWS:
        if MODEL in row.get("models", {}):
            request = AIRequest("ada", "ai_" + row["task"], row["prompt"])
            made, out = answer(request, {}, MODEL, MODEL, row["in_tokens"], None), row["models"][MODEL]["out_tokens"]
            errors.append(abs(made.expected - out) / (row["in_tokens"] + out))
            held.append(out <= made.p90)
    assert found["ours"]["mape"] == pytest.approx(statistics.mean(errors))
    assert found["ours"]["p90_coverage"] == pytest.approx(statistics.mean(held))
    assert found["ours"]["mape"] < found["formula"]["mape"]


def test_without_a_model_the_figures_are_the_mean_over_models() -> None:
    names = sorted({name for row in ROWS for name in row.get("models", {})} | {"strong", "weak"})
    each = [measured(SAMPLE, "--model", name)["ours"] for name in names]
    found = measured(SAMPLE)["ours"]
    assert found["n"] == sum(part["n"] for part in each)
    assert found["mape"] == pytest.approx(statistics.mean(part["mape"] for part in each))


def test_online_each_answer_is_predicted_before_it_is_learned(tmp_path: Path) -> None:
    row = {"task": "same", "prompt": "Tell me about rain.", "in_tokens": 10}
    rows = [row | {"models": {"m": {"out_tokens": 40}}}] * 30
    file = tmp_path / "same.jsonl.gz"
    with gzip.open(file, "wt") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)
    cold, online = measured(file, "--model", "m")["ours"], measured(file, "--model", "m", "--online")["ours"]
    once = file.with_name("once.jsonl")
    once.write_text(json.dumps(rows[0]))
    assert measured(once, "--online")["ours"]["mape"] == measured(once)["ours"]["mape"] == pytest.approx(cold["mape"])
    assert online["mape"] < cold["mape"] / 2
    assert any(line.startswith("ours, after 20") for line in run(file, "--online").splitlines())


@pytest.mark.parametrize("name", ["strong", "weak"])
def test_routellms_two_models_have_names(name: str) -> None:
    assert measured(SAMPLE, "--model", name)["ours"]["n"] == 2


def test_rows_that_lack_something_are_left_out(tmp_path: Path) -> None:
    good = {"prompt": "Hi", "in_tokens": 1, "models": {"m": {"out_tokens": 5}}}
    bad: list[dict[str, Any]] = [
        good | {"prompt": None},
        good | {"in_tokens": None},
        good | {"models": None},
        good | {"models": {"m": {}}},
        good | {"models": {"m": {"out_tokens": 0}}},
        good | {"models": {"other": {"out_tokens": 5}}},
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in [*bad, good]) + "\n\n")
    assert measured(file, "--model", "m")["ours"]["n"] == 1


def test_a_wrong_model_or_file_is_said(tmp_path: Path) -> None:
    assert "no row" in run(SAMPLE, "--model", "gpt-9", status=2)
    assert "nowhere.jsonl" in run(tmp_path / "nowhere.jsonl", status=2)
    for number, (text, told) in enumerate((("", "no row"), ("[1]\n", "an object"), ("not JSON\n", "Expecting value"))):
        file = tmp_path / f"{number}.jsonl"
        file.write_text(text)
        assert told in run(file, status=2)
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(SAMPLE.read_bytes())[:-20])
    assert "end-of-stream" in run(cut, status=2)


def test_the_table_has_a_line_for_each() -> None:
    lines = [line.split()[0] for line in run(SAMPLE).splitlines()[1:]]
    assert lines == ["ours", "formula", "constant"]
