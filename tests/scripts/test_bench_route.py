"""The routers' benchmark: RouteLLM's figures, every cheap call billed, nothing judged by what it was learned from."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "fixtures" / "routing.jsonl"
sys.path.insert(0, str(ROOT / "scripts" / "bench"))
from _pgr import Case, Router, area, dollars, figures, ladder, reach, recovered  # noqa: E402


def run(*args: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    script = ROOT / "scripts" / "bench" / "route"
    command = [
        sys.executable,
        "-c",
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.path.insert(0, {str(script.parent)!r});",
    ]
    command[-1] += (
        f"import runpy; sys.argv = {[str(script), *args]!r}; import _common; _common.use_checkout = lambda *a, **k: None;"
    )
    command[-1] += f"runpy.run_path({str(script)!r}, run_name='__main__')"
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    return done


def bench(*args: str) -> dict[str, Any]:
    done = run(*args)
    return dict(json.loads(done.stdout)["routers"], stderr=done.stderr)


def case(strong: list[float], weak: list[float]) -> Case:
    one = np.ones(len(strong))
    return Case(np.array(strong), np.array(weak), 10 * one, one)


PAIR = case([1, 1, 1, 0], [0, 1, 0, 0])


def test_a_perfect_order_reaches_everything_as_soon_as_it_can() -> None:
    found = figures(PAIR, Router(np.array([3.0, 1.0, 2.0, 0.0]), 0.0))
    assert (found["apgr"], found["cpt50"], found["cpt80"]) == (0.75, 0.25, 0.4)
    assert found["usd_at_strong"] == (2 * 10 + 2 * 1) / 4 * 1000


def test_equal_scores_are_told_apart_by_nothing() -> None:
    found = figures(PAIR, Router(np.zeros(4), 0.0))
    assert (found["apgr"], found["cpt50"], found["cpt80"]) == (0.5, 0.5, 0.8)
    order, group = ladder(np.zeros(4))
    assert area(*recovered((PAIR.strong - PAIR.weak)[order], group, np.ones(4))) == 0.5


def test_the_dollars_at_a_goal_lie_between_two_groups_where_the_goal_does() -> None:
    found = figures(PAIR, Router(np.zeros(4), 0.0))  # from 1000 to 10000 dollars, in any order
    assert found["usd_at_95"] == pytest.approx(1000 + 0.95 * 9000) and found["usd_at_strong"] == 10_000


def test_the_worst_order_reaches_nothing_before_the_end() -> None:
    order, group = ladder(np.array([0.0, 2.0, 1.0, 3.0]))
    x, y = recovered((PAIR.strong - PAIR.weak)[order], group, np.ones(4))
    assert reach(x, y, 0.5) == 0.75


def test_a_cascade_is_billed_for_the_cheap_call_and_for_each_second_one_that_could_decide() -> None:
    score = np.array([0.9, 0.1, 0.5, 0.2])
    order, group = ladder(score)
    alone = dollars(PAIR, Router(score, 0.0, cascade=True), order, group)
    assert alone is not None
    assert list(alone) == [1000.0, 3500.0, 6000.0, 8500.0, 11000.0]
    bounds = np.array([0.8, 0.05, 0.3, 0.1]), np.array([0.95, 0.4, 0.7, 0.6])
    both = dollars(PAIR, Router(score, 0.0, True, *bounds, np.full(4, 0.4)), order, group)
    assert both is not None
    # cut at 0.9: one could be decided; at 0.5: two; at 0.2: two; at 0.1: one (its answer may put it at or above the cut)
    assert list(np.round(both - alone)) == [0.0, 100.0, 200.0, 200.0, 100.0]


@pytest.fixture(scope="module")
def shipped() -> dict[str, Any]:
    return bench(str(SAMPLE), "--strong", "strong", "--weak", "weak", "--json")


def test_the_sample_gives_every_router_its_figures(shipped: dict[str, Any]) -> None:
    assert "flatter" in shipped.pop("stderr")
    assert shipped.keys() >= {"learned", "cascade", "random", "length", "litellm", "rules"}
    for found in shipped.values():
        assert found.keys() == {"apgr", "apgr_ci", "cpt50", "cpt80", "usd_at_95", "usd_at_strong", "us"}
        assert found["apgr_ci"][0] <= found["apgr"] <= found["apgr_ci"][1]
        assert 0 < found["cpt50"] <= found["cpt80"] <= 1
        assert found["usd_at_95"] <= found["usd_at_strong"]
    assert shipped["random"]["apgr"] == 0.5


def test_rows_that_lack_something_are_left_out(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in SAMPLE.read_text().splitlines()]
    pair = [{"id": row["id"], "prompt": row["prompt"]} for row in rows]
    told = [{"m": {"correct": row["strong"]}, "w": {"score": row["weak"]}} for row in rows]
    texts = [{"id": row["id"], "models": {"w": {"output": row["weak_response"]}}} for row in rows]
    bad: list[Any] = [None, {"m": None, "w": {"correct": 1}}, {"m": {"correct": 1}}, {"m": {}, "w": {"correct": None}}]
    holes = [row | {"models": models} for row, models in zip(pair, bad, strict=False)]
    file, outputs = tmp_path / "rows.jsonl", tmp_path / "outputs.jsonl"
    file.write_text(
        "\n".join(json.dumps(row) for row in [*holes, *(p | {"models": m} for p, m in zip(pair, told, strict=True))])
    )
    outputs.write_text("\n".join(json.dumps(row) for row in [*texts[2:], {"id": rows[0]["id"], "models": None}]))
    found = bench(str(file), "--strong", "m", "--weak", "w", "--outputs", str(outputs), "--json")
    assert "2 rows have no answer of w: left out" in found["stderr"]
    assert f"{len(rows) - 2} prompts" in found["stderr"] and "cascade" in found


def test_a_wrong_file_or_model_is_said(tmp_path: Path) -> None:
    pair = ("--strong", "strong", "--weak", "weak")
    assert "no two rows" in run(str(SAMPLE), "--strong", "strong", "--weak", "nobody", status=2).stderr
    assert run(str(tmp_path / "nowhere.jsonl"), *pair, status=2).stderr.count("\n") == 1
    (tmp_path / "empty.jsonl").write_text("")
    assert "no row has outcomes" in run(str(SAMPLE), *pair, "--train", str(tmp_path / "empty.jsonl"), status=2).stderr
    for labels, told in (("2", "too few"), ("0", "at least 1")):
        assert told in run(str(SAMPLE), *pair, "--train", str(SAMPLE), "--labels", labels, status=2).stderr
    assert run(str(SAMPLE), *pair, "--outputs", str(tmp_path / "nowhere.jsonl"), status=2).stdout == ""


def test_contaminated_rows_are_left_out(shipped: dict[str, Any], tmp_path: Path) -> None:
    rows = [json.loads(line) for line in SAMPLE.read_text().splitlines()]
    assert any(row["contaminated"] for row in rows)
    clean = tmp_path / "clean.jsonl"
    clean.write_text("\n".join(json.dumps(row) for row in rows if not row["contaminated"]))
    found = bench(str(clean), "--strong", "strong", "--weak", "weak", "--json")
    for name in ("learned", "cascade", "length"):
        assert {k: v for k, v in found[name].items() if k != "us"} == {
            k: v for k, v in shipped[name].items() if k != "us"
        }


def test_rows_that_were_learned_from_are_judged_by_what_was_learned_without_them() -> None:
    command = [str(SAMPLE), "--strong", "strong", "--weak", "weak", "--train", str(SAMPLE), "--json"]
    whole, some = bench(*command), bench(*command, "--labels", "20")
    assert "35 of the 35 rows are among them" in whole["stderr"]
    assert "20 of the 35 rows are among them" in some["stderr"]
    assert whole["learned"]["apgr"] < 0.9  # a fit to 35 outcomes tells them all apart
