"""What seldom changes of the books is not read again after a call's commits, and always after a commit that changed it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nexscout_cli import waiting
from nexscout_cli.engine.budgets import Budget
from nexscout_cli.engine.snapshot import Snapshot
from nexscout_cli.store.sqlite import accounts, loop_writer, world
from nexscout_cli.store.sqlite.transaction import Transaction
from tests.store.test_unchanged import as_coroutine
from tests.support.bench import Bench

CHANGES = [
    "UPDATE users SET tier = 'pro' WHERE user_id = 'ada'",
    "UPDATE users SET role = 'user' WHERE user_id = 'ada'",
    "UPDATE user_efficiency_profiles SET preferred_mode = 'fast' WHERE user_id = 'ada'",
    "UPDATE meta SET value = '1' WHERE key = 'panic'",
    "UPDATE ai_model_configs SET enabled = 0 WHERE model = 'gpt-4o'",
    "INSERT INTO budgets (owner, unit, \"window\", scope, cap) VALUES ('=x', 'usd', 'day', 'name', 5)",
    "INSERT INTO input_factors (model, n, mean, most) VALUES ('gpt-4o', 3, 1.5, 2.0)",
    "INSERT INTO thinking (model, n, mean, most) VALUES ('gpt-4o', 3, 10.0, 20.0)",
    "INSERT INTO output_lengths (feature, user_id, model, state) VALUES ('ai_message', 'ada', '', '[1,2,3,4,5,6,7,8,9,10]')",
]


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A bench whose store works as a server's does, however slow the disk is."""
    monkeypatch.setattr(loop_writer, "_SHORT", float("inf"))
    monkeypatch.setattr(loop_writer, "LATEST", 60.0)
    bench = Bench(tmp_path / "nexscout.db")
    bench.store.for_many_commits()
    yield bench
    bench.store.close()


@pytest.fixture
def readings(served: Bench, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Filled with what was read of it each time."""
    found: list[Any] = []
    read = world.lasting

    def counted(*args: Any) -> Any:
        found.append(read(*args))
        return found[-1]

    monkeypatch.setattr(world, "lasting", counted)
    return found


def seen(bench: Bench, readings: list[Any], between: Callable[[], object]) -> tuple[Snapshot, Snapshot]:
    """Two snapshots of a server's, with something done between them; ``readings`` are those of both."""

    def work() -> tuple[Snapshot, Snapshot]:
        readings.clear()
        first = bench.snapshot()
        between()
        return first, bench.snapshot()

    bench.void(bench.sent())  # what the first call opens is there
    found: tuple[Snapshot, Snapshot] = as_coroutine(work)
    return found


def test_calls_change_what_is_left_and_nothing_else_is_read_again(served: Bench, readings: list[Any]) -> None:
    before, after = seen(served, readings, lambda: (served.post(served.sent()), served.void(served.sent())))
    assert len(readings) == 1 and after.energy < before.energy


def test_what_an_answer_taught_is_read_once_it_is_folded_in(served: Bench, readings: list[Any]) -> None:
    seen(served, readings, lambda: (served.post(served.sent()), served.store.settle()))
    assert len(readings) == 2 and readings[0].output_lengths != readings[1].output_lengths


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("whose", ["ours", "another process's"])
def test_each_change_of_it_is_seen_at_once(served: Bench, readings: list[Any], change: str, whose: str) -> None:
    def by_another() -> None:
        other = sqlite3.connect(served.path)
        with other:
            other.execute(change)
        other.close()

    def ours() -> None:
        served.store.db.together(lambda c: c.execute(change))

    seen(served, readings, ours if whose == "ours" else by_another)
    assert len(readings) == 2
    assert readings[0] != readings[1] or "budgets" in change  # which this request's owners don't draw on


def test_a_change_that_the_files_do_not_show_is_seen_after_our_next_commit(
    served: Bench, readings: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert served.store.db.watch is not None
    monkeypatch.setattr(served.store.db.watch, "_look", lambda: [0])

    def unseen_and_ours() -> None:
        served.damage(CHANGES[2])
        served.void(served.sent())

    _, after = seen(served, readings, unseen_and_ours)
    assert len(readings) == 2 and after.profile.preferred_mode == "fast"


def test_what_is_read_while_a_change_is_not_committed_yet_is_not_kept(served: Bench, readings: list[Any]) -> None:
    """A reader on another connection sees the books before the commit, under whatever number the watch has then."""

    def change(c: sqlite3.Connection) -> None:
        c.execute(CHANGES[2])
        served.snapshot()  # a reader's, as others on the loop have while a thread commits
        assert readings[-1].profile.preferred_mode == "auto"

    _, after = seen(served, readings, lambda: served.store.db.together(change))
    assert after.profile.preferred_mode == "fast"


def test_a_commit_that_was_taken_back_leaves_all_as_it_was(served: Bench, readings: list[Any]) -> None:
    def failing(c: sqlite3.Connection) -> None:
        c.execute(CHANGES[2])
        raise ValueError("no")

    def fails() -> None:
        with pytest.raises(ValueError, match="no"):
            served.store.db.together(failing)

    _, after = seen(served, readings, fails)
    assert after.profile.preferred_mode == "auto"


def test_accounts_that_were_opened_and_taken_back_are_not_drawn_on(served: Bench) -> None:
    """What is kept of a transaction that fails halfway would be numbers that the next one gives to other accounts."""
    budgets = (Budget("usd", "user", "day", None), Budget("tokens", "user", "day", 1_000_000))

    def opened(t: Transaction, budgets: tuple[Budget, ...]) -> list[tuple[Budget, int]]:
        return t.lasting("opened", lambda t: accounts.open_budgets(t, "ada", budgets))

    def in_one_commit(t: Transaction) -> list[str]:
        t.execute("SAVEPOINT first")
        assert opened(t, budgets[::-1]) == opened(t, budgets[::-1])  # the second time they are there
        t.execute("ROLLBACK TO first")
        found = opened(t, budgets)
        return [t.execute("SELECT kind FROM accounts WHERE id = ?", (number,)).fetchone()[0] for _, number in found]

    assert as_coroutine(lambda: served.store.together("ada", in_one_commit)) == ["usd", "tokens"]


@pytest.mark.parametrize(
    ("read", "change"),
    [
        ("SELECT granted FROM accounts WHERE kind = 'energy'", "UPDATE accounts SET granted = granted + 1"),
        (
            "SELECT count(*) FROM accounts",
            "INSERT INTO accounts (owner, kind, period) VALUES ('x', 'usd', '2026-01-01')",
        ),
    ],
)
def test_accounts_that_change_are_looked_at_again(served: Bench, read: str, change: str) -> None:
    def value() -> Any:
        return served.store.together("ada", lambda t: t.lasting("value", lambda t: t.execute(read).fetchone()))[0]

    def both() -> tuple[Any, Any, Any]:
        first = value()
        served.void(served.sent())
        second = value()
        served.store.db.together(lambda c: c.execute(change))
        return first, second, value()

    served.void(served.sent())
    before, same, after = as_coroutine(both)
    assert before == same and after == before + 1


STEPS = st.lists(
    st.sampled_from(["hold", "post", "void", "settle", "mode", "elsewhere", "tier", "second"]), min_size=1, max_size=12
)


@given(steps=STEPS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_kept_world_is_what_a_command_would_read(served: Bench, steps: list[str]) -> None:
    def step(name: str, n: int) -> None:
        match name:
            case "hold":
                served.sent()
            case "post":
                served.post(served.sent())
            case "void":
                served.void(served.sent())
            case "settle":
                served.store.settle()
            case "mode":
                mode = ("fast", "auto")[n % 2]
                served.store.db.together(
                    lambda c: c.execute("UPDATE user_efficiency_profiles SET preferred_mode = ?", (mode,))
                )
            case "elsewhere":
                served.damage(f"UPDATE meta SET value = '{n % 2}' WHERE key = 'panic'")
            case "tier":
                served.store.db.together(lambda c: c.execute("UPDATE users SET tier = ?", (("pro", "elite")[n % 2],)))
            case "second":
                served.clock.move(seconds=1)

    def both() -> None:
        loop = waiting.here()
        assert loop is not None
        for n, name in enumerate(steps):
            step(name, n)
            served.store.settle()
            kept, read = served.snapshot(), loop.in_thread(served.snapshot)
            assert kept._replace(surge_milli=read.surge_milli) == read

    as_coroutine(both)
