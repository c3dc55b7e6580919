"""A store that breaks one rule of the contract is caught by the contract's own tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nexscout_cli.engine.ports import Clock
from nexscout_cli.engine.settlement import Attempt, Order, Posting
from nexscout_cli.engine.store_rules import StoreRules
from nexscout_cli.errors import StoreError
from nexscout_cli.store.sqlite.ledger import SqliteLedger
from nexscout_cli.store.sqlite.store import SqliteStore
from tests.contract import test_holds_and_posts, test_people
from tests.contract.books import DAY, SqliteBooks
from tests.contract.conftest import Kind, Shop
from tests.support.steps import Steps

Case = Callable[[Shop, Steps], None]


class HoldsTooLittle(SqliteLedger):
    """Reserves half of what a call may cost."""

    def hold(self, actor: str, order: Order) -> Attempt:
        return super().hold(actor, order._replace(hold=order.hold // 2))


class KnowsNoCaps(SqliteLedger):
    """Draws on no budget that has a cap."""

    def hold(self, actor: str, order: Order) -> Attempt:
        return super().hold(actor, order._replace(budgets=tuple(b._replace(cap=None) for b in order.budgets)))


class CallsTwice(SqliteLedger):
    """Does not mind an identical request in flight."""

    def hold(self, actor: str, order: Order) -> Attempt:
        return super().hold(actor, order._replace(cache_key=None))


class HoldsOldPlans(SqliteLedger):
    """Takes a plan from whatever world it was made in."""

    def hold(self, actor: str, order: Order) -> Attempt:
        with self._store.read(actor) as t:
            (version,) = t.execute("SELECT value FROM meta WHERE key = 'world_version'").fetchone()
        return super().hold(actor, order._replace(version=int(version)))


class ForgetsToSettle(SqliteLedger):
    """Says nothing where an attempt was settled before."""

    def post(self, actor: str, attempt: Attempt, posting: Posting) -> None:
        try:
            super().post(actor, attempt, posting)
        except StoreError:
            return


class PostsTwice(SqliteLedger):
    """Adds every charge a second time."""

    def post(self, actor: str, attempt: Attempt, posting: Posting) -> None:
        super().post(actor, attempt, posting)
        with self._store.write(actor) as t:
            t.execute("UPDATE accounts SET spent = 2 * spent WHERE kind = 'usd'")


class KeepsVoidedHolds(SqliteLedger):
    """Gives nothing back when a call never arrived."""

    def void(self, actor: str, attempt: Attempt, reason: str) -> None:
        return


class AsksNobody(SqliteLedger):
    """Lets everybody settle whatever there is, as if the admin did it."""

    def post(self, actor: str, attempt: Attempt, posting: Posting) -> None:
        super().post("ada", attempt, posting)


def books(shop: Shop) -> Any:
    return shop.books


def no_cap_is_passed(shop: Shop, ada: Steps) -> None:
    test_holds_and_posts.test_no_cap_is_passed_by_holds(shop, ada, books(shop), "caps__usd__user_day", "ada", DAY)


def nobody_settles_anothers(shop: Shop, ada: Steps) -> None:
    ada.store.users.set_tier("ada", "bob", "free")
    ada.store.energy.set_balance("ada", "bob", 200, "for the test")
    test_people.test_nobody_settles_another_persons_attempt(ada, shop.actor("bob"), books(shop), "post it")


class Broken(NamedTuple):
    """A ledger that breaks a rule, and the contract's test of that rule."""

    ledger: type[SqliteLedger]
    case: Case


BROKEN = [
    Broken(
        HoldsTooLittle,
        lambda shop, ada: test_holds_and_posts.test_a_hold_enters_request_attempt_and_prediction_at_once(
            ada, books(shop)
        ),
    ),
    Broken(KnowsNoCaps, no_cap_is_passed),
    Broken(
        CallsTwice,
        lambda shop, ada: test_holds_and_posts.test_identical_requests_do_not_call_twice_at_once(ada, books(shop)),
    ),
    Broken(
        HoldsOldPlans,
        lambda shop, ada: test_holds_and_posts.test_a_plan_from_another_world_is_not_held(ada, "catalog"),
    ),
    Broken(
        ForgetsToSettle,
        lambda shop, ada: test_holds_and_posts.test_what_is_settled_is_settled_once(
            ada, books(shop), "posted", "posted"
        ),
    ),
    Broken(
        PostsTwice,
        lambda shop, ada: test_holds_and_posts.test_a_post_turns_the_hold_into_the_true_charge(ada, books(shop), 50),
    ),
    Broken(
        KeepsVoidedHolds,
        lambda shop, ada: (
            test_holds_and_posts.test_a_void_gives_dollars_and_tokens_back_and_keeps_the_energy_for_the_next_attempt(
                ada, books(shop)
            )
        ),
    ),
    Broken(AsksNobody, nobody_settles_anothers),
]


def kind(ledger: type[SqliteLedger]) -> Kind:
    """SQLite's store with that ledger in it."""

    def opened(place: Path, clock: Clock, rules: StoreRules, owner: str) -> SqliteStore:
        store = SqliteStore(place / "nexscout.db", clock, rules, owner)
        store.__dict__["ledger"] = ledger(store)  # where the cached property keeps its own
        return store

    return Kind(ledger.__name__, opened, lambda place: SqliteBooks(place / "nexscout.db"))


def judged(ledger: type[SqliteLedger], case: Case, place: Path) -> bool:
    """Whether the case finds nothing wrong."""
    shop = Shop(kind(ledger), place)
    try:
        case(shop, shop.actor("ada"))
    except (AssertionError, pytest.fail.Exception):
        return False
    finally:
        shop.close()
    return True


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.ledger.__name__)
def test_a_store_that_breaks_a_rule_is_caught_by_the_test_of_that_rule(broken: Broken, tmp_path: Path) -> None:
    sound, unsound = tmp_path / "sound", tmp_path / "unsound"
    sound.mkdir()
    unsound.mkdir()
    assert judged(SqliteLedger, broken.case, sound)
    assert not judged(broken.ledger, broken.case, unsound)
