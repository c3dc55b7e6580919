"""Deployments as every store must keep them: limits across connections, cool-downs, prices, what is learned of each."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from nexscout_cli.engine.deployment import Deployment, Wanted
from nexscout_cli.engine.settlement import Attempt
from nexscout_cli.errors import NoRoom, StalePlan
from tests.contract.conftest import Shop
from tests.support.steps import Steps

MODEL = "gpt-4o-mini"


def deploy(ada: Steps, *places: Deployment) -> None:
    """Serve the model at those places."""
    ada.store.catalog.change(
        "ada", lambda models: [next(m for m in models if m.name == MODEL)._replace(deployments=places)]
    )


def held(one: Steps, *places: Deployment, avoid: tuple[str, ...] = (), chance: float = 0.0, **more: Any) -> Attempt:
    return one.hold(wanted=Wanted(places, frozenset(avoid), chance), **more)


def test_deployments_are_part_of_the_catalog_and_move_the_world(ada: Steps) -> None:
    plan = ada.plan()
    place = Deployment(
        "eu", "azure/gpt", "https://eu.example.com", "EU_KEY", 3, 500, 200_000, 20, 7.5, 5, 6, {"cached": 2}
    )
    deploy(ada, Deployment("default"), place)
    found = {model.name: model.deployments for model in ada.store.catalog.models("ada")}
    assert found[MODEL] == (Deployment("default"), place) and not any(found[name] for name in found if name != MODEL)
    with pytest.raises(StalePlan):
        ada.hold(plan)
    deploy(ada, place._replace(weight=1))
    assert ada.snapshot().model(MODEL).deployments == (place._replace(weight=1),)  # type: ignore[union-attr]
    deploy(ada)
    assert ada.snapshot().model(MODEL).deployments == ()  # type: ignore[union-attr]


def test_requests_of_the_last_minute_fill_a_place_and_leave_it_again(shop: Shop, ada: Steps, bob: Steps) -> None:
    places = (Deployment("a", rpm=2), Deployment("b", rpm=1))
    deploy(ada, *places)
    seen = [held(one, *places, chance=0.9).deployment for one in (ada, bob, ada)]
    assert sorted(seen) == ["a", "a", "b"]  # type: ignore[type-var]
    shop.clock.move(seconds=15)
    with pytest.raises(NoRoom) as full:
        held(bob, *places)
    assert full.value.seconds == pytest.approx(45)
    assert shop.books.count("attempts") == 3 and shop.books.count("requests") == 3
    shop.clock.move(seconds=46)
    assert held(bob, *places).deployment in ("a", "b")


def test_tokens_count_at_their_worst_until_they_are_known(shop: Shop, ada: Steps) -> None:
    most = ada.plan().max_total_tokens
    place = Deployment("a", tpm=most + 160)
    deploy(ada, place)
    first = held(ada, place)
    with pytest.raises(NoRoom):
        held(ada, place)
    ada.mark_sent(first)
    ada.post(first)  # 150 tokens
    second = held(ada, place)
    with pytest.raises(NoRoom):
        held(ada, place)
    ada.void(second)
    assert held(ada, place).deployment == "a"
    with pytest.raises(NoRoom) as never:
        held(ada, place._replace(tpm=most - 1))
    assert never.value.seconds is None


def test_calls_at_once_are_counted_until_they_end_or_should_have(shop: Shop, ada: Steps, bob: Steps) -> None:
    place = Deployment("a", concurrency=2)
    deploy(ada, place)
    first, second = held(ada, place), held(bob, place)
    ada.mark_sent(first)
    with pytest.raises(NoRoom):
        held(ada, place)
    ada.mark_unknown(first)  # it has come back, whatever became of it
    third = held(ada, place)
    bob.void(second)
    held(bob, place)
    with pytest.raises(NoRoom):
        held(bob, place)
    shop.clock.move(seconds=61)  # past their deadline: whoever made them is gone
    assert held(ada, place).deployment == third.deployment == "a"


def test_a_place_that_fails_cools_down_for_everybody(shop: Shop, ada: Steps, bob: Steps) -> None:
    places = (Deployment("a", cool_down=4), Deployment("b", weight=0))
    deploy(ada, *places)
    first = held(ada, *places)
    assert first.deployment == "a"
    ada.ledger.void("ada", first, "overloaded", "limited", 30.0)
    model = ada.snapshot().model(MODEL)
    assert model is not None
    use = bob.store.catalog.uses("bob", model)["a"]
    assert (use.failures, use.failure) == (1, "limited") and use.cooling == pytest.approx(30)
    assert held(bob, *places).deployment == "b"
    shop.clock.move(seconds=31)
    again = held(bob, *places)
    assert again.deployment == "a"
    bob.mark_sent(again)
    shop.clock.move(seconds=2)
    bob.post(again)
    use = bob.store.catalog.uses("bob", model)["a"]
    assert (use.failures, use.failure, use.cooling) == (0, None, 0.0)
    assert use.latency_ms == pytest.approx(2000, abs=5) and 0 < use.error_rate < 1


def test_what_is_wrong_with_a_request_cools_no_place(ada: Steps) -> None:
    place = Deployment("a")
    deploy(ada, place)
    for label in ("rejected", "too_long", "other"):
        ada.ledger.void("ada", held(ada, place), "refused", label)
    model = ada.snapshot().model(MODEL)
    assert model is not None and ada.store.catalog.uses("ada", model) == {}


def test_an_attempt_is_booked_at_the_prices_of_its_place(shop: Shop, ada: Steps) -> None:
    dear = Deployment("dear", price_in=10**7, price_out=2 * 10**7, class_prices={"cached": 5})
    deploy(ada, Deployment("default"), dear)
    plan = ada.plan()
    assert plan.own_max_cost >= plan.forecast.max_output_tokens * 2 * 10**4
    attempt = held(ada, dear)
    assert attempt.settlement.price_out == dear.price_out and attempt.settlement.class_prices == dear.class_prices
    ada.mark_sent(attempt)
    charge = ada.post(attempt)
    assert charge.cost == 100 * 10**4 + 50 * 2 * 10**4 and charge.cost <= attempt.hold
    assert shop.books.listed("attempts", "deployment", "used_tokens") == [("dear", 150)]
    assert ada.store.maintenance.check("ada") == []


def test_the_limit_is_never_passed_by_many_at_once(shop: Shop, ada: Steps) -> None:
    places = (Deployment("a", rpm=7), Deployment("b", concurrency=5))
    deploy(ada, *places)
    people = [shop.actor("ada") for _ in range(4)]
    got: list[str | None] = []
    lock = threading.Lock()

    def work(one: Steps, number: int) -> None:
        for turn in range(5):
            try:
                found = held(one, *places, chance=(number * 5 + turn) / 20, request_id=f"q{number}-{turn}").deployment
            except NoRoom:
                found = None
            with lock:
                got.append(found)

    threads = [threading.Thread(target=work, args=(one, n)) for n, one in enumerate(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (got.count("a"), got.count("b"), got.count(None)) == (7, 5, 8)
