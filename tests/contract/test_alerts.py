"""Alerts: once a window whoever sees it, told by one, tried again, and no posting ever waits or fails for them."""

from __future__ import annotations

import multiprocessing
from datetime import timedelta
from typing import Any

import pytest

from nexscout_cli.engine.alerts import TRIES, Notice, parse
from nexscout_cli.engine.budgets import Budget, owner_of
from nexscout_cli.errors import UsageError
from tests.contract.conftest import Shop
from tests.support.steps import Steps

COST = 45_000
"""Nano-dollars of a posted call here."""


def add(at: Steps, when: str, whose: str = "everyone") -> int:
    return at.store.alerts.add(at.actor, parse(when, whose, "file:x", None))


def went_off(at: Steps) -> list[Notice]:
    return at.store.alerts.history("ada", 100)


def test_a_posting_that_crosses_a_bound_is_entered_with_it_and_the_next_is_not(ada: Steps) -> None:
    add(ada, "spend day > 0.00005")
    ada.post(ada.sent())
    assert went_off(ada) == []
    for _ in range(3):
        ada.post(ada.sent())
    (notice,) = went_off(ada)
    assert (notice.value, notice.bound, notice.state) == (2 * COST, 50_000, "pending")


def test_the_next_window_goes_off_anew(shop: Shop, ada: Steps) -> None:
    add(ada, "spend day > 0.00001")
    add(ada, "spend month > 0.00001")
    for _ in range(2):
        ada.post(ada.sent())
        shop.clock.move(days=1)
    periods = [notice.period for notice in went_off(ada)]
    day, next_day = (f"{shop.clock.now() - timedelta(days=back):%Y-%m-%d}" for back in (2, 1))
    assert set(periods) >= {day, next_day, day[:7]} and len(periods) == len(set(periods))


@pytest.mark.parametrize(
    ("whose", "n"),
    [("everyone", 1), ("users", 2), ("user:bob", 1), ("user:eve", 0), ("feature:ai_message", 1), ("feature:x", 0)],
)
def test_an_alert_is_of_whom_it_says(ada: Steps, bob: Steps, whose: str, n: int) -> None:
    add(ada, "spend day > 0.00001", whose)
    add(ada, "tokens day > 100", whose)
    for at in (ada, bob, ada):
        at.post(at.sent())
    assert len(went_off(ada)) == 2 * n


def test_a_share_of_a_cap_is_of_the_cap_in_force(shop: Shop, ada: Steps) -> None:
    add(ada, "spend day > 80% of cap")
    add(ada, "spend day > 80% of cap", "user:ada")
    ada.post(ada.sent())
    assert went_off(ada) == []
    ada.store.budgets.set("ada", Budget("usd", "name", "day", 1_000_000, owner_of("name", "ada")))
    capped = shop.actor("ada", **{"caps.usd.total_day": 0.002})
    for _ in range(20):
        capped.post(capped.sent())
    assert {notice.scope for notice in went_off(ada)} == {"user"}
    for _ in range(18):
        capped.store.budgets.set("ada", Budget("usd", "name", "day", None, owner_of("name", "ada")))
        capped.post(capped.sent())
    assert {notice.scope for notice in went_off(ada)} == {"user", "everyone"}


def test_what_postings_do_not_look_at_is_seen_by_a_check_once(ada: Steps, bob: Steps) -> None:
    add(ada, "unknown > 0")
    add(ada, "energy < 201", "user:bob")
    add(ada, "forecast month > 0.00005")
    ada.unknown()
    ada.post(ada.sent())
    assert (ada.store.alerts.check("ada"), ada.store.alerts.check("ada")) == (3, 0)


def test_a_share_of_errors_counts_from_twenty_requests_on(ada: Steps) -> None:
    add(ada, "errors day > 10%")
    for n in range(20):
        assert ada.store.alerts.check("ada") == 0
        ada.unknown() if n < 3 else ada.post(ada.sent())
    assert ada.store.alerts.check("ada") == 1


def test_a_notice_is_claimed_by_one_and_comes_again_when_it_was_not_told(shop: Shop, ada: Steps) -> None:
    add(ada, "spend day > 0.00001")
    ada.post(ada.sent())
    book = ada.store.alerts
    first = book.claim("ada")
    assert first is not None and first.tries == 1 and book.claim("ada") is None
    book.told("ada", first, "no answer")
    (waits,) = went_off(ada)
    assert (waits.state, waits.error) == ("pending", "no answer") and book.claim("ada") is None


def test_a_notice_is_given_up_after_its_tries_and_a_told_one_never_comes_again(ada: Steps) -> None:
    add(ada, "spend day > 0.00001")
    ada.post(ada.sent())
    book = ada.store.alerts
    notice = book.claim("ada")
    assert notice is not None
    book.told("ada", notice._replace(tries=TRIES), "no answer")
    assert went_off(ada)[0].state == "failed" and book.claim("ada") is None
    add(ada, "spend day > 0.00002")
    ada.post(ada.sent())
    again = book.claim("ada")
    assert again is not None
    book.told("ada", again, None)
    assert went_off(ada)[0].state == "sent" and book.claim("ada") is None


def test_an_alert_that_is_removed_goes_with_its_history(ada: Steps) -> None:
    number = add(ada, "spend day > 0.00001")
    ada.post(ada.sent())
    ada.store.alerts.remove("ada", number)
    assert went_off(ada) == [] and ada.store.alerts.listing("ada") == []
    with pytest.raises(UsageError):
        ada.store.alerts.remove("ada", number)


def _one_of_many(shop: Shop, barrier: Any) -> None:
    steps = shop.actor("ada")
    attempt = steps.sent(request_id=f"r-{multiprocessing.current_process().pid}")
    barrier.wait(60)
    steps.post(attempt)
    steps.store.alerts.check("ada")


def test_fifty_processes_that_cross_a_bound_at_once_make_one_notice(shop: Shop, ada: Steps) -> None:
    add(ada, "spend day > 0.00001")
    add(ada, "spend day > 0.0000001", "users")
    fork = multiprocessing.get_context("fork")
    barrier = fork.Barrier(50)
    crowd = [fork.Process(target=_one_of_many, args=(shop, barrier)) for _ in range(50)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join(120)
    assert [one.exitcode for one in crowd] == [0] * 50
    assert sorted(notice.alert for notice in went_off(ada)) == [1, 2]
    assert len(shop.books.usage()) == 50 and ada.check() == []
