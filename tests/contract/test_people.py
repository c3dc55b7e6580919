"""Users, energy, profiles and preferences: who may do what, and what it changes."""

from __future__ import annotations

from typing import Any

import pytest

from nexscout_cli.engine.settlement import Charge
from nexscout_cli.errors import NotPermitted, UsageError
from tests.contract.books import Books
from tests.contract.conftest import Shop
from tests.support.steps import Steps


def test_who_makes_a_store_owns_it(shop: Shop, ada: Steps, books: Books) -> None:
    assert [(row["user_id"], row["role"], row["tier"]) for row in books.users()] == [("ada", "admin", "elite")]
    shop.actor("eve")
    assert len(books.users()) == 1
    assert ada.store.users.is_admin("ada") and not ada.store.users.is_admin("eve")


ADMINS_ALONE: dict[str, Any] = {
    "set a tier": lambda store, actor: store.users.set_tier(actor, "bob", "elite"),
    "grant energy": lambda store, actor: store.energy.grant(actor, "bob", 5, "gift"),
    "set a balance": lambda store, actor: store.energy.set_balance(actor, "bob", 5, "fix"),
    "turn panic on": lambda store, actor: store.profiles.set_panic(actor, True),
    "add a model": lambda store, actor: store.catalog.add(actor, []),
    "change a model": lambda store, actor: store.catalog.change(actor, lambda models: models[:1]),
    "check the books": lambda store, actor: store.maintenance.check(actor),
    "copy the store": lambda store, actor: store.maintenance.backup(actor, None),
    "resolve an attempt": lambda store, actor: store.recovery.resolve(actor, "r1", None),
    "reset the clock": lambda store, actor: store.recovery.reset_clock(actor),
}


@pytest.mark.parametrize("what", ADMINS_ALONE)
def test_only_an_admin_may(shop: Shop, ada: Steps, bob: Steps, books: Books, what: str) -> None:
    before = (books.accounts(), books.users(), books.entries())
    for store in (bob.store, ada.store):  # the actor counts, not the connection
        with pytest.raises(NotPermitted):
            ADMINS_ALONE[what](store, "bob")
    assert (books.accounts(), books.users(), books.entries()) == before


OWN_OR_ADMIN: dict[str, Any] = {
    "see energy": lambda store, actor, user: store.energy.show(actor, user),
    "see where energy went": lambda store, actor, user: store.energy.history(actor, user, 10),
    "see what is used of budgets": lambda store, actor, user: store.energy.used(actor, user, []),
    "see a user": lambda store, actor, user: store.users.find(actor, user),
    "forget a user": lambda store, actor, user: store.users.forget(actor, user),
    "see a profile": lambda store, actor, user: store.profiles.learned(actor, user),
    "see preferences": lambda store, actor, user: store.profiles.preferences(actor, user),
    "set a mode": lambda store, actor, user: store.profiles.set_mode(actor, user, "fast"),
    "set a policy": lambda store, actor, user: store.profiles.set_policy(actor, user, "learned"),
    "rate efficiency": lambda store, actor, user: store.profiles.update_efficiency_rating(actor, user, 1, 1),
    "see verdicts": lambda store, actor, user: store.feedback.by_model(actor, user),
    "see the log": lambda store, actor, user: store.log.latest(actor, user),
    "read the world": lambda store, actor, user: store.ledger.world(actor, user, "ai_message", []),
    "read experience": lambda store, actor, user: store.ledger.experience(actor, user, "ai_message"),
    "recall an answer": lambda store, actor, user: store.ledger.recall(actor, user, "k"),
    "look into the cache": lambda store, actor, user: store.ledger.cached(actor, user, "k"),
    "see what is in flight": lambda store, actor, user: store.ledger.in_flight(actor, user, "k"),
}


@pytest.mark.parametrize("what", OWN_OR_ADMIN)
def test_a_user_may_for_themselves_and_an_admin_for_anyone(ada: Steps, bob: Steps, what: str) -> None:
    act = OWN_OR_ADMIN[what]
    act(bob.store, "bob", "bob")
    act(ada.store, "ada", "bob")
    for store in (bob.store, ada.store):
        with pytest.raises(NotPermitted):
            act(store, "bob", "ada")


@pytest.mark.parametrize("what", OWN_OR_ADMIN)
def test_who_is_no_user_may_nothing(shop: Shop, ada: Steps, what: str) -> None:
    with pytest.raises(NotPermitted):
        OWN_OR_ADMIN[what](ada.store, "eve", "eve")


ATTEMPTS: dict[str, Any] = {
    "mark it sent": lambda at, attempt: at.mark_sent(attempt),
    "void it": lambda at, attempt: at.void(attempt),
    "leave it unknown": lambda at, attempt: at.mark_unknown(attempt),
    "post it": lambda at, attempt: at.post(attempt, Charge(1, 1, 1)),
    "fail its request": lambda at, attempt: at.fail(attempt),
}


@pytest.mark.parametrize("what", ATTEMPTS)
def test_nobody_settles_another_persons_attempt(ada: Steps, bob: Steps, books: Books, what: str) -> None:
    attempt = ada.hold() if what == "mark it sent" else ada.sent()
    before = (books.attempts(), books.accounts())
    with pytest.raises(NotPermitted):
        ATTEMPTS[what](bob, attempt)
    assert (books.attempts(), books.accounts()) == before


def test_nobody_holds_for_another_person(ada: Steps, bob: Steps, books: Books) -> None:
    order = ada.order()
    with pytest.raises(NotPermitted):
        bob.ledger.hold("bob", order)
    with pytest.raises(NotPermitted):
        bob.ledger.record_refusal("bob", order.prediction, "too_long")
    assert books.attempts() == [] and books.predictions() == []


@pytest.mark.parametrize("name", ["", "*", " x", "x ", "a\nb", "n" * 201])
def test_some_names_no_user_can_have(ada: Steps, books: Books, name: str) -> None:
    with pytest.raises(UsageError):
        ada.store.users.set_tier("ada", name, "free")
    with pytest.raises(UsageError):
        ada.store.energy.show("ada", name)
    assert len(books.users()) == 1


@pytest.mark.parametrize("name", ["Ünïcode", "o'brien", "a;b--", "very.long+tag@example.org", "用户"])
def test_any_other_name_will_do(ada: Steps, books: Books, name: str) -> None:
    ada.store.users.set_tier("ada", name, "pro")
    assert [row.tier for row in ada.store.users.listing("ada") if row.user_id == name] == ["pro"]


def test_the_list_of_users_is_the_admins_and_ones_own_line_is_ones_own(ada: Steps, bob: Steps) -> None:
    assert [row.user_id for row in ada.store.users.listing("ada")] == ["ada", "bob"]
    (row,) = bob.store.users.listing("bob")
    assert (row.user_id, row.role, row.tier, row.balance) == ("bob", "user", "free", 200)


def test_a_user_an_admin_mentions_comes_into_being_at_the_first_use(ada: Steps, books: Books) -> None:
    assert ada.store.users.find("ada", "cyd") is None
    assert ada.store.energy.show("ada", "cyd").balance == 100
    assert len(books.users()) == 1
    ada.hold(ada.plan(user="cyd"))
    assert ada.store.users.find("ada", "cyd") == ("user", "free")


def test_without_auto_create_nobody_comes_into_being(shop: Shop, ada: Steps, books: Books) -> None:
    strict = shop.actor("ada", users__auto_create=False)
    with pytest.raises(UsageError):
        strict.store.energy.show("ada", "cyd")
    assert len(books.users()) == 1


@pytest.mark.parametrize(("tier", "energy"), [("free", 100), ("pro", 1_000), ("elite", 5_000), ("enterprise", 25_000)])
def test_a_tier_brings_its_energy(ada: Steps, tier: str, energy: int) -> None:
    ada.store.users.set_tier("ada", "cyd", tier)
    shown = ada.store.energy.show("ada", "cyd")
    assert (shown.tier, shown.granted, shown.balance) == (tier, energy, energy)


def test_a_higher_tier_in_mid_month_grants_the_difference_once(ada: Steps, books: Books) -> None:
    for tier in ("free", "pro", "free", "pro"):
        ada.store.users.set_tier("ada", "cyd", tier)
    assert books.account("cyd").granted == 1_000
    assert sum(row["amount"] for row in books.entries() if row["owner"] == "cyd") == 1_000


def test_a_lower_tier_takes_modes_away_that_it_has_not(ada: Steps) -> None:
    ada.store.users.set_tier("ada", "cyd", "elite")
    ada.store.profiles.set_mode("ada", "cyd", "expert")
    ada.store.users.set_tier("ada", "cyd", "free")
    assert ada.store.profiles.preferences("ada", "cyd").mode == "auto"


@pytest.mark.parametrize("mode", ["pro", "expert"])
def test_a_mode_above_the_tier_is_refused(bob: Steps, mode: str) -> None:
    with pytest.raises(NotPermitted):
        bob.store.profiles.set_mode("bob", "bob", mode)
    assert bob.store.profiles.preferences("bob", "bob").mode == "auto"


@pytest.mark.parametrize("amount", [1, 7, 10**12])
def test_a_grant_adds_to_the_balance_and_is_an_entry(ada: Steps, bob: Steps, books: Books, amount: int) -> None:
    shown = ada.store.energy.grant("ada", "bob", amount, "gift")
    assert shown.balance == 200 + amount
    last = books.entries()[-1]
    assert (last["kind"], last["amount"], last["reason"], last["actor"], last["owner"]) == (
        "grant",
        amount,
        "gift",
        "ada",
        "bob",
    )


@pytest.mark.parametrize("amount", [0, -1, 10**12 + 1])
def test_no_other_amount_can_be_granted(ada: Steps, bob: Steps, books: Books, amount: int) -> None:
    before = books.entries()
    with pytest.raises(UsageError):
        ada.store.energy.grant("ada", "bob", amount, "gift")
    assert books.entries() == before


@pytest.mark.parametrize("balance", [0, 1, 199, 200, 10**9])
def test_a_balance_is_set_by_an_adjusting_entry(ada: Steps, bob: Steps, books: Books, balance: int) -> None:
    before = len(books.entries())
    assert ada.store.energy.set_balance("ada", "bob", balance, "fix").balance == balance
    assert bob.store.energy.show("bob", "bob").balance == balance
    assert len(books.entries()) - before == (0 if balance == 200 else 1)
    assert ada.check() == []


def test_where_energy_went_is_told_newest_first(ada: Steps, bob: Steps) -> None:
    attempt = bob.sent()
    bob.post(attempt)
    ada.store.energy.grant("ada", "bob", 5, "gift")
    rows = bob.store.energy.history("bob", "bob", 10)
    assert [row["kind"] for row in rows][:3] == ["grant", "post", "hold"]
    assert rows[1]["request_id"] == attempt.request_id
    assert [row["kind"] for row in bob.store.energy.history("bob", "bob", 1)] == ["grant"]


def test_a_profile_learns_from_each_delivered_answer(ada: Steps, books: Books) -> None:
    before = ada.store.profiles.learned("ada", "ada")
    for _ in range(3):
        ada.post(ada.sent(ada.plan("Write a plan for the launch")))
    learned = ada.store.profiles.learned("ada", "ada")
    assert (before.total_requests, learned.total_requests) == (0, 3)
    assert learned.avg_token_per_request == 150 and learned.model_preference_score["gpt-4o-mini"] > 0.5
    assert books.profile("ada")["total_requests"] == 3


def test_an_answer_that_was_not_delivered_teaches_no_profile(ada: Steps) -> None:
    ada.post(ada.sent(), delivered=False)
    assert ada.store.profiles.learned("ada", "ada").total_requests == 0


def test_an_accuracy_moves_the_rating_a_tenth_of_the_way(ada: Steps, books: Books) -> None:
    assert ada.store.profiles.update_efficiency_rating("ada", "ada", 100, 100) == pytest.approx(0.82)
    assert books.profile("ada")["efficiency_rating"] == pytest.approx(0.82)


@pytest.mark.parametrize("policy", ["rules", "learned", "cascade", None])
def test_a_policy_is_a_users_own(ada: Steps, bob: Steps, policy: str | None) -> None:
    bob.store.profiles.set_policy("bob", "bob", policy)
    assert bob.store.profiles.preferences("bob", "bob").policy == policy
    assert ada.store.profiles.preferences("ada", "ada").policy is None


def test_panic_is_everyones(ada: Steps, bob: Steps) -> None:
    ada.store.profiles.set_panic("ada", True)
    assert bob.store.profiles.preferences("bob", "bob").panic and bob.snapshot().panic
    ada.store.profiles.set_panic("ada", False)
    assert not bob.snapshot().panic


def test_what_a_person_wrote_can_be_forgotten_and_the_money_stays(ada: Steps, books: Books) -> None:
    long = "Write the quarterly letter to Okafor about the contract. " * 100
    for _ in range(3):
        ada.post(ada.sent(ada.plan(long, idempotency_key=None)))
    ada.post(ada.sent(ada.plan("Write to Okafor", idempotency_key="k")))
    spent = books.account("ada").spent
    gone = ada.store.users.forget("ada", "ada")
    assert gone["cached_answers"] == 4 and gone["kept_answers"] == 1
    profile = books.profile("ada")
    assert [
        profile[name] for name in ("writing_style_profile", "common_patterns", "pattern_counts", "prompt_heads")
    ] == [
        {},
        [],
        {},
        [],
    ]
    assert books.cached() == [] and books.account("ada").spent == spent
    assert "kafor" not in str([books.requests(), books.attempts(), books.usage(), books.predictions(), profile])
    assert ada.check() == []


def test_who_there_is_not_cannot_be_forgotten(ada: Steps) -> None:
    with pytest.raises(UsageError):
        ada.store.users.forget("ada", "nobody")
