"""Seals: a history that was rewritten, however well, is not what was sealed; what happens rightly later breaks none."""

from __future__ import annotations

import pytest

from nexscout_cli.engine.book_types import Seal
from nexscout_cli.errors import NotPermitted
from tests.support.bench import Bench


@pytest.fixture
def three(bench: Bench) -> Bench:
    """Two finished days with calls and refusals, and a third that has begun."""
    for _ in range(3):
        bench.post(bench.sent())
        bench.refuse(bench.plan(), "budget")
        bench.clock.move(days=1)
    bench.clock.move(days=-1)
    return bench


def seal(bench: Bench) -> list[Seal]:
    return bench.store.maintenance.seal(bench.actor)


def names(bench: Bench, *kept: Seal) -> set[str]:
    return {problem.name for problem in bench.store.maintenance.check(bench.actor, kept)}


def test_finished_days_are_sealed_once_and_today_is_not(three: Bench) -> None:
    made = seal(three)
    assert [one.day for one in made] == ["2026-11-10", "2026-11-11"]
    assert all(len(one.hash) == 64 for one in made) and made[0].hash != made[1].hash
    assert seal(three) == []
    assert three.store.maintenance.seals("ada") == made
    assert names(three, *made) == set()


def test_a_day_on_which_nothing_was_written_has_no_seal(three: Bench) -> None:
    three.clock.move(days=5)
    assert [one.day for one in seal(three)] == ["2026-11-10", "2026-11-11", "2026-11-12"]
    three.clock.move(days=5)
    assert seal(three) == []


def test_sealing_day_by_day_comes_to_the_same_as_sealing_at_once(bench: Bench, tmp_path: object) -> None:
    bench.post(bench.sent())
    bench.clock.move(days=1)
    first = seal(bench)
    bench.post(bench.sent())
    bench.clock.move(days=1)
    then = seal(bench)
    bench.damage("DELETE FROM seals")
    assert seal(bench) == first + then


def test_a_consistent_rewriting_of_a_sealed_day_is_found(three: Bench) -> None:
    seal(three)
    three.damage("UPDATE ledger_entries SET actor = 'mallory' WHERE id = 2")
    found = three.check()
    assert [problem.name for problem in found] == ["seals"]
    assert "up to 2026-11-10 is not what was sealed" in found[0].message


def test_a_rewriting_that_seals_anew_is_found_beside_the_seals_that_were_kept(three: Bench) -> None:
    kept = seal(three)
    three.damage("UPDATE ledger_entries SET actor = 'mallory' WHERE id = 2", "DELETE FROM seals")
    seal(three)
    assert names(three) == set()
    messages = [problem.message for problem in three.store.maintenance.check("ada", kept)]
    assert len(messages) == 2 and all("is not the one that was kept" in message for message in messages)


def test_a_seal_that_is_gone_is_missed(three: Bench) -> None:
    kept = seal(three)
    three.damage("DELETE FROM seals WHERE day = '2026-11-11'")
    assert names(three, *kept) == {"seals"}


def test_forgetting_cleaning_and_late_decisions_break_no_seal(bench: Bench) -> None:
    bench.post(bench.sent(bench.plan(user="bob")))
    lost, other = bench.unknown(), bench.unknown()
    bench.clock.move(days=1)
    kept = seal(bench)
    bench.store.users.forget("ada", "bob")
    bench.store.cache.clear("ada", None, None)
    bench.store.recovery.resolve("ada", lost.request_id, 5)
    bench.clock.move(days=2)
    bench.store.recovery.recover("ada")
    assert bench.state(other) == "posted"
    bench.store.users.set_tier("ada", "bob", "pro")
    assert names(bench, *kept) == set()
    assert [one.day for one in seal(bench)] == ["2026-11-11"]
    assert names(bench, *kept) == set()


def test_what_is_entered_after_the_clock_was_set_back_is_in_the_next_seal(three: Bench) -> None:
    kept = seal(three)
    three.clock.move(days=-2)
    three.store.recovery.reset_clock("ada")
    three.post(three.sent())
    assert seal(three) == []
    three.clock.move(days=4)
    three.post(three.sent())
    three.clock.move(days=1)
    assert [one.day for one in seal(three)] == ["2026-11-12", "2026-11-14"]
    assert names(three, *kept) == set()
    three.damage("UPDATE ledger_entries SET actor = 'mallory' WHERE id = (SELECT max(id) FROM ledger_entries) - 3")
    assert names(three, *kept) == {"seals"}


def test_only_an_admin_seals(three: Bench) -> None:
    three.store.users.set_tier("ada", "bob", "free")
    with pytest.raises(NotPermitted):
        three.as_actor("bob").store.maintenance.seal("bob")
