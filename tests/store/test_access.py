from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nexscout_cli.engine.cache import hits
from nexscout_cli.engine.catalog import keeping
from nexscout_cli.engine.catalog.rules import Change
from nexscout_cli.engine.recalled import Hit
from nexscout_cli.engine.request import AIRequest
from nexscout_cli.errors import NotPermitted, UsageError
from tests.support.bench import Bench

SECRET = "alice's own words"


@pytest.fixture
def alice(bench: Bench) -> Bench:
    """Alice has used it; bob is a user too. Ada owns the installation."""
    bench.store.users.set_tier(bench.actor, "alice", "pro")
    bench.store.users.set_tier(bench.actor, "bob", "free")
    alice = bench.as_actor("alice")
    attempt = alice.sent(alice.plan(SECRET, idempotency_key="k"))
    alice.post(attempt)
    alice.unknown(alice.plan(SECRET))
    return alice


@pytest.fixture
def bob(alice: Bench) -> Bench:
    return alice.as_actor("bob")


ASKED = AIRequest("alice", "ai_message", SECRET)

CALLS: dict[str, Callable[[Bench, Bench], Any]] = {
    "snapshot": lambda bob, alice: bob.snapshot(ASKED),
    "experience": lambda bob, alice: bob.ledger.experience("bob", "alice", "ai_message"),
    "recall": lambda bob, alice: bob.ledger.recall("bob", "alice", "k"),
    "cached": lambda bob, alice: bob.ledger.cached("bob", "alice", first_key(alice)),
    "in flight": lambda bob, alice: bob.ledger.in_flight("bob", "alice", first_key(alice)),
    "refusal": lambda bob, alice: bob.refuse(alice.plan(), "budget", "x"),
    "hold": lambda bob, alice: bob.ledger.hold("bob", alice.order()),
    "sent": lambda bob, alice: bob.mark_sent(alice.hold()),
    "void": lambda bob, alice: bob.void(alice.sent(), "mine"),
    "unknown": lambda bob, alice: bob.mark_unknown(alice.sent(), "mine", None),
    "post": lambda bob, alice: bob.post(alice.sent()),
    "fail": lambda bob, alice: bob.fail(alice.sent(), "x", "y"),
    "hit": lambda bob, alice: bob.ledger.record_hit("bob", hit_of(alice)),
    "resolve": lambda bob, alice: bob.store.recovery.resolve(
        "bob", alice.store.recovery.unresolved("alice")[0].request_id, None
    ),
    "rating": lambda bob, alice: bob.store.profiles.update_efficiency_rating("bob", "alice", 1, 1),
    "mode": lambda bob, alice: bob.store.profiles.set_mode("bob", "alice", "pro"),
    "policy": lambda bob, alice: bob.store.profiles.set_policy("bob", "alice", "learned"),
    "show mode": lambda bob, alice: bob.store.profiles.preferences("bob", "alice"),
    "forecast": lambda bob, alice: bob.store.profiles.learned("bob", "alice"),
    "verdicts": lambda bob, alice: bob.store.feedback.by_model("bob", "alice"),
    "forget": lambda bob, alice: bob.store.users.forget("bob", "alice"),
    "find": lambda bob, alice: bob.store.users.find("bob", "alice"),
    "energy": lambda bob, alice: bob.store.energy.show("bob", "alice"),
    "energy history": lambda bob, alice: bob.store.energy.history("bob", "alice", 10),
    "budgets": lambda bob, alice: bob.store.energy.used("bob", "alice", []),
    "log": lambda bob, alice: bob.store.log.latest("bob", "alice"),
    "answers": lambda bob, alice: bob.store.cache.listing("bob", "alice", 100),
    "clear": lambda bob, alice: bob.store.cache.clear("bob", "alice", None),
    "how many to clear": lambda bob, alice: bob.store.cache.clear("bob", "alice", None, dry_run=True),
}


def hit_of(alice: Bench) -> Hit:
    """A hit of alice's on her answer, which is not on record yet."""
    cached = alice.ledger.cached("alice", "alice", first_key(alice))
    assert cached is not None
    return hits.hit(
        "x",
        ASKED,
        cached,
        alice.snapshot(ASKED),
        alice.settings,
        alice.clock.now(),
        mode="auto",
        answer={},
        fingerprint="f",
    )


def first_key(bench: Bench) -> str:
    return str(bench.books.cached()[0]["prompt_hash"])


@pytest.mark.parametrize("name", CALLS)
def test_nobody_but_an_admin_acts_for_or_looks_at_another_user(alice: Bench, bob: Bench, name: str) -> None:
    with pytest.raises(NotPermitted):
        CALLS[name](bob, alice)
    assert alice.as_actor("ada").check() == []


LISTS: dict[str, Callable[[Bench], Any]] = {
    "users": lambda who: who.store.users.listing(who.actor),
    "answers": lambda who: who.store.cache.listing(who.actor, None, 100),
    "cache": lambda who: who.store.cache.stats(who.actor)["rows"],
    "unresolved": lambda who: who.store.recovery.unresolved(who.actor),
    "log": lambda who: who.store.log.latest(who.actor),
    "cleared": lambda who: who.store.cache.clear(who.actor, None, None),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_shows_a_user_only_what_is_theirs(alice: Bench, bob: Bench, name: str) -> None:
    seen = LISTS[name](bob)
    assert "alice" not in str(seen) and SECRET not in str(seen)
    assert name == "users" or not seen
    assert LISTS[name](alice)
    assert bob.books.count("cached") == (0 if name == "cleared" else 1)


def test_a_cached_answer_is_shown_to_its_user_and_not_said_to_exist_to_others(alice: Bench, bob: Bench) -> None:
    number = alice.books.cached()[0]["id"]
    assert alice.store.cache.show("alice", number)["user_id"] == "alice"
    with pytest.raises(UsageError, match="there is no cached answer"):
        bob.store.cache.show("bob", number)


HOUSE = Change(
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
    "tier": lambda who: who.store.users.set_tier(who.actor, "bob", "elite"),
    "panic": lambda who: who.store.profiles.set_panic(who.actor, True),
    "grant": lambda who: who.store.energy.grant(who.actor, "bob", 1_000, "gift"),
    "balance": lambda who: who.store.energy.set_balance(who.actor, "bob", 1_000, "gift"),
    "clock": lambda who: who.store.recovery.reset_clock(who.actor),
    "check": lambda who: who.store.maintenance.check(who.actor),
    "backup": lambda who: who.store.maintenance.backup(who.actor, None),
    "seed": lambda who: keeping.seed(who.store.catalog, who.actor, []),
    "change": lambda who: keeping.change(
        who.store.catalog, who.actor, "gpt-4o", Change(quality=0.9), lambda name: None
    ),
    "add": lambda who: keeping.add(who.store.catalog, who.actor, "house", HOUSE, lambda name: None),
    "disable": lambda who: keeping.enable(who.store.catalog, who.actor, "gpt-4o", False),
    "sync": lambda who: keeping.sync(who.store.catalog, who.actor, lambda name: None, apply=True),
}


@pytest.mark.parametrize("name", ADMINS)
def test_only_an_admin_may(alice: Bench, bob: Bench, name: str) -> None:
    before = "\n".join(bob.store.db.connection.iterdump())
    with pytest.raises(NotPermitted):
        ADMINS[name](bob)
    assert "\n".join(bob.store.db.connection.iterdump()) == before
    ADMINS[name](alice.as_actor("ada"))


def test_someone_who_is_no_user_yet_is_told_how_to_become_one(alice: Bench) -> None:
    with pytest.raises(NotPermitted) as caught:
        alice.as_actor("eve").plan()
    assert "set-tier eve" in caught.value.suggestion
    assert alice.books.count("users", user_id="eve") == 0


def test_an_admins_first_mention_makes_a_user_unless_that_is_off(bench: Bench) -> None:
    bench.post(bench.sent(bench.plan(user="carol")))
    assert bench.books.listed("users", "tier", "role", user_id="carol") == [("free", "user")]
    strict = bench.as_actor("ada", users__auto_create=False)
    with pytest.raises(UsageError, match="there is no user 'dan'"):
        strict.plan(user="dan")
    assert strict.plan(user="carol").request.user_id == "carol"


def test_maintenance_runs_over_everyone_whoever_starts_it(alice: Bench, bob: Bench) -> None:
    bob.clock.move(days=40)
    assert bob.store.recovery.recover("bob").posted == 1
    assert bob.store.cache.clean() == 1
    assert alice.as_actor("ada").check() == []
