"""The fuzzer: bounded by seconds, and a seed makes the same case again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from tests.support import fuzzing
from tests.support.fuzzing import Finding

SCRIPT = Path(__file__).parents[2] / "scripts" / "fuzz"


def fuzz(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *argv], capture_output=True, text=True, timeout=120)


def test_a_second_of_lying_providers_finds_nothing() -> None:
    done = fuzz("--seconds", "1", "--kinds", "providers")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing found" in done.stdout


def test_a_kind_that_is_not_known_is_named() -> None:
    done = fuzz("--kinds", "planets")
    assert done.returncode == 2 and "planets" in done.stderr


def test_the_same_seed_changes_bytes_in_the_same_way() -> None:
    data = b'{"id": "c1", "choices": [1, 2, 3]}' * 3
    assert [fuzzing.mutated(data, Random(n)) for n in range(50)] == [
        fuzzing.mutated(data, Random(n)) for n in range(50)
    ]
    assert len({fuzzing.mutated(data, Random(n)) for n in range(50)}) > 30


def test_an_error_in_a_reader_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise TypeError("unhashable")

    monkeypatch.setattr("tests.support.fuzzing.error_text", broken)
    with fuzzing.providers() as case, pytest.raises(Finding, match="TypeError: unhashable"):
        case(Random(1))


def test_there_is_a_kind_for_each_thing_that_comes_from_outside() -> None:
    assert set(fuzzing.KINDS) == {"providers", "texts", "files", "databases", "commands"}


def test_a_second_of_odd_command_lines_finds_nothing() -> None:
    done = fuzz("--seconds", "1", "--kinds", "commands")
    assert done.returncode == 0, done.stdout + done.stderr
