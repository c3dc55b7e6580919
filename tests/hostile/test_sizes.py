"""What is too large or too deep is refused in bounded memory: 300 MB. The CPU it takes is printed, not judged."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.hostile.conftest import COMMAND, Home
from tests.support.openai_server import OpenAIServer

MB = 1_000_000
MOST = 300 * 1024
"""Kilobytes of resident memory."""


class Cost(NamedTuple):
    """What a process came to, and what it took."""

    status: int
    err: str
    cpu: float
    memory: int


# A process's peak begins with that of the one that forked it, so a small one stands between.
MEASURE = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[2:], stdin=open(sys.argv[1], "rb")).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(status, used.ru_utime + used.ru_stime, used.ru_maxrss)
"""


def measured(*argv: str, stdin: str = os.devnull) -> Cost:
    """Run the command, and what the system says that took."""
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", MEASURE, stdin, COMMAND, *argv], capture_output=True, timeout=100
    )
    status, cpu, memory = ended.stdout.split()
    cost = Cost(int(status), ended.stderr.decode(), float(cpu), int(memory))
    print(f"{cost.cpu:.2f} s of CPU, {cost.memory / 1024:.0f} MB: {cost.err.strip()[:120]}")
    return cost


def refused(cost: Cost, status: int) -> None:
    assert cost.status == status and len(cost.err.splitlines()) <= 3 and "Traceback" not in cost.err
    assert cost.memory < MOST


def prose(size: int) -> str:
    numbers = count()
    return "".join(
        f"Every sentence has a number of its own, and this one is {next(numbers)}. " for _ in range(size // 50)
    )[:size]


@pytest.mark.parametrize("how", ["file", "stdin", "beside a prompt", "attachment", "context", "simulate"])
def test_ten_megabytes_are_refused_before_they_are_read(home: Home, server: OpenAIServer, how: str) -> None:
    Path("big").write_text(prose(10 * MB))
    before = home.db.read_bytes()
    argv = {
        "file": ("run", "@big"),
        "stdin": ("run", "-"),
        "beside a prompt": ("run", "Hi"),
        "attachment": ("run", "--attach", "big", "Hi"),
        "context": ("run", "-c", "@big", "Hi"),
        "simulate": ("simulate", "@big"),
    }[how]
    refused(measured(*argv, stdin="big" if how in ("stdin", "beside a prompt") else os.devnull), 3)
    assert home.db.read_bytes() == before and server.hits == 0


SHAPES = {
    "prose": prose(1_900_000),
    "one letter": "a" * 1_900_000,
    "emoji": "🎈" * 470_000,
    "short lines": "a b\n" * 470_000,
    "combining marks": "e\u0301" * 630_000,
}


@pytest.mark.parametrize("name", SHAPES)
def test_what_the_byte_cap_lets_through_the_firewall_refuses(home: Home, server: OpenAIServer, name: str) -> None:
    Path("big").write_text(SHAPES[name])
    refused(measured("run", "@big"), 3)
    assert server.hits == 0 and home.books.listed("predictions", "approved") == [0]
    assert home.books.count("attempts") == 0


def test_ten_megabytes_that_an_admin_lets_through_are_refused_by_the_firewall(
    home: Home, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXSCOUT_FIREWALL_MAX_BYTES", "20000000")
    Path("big").write_text(prose(10 * MB))
    refused(measured("run", "@big"), 3)
    assert server.hits == 0


JSON = {
    "deep lists": ("[" * 900_000 + "]" * 900_000, 2),
    "deep objects": ('{"a":' * 300_000 + "1" + "}" * 300_000, 2),
    "open lists": ("[" * 1_900_000, 2),
    "a long list": ("[" + "1," * 940_000 + "1]", 3),
    "many keys": ("{" + ",".join(f'"k{n}":{n}' for n in range(110_000)) + "}", 3),
    "empty objects": ("[" + "{}," * 630_000 + "{}]", 3),
    "a long text": ('"' + "x" * 1_900_000 + '"', 3),
    "escapes": ('"' + "\\u00e9" * 310_000 + '"', 3),
    "a number of 1.9 million digits": ("9" * 1_900_000, 2),
}


@pytest.mark.parametrize("name", JSON)
def test_a_huge_or_deep_context_is_refused_in_bounded_memory(home: Home, server: OpenAIServer, name: str) -> None:
    text, status = JSON[name]
    Path("c.json").write_text(text)
    refused(measured("run", "-c", "@c.json", "Hi"), status)
    assert server.hits == 0 and home.books.count("attempts") == 0
