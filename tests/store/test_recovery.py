from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest

from nexscout_cli import system
from nexscout_cli.engine.catalog.recovery_rules import Recovered
from nexscout_cli.engine.settlement import Attempt
from nexscout_cli.errors import NotPermitted, UsageError
from nexscout_cli.store import owner
from tests.support.bench import Bench

DAY = "2026-11-10"


@pytest.fixture(autouse=True)
def _balanced(bench: Bench) -> Iterator[None]:
    yield
    assert bench.check() == []


def orphan(bench: Bench, attempt: Attempt) -> Attempt:
    """The attempt as one of a process that was really started and has really died."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    host, boot, _, _ = owner.me().rsplit("/", 3)
    name = f"{host}/{boot}/{process.pid}/{system.started(process.pid)}"
    assert owner.alive(name)
    process.communicate(b"\n")
    owned_by(bench, attempt, name)
    return attempt


def owned_by(bench: Bench, attempt: Attempt, name: str) -> None:
    bench.sql("UPDATE attempts SET owner = ? WHERE id = ?", name, attempt.id)


def test_what_a_dead_process_never_sent_is_voided_with_its_energy(bench: Bench) -> None:
    attempt = orphan(bench, bench.hold())
    assert bench.store.recovery.recover(bench.actor) == Recovered(voided=1)
    assert (bench.state(attempt), bench.request_state(attempt)) == ("voided", "voided")
    assert bench.account("ada") == (5000, 0, 0)
    assert bench.account("ada", "usd", DAY) == (None, 0, 0)


def test_what_a_dead_process_had_sent_is_unknown_and_stays_held_with_its_energy(bench: Bench) -> None:
    attempt = orphan(bench, bench.sent())
    assert bench.store.recovery.recover(bench.actor) == Recovered(unknown=1)
    assert (bench.state(attempt), bench.request_state(attempt)) == ("unknown", "unknown")
    assert bench.account("ada") == (5000, attempt.hold_energy, 0)
    assert bench.account("ada", "usd", DAY) == (None, attempt.hold, 0)
    assert bench.store.recovery.recover(bench.actor) == Recovered()


def test_a_living_owner_is_left_alone_until_an_hour_past_its_deadline(bench: Bench) -> None:
    held, sent = bench.hold(), bench.sent()
    bench.clock.move(minutes=60)
    assert bench.store.recovery.recover(bench.actor) == Recovered()
    bench.clock.move(minutes=2)
    assert bench.store.recovery.recover(bench.actor) == Recovered(voided=1, unknown=1)
    assert (bench.state(held), bench.state(sent)) == ("voided", "unknown")


def test_an_owner_that_outlived_its_deadline_still_posts_its_answer(bench: Bench) -> None:
    attempt = bench.sent()
    bench.clock.move(hours=2)
    bench.store.recovery.recover(bench.actor)
    bench.post(attempt)
    assert (bench.state(attempt), bench.request_state(attempt)) == ("posted", "posted")
    assert bench.account("ada") == (5000, 0, 1)


def test_an_owner_that_outlived_its_deadline_may_go_on_with_another_attempt(bench: Bench) -> None:
    attempt = bench.sent()
    bench.clock.move(hours=2)
    bench.store.recovery.recover(bench.actor)
    bench.mark_unknown(attempt, "it hung", None)
    second = bench.sent(bench.plan(), attempt.request_id)
    assert bench.request_state(second) == "open"
    assert bench.check() == []
    bench.post(second)
    assert (bench.state(attempt), bench.request_state(second)) == ("unknown", "posted")


def test_a_clock_that_went_back_does_not_make_a_fresh_attempt_look_overdue(bench: Bench) -> None:
    bench.post(bench.sent())
    bench.clock.move(hours=-5)
    attempt = bench.hold()
    assert bench.store.recovery.recover(bench.actor) == Recovered()
    assert bench.state(attempt) == "held"


def test_a_reused_process_number_is_not_its_old_owner(bench: Bench) -> None:
    attempt = bench.hold()
    host, boot, pid, start = owner.me().rsplit("/", 3)
    owned_by(bench, attempt, f"{host}/{boot}/{pid}/{int(start) - 1}")
    assert pid == str(os.getpid())
    assert bench.store.recovery.recover(bench.actor) == Recovered(voided=1)


def test_an_owner_before_the_last_boot_is_dead_and_one_on_another_host_counts_as_alive(bench: Bench) -> None:
    host, boot, pid, start = owner.me().rsplit("/", 3)
    assert owner.alive(owner.me())
    assert not owner.alive(f"{host}/another-boot/{pid}/{start}")
    assert owner.alive(f"elsewhere/{boot}/{pid}/{start}")
    owned_by(bench, bench.hold(), f"elsewhere/{boot}/{pid}/{start}")
    assert bench.store.recovery.recover(bench.actor) == Recovered()


def test_a_process_in_another_pid_namespace_is_left_alone_until_its_deadline(bench: Bench) -> None:
    host, place, _, start = owner.me().rsplit("/", 3)
    boot, _, namespace = place.partition(":")
    assert namespace.isdecimal()
    there = f"{host}/{boot}:{int(namespace) + 1}/999999999/{start}"
    assert owner.alive(there) and not owner.is_seen(there) and owner.is_seen(owner.me())
    attempt = bench.hold()
    owned_by(bench, attempt, there)
    assert bench.store.recovery.recover(bench.actor) == Recovered()
    bench.clock.move(hours=5)
    assert bench.store.recovery.recover(bench.actor) == Recovered(voided=1)


def test_a_request_that_was_left_open_where_nobody_sees_is_closed_a_day_later(bench: Bench) -> None:
    host, place, _, start = owner.me().rsplit("/", 3)
    attempt = bench.sent()
    bench.void(attempt, "overloaded")
    owned_by(bench, attempt, f"{host}/{place}1/999999999/{start}")
    bench.store.recovery.recover(bench.actor)
    assert bench.request_state(attempt) == "open"
    bench.clock.move(hours=25)
    bench.store.recovery.recover(bench.actor)
    assert bench.request_state(attempt) == "voided"


def test_an_owner_that_an_earlier_version_wrote_is_known_by_its_process(bench: Bench) -> None:
    host, place, pid, start = owner.me().rsplit("/", 3)
    boot = place.partition(":")[0]
    assert owner.alive(f"{host}/{boot}/{pid}/{start}")
    assert not owner.alive(f"{host}/{boot}/{pid}/{int(start) - 1}")


def test_after_a_day_an_unknown_attempt_is_posted_at_its_hold_and_marked_estimated(bench: Bench) -> None:
    attempt = bench.unknown()
    bench.clock.move(hours=23, minutes=59)
    assert bench.store.recovery.recover(bench.actor) == Recovered()
    bench.clock.move(minutes=2)
    assert bench.store.recovery.recover(bench.actor) == Recovered(posted=1)
    assert bench.state(attempt) == "posted"
    assert bench.account("ada", "usd", DAY) == (None, 0, attempt.hold)
    ((cost, energy, metadata),) = bench.books.listed("usage", "cost_usd", "energy", "metadata", n=1)
    assert (cost, energy) == (attempt.hold, 0)
    assert "estimated" in metadata["flags"]


@pytest.mark.parametrize("days", [0, 1, 2, 30, 400])
def test_age_never_voids_what_was_sent(bench: Bench, days: int) -> None:
    attempt = orphan(bench, bench.sent())
    bench.clock.move(days=days)
    bench.store.recovery.recover(bench.actor)
    bench.clock.move(days=days)
    bench.store.recovery.recover(bench.actor)
    assert bench.state(attempt) == ("posted" if days else "unknown")
    assert set(bench.books.listed("entries", "account", kind="void")) <= {"energy"}


def test_energy_held_since_a_crash_is_given_back_when_the_attempt_is_resolved(bench: Bench) -> None:
    attempt = orphan(bench, bench.sent())
    bench.store.recovery.recover(bench.actor)
    assert bench.store.recovery.resolve(bench.actor, attempt.request_id, 1234) == 1
    assert bench.account("ada") == (5000, 0, 0)
    assert bench.account("ada", "usd", DAY) == (None, 0, 1234)
    assert bench.state(attempt) == "posted"


def test_resolving_by_void_gives_the_hold_back(bench: Bench) -> None:
    attempt = bench.unknown()
    assert [row.request_id for row in bench.store.recovery.unresolved(bench.actor)] == [attempt.request_id]
    assert bench.store.recovery.resolve(bench.actor, attempt.request_id, None) == 1
    assert (bench.state(attempt), bench.request_state(attempt)) == ("voided", "voided")
    assert bench.account("ada", "usd", DAY) == (None, 0, 0)
    assert bench.store.recovery.unresolved(bench.actor) == []


def test_an_answered_request_stays_answered_when_its_unknown_attempt_is_resolved(bench: Bench) -> None:
    first = bench.sent()
    bench.mark_unknown(first, "it hung", None)
    second = bench.sent(bench.plan(), first.request_id)
    cost = bench.post(second).cost
    assert bench.store.recovery.resolve(bench.actor, first.request_id, 777) == 1
    assert bench.request_state(first) == "posted"
    assert bench.account("ada") == (5000, 0, 1)
    assert bench.account("ada", "usd", DAY) == (None, 0, cost + 777)


def test_several_unknown_attempts_are_posted_at_one_cost_in_all(bench: Bench) -> None:
    first = bench.sent()
    bench.mark_unknown(first, "it hung", None)
    second = bench.sent(bench.plan(), first.request_id)
    bench.mark_unknown(second, "it hung again", None)
    bench.fail(second)
    assert bench.store.recovery.resolve(bench.actor, first.request_id, 900) == 2
    assert bench.account("ada", "usd", DAY) == (None, 0, 900)


def test_only_an_unknown_attempt_can_be_resolved_and_only_by_its_user_or_an_admin(bench: Bench) -> None:
    done = bench.sent()
    bench.post(done)
    for request_id in (done.request_id, "no-such-request"):
        with pytest.raises(UsageError):
            bench.store.recovery.resolve(bench.actor, request_id, None)
    attempt = bench.unknown()
    bench.post(bench.sent(bench.plan(user="bob")))
    bob = bench.as_actor("bob")
    with pytest.raises(NotPermitted):
        bob.store.recovery.resolve(bob.actor, attempt.request_id, None)
    assert bob.store.recovery.unresolved(bob.actor) == []
    assert bench.state(attempt) == "unknown"


def test_a_request_left_open_between_two_attempts_is_closed_when_its_process_died(bench: Bench) -> None:
    attempt = bench.sent()
    bench.void(attempt, "overloaded")
    assert bench.store.recovery.recover(bench.actor) == Recovered()
    assert bench.request_state(attempt) == "open"
    orphan(bench, attempt)
    bench.store.recovery.recover(bench.actor)
    assert bench.request_state(attempt) == "voided"
    assert bench.account("ada") == (5000, 0, 0)


def test_keys_and_their_answers_are_let_go_after_a_day(bench: Bench) -> None:
    attempt = bench.sent(bench.plan(idempotency_key="k"))
    bench.post(attempt)
    bench.clock.move(hours=23)
    bench.store.recovery.recover(bench.actor)
    assert bench.books.listed("requests", "key") == ["k"]
    bench.clock.move(hours=2)
    bench.store.recovery.recover(bench.actor)
    assert bench.books.listed("requests", "key", "answer") == [(None, None)]


def test_the_last_seen_time_is_set_back_by_an_admin_alone(bench: Bench) -> None:
    bench.clock.move(days=400)
    bench.post(bench.sent(bench.plan(user="bob")))
    bench.clock.move(days=-400)
    assert [problem.name for problem in bench.check()] == ["clock"]
    with pytest.raises(NotPermitted):
        bench.store.recovery.reset_clock("bob")
    bench.store.recovery.reset_clock(bench.actor)
    assert bench.check() == []
    with bench.store.read(bench.actor) as t:
        assert t.now - bench.clock.now() == timedelta(0)
