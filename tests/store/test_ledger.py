from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexscout_cli.engine.cache.key import fingerprint
from nexscout_cli.engine.idempotency import answered_before
from nexscout_cli.engine.planning.plan import Plan
from nexscout_cli.engine.response import AIResponse
from nexscout_cli.engine.settlement import Charge
from nexscout_cli.errors import InProgress, StalePlan, StoreError, UsageError
from tests.support.bench import Bench

DAY, MONTH = "2026-11-10", "2026-11"


@pytest.fixture(autouse=True)
def _balanced(bench: Bench) -> Iterator[None]:
    yield
    assert bench.check() == []


def bob_has(bench: Bench, units: int) -> None:
    bench.store.energy.set_balance(bench.actor, "bob", units, "for the test")


def test_a_hold_reserves_the_worst_case_in_every_budget_and_energy_once(bench: Bench) -> None:
    attempt = bench.hold()
    plan = bench.plan_of(attempt)
    assert bench.account("ada") == (5000, plan.max_energy, 0)
    assert bench.account("ada", "usd", DAY) == (None, plan.max_cost, 0)
    assert bench.account("ada", "tokens", DAY) == (1_000_000, plan.max_total_tokens, 0)


def test_what_has_a_cap_is_held_by_month_and_in_total_too(bench: Bench) -> None:
    caps = {f"caps__usd__{scope}": 5.0 for scope in ("user_day", "user_month", "total_day", "total_month")}
    attempt = bench.as_actor("ada", **caps).hold()
    for owner in ("ada", "*"):
        for period in (DAY, MONTH):
            assert bench.account(owner, "usd", period) == (5_000_000_000, attempt.hold, 0)


@pytest.mark.parametrize("scope", ["user_month", "total_day", "total_month"])
def test_a_cap_that_comes_later_counts_what_was_used_before_it(bench: Bench, scope: str) -> None:
    spent = bench.post(bench.sent()).cost + bench.hold().hold
    cap = (spent + bench.plan().max_cost * 3 // 2) / 1e9

    def left(at: Bench) -> list[int]:
        return [round(limit.left) for limit in at.snapshot().limits if limit.unit == "usd"]

    for between in (0, bench.plan().max_cost * 2):
        capped = bench.as_actor("ada", **{f"caps__usd__{scope}": cap + between / 1e9})
        assert left(capped) == [round(cap * 1e9) + between - spent]
        plans = [capped.plan(), capped.plan()]
        capped.void(capped.hold(plans[0]), "refused")
        assert left(capped) == [round(cap * 1e9) + between - spent]
        spent += bench.as_actor("ada").hold().hold  # while there is no cap


def test_of_two_plans_for_what_earlier_use_left_of_a_cap_one_is_held(bench: Bench) -> None:
    spent = bench.post(bench.sent()).cost
    capped = bench.as_actor("ada", caps__usd__total_month=(spent + bench.plan().max_cost * 3 // 2) / 1e9)
    plans = [capped.plan(), capped.plan()]
    capped.hold(plans[0])
    with pytest.raises(StalePlan):
        capped.hold(plans[1])


def test_a_post_charges_what_was_used_and_frees_the_rest(bench: Bench) -> None:
    attempt = bench.sent()
    charge = bench.post(attempt)
    assert (bench.state(attempt), bench.request_state(attempt)) == ("posted", "posted")
    assert bench.account("ada") == (5000, 0, 1)
    assert bench.account("ada", "usd", DAY) == (None, 0, charge.cost)
    assert bench.account("ada", "tokens", DAY) == (1_000_000, 0, 150)


def test_a_post_above_the_hold_is_posted_as_billed(bench: Bench) -> None:
    attempt = bench.sent()
    bench.post(attempt, Charge(100, 50, attempt.hold * 3, ("provider_excess",)))
    assert bench.account("ada", "usd", DAY) == (None, 0, attempt.hold * 3)


def test_a_void_gives_the_money_back_at_once_and_energy_when_the_request_ends(bench: Bench) -> None:
    attempt = bench.sent()
    bench.void(attempt, "connection refused")
    assert bench.account("ada", "usd", DAY) == (None, 0, 0)
    assert bench.account("ada") == (5000, attempt.hold_energy, 0)
    bench.fail(attempt)
    assert bench.account("ada") == (5000, 0, 0)
    assert (bench.state(attempt), bench.request_state(attempt)) == ("voided", "voided")


def test_an_unknown_attempt_keeps_its_money_held_and_gives_energy_back(bench: Bench) -> None:
    attempt = bench.unknown()
    assert bench.account("ada", "usd", DAY) == (None, attempt.hold, 0)
    assert bench.account("ada") == (5000, 0, 0)
    assert (bench.state(attempt), bench.request_state(attempt)) == ("unknown", "unknown")


def test_energy_is_held_once_however_many_attempts_a_request_takes(bench: Bench) -> None:
    first = bench.sent()
    bench.void(first, "overloaded")
    second = bench.sent(bench.plan(), first.request_id)
    assert (second.n, second.hold_energy) == (2, first.hold_energy)
    assert bench.account("ada") == (5000, first.hold_energy, 0)
    bench.post(second)
    assert bench.account("ada") == (5000, 0, 1)


def test_an_empty_answer_costs_money_and_no_energy(bench: Bench) -> None:
    attempt = bench.sent()
    charge = bench.post(attempt, delivered=False)
    bench.fail(attempt)
    assert bench.account("ada") == (5000, 0, 0)
    assert bench.account("ada", "usd", DAY) == (None, 0, charge.cost)
    assert bench.request_state(attempt) == "voided"


def test_a_free_model_draws_on_no_budget(bench: Bench) -> None:
    attempt = bench.sent(bench.plan(model="smollm2-135m"))
    bench.post(attempt, Charge(10, 10, 0))
    assert bench.account("ada") == (5000, 0, 0)
    assert set(bench.books.listed("accounts", "kind")) == {"energy"}


def test_of_two_plans_for_the_last_unit_of_energy_one_is_held(bench: Bench) -> None:
    bob_has(bench, 1)
    plans = [bench.plan(user="bob"), bench.plan(user="bob")]
    bench.hold(plans[0])
    with pytest.raises(StalePlan):
        bench.hold(plans[1])
    assert bench.account("bob")[1] == 1


def test_of_two_plans_for_the_last_dollars_of_a_cap_one_is_held(tmp_path: Path, bench: Bench) -> None:
    capped = bench.as_actor("ada", caps__usd__user_day=bench.plan().max_cost * 1.5 / 1e9)
    plans = [capped.plan(), capped.plan()]
    attempt = capped.hold(plans[0])
    with pytest.raises(StalePlan):
        capped.hold(plans[1])
    capped.void(attempt, "refused")
    assert capped.hold(plans[1]).n == 1


def test_a_hold_that_fails_halfway_leaves_nothing(bench: Bench) -> None:
    bob_has(bench, 5)
    plan = bench.plan(user="bob")
    bob_has(bench, 0)
    with pytest.raises(StalePlan):
        bench.hold(plan)
    assert {kind: bench.books.count(kind) for kind in ("attempts", "requests", "predictions")} == {
        "attempts": 0,
        "requests": 0,
        "predictions": 0,
    }


def test_among_threads_that_want_the_last_three_units_three_win(bench: Bench) -> None:
    bob_has(bench, 3)
    plan = bench.plan(user="bob")
    results: list[bool] = []

    def take() -> None:
        mine = bench.as_actor("ada")
        try:
            mine.hold(plan)
            results.append(True)
        except StalePlan:
            results.append(False)
        finally:
            mine.store.close()

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (results.count(True), results.count(False)) == (3, 5)
    assert bench.account("bob")[1] == 3


@pytest.mark.parametrize("change", ["catalog", "tier", "panic"])
def test_a_plan_made_before_the_world_moved_is_not_held(bench: Bench, change: str) -> None:
    bench.store.users.set_tier(bench.actor, "bob", "free")
    plan = bench.plan(user="bob")
    if change == "catalog":
        with bench.store.db.write() as c:
            c.execute("UPDATE ai_model_configs SET input_price = input_price + 1 WHERE model = 'gpt-4o'")
    elif change == "tier":
        bench.store.users.set_tier(bench.actor, "bob", "pro")
    else:
        bench.store.profiles.set_panic(bench.actor, True)
    with pytest.raises(StalePlan):
        bench.hold(plan)
    assert bench.hold(bench.plan(user="bob")).n == 1


def test_entries_can_be_neither_changed_nor_removed(bench: Bench) -> None:
    bench.post(bench.sent())
    for statement in ("UPDATE ledger_entries SET amount = 0", "DELETE FROM ledger_entries"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            bench.sql(statement)
    assert bench.books.count("entries", kind="hold") == 3


@pytest.mark.parametrize(
    ("ended", "allowed"),
    [
        ("held", {"sent", "voided", "held"}),
        ("sent", {"posted", "unknown", "voided", "sent"}),
        ("unknown", {"posted", "voided", "unknown"}),
        ("voided", {"voided"}),
        ("posted", set()),
    ],
)
def test_an_attempt_moves_only_forward(bench: Bench, ended: str, allowed: set[str]) -> None:
    attempt = bench.hold()
    if ended != "held":
        bench.mark_sent(attempt)
    {
        "unknown": lambda: bench.mark_unknown(attempt, "", None),
        "voided": lambda: bench.void(attempt, ""),
        "posted": lambda: bench.post(attempt),
    }.get(ended, lambda: None)()
    bench.sql("BEGIN")
    went = set()
    for state in ("held", "sent", "unknown", "voided", "posted"):
        bench.sql("SAVEPOINT try")
        try:
            bench.sql(
                "UPDATE attempts SET state = ?, actual = ? WHERE id = ?",
                state,
                1 if state == "posted" else None,
                attempt.id,
            )
            went.add(state)
        except sqlite3.IntegrityError:
            pass
        bench.sql("ROLLBACK TO try")
    bench.sql("ROLLBACK")
    assert went == allowed


def test_a_second_post_of_one_attempt_is_refused_and_charges_nothing(bench: Bench) -> None:
    attempt = bench.sent()
    bench.post(attempt)
    before = bench.account("ada", "usd", DAY)
    with pytest.raises(StoreError) as caught:
        bench.post(attempt)
    assert caught.value.code == "settled_elsewhere"
    assert bench.account("ada", "usd", DAY) == before


def test_a_request_that_was_closed_meanwhile_takes_no_further_attempt(bench: Bench) -> None:
    attempt = bench.sent()
    bench.void(attempt, "refused")
    bench.fail(attempt)
    with pytest.raises(StoreError) as caught:
        bench.hold(bench.plan(), attempt.request_id)
    assert caught.value.code == "settled_elsewhere"


def test_each_month_grants_the_tiers_energy_once_and_what_was_left_stays(bench: Bench) -> None:
    bench.post(bench.sent(bench.plan(user="bob")))
    assert bench.account("bob") == (100, 0, 1)
    bench.clock.move(days=15)
    bench.post(bench.sent(bench.plan(user="bob")))
    assert bench.account("bob") == (100, 0, 2)
    bench.clock.move(days=16)
    assert bench.snapshot(bench.request(user="bob")).energy == 198
    bench.post(bench.sent(bench.plan(user="bob")))
    assert bench.account("bob") == (200, 0, 3)


def test_a_clock_that_goes_back_grants_no_month_twice_and_opens_no_budget_again(bench: Bench) -> None:
    capped = bench.as_actor("ada", caps__usd__user_day=0.001)
    capped.clock.move(days=25)
    capped.post(capped.sent())
    spent = capped.account("ada", "usd", "2026-12-05")[2]
    capped.clock.move(days=-25)
    capped.post(capped.sent())
    assert capped.account("ada") == (5000, 0, 2)
    assert capped.account("ada", "usd", DAY) == (None, 0, 0)
    assert capped.account("ada", "usd", "2026-12-05") == (1_000_000, 0, 2 * spent)
    assert [problem.name for problem in capped.check()] == ["clock"]
    capped.clock.move(days=25)


def test_a_daily_cap_opens_again_the_next_day_and_a_monthly_one_the_next_month(bench: Bench) -> None:
    def left(window: str) -> int:
        snapshot = capped.snapshot()
        return next(limit.left for limit in snapshot.limits if (limit.unit, limit.window) == ("usd", window))

    capped = bench.as_actor("ada", caps__usd__user_day=1.0, caps__usd__user_month=10.0)
    cost = capped.post(capped.sent()).cost
    assert (left("day"), left("month")) == (10**9 - cost, 10**10 - cost)
    capped.clock.move(days=1)
    assert (left("day"), left("month")) == (10**9, 10**10 - cost)
    capped.clock.move(days=20)
    assert (left("day"), left("month")) == (10**9, 10**10)


def test_a_cap_that_is_changed_or_taken_away_is_adjusted_by_entries(bench: Bench) -> None:
    for cap in (1.0, 2.0, None, 0.5):
        at = bench.as_actor("ada", caps__usd__total_day=cap)
        at.post(at.sent())
        assert at.account("*", "usd", DAY)[0] == (None if cap is None else cap * 1e9)
        assert at.check() == []


def test_a_key_gives_the_first_answer_again_and_refuses_other_content(bench: Bench) -> None:
    def recall(plan: Plan) -> AIResponse | None:
        return answered_before(bench.ledger.recall("ada", "ada", "k"), "k", fingerprint(plan.request))

    plan = bench.plan(idempotency_key="k")
    assert recall(plan) is None
    attempt = bench.sent(plan)
    with pytest.raises(InProgress):
        recall(plan)
    bench.post(attempt)
    again = recall(plan)
    assert again is not None and again.result == "Hi Sarah"
    with pytest.raises(UsageError, match="another request"):
        recall(bench.plan("Write to Tom", idempotency_key="k"))


def test_a_forgotten_persons_key_stands_for_nothing_any_more(bench: Bench) -> None:
    bench.post(bench.sent(bench.plan(idempotency_key="k")))
    assert bench.store.users.forget(bench.actor, "ada")["kept_answers"] == 1
    assert bench.ledger.recall("ada", "ada", "k") is None
