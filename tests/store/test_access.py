from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nexscout_cli.engine.request import AIRequest
from nexscout_cli.errors import NotPermitted, UsageError
from nexscout_cli.store.sqlite import cache, catalog, check, cleaning, energy, models, profiles, recovery, users
from tests.support.bench import Bench

SECRET = "alice's own words"


@pytest.fixture
def alice(bench: Bench) -> Bench:
    """Alice has used it; bob is a user too. Ada owns the installation."""
    users.set_tier(bench.store, "alice", "pro")
    users.set_tier(bench.store, "bob", "free")
    alice = bench.actor("alice")
    attempt = alice.sent(alice.plan(SECRET, idempotency_key="k"))
    alice.post(attempt)
    alice.unknown(alice.plan(SECRET))
    return alice


@pytest.fixture
def bob(alice: Bench) -> Bench:
    return alice.actor("bob")


ASKED = AIRequest("alice", "ai_message", SECRET)

CALLS: dict[str, Callable[[Bench, Bench], Any]] = {
    "snapshot": lambda bob, alice: bob.ledger.snapshot(ASKED),
    "recall": lambda bob, alice: bob.ledger.recall("alice", "k", "any"),
    "cached": lambda bob, alice: bob.ledger.cached("alice", first_key(alice)),
    "refusal": lambda bob, alice: bob.ledger.record_refusal("x", alice.plan(), "budget"),
    "hold": lambda bob, alice: bob.hold(alice.plan()),
    "sent": lambda bob, alice: bob.ledger.mark_sent(alice.hold()),
    "void": lambda bob, alice: bob.ledger.void(alice.sent(), "mine"),
    "unknown": lambda bob, alice: bob.ledger.mark_unknown(alice.sent(), "mine", None),
    "post": lambda bob, alice: bob.post(alice.sent()),
    "fail": lambda bob, alice: bob.ledger.fail(alice.sent().request_id, ASKED, "x", "y"),
    "hit": lambda bob, alice: bob.ledger.record_hit(
        "x", ASKED, alice.ledger.cached("alice", first_key(alice)), "f", {}, "auto"
    ),
    "resolve": lambda bob, alice: recovery.resolve(bob.store, recovery.unresolved(alice.store)[0]["request_id"], None),
    "rating": lambda bob, alice: profiles.update_efficiency_rating(bob.store, "alice", 1, 1),
    "mode": lambda bob, alice: profiles.set_mode(bob.store, "alice", "pro"),
    "show mode": lambda bob, alice: profiles.mode_and_panic(bob.store, "alice"),
    "forecast": lambda bob, alice: profiles.forecast(bob.store, "alice"),
    "forget": lambda bob, alice: users.forget(bob.store, "alice"),
    "energy": lambda bob, alice: energy.show(bob.store, "alice"),
    "energy history": lambda bob, alice: energy.history(bob.store, "alice", 10),
}


def first_key(bench: Bench) -> str:
    return str(bench.sql("SELECT prompt_hash FROM cached_ai_responses")[0][0])


@pytest.mark.parametrize("name", CALLS)
def test_nobody_but_an_admin_acts_for_or_looks_at_another_user(alice: Bench, bob: Bench, name: str) -> None:
    with pytest.raises(NotPermitted):
        CALLS[name](bob, alice)
    assert alice.actor("ada").check() == []


LISTS: dict[str, Callable[[Bench], Any]] = {
    "users": lambda who: users.listing(who.store),
    "answers": lambda who: cache.listing(who.store, None, 100),
    "answers of alice": lambda who: cache.listing(who.store, "alice", 100),
    "cache": lambda who: cache.stats(who.store)["rows"],
    "unresolved": lambda who: recovery.unresolved(who.store),
    "balances": lambda who: energy.balances(who.store),
    "cleared": lambda who: cleaning.clear(who.store, "alice", None),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_shows_a_user_only_what_is_theirs(alice: Bench, bob: Bench, name: str) -> None:
    seen = LISTS[name](bob)
    assert "alice" not in str(seen) and SECRET not in str(seen)
    assert name in ("users", "balances") or not seen
    assert LISTS[name](alice)
    assert bob.sql("SELECT count(*) FROM cached_ai_responses")[0][0] == (0 if name == "cleared" else 1)


def test_a_cached_answer_is_shown_to_its_user_and_not_said_to_exist_to_others(alice: Bench, bob: Bench) -> None:
    number = alice.sql("SELECT id FROM cached_ai_responses")[0][0]
    assert cache.show(alice.store, number)["user_id"] == "alice"
    with pytest.raises(UsageError, match="there is no cached answer"):
        cache.show(bob.store, number)


HOUSE = catalog.Change(
    "openai/house",
    1,
    1,
    max_tokens=8192,
    type="small",
    quality=0.6,
    api_base="http://127.0.0.1:1/v1",
    api_key_env="HOUSE_KEY",
)

ADMINS: dict[str, Callable[[Bench], Any]] = {
    "tier": lambda who: users.set_tier(who.store, "bob", "elite"),
    "panic": lambda who: profiles.set_panic(who.store, True),
    "grant": lambda who: energy.grant(who.store, "bob", 1_000, "gift"),
    "balance": lambda who: energy.set_balance(who.store, "bob", 1_000, "gift"),
    "clock": lambda who: recovery.reset_clock(who.store),
    "check": lambda who: check.check(who.store),
    "seed": lambda who: catalog.seed(who.store, models.seeded()),
    "change": lambda who: catalog.change(who.store, "gpt-4o", catalog.Change(quality=0.9), lambda name: None),
    "add": lambda who: catalog.add(who.store, "house", HOUSE, lambda name: None),
    "disable": lambda who: catalog.enable(who.store, "gpt-4o", False),
    "sync": lambda who: catalog.sync(who.store, lambda name: None, apply=True),
}


@pytest.mark.parametrize("name", ADMINS)
def test_only_an_admin_may(alice: Bench, bob: Bench, name: str) -> None:
    before = "\n".join(bob.store.db.connection.iterdump())
    with pytest.raises(NotPermitted):
        ADMINS[name](bob)
    assert "\n".join(bob.store.db.connection.iterdump()) == before
    ADMINS[name](alice.actor("ada"))


def test_someone_who_is_no_user_yet_is_told_how_to_become_one(alice: Bench) -> None:
    with pytest.raises(NotPermitted) as caught:
        alice.actor("eve").plan()
    assert "set-tier eve" in caught.value.suggestion
    assert alice.sql("SELECT 1 FROM users WHERE user_id = 'eve'") == []


def test_an_admins_first_mention_makes_a_user_unless_that_is_off(bench: Bench) -> None:
    bench.post(bench.sent(bench.plan(user="carol")))
    assert tuple(bench.sql("SELECT tier, role FROM users WHERE user_id = 'carol'")[0]) == ("free", "user")
    strict = bench.actor("ada", users__auto_create=False)
    with pytest.raises(UsageError, match="there is no user 'dan'"):
        strict.plan(user="dan")
    assert strict.plan(user="carol").request.user_id == "carol"


def test_maintenance_runs_over_everyone_whoever_starts_it(alice: Bench, bob: Bench) -> None:
    bob.clock.move(days=40)
    assert recovery.recover(bob.store).posted == 1
    assert cleaning.clean_expired_cache(bob.store) == 1
    assert alice.actor("ada").check() == []
