"""A database that an earlier version of the program wrote, with all that a person may have in one."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.bench import Bench
from tests.support.clock import SettableClock

DUMP = Path(__file__).parents[2] / "fixtures" / "database_2026_11.sql"
"""Made by the program as it was before stores had ports: six answers, three of them after attempts whose outcome is not
known, one from the cache, feedback, an idempotency key, two users."""
NOON = datetime(2026, 11, 27, 13, 0, tzinfo=UTC)


@pytest.fixture
def old(tmp_path: Path) -> Bench:
    path = tmp_path / "nexscout.db"
    connection = sqlite3.connect(path)
    connection.executescript(DUMP.read_text())
    connection.close()
    path.chmod(0o600)
    return Bench(path, clock=SettableClock(NOON))


def test_it_opens_and_its_books_agree(old: Bench) -> None:
    assert old.check() == []


def test_what_was_spent_and_held_is_what_the_program_of_then_said(old: Bench) -> None:
    assert old.account("ada") == (5000, 0, 4)
    assert old.account("ben") == (1000, 0, 1)
    assert old.account("ada", "usd", "2026-11-27").spent == 47_100
    assert old.account("ada", "usd", "2026-11-27").held == 62_057_650


@pytest.mark.parametrize("cost", [1_000_000, None])
def test_an_attempt_of_unknown_outcome_is_posted_or_voided(old: Bench, cost: int | None) -> None:
    unknown = [
        row for row in old.store.recovery.unresolved("ada") if row.model == "gpt-4o-mini" and row.user_id == "ada"
    ]
    assert len(unknown) == 1
    before = old.account("ada", "usd", "2026-11-27")
    assert old.store.recovery.resolve("ada", unknown[0].request_id, cost) == 1
    after = old.account("ada", "usd", "2026-11-27")
    assert (after.spent - before.spent, before.held - after.held) == (cost or 0, unknown[0].hold)
    assert old.check() == []


def test_unknown_attempts_that_grow_old_are_posted_at_their_hold(old: Bench) -> None:
    held = old.account("ada", "usd", "2026-11-27").held
    old.clock.move(hours=30)
    assert old.store.recovery.recover("ada").posted == 4
    assert old.account("ada", "usd", "2026-11-27") == (None, 0, 47_100 + held)
    assert old.check() == []


def test_why_and_log_tell_of_its_requests(old: Bench) -> None:
    rows = old.store.log.latest("ada")
    assert [row["user_id"] for row in rows].count("ben") == 1 and len(rows) == 6
    why = old.store.log.why("ada", rows[-1]["request_id"])
    assert [attempt["state"] for attempt in why["attempts"]] == ["unknown", "posted"]
    assert why["attempts"][1]["delivered"]


def test_a_new_call_is_held_and_posted_beside_the_old_ones(old: Bench) -> None:
    attempt = old.sent()
    old.post(attempt)
    assert old.state(attempt) == "posted"
    assert old.check() == []
