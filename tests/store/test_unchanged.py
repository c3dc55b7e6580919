"""What a server's coroutines have read is kept while the books are the same, and no longer."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from typing import Any

from nexscout_cli.coroutines import Coroutines
from nexscout_cli.store.sqlite.unchanged import Unchanged
from tests.support.bench import Bench


def as_coroutine(work: Callable[[], Any]) -> Any:
    """What it returns, run as a server runs it."""

    async def run() -> Any:
        coroutines = Coroutines(1)
        value = await coroutines.run(work)
        coroutines.close()
        return value

    return asyncio.run(run())


def readings(bench: Bench, between: Callable[[], object]) -> int:
    """How often a value is read that is asked for three times, with something done after the first."""
    unchanged, read = Unchanged(bench.store), []

    def work() -> None:
        for ask in range(3):
            unchanged.get("what", lambda: read.append(1))
            if ask == 0:
                between()

    as_coroutine(work)
    return len(read)


def test_a_value_is_read_once_while_nothing_is_committed(bench: Bench) -> None:
    assert readings(bench, lambda: None) == 1


def test_it_is_read_again_after_a_commit_of_this_process(bench: Bench) -> None:
    assert readings(bench, lambda: bench.store.db.together(lambda c: c.execute("UPDATE meta SET value = value"))) == 2


def test_it_is_read_again_after_a_commit_of_another_process(bench: Bench) -> None:
    def elsewhere() -> None:
        time.sleep(0.02)  # the file system tells the time by ticks
        with sqlite3.connect(bench.store.path) as other:
            other.execute("UPDATE meta SET value = '2' WHERE key = 'world_version'")
        other.close()

    assert readings(bench, elsewhere) == 2


def test_it_is_read_again_in_another_second(bench: Bench) -> None:
    assert readings(bench, lambda: bench.clock.move(seconds=1)) == 2


def test_it_is_read_again_under_other_rules(bench: Bench) -> None:
    def other_rules() -> None:
        bench.store.rules = bench.store.rules._replace(auto_create=not bench.store.rules.auto_create)

    assert readings(bench, other_rules) == 2


def test_a_command_reads_each_time(bench: Bench) -> None:
    unchanged, read = Unchanged(bench.store), []
    for _ in range(3):
        unchanged.get("what", lambda: read.append(1))
    assert len(read) == 3
