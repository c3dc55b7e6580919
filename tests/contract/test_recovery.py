"""What becomes of attempts that nobody looks after. Here the owner of every attempt lives; its deadline passes."""

from __future__ import annotations

import pytest

from nexscout_cli.engine.catalog.recovery_rules import Recovered
from nexscout_cli.errors import UsageError
from tests.contract.books import DAY, Books
from tests.contract.conftest import Shop
from tests.support.steps import Steps


def states(books: Books) -> list[str]:
    return [row["state"] for row in books.attempts()]


def test_nothing_is_done_where_nothing_is_left(ada: Steps, books: Books) -> None:
    ada.post(ada.sent())
    before = books.entries()
    assert ada.store.recovery.recover("ada") == Recovered()
    assert books.entries() == before


def test_an_attempt_is_given_up_an_hour_past_its_deadline(shop: Shop, ada: Steps, books: Books) -> None:
    ada.hold()
    ada.sent()
    shop.clock.move(minutes=60)
    assert ada.store.recovery.recover("ada") == Recovered()
    shop.clock.move(minutes=2)
    assert ada.store.recovery.recover("ada") == Recovered(voided=1, unknown=1)
    assert states(books) == ["voided", "unknown"]
    assert ada.check() == []


def test_an_unknown_attempt_is_posted_at_its_hold_after_a_day(shop: Shop, ada: Steps, books: Books) -> None:
    attempt = ada.unknown()
    shop.clock.move(hours=23)
    assert ada.store.recovery.recover("ada") == Recovered()
    shop.clock.move(hours=2)
    assert ada.store.recovery.recover("ada") == Recovered(posted=1)
    (row,) = [row for row in books.usage() if row["n"] == 1]
    assert row["cost_usd"] == attempt.hold and row["metadata"]["flags"] == ["estimated", "aged"]
    assert books.account("ada", "usd", DAY)[1:] == (0, attempt.hold)
    assert ada.check() == []


def test_age_never_voids_what_was_sent(shop: Shop, ada: Steps, books: Books) -> None:
    ada.sent()
    for _ in range(5):
        shop.clock.move(days=3)
        ada.store.recovery.recover("ada")
    assert states(books) == ["posted"]


def test_what_costs_nothing_cannot_be_owed(shop: Shop, ada: Steps, books: Books) -> None:
    ada.sent(ada.plan(model="smollm2-135m"))
    shop.clock.move(hours=3)
    ada.store.recovery.recover("ada")
    assert states(books) == ["voided"]


@pytest.mark.parametrize("cost", [0, 1, 1_234])
def test_a_person_decides_what_an_unknown_attempt_cost(ada: Steps, books: Books, cost: int) -> None:
    attempt = ada.unknown()
    (shown,) = ada.store.recovery.unresolved("ada")
    assert (shown.request_id, shown.hold, shown.reason) == (attempt.request_id, attempt.hold, "it hung")
    assert ada.store.recovery.resolve("ada", attempt.request_id, cost) == 1
    assert books.account("ada", "usd", DAY)[1:] == (0, cost)
    assert ada.store.recovery.unresolved("ada") == []
    assert ada.check() == []


def test_a_person_decides_that_it_cost_nothing(ada: Steps, books: Books) -> None:
    attempt = ada.unknown()
    ada.store.recovery.resolve("ada", attempt.request_id, None)
    assert states(books) == ["voided"] and books.account("ada", "usd", DAY)[1:] == (0, 0)


def test_more_than_the_hold_must_be_meant(ada: Steps, books: Books) -> None:
    attempt = ada.unknown()
    with pytest.raises(UsageError):
        ada.store.recovery.resolve("ada", attempt.request_id, attempt.hold + 1)
    assert states(books) == ["unknown"]
    ada.store.recovery.resolve("ada", attempt.request_id, attempt.hold + 1, beyond_hold=True)
    assert books.account("ada", "usd", DAY).spent == attempt.hold + 1


def test_only_unknown_attempts_are_decided(ada: Steps) -> None:
    posted = ada.sent()
    ada.post(posted)
    for request_id in (posted.request_id, "no such request"):
        with pytest.raises(UsageError):
            ada.store.recovery.resolve("ada", request_id, None)


def test_two_unknown_attempts_of_a_request_are_decided_together(ada: Steps, books: Books) -> None:
    first = ada.sent()
    ada.mark_unknown(first)
    second = ada.sent(ada.plan(), first.request_id)
    ada.mark_unknown(second)
    ada.fail(second)
    assert ada.store.recovery.resolve("ada", first.request_id, 900) == 2
    assert [row["actual"] for row in books.attempts()] == [900, 0]
    assert ada.check() == []


def test_who_is_no_admin_sees_their_own_unknown_attempts_alone(ada: Steps, bob: Steps) -> None:
    ada.unknown()
    mine = bob.unknown()
    assert [row.request_id for row in bob.store.recovery.unresolved("bob")] == [mine.request_id]
    assert len(ada.store.recovery.unresolved("ada")) == 2


def test_idempotency_keys_are_let_go_after_a_day(shop: Shop, ada: Steps) -> None:
    ada.post(ada.sent(ada.plan(idempotency_key="k")))
    shop.clock.move(hours=25)
    ada.store.recovery.recover("ada")
    assert ada.ledger.recall("ada", "ada", "k") is None


def test_a_key_whose_outcome_is_unknown_is_kept_until_that_is_known(shop: Shop, ada: Steps) -> None:
    ada.unknown(ada.plan(idempotency_key="k"))
    shop.clock.move(hours=23)
    ada.store.recovery.recover("ada")
    known = ada.ledger.recall("ada", "ada", "k")
    assert known is not None and known.state == "unknown"


def test_a_clock_that_stood_in_the_future_is_reported_and_reset(shop: Shop, ada: Steps) -> None:
    shop.clock.move(days=3)
    ada.post(ada.sent())
    shop.clock.move(days=-3)
    assert [problem.name for problem in ada.check()] == ["clock"]
    ada.store.recovery.reset_clock("ada")
    assert ada.check() == []
