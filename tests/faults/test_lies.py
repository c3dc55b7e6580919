"""A hundred lies of a provider, plain and streamed, in a run and in a batch: each ends its own call, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.fault_server import FaultServer
from tests.support.lies import Lie, main_lies, teller

LIES = main_lies()
MOST = 150 * 1024
"""Kilobytes of resident memory."""
ENDS = (0, 5)
# A process's peak begins with that of the one that forked it, so a small one stands between.
BETWEEN = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"
CALLER = Path(__file__).with_name("lied_to.py")


@pytest.fixture
def gullible(desk: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A home that asks one model, waits two seconds, and has energy for all of it."""
    monkeypatch.setenv("NEXSCOUT_FALLBACK_MODELS", "never")
    monkeypatch.setenv("NEXSCOUT_PROVIDERS_TIMEOUT", "2")
    monkeypatch.setenv("NEXSCOUT_PROVIDERS_STREAM_TIMEOUT", "2")
    assert desk("energy", "grant", "ada", "100000").status == 0
    return desk


def called(lines: list[list[str]], folder: Path, most: int = MOST) -> list[tuple[int, str]]:
    """The command lines in a process of their own, whose memory is looked at."""
    file = folder / "lines"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", BETWEEN, sys.executable, "-m", "tests.faults.lied_to", str(file)],
        capture_output=True,
        timeout=500,
        cwd=CALLER.parent.parent.parent,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    found = json.loads(done.stdout)
    print(f"{found['memory'] / 1024:.0f} MB")
    assert found["memory"] < most
    return [(status, err) for status, err in found["ended"]]


def sound(desk: Any) -> None:
    """Nothing is left sent, and the books balance."""
    assert set(desk.states()) <= {"posted", "unknown", "voided"}
    done = desk("db", "check")
    assert done.status == 0, done


@pytest.mark.slow
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_a_run_that_is_lied_to_ends_with_an_answer_or_five(
    gullible: Any, server: FaultServer, tmp_path: Path, streamed: bool
) -> None:
    server.script = [teller(LIES, streamed=lambda connection: bool(connection.body.get("stream")))] * 9_999
    how = "--stream" if streamed else "--no-stream"
    ended = called(
        [["run", "-m", "gpt-4o", how, "--no-cache", f"lie {n}: say hello"] for n in range(len(LIES))], tmp_path
    )
    wrong = {
        lie.name: end
        for lie, end in zip(LIES, ended, strict=True)
        if end[0] not in ENDS or "Traceback" in end[1] or len(end[1].splitlines()) > 4
    }
    assert not wrong
    assert not {lie.name for lie, end in zip(LIES, ended, strict=True) if lie.billed and end[0]}
    assert server.hits >= len(LIES)
    sound(gullible)


@pytest.mark.slow
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_a_row_of_a_batch_that_is_lied_to_ends_alone_and_the_others_are_asked(
    gullible: Any, server: FaultServer, tmp_path: Path, streamed: bool
) -> None:
    server.script = [teller(LIES, streamed=lambda connection: streamed)] * 9_999
    rows = [{"id": str(n), "prompt": f"lie {n}: say hello"} for n in range(len(LIES))]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    [(status, err)] = called(
        [["batch", str(tmp_path / "rows.jsonl"), "-m", "gpt-4o", "--out", str(tmp_path / "out.jsonl"), "--no-cache"]],
        tmp_path,
    )
    assert (status, "Traceback" in err) == (7, False), err
    answered = {row["id"]: row for row in map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())}
    assert answered.keys() == {row["id"] for row in rows}
    codes = {answered[row["id"]]["error"]["code"] for row in rows if not answered[row["id"]]["success"]}
    assert codes == {"providers_failed"}
    assert not {lie.name for n, lie in enumerate(LIES) if lie.billed and not answered[str(n)]["success"]}
    assert server.hits >= len(LIES)
    sound(gullible)


def test_there_are_a_hundred_lies_and_each_has_a_name_of_its_own() -> None:
    assert len(LIES) >= 100
    names = [lie.name for lie in LIES]
    assert len(set(names)) == len(names)
    assert all(isinstance(lie, Lie) for lie in LIES)


@pytest.mark.parametrize("error", [RecursionError, TypeError, MemoryError, ValueError])
@pytest.mark.parametrize(
    ("where", "state"),
    [
        ("nexscout_cli.engine.execution.charge_for", "unknown"),
        ("nexscout_cli.engine.execution.Execution._answered", "posted"),
        ("nexscout_cli.engine.delivery.delivered", "posted"),
        ("nexscout_cli.providers.Providers.complete", "unknown"),
        ("nexscout_cli.store.sqlite.postings.post", "unknown"),
    ],
)
def test_an_error_of_our_own_between_sent_and_posted_ends_its_attempt_as_posted_or_unknown(
    gullible: Any, monkeypatch: pytest.MonkeyPatch, where: str, state: str, error: type[Exception]
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise error("what may hold anything")

    monkeypatch.setattr(where, broken)
    done = gullible("run", "-m", "gpt-4o", "Hello")
    assert done.status == 5 and error.__name__ in done.err and "anything" not in done.err
    assert set(gullible.states()) == {state}
    sound(gullible)


def test_an_error_of_our_own_in_one_row_is_that_rows_and_the_others_are_asked(
    gullible: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nexscout_cli.engine.pipeline import Engine

    real = Engine.run

    def broken(self: Engine, request: Any, *more: Any, **named: Any) -> Any:
        if "two" in request.prompt:
            raise TypeError("what may hold anything")
        return real(self, request, *more, **named)

    monkeypatch.setattr(Engine, "run", broken)
    (tmp_path / "rows.jsonl").write_text("".join(f'{{"prompt": "{n}"}}\n' for n in ("one", "two", "three")))
    done = gullible("batch", "rows.jsonl", "-m", "gpt-4o", "--out", "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert done.status == 7 and sorted(row["success"] for row in rows) == [False, True, True]
    sound(gullible)
