"""A hundred lies of a provider, plain and streamed, in a run and in a batch: each ends its own call, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.fault_server import FaultServer
from tests.support.lies import lies_of, main_lies, teller

LIES = main_lies()
MOST = 150 * 1024
"""Kilobytes of resident memory that a process may have over our own wires."""
MORE = 50 * 1024
"""Kilobytes that lies may add to what LiteLLM has after two true answers: of itself it takes more than 150 MB."""
ENDS = (0, 5)
# A process's peak begins with that of the one that forked it, so a small one stands between.
BETWEEN = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"
CALLER = Path(__file__).with_name("lied_to.py")
STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
WAYS = {"wire": LIES, "litellm": LIES, "anthropic": lies_of("anthropic"), "gemini": lies_of("gemini")}
"""How calls of gpt-4o go, and the lies in that form."""
EACH = {"wire": (1, 1), "litellm": (16, 8), "anthropic": (16, 4), "gemini": (16, 4)}
"""Every which lie a run and a batch are told: all of them where it is our own wire alone that reads."""
AT_ONCE = 5
"""How many rows are asked at once, as the command does by itself."""


@pytest.fixture
def gullible(desk: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A home that asks one model, waits two seconds, and has energy for all of it."""
    monkeypatch.setenv("NEXSCOUT_FALLBACK_MODELS", "never")
    monkeypatch.setenv("NEXSCOUT_PROVIDERS_TIMEOUT", "2")
    monkeypatch.setenv("NEXSCOUT_PROVIDERS_STREAM_TIMEOUT", "2")
    assert desk("energy", "grant", "ada", "100000").status == 0
    return desk


def called(lines: list[list[str]], folder: Path, *, warm: list[list[str]] | None = None) -> list[tuple[int, str]]:
    """The command lines in a process of their own, whose memory is looked at: all of it, or what comes after ``warm``."""
    first = warm or []
    file = folder / "lines"
    file.write_text("".join(json.dumps(line) + "\n" for line in (*first, *lines)))
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", BETWEEN, sys.executable, "-m", "tests.faults.lied_to", str(file)],
        capture_output=True,
        timeout=500,
        cwd=CALLER.parent.parent.parent,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    ended = [(status, err) for status, err, _ in json.loads(done.stdout)]
    memory = [kilobytes for _, _, kilobytes in json.loads(done.stdout)]
    before = memory[len(first) - 1] if warm else 0
    print(f"{before / 1024:.0f} MB, then {memory[-1] / 1024:.0f}")
    assert not warm or ended[len(first) - 1][0] == 0, ended[: len(first)]
    assert memory[-1] - before < (MORE if warm else MOST)
    return ended[len(first) :]


def sound(desk: Any) -> None:
    """Nothing is left sent, and the books balance."""
    assert set(desk.states()) <= {"posted", "unknown", "voided"}
    done = desk("db", "check")
    assert done.status == 0, done


def sent_by(desk: Any, way: str, how: str) -> list[list[str]] | None:
    """Send gpt-4o's calls that way; for LiteLLM what makes it and the tokenizer load."""
    if way == "wire":
        return None
    if way == "litellm":
        assert desk("models", "set", "gpt-4o", "--param", "organization=org-x").status == 0  # our wire does not know it
        # While LiteLLM loads, two seconds may not be enough for the first.
        return [["run", "-m", "gpt-4o", how, "--no-cache", f"truth {n}"] for n in range(3)]
    target = ("--litellm-model", f"{way}/any", "--api-key-env", "OPENAI_API_KEY")
    assert desk("models", "set", "gpt-4o", *target).status == 0
    return None


@pytest.mark.slow
@STREAMED
@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_is_lied_to_ends_with_an_answer_or_five(
    gullible: Any, server: FaultServer, tmp_path: Path, streamed: bool, way: str
) -> None:
    lies = WAYS[way]
    server.script = [teller(lies, streamed=lambda connection: streamed)] * 9_999
    how = "--stream" if streamed else "--no-stream"
    told = range(0, len(lies), EACH[way][0])
    asked = [["run", "-m", "gpt-4o", how, "--no-cache", f"lie {n}: say hello"] for n in told]
    ended = {
        lies[n]: end for n, end in zip(told, called(asked, tmp_path, warm=sent_by(gullible, way, how)), strict=True)
    }
    wrong = {
        lie.name: end
        for lie, end in ended.items()
        if end[0] not in ENDS or "Traceback" in end[1] or "handled here" in end[1] or len(end[1].splitlines()) > 4
    }
    assert not wrong
    assert not {lie.name for lie, end in ended.items() if lie.billed and end[0]}
    assert server.hits >= len(ended)
    sound(gullible)


@pytest.mark.slow
@STREAMED
@pytest.mark.parametrize("way", WAYS)
def test_a_row_of_a_batch_that_is_lied_to_ends_alone_and_the_others_are_asked(
    gullible: Any, server: FaultServer, tmp_path: Path, streamed: bool, way: str
) -> None:
    lies = WAYS[way]
    server.script = [teller(lies, streamed=lambda connection: streamed)] * 9_999
    told = range(0, len(lies), EACH[way][1])
    rows = [{"id": str(n), "prompt": f"lie {n}: say hello"} for n in told]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    line = ["batch", str(tmp_path / "rows.jsonl"), "-m", "gpt-4o", "--out", str(tmp_path / "out.jsonl"), "--no-cache"]
    line += ["--concurrency", str(AT_ONCE)]
    warm = sent_by(gullible, way, "--stream" if streamed else "--no-stream")
    [(status, err)] = called([line], tmp_path, warm=warm)
    assert (status, "Traceback" in err) == (7, False), err
    answered = {row["id"]: row for row in map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())}
    assert answered.keys() == {row["id"] for row in rows}
    codes = {answered[row["id"]]["error"]["code"] for row in rows if not answered[row["id"]]["success"]}
    assert codes == {"providers_failed"}
    assert not {lies[n].name for n in told if lies[n].billed and not answered[str(n)]["success"]}
    assert server.hits >= len(rows)
    sound(gullible)


def test_there_are_a_hundred_lies_and_each_has_a_name_of_its_own() -> None:
    assert len(LIES) >= 100
    for lies in WAYS.values():
        names = [lie.name for lie in lies]
        assert len(set(names)) == len(names)


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
