"""A program that uses the Python functions and forks: each child has a store and connections of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from tests.crash.conftest import in_both

CHILDREN, CALLS = 4, 3
PROGRAM = f"""
import os, sys
from nexscout_cli import AIRequest, Options, api, run_ai_optimized

def ask(name):
    options = Options(force_model="gpt-4o-mini", allow_cache=False, max_tokens=50)
    answer = run_ai_optimized(AIRequest("ada", "ai_message", f"Write {{name}} a line", options=options))
    assert answer.success, answer.error

ask("before")
mine, children = api._store(), []
for number in range({CHILDREN}):
    child = os.fork()
    if not child:
        status = 1
        try:
            for n in range({CALLS}):
                ask(f"{{number}}-{{n}}")
            assert api._store() is not mine
            status = 0
        except BaseException as error:
            print(repr(error), file=sys.stderr)
        os._exit(status)
    children.append(child)
ask("meanwhile")
assert {{os.waitpid(child, 0)[1] for child in children}} == {{0}}
ask("after")
assert api._store() is mine
"""


@in_both
def test_the_children_of_a_program_that_forks_pay_each_call_once_and_the_sums_are_right(home: Any, server: Any) -> None:
    bought = home.states().count("posted")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=home.env | {"OPENAI_BASE_URL": server.url},
        cwd=home.folder,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    calls = CHILDREN * CALLS + 3
    assert server.hits == calls and home.states().count("posted") == bought + calls
    drawn = home.books.listed("accounts", "period", "spent", kind="usd", owner="ada")
    days = [spent for period, spent in drawn if len(period) == len("2026-11-10")]
    assert sum(days) == sum(home.books.listed("attempts", "actual", state="posted")) > 0
    assert home.check() == []
