"""Months that are over leave the books for Parquet files, and everything that was said of them is said as before."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli.engine.book_types import Archive
from nexscout_cli.engine.report_window import Window
from nexscout_cli.engine.reports.build import COLUMNS, report
from tests.contract.books import Books
from tests.contract.conftest import Shop
from tests.support.steps import Steps

BEFORE = "2026-12-01"
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)


def at(day: int, hour: int = 12, month: int = 12) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


def silent(month: str, what: str) -> None:
    """Nobody listens."""


def use(shop: Shop, ada: Steps, bob: Steps) -> None:
    """November and December of two people: calls, one that is refused, one of no known outcome, one over the month's end."""
    for n in range(12):
        who = (ada, bob)[n % 3 == 1]
        attempt = who.sent()
        shop.clock.move(seconds=1 + n % 5)
        if n == 4:
            who.void(attempt)
            who.fail(attempt)
        else:
            who.post(attempt, who.charge(attempt, 100 + n, 50 + 7 * n))
        shop.clock.move(hours=37, minutes=13)
    ada.refuse(ada.plan(), "too dear")
    shop.clock.time = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
    over = ada.sent()
    shop.clock.move(seconds=5)
    ada.post(over)
    shop.clock.time = at(3)
    bob.post(bob.sent())
    shop.clock.time = at(5)
    ada.store.recovery.recover("ada")


def said(ada: Steps, until: datetime) -> dict[str, Any]:
    """All that reports say of whole days, and what accounts have."""
    store, found = ada.store, {}
    for user in (None, "bob"):
        for window in (Window(NOVEMBER, until), Window(at(15, 0, 11), at(1, 0)), Window(at(20, 0, 11), until)):
            for name in COLUMNS:
                if name != "unprofitable":
                    one = report(store, "ada", name, window, ada.settings, user)
                    one.pop("archived", None)
                    found[user, window.since, window.until, name] = one
    for user in ("ada", "bob"):
        found["energy", user] = store.energy.show("ada", user)
    return found


@pytest.fixture
def used(shop: Shop, ada: Steps, bob: Steps) -> Steps:
    """Somebody who may remove rows, at books with two months."""
    ada.store.users.set_tier("ada", "bob", "elite")
    use(shop, ada, bob)
    return shop.owner("ada")


def archive(steps: Steps, folder: Path) -> list[Archive]:
    return steps.store.maintenance.archive("ada", BEFORE, folder, silent)


def without_ranks(found: dict[str, Any]) -> dict[str, Any]:
    """Without medians and percentiles: of few calls they are exact, of sums they are not."""
    ranks = ("latency_p50_ms", "latency_p95_ms", "mdape", "formula_mdape", "median_error", "formula_median_error")

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(of) for name, of in value.items() if name not in ranks}
        return [plain(of) for of in value] if isinstance(value, list) else value

    return {key: plain(value) for key, value in found.items()}


def test_what_reports_and_accounts_say_is_the_same_before_and_after(
    shop: Shop, used: Steps, books: Books, tmp_path: Path
) -> None:
    before, accounts = (
        said(used, at(5)),
        books.listed("accounts", "owner", "kind", "period", "granted", "held", "spent"),
    )
    rows = {name: books.count(name) for name in ("requests", "attempts", "usage", "predictions")}
    (made,) = archive(used, tmp_path / "old")
    assert (made.month, made.until, made.requests, made.attempts, made.predictions) == ("2026-11", BEFORE, 12, 12, 13)
    assert {name: books.count(name) for name in rows} == {"requests": 2, "attempts": 2, "usage": 2, "predictions": 2}
    assert without_ranks(said(used, at(5))) == without_ranks(before)
    assert books.listed("accounts", "owner", "kind", "period", "granted", "held", "spent") == accounts
    assert used.check() == []
    assert archive(used, tmp_path / "old") == [] and used.check() == []
    ada = shop.actor("ada")
    ada.post(ada.sent())
    shop.clock.move(days=40)
    ada.store.recovery.recover("ada")
    assert used.check() == [] == used.store.maintenance.check("ada", used.store.maintenance.seals("ada"))
    (second,) = used.store.maintenance.archive("ada", "2027-01-01", tmp_path / "old", silent)
    assert (second.month, second.requests) == ("2026-12", 3) and books.count("requests") == 0
    assert used.check() == []
