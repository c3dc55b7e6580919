"""What goes on now, as every store must tell it."""

from __future__ import annotations

from tests.contract.conftest import Shop
from tests.support.steps import Steps


def test_what_is_not_settled_is_told_to_those_who_may_see_it(shop: Shop, ada: Steps, bob: Steps) -> None:
    mine = ada.sent()
    shop.clock.move(seconds=1)
    his = bob.sent()
    ended = bob.sent()
    bob.post(ended)
    calls = ada.store.log.live("ada", 5).calls
    assert [(one.request_id, one.user_id, one.state) for one in calls] == [
        (mine.request_id, "ada", "sent"),
        (his.request_id, "bob", "sent"),
    ]
    assert all(one.hold > 0 for one in calls) and calls[0].since < calls[1].since
    assert [one.request_id for one in bob.store.log.live("bob", 5).calls] == [his.request_id]


def test_minutes_add_up_to_what_came_into_the_books(shop: Shop, ada: Steps, bob: Steps) -> None:
    first = bob.sent()
    bob.post(first)
    failed = bob.sent()
    bob.void(failed, "overloaded")
    shop.clock.move(seconds=120)
    ada.post(ada.sent())
    minutes = ada.store.log.live("ada", 5).minutes
    assert [one.answers for one in minutes] == [0, 0, 1, 0, 1]
    assert minutes[2].cost > 0 and minutes[4].cost > 0 and [one.cost for one in minutes[:2]] == [0, 0]
    assert [one.answers for one in bob.store.log.live("bob", 5).minutes] == [0, 0, 1, 0, 0]
    shop.clock.move(seconds=600)
    assert sum(one.answers for one in ada.store.log.live("ada", 5).minutes) == 0
