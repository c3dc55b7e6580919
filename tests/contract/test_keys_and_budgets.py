"""The server's keys, and budgets of users, keys, tags and runs, in each store."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from nexscout_cli.engine.book_types import ApiKey
from nexscout_cli.engine.budgets import Budget, owner_of
from nexscout_cli.engine.planning.plan import Plan
from nexscout_cli.engine.request import AIRequest, Caller
from nexscout_cli.errors import NexScoutError, NotPermitted, StalePlan
from tests.contract.books import Books
from tests.contract.conftest import Shop
from tests.support.steps import Steps

PLENTY = 10**12


def plan(steps: Steps, caller: Caller, prompt: str = "Write to Sarah") -> Plan:
    request: AIRequest = steps.request(prompt)._replace(caller=caller)
    return steps.planner.plan(request, steps.snapshot(request))


def spend_all(steps: Steps, made: Plan) -> None:
    """A call that comes to all that it may cost."""
    attempt = steps.sent(made)
    steps.post(attempt, steps.charge(attempt, made.forecast.max_input_tokens, made.forecast.max_output_tokens))


def refusal(made: Plan) -> tuple[str | None, dict[str, object]]:
    error = made.error or {}
    return error.get("code"), error.get("details", {}).get("budget", {})  # type: ignore[attr-defined]


def test_a_key_is_found_by_its_hash_alone_until_it_ends(shop: Shop, ada: Steps) -> None:
    keys = ada.store.keys
    keys.create("ada", ApiKey("app", "ada", ("gpt-4o-mini",), 60), "digest")
    found = keys.find("digest")
    assert found is not None and (found.id, found.user_id, found.models, found.rpm) == (
        "app",
        "ada",
        ("gpt-4o-mini",),
        60,
    )
    assert keys.find("app") is None and keys.find("") is None
    keys.rotate("ada", "app", "another")
    assert keys.find("digest") is None and keys.find("another") is not None
    keys.revoke("ada", "app")
    assert keys.find("another") is None and [key.id for key in keys.listing("ada")] == ["app"]
    keys.create("ada", ApiKey("short", "ada", expires_at=shop.clock.now() + timedelta(days=1)), "third")
    assert keys.find("third") is not None
    shop.clock.move(days=1, seconds=1)
    assert keys.find("third") is None


def test_only_an_admin_makes_keys_for_others_and_sets_budgets(ada: Steps, bob: Steps) -> None:
    with pytest.raises(NotPermitted):
        bob.store.keys.create("bob", ApiKey("theirs", "ada"), "digest")
    with pytest.raises(NotPermitted):
        bob.store.budgets.set("bob", Budget("usd", "name", "day", PLENTY, owner_of("name", "bob")))
    bob.store.keys.create("bob", ApiKey("own", "bob"), "own digest")
    assert [key.id for key in bob.store.keys.listing("bob")] == ["own"]


@pytest.mark.parametrize("window", ["day", "week", "month", "ever"])
def test_a_budget_is_held_posted_and_opened_anew_just_when_its_window_ends(
    shop: Shop, ada: Steps, books: Books, window: str
) -> None:
    """As LiteLLM's users reported them: windows that began anew late or twice (29576, 39726, 39150, 36941)."""
    owner, caller = owner_of("key", "app"), Caller("app")
    one = plan(ada, caller).max_cost
    ada.store.budgets.set("ada", Budget("usd", "key", window, one, owner))
    spend_all(ada, plan(ada, caller))
    code, told = refusal(plan(ada, caller))
    assert code == "usd_cap" and (told["scope"], told["window"]) == ("key", window) and told["estimate"]
    if window == "ever":
        shop.clock.move(days=400)
        assert told["resets_at"] is None and refusal(plan(ada, caller))[0] == "usd_cap"
        return
    left = datetime.fromisoformat(str(told["resets_at"])) - shop.clock.now()
    shop.clock.move(seconds=left.total_seconds() - 60)
    assert refusal(plan(ada, caller))[0] == "usd_cap"
    shop.clock.move(seconds=60)
    assert refusal(plan(ada, caller))[0] is None
    spend_all(ada, plan(ada, caller))
    shop.clock.move(hours=-3)  # a clock that goes back opens nothing twice
    assert refusal(plan(ada, caller))[0] == "usd_cap"
    assert ada.check() == []


def test_a_plan_made_before_a_budget_was_drawn_holds_nothing_over_it(ada: Steps, books: Books) -> None:
    """As LiteLLM's users reported it: budgets that calls raced past (26672, 40095)."""
    caller, owner = Caller("app", ("red",)), owner_of("tag", "red")
    ada.store.budgets.set("ada", Budget("usd", "tag", "day", plan(ada, caller).max_cost, owner))
    first, second = plan(ada, caller), plan(ada, caller)
    attempt = ada.hold(first)
    with pytest.raises(StalePlan):
        ada.hold(second)
    ada.void(attempt)
    assert ada.hold(plan(ada, caller)).hold == first.max_cost


def test_a_purse_of_a_run_is_drawn_on_by_all_its_calls(ada: Steps) -> None:
    one = plan(ada, Caller()).max_cost
    caller = Caller("app", (), "agent-1", 2 * one)
    ada.post(ada.sent(plan(ada, caller, "Write to Sarah")))
    ada.hold(plan(ada, caller, "Write to Tom"))
    code, told = refusal(plan(ada, caller, "Write to Ann"))
    assert code is None or (told["scope"], told["window"], told["resets_at"]) == ("run", "ever", None)
    assert refusal(plan(ada, caller._replace(run="agent-2")))[0] is None


def test_a_budget_that_is_taken_away_binds_nobody(ada: Steps) -> None:
    caller, owner = Caller("app"), owner_of("key", "app")
    ada.store.budgets.set("ada", Budget("usd", "key", "day", 1, owner))
    assert refusal(plan(ada, caller))[0] == "usd_cap"
    ada.store.budgets.set("ada", Budget("usd", "key", "day", None, owner))
    assert refusal(plan(ada, caller))[0] is None and ada.store.budgets.listing("ada") == []


def test_a_void_gives_all_of_a_budget_back(ada: Steps, books: Books) -> None:
    """As LiteLLM's users reported it: reservations that stayed after faults (27639)."""
    caller, owner = Caller("app"), owner_of("key", "app")
    ada.store.budgets.set("ada", Budget("usd", "key", "day", PLENTY, owner))
    for _ in range(3):
        ada.void(ada.sent(plan(ada, caller)))
    [account] = [row for row in books.accounts() if row["owner"] == owner]
    assert (account["held"], account["spent"]) == (0, 0)
    with pytest.raises(NexScoutError):
        ada.store.keys.revoke("ada", "nobody")
