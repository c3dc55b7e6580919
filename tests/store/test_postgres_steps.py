"""Steps of calls over PostgreSQL: what comes at the same time is made in groups, and nothing of it is lost or done twice."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from nexscout_cli.engine.length.learning import KEEP
from nexscout_cli.errors import StalePlan
from nexscout_cli.store.postgres import groups
from nexscout_cli.store.postgres.asking import asked
from nexscout_cli.store.sqlite.ledger import SqliteLedger
from tests.contract.books import PostgresBooks
from tests.support.postgres import new_database
from tests.support.steps import Steps, at

THREADS = 16


@pytest.fixture
def place() -> str:
    return new_database()


def at_once(work: Any, times: int) -> list[Any]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda _: work(), range(times)))


def test_a_crowd_of_one_user_in_two_programs_is_learned_of_call_by_call(
    place: str, opened: list[Steps], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    make = groups.Groups._together
    monkeypatch.setattr(
        groups.Groups, "_together", lambda self, group: sizes.append(len(group.steps)) or make(self, group)
    )
    programs = [at(place, opened, tiers__elite__energy=10**6, tiers__elite__daily_tokens=10**9) for _ in range(2)]
    plan = programs[0].plan()
    for program in programs:
        program.post(program.sent(plan))

    def call(program: Steps) -> None:
        program.post(program.sent(plan))

    with ThreadPoolExecutor(2) as both:
        list(both.map(lambda program: at_once(lambda: call(program), 24), programs))
    books = PostgresBooks(lambda: place)
    assert max(sizes) > 1  # some of it went in groups
    assert books.profile("ada")["total_requests"] == 50
    assert books.count("attempts", state="posted") == 50
    assert programs[0].check() == []
    # Every answer is learned of, or waits for whoever learns next.
    with psycopg.connect(place) as connection:
        waiting = connection.execute("SELECT count(*) FROM nexscout.lessons").fetchone()
    assert waiting is not None
    (level,) = books.listed("lengths", "state", user_id="*", model="")
    assert level[0] == pytest.approx(sum(KEEP**n for n in range(50 - waiting[0])))


def test_a_group_never_holds_more_than_a_cap_has(place: str, opened: list[Steps]) -> None:
    program = at(
        place, opened, tiers__elite__energy=10**6, tiers__elite__daily_tokens=10**9, caps__usd__total_day=0.001
    )
    plan = program.plan()
    order = program.order(plan)
    room = 1_000_000 // order.hold

    def hold() -> bool:
        try:
            program.hold(plan)
        except StalePlan:
            return False
        return True

    taken = at_once(hold, room + 20)
    assert sum(taken) == room
    account = PostgresBooks(lambda: place).account("*", "usd", "2026-11-10")
    assert account.held == room * order.hold <= 1_000_000
    assert program.check() == []


def test_a_step_that_fails_takes_none_of_its_group_with_it(place: str, opened: list[Steps]) -> None:
    program = at(place, opened, tiers__elite__energy=10**6, tiers__elite__daily_tokens=10**9)
    plan = program.plan()
    attempts = [program.sent(plan) for _ in range(THREADS)]
    program.mark_unknown(attempts[0])
    program.store.recovery.resolve("ada", attempts[0].request_id, None)  # settled by somebody else meanwhile

    def post(n: int) -> str:
        try:
            program.post(attempts[n])
        except Exception as error:
            return getattr(error, "code", "")
        return "posted"

    with ThreadPoolExecutor(THREADS) as pool:
        told = list(pool.map(post, range(THREADS)))
    assert told == ["settled_elsewhere", *["posted"] * (THREADS - 1)]
    assert PostgresBooks(lambda: place).profile("ada")["total_requests"] == THREADS - 1
    assert program.check() == []


@pytest.mark.parametrize("apart", [False, True])
def test_holds_and_posts_of_one_user_do_not_wait_for_those_that_are_under_way(
    place: str, opened: list[Steps], monkeypatch: pytest.MonkeyPatch, apart: bool
) -> None:
    """``apart``: what else is done for the user does."""
    program = at(place, opened, tiers__elite__energy=10**6, tiers__elite__daily_tokens=10**9)
    plan = program.plan()
    program.post(program.sent(plan))
    attempts = [program.sent(plan) for _ in range(groups.MOST)]
    first, second, asked = threading.Event(), threading.Event(), groups.asked

    def ask(connection: Any, function: str, value: Any) -> Any:
        names = [step["step"] for step in value.get("steps", [value]) if "step" in step]
        if names == ["hold"]:
            first.set()
            assert second.wait(0.3 if apart else 30) is not apart
        elif names:
            second.set()
        return asked(connection, function, value)

    monkeypatch.setattr(groups, "asked", ask)
    with ThreadPoolExecutor(groups.MOST + 1) as pool:
        hold = pool.submit(program.hold, plan)
        assert first.wait(30)
        work = (lambda one: program.void(one)) if apart else program.post
        ended = [pool.submit(work, attempt) for attempt in attempts]
        for one in (hold, *ended):
            one.result()
    assert program.check() == []
    assert PostgresBooks(lambda: place).profile("ada")["total_requests"] == 1 + (0 if apart else groups.MOST)


def test_a_group_that_is_stuck_does_not_keep_other_users_from_going_on(
    place: str, opened: list[Steps], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = at(place, opened, tiers__elite__energy=10**6, tiers__elite__daily_tokens=10**9)
    program.store.users.set_tier("ada", "eve", "elite")
    plan, other = program.plan(), program.plan(user="eve")
    for one in (plan, other):
        program.post(program.sent(one))
    away, back, asked = threading.Event(), threading.Event(), groups.asked

    def ask(connection: Any, function: str, value: Any) -> Any:
        if value.get("user") == "ada":
            away.set()
            assert back.wait(30)
        return asked(connection, function, value)

    monkeypatch.setattr(groups, "asked", ask)
    with ThreadPoolExecutor(2) as pool:
        hold = pool.submit(program.hold, plan)
        assert away.wait(30)
        time.sleep(groups.LONG)
        program.hold(other)
        back.set()
        hold.result()
    assert program.check() == []


def test_a_hold_that_comes_late_after_it_was_taken_another_way_holds_nothing_more(
    place: str, opened: list[Steps], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = at(place, opened)
    program.post(program.sent())
    steps: list[Any] = []
    monkeypatch.setattr(
        groups, "asked", lambda connection, function, value: steps.append(value) or asked(connection, function, value)
    )
    attempt = program.hold()
    first = steps[-1]
    _refused(program, first)
    program.void(attempt)
    _refused(program, first)
    attempt = program.hold(request_id=attempt.request_id)
    second = steps[-1]
    assert second["after"], "a request's later hold says after which attempt it comes"
    program.mark_sent(attempt)
    program.mark_unknown(attempt)
    for late in (first, second):
        _refused(program, late)
    assert PostgresBooks(lambda: place).listed("attempts", "state") == ["posted", "voided", "unknown"]
    assert program.check() == []


def _refused(program: Steps, step: Any) -> None:
    with program.store.db.one() as connection, pytest.raises(psycopg.Error) as refused:  # type: ignore[attr-defined]
        asked(connection, "step", step)
    assert refused.value.sqlstate == groups.NO_PLAIN_CASE


def test_a_step_reads_no_more_accounts_and_entries_than_its_own_however_many_there_are(
    place: str, opened: list[Steps], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = at(place, opened, tiers__elite__energy=10**6, tiers__elite__daily_tokens=10**9)
    plan = program.plan()
    for _ in range(10):
        program.post(program.sent(plan))
    with psycopg.connect(place) as owner:
        owner.execute(
            "INSERT INTO nexscout.accounts (owner, kind, period, granted) "
            "SELECT 'user' || n, kind, '2026-11-10', 1 FROM generate_series(1, 60) n, unnest(ARRAY['usd', 'tokens']) kind"
        )
        owner.execute(
            "INSERT INTO nexscout.ledger_entries (attempt, account, kind, amount, actor, created_at, of_request) "
            "SELECT 1000 + n, account, kind, 1, 'ada', '2026-11-10T12:00:00.000000Z', n::text "
            "FROM generate_series(1, 3000) n, generate_series(1, 3) account, unnest(ARRAY['hold', 'post']) kind"
        )
        owner.execute("ANALYZE nexscout.accounts, nexscout.ledger_entries")
    asked, read = groups.asked, []
    query = b"""SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0) + coalesce(idx_scan, 0))
        FROM pg_stat_xact_user_tables WHERE relname IN ('accounts', 'ledger_entries')"""

    def so_far(connection: Any) -> int:
        return int(connection.execute(query).fetchone()[0])

    def ask(connection: Any, function: str, value: Any) -> Any:
        connection.execute("BEGIN")
        before = so_far(connection)
        told = asked(connection, function, value)
        read.append(so_far(connection) - before)
        connection.execute("COMMIT")
        return told

    monkeypatch.setattr(groups, "asked", ask)
    for _ in range(2):
        program.post(program.sent(plan))
    assert len(read) >= 4
    assert max(read) < 50


def test_later_attempts_of_requests_are_held_in_groups_too(
    place: str, opened: list[Steps], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = at(place, opened, tiers__elite__energy=10**6, tiers__elite__daily_tokens=10**9)
    plan = program.plan()
    program.post(program.sent(plan))
    left: list[object] = []
    monkeypatch.setattr(SqliteLedger, "hold", lambda *_: left.append(1))

    def call() -> None:
        first = program.sent(plan)
        program.void(first)
        second = program.hold(plan, first.request_id)
        program.mark_sent(second)
        program.post(second)

    at_once(call, 40)
    books = PostgresBooks(lambda: place)
    assert left == [] and books.count("attempts", n=2, state="posted") == 40
    assert program.check() == []
