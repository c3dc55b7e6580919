"""The money of a call: what is reserved, posted, given back, and in which books."""

from __future__ import annotations

from typing import Any

import pytest

from nexscout_cli.engine.settlement import Attempt, Charge, Posting
from nexscout_cli.errors import DuplicateInFlight, InProgress, StalePlan, StoreError
from tests.contract.books import DAY, MONTH, Books
from tests.contract.conftest import Shop
from tests.support.steps import Steps

ENDS: dict[str, Any] = {
    "voided": lambda at, attempt: at.void(attempt),
    "unknown": lambda at, attempt: at.mark_unknown(attempt),
    "posted": lambda at, attempt: at.post(attempt),
}


def state(books: Books, attempt: Attempt) -> str:
    return str(books.attempts(attempt.request_id)[attempt.n - 1]["state"])


def request_state(books: Books, attempt: Attempt) -> str:
    return next(str(row["state"]) for row in books.requests() if row["request_id"] == attempt.request_id)


def test_a_hold_reserves_the_worst_case_of_dollars_tokens_and_energy(ada: Steps, books: Books) -> None:
    attempt = ada.hold()
    plan = ada.plan_of(attempt)
    assert (attempt.hold, attempt.hold_tokens, attempt.hold_energy) == (
        plan.own_max_cost,
        plan.max_total_tokens,
        plan.max_energy,
    )
    assert books.account("ada").held == plan.max_energy > 0
    assert books.account("ada", "usd", DAY).held == plan.max_cost > 0
    assert books.account("ada", "tokens", DAY).held == plan.max_total_tokens


def test_a_hold_enters_request_attempt_and_prediction_at_once(ada: Steps, books: Books) -> None:
    attempt = ada.hold()
    plan = ada.plan_of(attempt)
    (request,), (row,), (prediction,) = books.requests(), books.attempts(), books.predictions()
    assert (request["request_id"], request["user_id"], request["state"]) == (attempt.request_id, "ada", "open")
    assert (row["n"], row["model"], row["state"], row["hold"]) == (1, "gpt-4o-mini", "held", plan.max_cost)
    assert (prediction["predicted_tokens"], prediction["approved"]) == (plan.predicted_tokens, 1)
    assert prediction["decision"]["reason"] == "forced"


def test_a_free_model_holds_and_enters_no_dollars_and_no_tokens(ada: Steps, books: Books) -> None:
    attempt = ada.sent(ada.plan(model="smollm2-135m"))
    ada.post(attempt, Charge(10, 5, 0))
    assert [row for row in books.entries() if row["n"]] == []
    assert state(books, attempt) == "posted"


@pytest.mark.parametrize("output", [0, 1, 50, 500])
def test_a_post_turns_the_hold_into_the_true_charge(ada: Steps, books: Books, output: int) -> None:
    attempt = ada.sent()
    charge = ada.post(attempt, ada.charge(attempt, 100, output))
    assert books.account("ada", "usd", DAY) == (None, 0, charge.cost)
    assert books.account("ada", "tokens", DAY)[1:] == (0, 100 + output)
    energy = books.account("ada")
    assert energy.held == 0 and energy.spent == min(attempt.hold_energy, ada.plan_of(attempt).energy_of(charge.cost))


def test_a_post_without_a_delivery_charges_no_energy_and_leaves_the_request_open(ada: Steps, books: Books) -> None:
    attempt = ada.sent()
    ada.post(attempt, delivered=False)
    assert (state(books, attempt), request_state(books, attempt)) == ("posted", "open")
    assert books.account("ada").spent == 0 and books.account("ada").held == attempt.hold_energy


def test_a_late_delivery_charges_the_energy_and_ends_the_request(ada: Steps, books: Books) -> None:
    attempt = ada.sent()
    charge = ada.post(attempt, delivered=False)
    delivery = ada.delivery(attempt, charge)
    ada.ledger.deliver("ada", attempt, charge, delivery)
    assert request_state(books, attempt) == "posted"
    assert books.account("ada")[1:] == (0, delivery.energy)
    (row,) = books.usage()
    assert row["energy"] == delivery.energy and row["metadata"]["delivered"] is True


def test_a_void_gives_dollars_and_tokens_back_and_keeps_the_energy_for_the_next_attempt(
    ada: Steps, books: Books
) -> None:
    attempt = ada.sent()
    ada.void(attempt)
    assert books.account("ada", "usd", DAY)[1:] == (0, 0)
    assert books.account("ada", "tokens", DAY)[1:] == (0, 0)
    assert books.account("ada").held == attempt.hold_energy
    second = ada.hold(ada.plan(), attempt.request_id)
    assert (second.n, second.hold_energy) == (2, attempt.hold_energy)
    assert books.account("ada").held == attempt.hold_energy


def test_an_unknown_attempt_keeps_its_hold(ada: Steps, books: Books) -> None:
    attempt = ada.sent()
    ada.mark_unknown(attempt, "it hung", "provider-7")
    (row,) = books.attempts()
    assert (row["state"], row["reason"], row["provider_id"]) == ("unknown", "it hung", "provider-7")
    assert books.account("ada", "usd", DAY).held == attempt.hold


def test_a_failed_request_gives_its_energy_back_and_is_on_record(ada: Steps, books: Books) -> None:
    attempt = ada.sent()
    ada.void(attempt)
    ada.fail(attempt, "providers_failed", "all down")
    assert books.account("ada")[1:] == (0, 0)
    assert request_state(books, attempt) == "voided"
    (row,) = books.usage()
    assert (row["outcome"], row["n"], row["cost_usd"], row["metadata"]["message"]) == ("failed", 0, 0, "all down")


def test_a_request_that_fails_with_an_unknown_attempt_gives_its_energy_back_and_keeps_its_dollars(
    ada: Steps, books: Books
) -> None:
    attempt = ada.unknown()
    assert request_state(books, attempt) == "unknown"
    assert books.account("ada").held == 0
    assert books.account("ada", "usd", DAY).held == attempt.hold


@pytest.mark.parametrize("first", ENDS)
@pytest.mark.parametrize("second", ENDS)
def test_what_is_settled_is_settled_once(ada: Steps, books: Books, first: str, second: str) -> None:
    attempt = ada.sent()
    ENDS[first](ada, attempt)
    before = books.accounts()
    allowed = (first, second) in {
        ("unknown", "posted"),
        ("unknown", "voided"),
        ("unknown", "unknown"),
        ("voided", "voided"),
    }
    if allowed:
        ENDS[second](ada, attempt)
        assert ada.check() == []
        return
    with pytest.raises(StoreError) as caught:
        ENDS[second](ada, attempt)
    assert caught.value.code == "settled_elsewhere"
    assert books.accounts() == before


def test_an_attempt_that_was_not_sent_cannot_be_posted_or_unknown(ada: Steps, books: Books) -> None:
    attempt = ada.hold()
    for end in ("posted", "unknown"):
        with pytest.raises(StoreError):
            ENDS[end](ada, attempt)
    assert state(books, attempt) == "held"


def test_a_request_that_was_closed_takes_no_further_attempt(ada: Steps) -> None:
    attempt = ada.sent()
    ada.void(attempt)
    ada.fail(attempt)
    with pytest.raises(StoreError) as caught:
        ada.hold(ada.plan(), attempt.request_id)
    assert caught.value.code == "settled_elsewhere"


@pytest.mark.parametrize("units", [0, 1, 3])
def test_no_more_energy_is_held_than_there_is(ada: Steps, books: Books, units: int) -> None:
    ada.store.energy.set_balance("ada", "bob", 1000, "for the test")
    plan = ada.plan(user="bob")
    ada.store.energy.set_balance("ada", "bob", units, "for the test")
    taken = 0
    for _ in range(5):
        try:
            ada.hold(plan)
            taken += 1
        except StalePlan:
            pass
    assert taken == units // plan.max_energy
    assert books.account("bob").held == taken * plan.max_energy
    assert len(books.attempts()) == len(books.requests()) == len(books.predictions()) == taken


@pytest.mark.parametrize(
    ("setting", "owner", "period"),
    [
        ("caps__usd__user_day", "ada", DAY),
        ("caps__usd__user_month", "ada", MONTH),
        ("caps__usd__total_day", "*", DAY),
        ("caps__usd__total_month", "*", MONTH),
    ],
)
def test_no_cap_is_passed_by_holds(shop: Shop, ada: Steps, books: Books, setting: str, owner: str, period: str) -> None:
    most = ada.plan().max_cost
    capped = shop.actor("ada", **{setting: most * 2.5 / 1e9})
    plans = [capped.plan() for _ in range(3)]
    for plan in plans[:2]:
        capped.hold(plan)
    with pytest.raises(StalePlan):
        capped.hold(plans[2])
    assert books.account(owner, "usd", period) == (round(most * 2.5), 2 * most, 0)
    assert capped.check() == []


@pytest.mark.parametrize(
    ("setting", "owner", "period"),
    [
        ("tiers__elite__daily_tokens", "ada", DAY),
        ("caps__tokens__user_month", "ada", MONTH),
        ("caps__tokens__total_day", "*", DAY),
        ("caps__tokens__total_month", "*", MONTH),
    ],
)
def test_no_token_budget_is_passed_by_holds(
    shop: Shop, ada: Steps, books: Books, setting: str, owner: str, period: str
) -> None:
    most = ada.plan().max_total_tokens
    capped = shop.actor("ada", **{setting: most * 5 // 2})
    plans = [capped.plan() for _ in range(3)]
    for plan in plans[:2]:
        capped.hold(plan)
    with pytest.raises(StalePlan):
        capped.hold(plans[2])
    assert books.account(owner, "tokens", period) == (most * 5 // 2, 2 * most, 0)


def test_a_cap_counts_what_was_used_before_it_was_set(shop: Shop, ada: Steps, books: Books) -> None:
    spent = sum(ada.post(ada.sent()).cost for _ in range(3))
    capped = shop.actor("ada", caps__usd__total_month=1.0)
    left = next(limit.left for limit in capped.snapshot().limits if (limit.unit, limit.scope) == ("usd", "total"))
    assert left == 10**9 - spent
    capped.post(capped.sent())
    assert capped.check() == []


@pytest.mark.parametrize("change", ["catalog", "tier", "panic"])
def test_a_plan_from_another_world_is_not_held(ada: Steps, change: str) -> None:
    ada.store.users.set_tier("ada", "bob", "free")
    plan = ada.plan(user="bob")
    if change == "catalog":
        ada.store.catalog.change("ada", lambda models: [models[0]._replace(price_in=models[0].price_in + 1)])
    elif change == "tier":
        ada.store.users.set_tier("ada", "bob", "pro")
    else:
        ada.store.profiles.set_panic("ada", True)
    with pytest.raises(StalePlan):
        ada.hold(plan)
    assert ada.hold(ada.plan(user="bob")).n == 1


def test_identical_requests_do_not_call_twice_at_once(ada: Steps, books: Books) -> None:
    first = ada.hold(cache_key="k")
    with pytest.raises(DuplicateInFlight):
        ada.hold(cache_key="k")
    assert ada.ledger.in_flight("ada", "ada", "k")
    assert not ada.ledger.in_flight("ada", "ada", "other")
    assert len(books.attempts()) == 1
    ada.mark_sent(first)
    ada.post(first)
    assert not ada.ledger.in_flight("ada", "ada", "k")
    assert ada.hold(cache_key="k").n == 1


def test_a_request_hands_its_claim_on_to_its_next_attempt(ada: Steps) -> None:
    first = ada.sent(cache_key="k")
    ada.void(first)
    assert ada.ledger.in_flight("ada", "ada", "k")
    ada.hold(ada.plan(), first.request_id)
    with pytest.raises(DuplicateInFlight):
        ada.hold(cache_key="k")


def test_another_users_request_under_the_same_key_is_another_request(ada: Steps) -> None:
    ada.hold(cache_key="k")
    assert ada.hold(ada.plan(user="bob"), cache_key="k").n == 1


@pytest.mark.parametrize("end", ["posted", "unknown", "open", "voided"])
def test_an_idempotency_key_stands_for_one_request_unless_that_was_voided(ada: Steps, books: Books, end: str) -> None:
    attempt = ada.sent(ada.plan(idempotency_key="k"))
    if end == "posted":
        ada.post(attempt)
    elif end != "open":
        ENDS[end](ada, attempt)
        ada.fail(attempt)
    known = ada.ledger.recall("ada", "ada", "k")
    assert known is not None and (known.request_id, known.state) == (attempt.request_id, end)
    if end == "voided":
        assert ada.hold(ada.plan(idempotency_key="k")).n == 1
    else:
        with pytest.raises(InProgress):
            ada.hold(ada.plan(idempotency_key="k"))


def test_the_first_answer_is_kept_under_its_idempotency_key(ada: Steps) -> None:
    ada.post(ada.sent(ada.plan(idempotency_key="k")))
    known = ada.ledger.recall("ada", "ada", "k")
    assert known is not None and known.answer is not None and known.answer["result"] == "Hi Sarah"
    assert ada.ledger.recall("ada", "ada", "other") is None
    assert ada.ledger.recall("ada", "bob", "k") is None


def test_a_refused_plan_leaves_its_prediction_and_nothing_else(ada: Steps, books: Books) -> None:
    ada.refuse(ada.plan(), "too_many_tokens")
    (row,) = books.predictions()
    assert (row["approved"], row["rejected_reason"]) == (0, "too_many_tokens")
    assert books.requests() == books.attempts() == books.entries() == books.usage() == []


def test_a_post_is_one_row_of_usage_that_says_it_all(ada: Steps, books: Books) -> None:
    attempt = ada.sent()
    charge = ada.post(attempt, Charge(120, 30, 77_000, ("estimated",)))
    (row,) = books.usage()
    assert {name: row[name] for name in ("request_id", "n", "user_id", "feature", "model_used", "outcome", "mode")} == {
        "request_id": attempt.request_id,
        "n": 1,
        "user_id": "ada",
        "feature": "ai_message",
        "model_used": "gpt-4o-mini",
        "outcome": "posted",
        "mode": "auto",
    }
    assert (row["input_tokens"], row["output_tokens"], row["total_tokens"], row["cost_usd"]) == (
        120,
        30,
        150,
        charge.cost,
    )
    assert row["metadata"]["flags"] == ["estimated"] and row["metadata"]["provider_id"] == "p1"
    assert row["baseline_usd"] == attempt.settlement.savings(charge).baseline > 0


def test_a_post_adds_what_really_was_to_the_prediction(ada: Steps, books: Books) -> None:
    first = ada.sent()
    ada.post(first, Charge(100, 50, 1_000), delivered=False)
    second = ada.sent(ada.plan(), first.request_id)
    ada.post(second, Charge(10, 5, 100))
    (row,) = books.predictions()
    assert (row["actual_tokens"], row["actual_cost_usd"]) == (165, 1_100)
    assert row["prediction_accuracy"] == pytest.approx(first.settlement.accuracy_in_all(165))


def test_a_settlement_that_was_kept_as_json_posts_the_same(ada: Steps, books: Books) -> None:
    """What another process would post, hours later, from what lies with the attempt."""
    attempt = ada.sent()
    kept = books.attempts()[0]["plan"]
    again = attempt._replace(settlement=type(attempt.settlement).from_json(kept))
    assert again == attempt
    charge = ada.charge(again)
    ada.ledger.post("ada", again, Posting(charge, "p1", None))
    assert books.account("ada", "usd", DAY) == (None, 0, charge.cost)
    assert "Sarah" not in str(kept)


def test_all_entries_of_an_attempt_name_who_acted(ada: Steps, bob: Steps, books: Books) -> None:
    bob.post(bob.sent())
    assert {row["actor"] for row in books.entries() if row["n"] == 1} == {"bob"}


def test_energy_is_granted_once_a_month_at_the_first_use(shop: Shop, ada: Steps, books: Books) -> None:
    ada.post(ada.sent(ada.plan(user="cyd")))
    assert books.account("cyd").granted == 100
    ada.post(ada.sent(ada.plan(user="cyd")))
    assert books.account("cyd").granted == 100
    shop.clock.move(days=30)
    ada.post(ada.sent(ada.plan(user="cyd")))
    assert books.account("cyd").granted == 200


def test_a_clock_that_goes_back_opens_no_budget_twice(shop: Shop, ada: Steps, books: Books) -> None:
    ada.post(ada.sent())
    spent = books.account("ada", "usd", DAY).spent
    shop.clock.move(hours=-20)
    ada.post(ada.sent())
    assert books.account("ada", "usd", DAY).spent == 2 * spent
    assert ada.snapshot().now.isoformat().startswith(DAY)


def test_after_everything_the_books_are_sound(ada: Steps, bob: Steps) -> None:
    ada.post(ada.sent())
    ada.unknown()
    void = bob.sent()
    bob.void(void)
    bob.fail(void)
    bob.post(bob.sent(cache_key="k"))
    assert ada.check() == []
