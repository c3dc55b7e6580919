"""An archive whose process is killed at each of its steps, or at any moment: all rows are in the books or in the files, once."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli.config import Settings
from nexscout_cli.engine.store_ports import Store
from nexscout_cli.engine.store_rules import store_rules
from nexscout_cli.store import parquet
from nexscout_cli.store.postgres.store import PostgresStore
from nexscout_cli.store.sqlite.store import SqliteStore
from tests.contract.books import Books, PostgresBooks, SqliteBooks
from tests.support.clock import SettableClock
from tests.support.postgres import new_database
from tests.support.steps import Steps

pytest.importorskip("pyarrow", reason="archives are not installed: nexscout[archive]")

BEFORE = "2026-12-01"
STEPS = (2, 7, 8, 9, 11, 14, 15)
"""Of what is told of a month: files are half written, unread, unnamed; it is about to remove, removes, will commit."""
AFTER = 16
"""It has committed."""
Open = Callable[[], Store]


class Place:
    """Books with a month that can be archived, and the folder for it."""

    def __init__(self, folder: Path, open_: Open, books: Books) -> None:
        self.folder, self.open, self.books = folder, open_, books
        self.ids = self.entries()
        self.accounts = self.balances()

    def entries(self) -> list[int]:
        return sorted(self.books.listed("entries", "id"))

    def balances(self) -> Any:
        return self.books.listed("accounts", "owner", "kind", "period", "granted", "held", "spent")

    def archive(self, tell: Callable[[str, str], None]) -> None:
        store = self.open()
        try:
            if isinstance(store, SqliteStore):  # pages reach the file before the commit: a hot journal is left
                store.db.connection.execute("PRAGMA cache_size = 1")
            store.maintenance.archive("ada", BEFORE, self.folder, tell)
        finally:
            store.close()

    def killed(self, tell: Callable[[str, str], None], after: float | None = None) -> bool:
        """Archive in another process, which may kill itself, or is killed after some seconds; whether it was."""
        child = os.fork()
        if not child:
            try:
                self.archive(tell)
            finally:
                os._exit(0)
        if after is not None:
            time.sleep(after)
            os.kill(child, signal.SIGKILL)
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])

    def is_whole(self) -> bool:
        """See that nothing is lost or twice; whether the month has left."""
        store = self.open()
        done = store.maintenance.archives("ada")
        problems = [problem for problem in store.maintenance.check("ada") if problem.name != "clock"]
        store.close()
        assert problems == [] and self.balances() == self.accounts
        here = self.entries()
        if not done:
            assert here == self.ids
            return False
        there = [row[0] for row in parquet.read(self.folder / "2026-11.ledger_entries.parquet")]
        assert sorted(here + there) == self.ids and there and here
        return True


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Place]]:
    def make() -> Place:
        clock, rules = SettableClock(), store_rules(Settings())
        books: Books
        if request.param == "sqlite":
            file = tmp_path / f"{time.monotonic_ns()}.db"
            open_: Open = lambda: SqliteStore(file, clock, rules, "ada")  # noqa: E731
            books = SqliteBooks(file)
        else:
            url = new_database()
            open_ = lambda: PostgresStore(url, clock, rules, "ada")  # noqa: E731
            books = PostgresBooks(lambda: url)
        store = open_()
        ada = Steps(store, "ada", clock, Settings(), books)
        for _ in range(6):
            ada.post(ada.sent())
            clock.move(hours=50)
        clock.time = datetime(2026, 12, 3, tzinfo=UTC)
        ada.post(ada.sent())
        store.maintenance.seal("ada")
        store.close()
        return Place(tmp_path / f"old{time.monotonic_ns()}", open_, books)

    yield make


def test_killed_at_each_step_it_goes_on_when_it_is_run_again(place: Callable[[], Place]) -> None:
    at = place()
    for nth in (*STEPS, AFTER):
        left = [nth]

        def tell(month: str, what: str, left: list[int] = left) -> None:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

        assert at.killed(tell)
        assert at.is_whole() is (nth == AFTER)
    at.archive(lambda month, what: None)
    assert at.is_whole()
    assert not [path for path in at.folder.iterdir() if path.suffix == ".part"]


def test_killed_at_any_moment_it_loses_nothing(place: Callable[[], Place]) -> None:
    at, chance = place(), random.Random(16)
    for _ in range(3):
        at.killed(lambda month, what: None, after=chance.uniform(0.02, 0.5))
        if at.is_whole():
            break
    at.archive(lambda month, what: None)
    assert at.is_whole()
