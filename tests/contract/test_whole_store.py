"""The store as a whole: the catalog, reports, copies, many callers at once, and what an older program left."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta

import pytest

from nexscout_cli.engine.report_window import Window
from nexscout_cli.errors import StalePlan
from tests.contract.books import DAY, Books
from tests.contract.conftest import Shop
from tests.support.steps import Steps


def test_a_new_store_has_the_seeded_catalog(ada: Steps, bob: Steps) -> None:
    names = {model.name for model in ada.store.catalog.models("ada")}
    assert {"gpt-4o-mini", "gpt-4o", "claude-3-haiku", "smollm2-135m"} <= names and len(names) == 7
    assert bob.store.catalog.models("bob") == ada.store.catalog.models("ada")


def test_a_model_is_added_once_and_kept_as_it_was_given(ada: Steps) -> None:
    like = ada.store.catalog.models("ada")[1]
    new = like._replace(
        name="new", params={"reasoning_effort": "low", "n": [1, {"x": None}]}, api_base="http://127.0.0.1/v1"
    )
    assert ada.store.catalog.add("ada", [new, like]) == ["new"]
    assert ada.store.catalog.add("ada", [new]) == []
    assert new in ada.store.catalog.models("ada")


def test_a_change_of_the_catalog_is_made_from_what_is_there(ada: Steps) -> None:
    changed = ada.store.catalog.change(
        "ada", lambda models: [model._replace(enabled=False) for model in models if model.name == "gpt-4o"]
    )
    assert [model.name for model in changed] == ["gpt-4o"]
    assert [model.name for model in ada.store.catalog.models("ada") if not model.enabled] == ["gpt-4o"]


def test_a_change_that_fails_changes_nothing(ada: Steps) -> None:
    before = ada.store.catalog.models("ada")

    def fail(models: object) -> list[object]:
        raise ValueError

    with pytest.raises(ValueError):
        ada.store.catalog.change("ada", fail)  # type: ignore[arg-type]
    assert ada.store.catalog.models("ada") == before


KEYS = [(), ("user_id",), ("day",), ("model_used",), ("feature",), ("day", "model_used")]


@pytest.mark.parametrize("keys", KEYS, ids=lambda keys: "-".join(keys) or "all")
def test_sums_are_those_of_the_rows(shop: Shop, ada: Steps, bob: Steps, books: Books, keys: tuple[str, ...]) -> None:
    for n in range(6):
        at = (ada, bob)[n % 2]
        at.post(at.sent(at.plan(model="gpt-4o-mini")))
        shop.clock.move(hours=7)
    window = Window(shop.clock.now() - timedelta(hours=30), shop.clock.now(), UTC)
    with ada.store.reports.reading("ada", window) as reader:
        rows = reader.sums(*keys)
    inside = [
        row
        for row in books.usage()
        if window.since.isoformat()[:19] <= row["created_at"][:19] < window.until.isoformat()[:19]
    ]
    assert sum(row["cost_usd"] for row in rows) == sum(row["cost_usd"] for row in inside) > 0
    assert sum(row["calls"] for row in rows) == len(inside) == 4
    groups = {tuple(row["created_at"][:10] if key == "day" else row[key] for key in keys) for row in inside}
    assert {tuple(row[key] for key in keys) for row in rows} == groups


def test_a_reader_sees_what_its_actor_may(shop: Shop, ada: Steps, bob: Steps) -> None:
    ada.post(ada.sent())
    bob.post(bob.sent())
    shop.clock.move(seconds=5)
    window = Window(shop.clock.now() - timedelta(days=1), shop.clock.now(), UTC)

    def users(at: Steps, user: str | None = None) -> set[str]:
        with at.store.reports.reading(at.actor, window, user) as reader:
            return {row["user_id"] for row in reader.sums("user_id")}

    assert users(ada) == {"ada", "bob"} and users(ada, "bob") == {"bob"} and users(bob) == {"bob"}


def test_a_copy_is_a_whole_store(shop: Shop, ada: Steps, books: Books) -> None:
    ada.post(ada.sent())
    copy = shop.owner().store.maintenance.backup("ada", None)
    assert copy.stat().st_mode & 0o777 == 0o600
    assert ada.check() == []


def test_facts_of_a_store_can_be_told(ada: Steps) -> None:
    assert all(isinstance(value, str) and value for value in ada.store.maintenance.about().values())


def test_among_many_who_want_the_last_units_no_more_win_than_there_are(shop: Shop, ada: Steps, books: Books) -> None:
    ada.store.energy.set_balance("ada", "bob", 1000, "for the test")
    plan = ada.plan(user="bob")
    ada.store.energy.set_balance("ada", "bob", 3 * plan.max_energy, "for the test")
    gate = threading.Barrier(8)

    def take(at: Steps) -> bool:
        order = at.order(plan)
        gate.wait()
        try:
            at.ledger.hold("ada", order)
        except StalePlan:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(take, [shop.actor("ada") for _ in range(8)]))
    assert won.count(True) == 3 and books.account("bob").held == 3 * plan.max_energy


def test_threads_of_one_store_lose_nothing_and_double_nothing(ada: Steps, books: Books) -> None:
    plans = [ada.plan() for _ in range(8)]

    def pay(plan: object) -> int:
        attempt = ada.hold(plan)  # type: ignore[arg-type]
        ada.mark_sent(attempt)
        return ada.post(attempt).cost

    with ThreadPoolExecutor(8) as pool:
        costs = list(pool.map(pay, plans * 4))
    assert books.account("ada", "usd", DAY) == (None, 0, sum(costs))
    assert len(books.usage()) == 32 and ada.check() == []


def test_readers_of_one_store_see_whole_changes_only(ada: Steps, books: Books) -> None:
    """held + spent of a day never shows half of a hold or a post."""
    stop = threading.Event()
    seen: set[tuple[int, int]] = set()

    def look() -> None:
        while not stop.is_set():
            shown = ada.store.energy.show("ada", "ada")
            seen.add((shown.held, shown.balance + shown.held + shown.spent))

    with ThreadPoolExecutor(2) as pool:
        looking = pool.submit(look)
        for _ in range(20):
            ada.post(ada.sent())
        stop.set()
        looking.result(30)
    assert {total for _, total in seen} == {5000} and {held for held, _ in seen} <= {0, 1}
