"""``scripts/jepsen``: programs and servers over one PostgreSQL that breaks all the time; a lost lock is seen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.postgres import binaries

SCRIPT = Path(__file__).parents[2] / "scripts" / "jepsen"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    if binaries() is None:
        pytest.skip("no PostgreSQL here")
    return subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True, timeout=300, check=False)


def test_programs_over_a_database_that_breaks_overspend_forget_and_double_nothing() -> None:
    done = run("--seeds", "1", "--seconds", "2")
    assert done.returncode == 0, done.stdout
    assert "seed 1: " in done.stdout and ": 0 violations" in done.stdout


def test_servers_over_a_database_that_breaks_do_not_either() -> None:
    done = run("--serve", "--seeds", "1", "--seconds", "2")
    assert done.returncode == 0, done.stdout
    assert "seed 1: " in done.stdout and ": 0 violations" in done.stdout


def test_books_without_the_lock_on_accounts_are_caught() -> None:
    done = run("--seeds", "20", "--seconds", "2", "--unlocked")
    assert done.returncode == 0, done.stdout
    assert "1 of the seeds had violations" in done.stdout
