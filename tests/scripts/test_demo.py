"""The demo: believable use, made by the product itself, the same for the same seed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def report(folder: Path) -> dict[str, Any]:
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "NEXSCOUT_HOME": str(folder), "NEXSCOUT_ACTOR": "operator"}
    command = [sys.executable, "-m", "nexscout_cli", "report", "--since", "2026-06-01", "--json"]
    return dict(json.loads(subprocess.run(command, env=env, capture_output=True, check=True, cwd=folder).stdout))


@pytest.mark.slow
def test_the_demo_is_the_same_for_the_same_seed_and_another_for_another(tmp_path: Path) -> None:
    found = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        command = [str(ROOT / "scripts" / "demo"), str(tmp_path / name), "--days", "2", "--end", "2026-06-03T20:00"]
        subprocess.run([*command, "--seed", str(seed)], check=True, capture_output=True, cwd=tmp_path)
        found.append(report(tmp_path / name))
    assert found[0]["totals"] == found[1]["totals"] != found[2]["totals"]
    assert len(found[0]["rows"]) == 2 and found[0]["totals"]["users"] > 10
    again = subprocess.run(command, capture_output=True, cwd=tmp_path)
    assert again.returncode == 2 and b"there already" in again.stderr
