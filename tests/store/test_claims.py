"""Of requests under one cache key one is open, through all its attempts; what is live is found by its claim."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nexscout_cli.engine.settlement import Attempt
from nexscout_cli.errors import DuplicateInFlight
from tests.support.bench import Bench


@pytest.fixture(autouse=True)
def _balanced(bench: Bench) -> Iterator[None]:
    yield
    assert bench.check() == []


def hold(bench: Bench, request_id: str) -> Attempt:
    return bench.hold(request_id=request_id, cache_key="key")


def claims(bench: Bench) -> list[str | None]:
    return bench.books.listed("attempts", "claim")


def test_a_request_keeps_its_claim_between_two_attempts_and_hands_it_on(bench: Bench) -> None:
    first = hold(bench, "one")
    bench.void(first, "refused")
    with pytest.raises(DuplicateInFlight):
        hold(bench, "two")
    second = hold(bench, "one")
    assert claims(bench) == [None, "ada/key"]
    bench.mark_sent(second)
    with pytest.raises(DuplicateInFlight):
        hold(bench, "two")
    bench.post(second)
    assert claims(bench) == [None, None]
    hold(bench, "two")


def test_an_attempt_of_unknown_outcome_claims_itself_alone_once_another_took_over(bench: Bench) -> None:
    first = hold(bench, "one")
    bench.mark_sent(first)
    bench.mark_unknown(first, "it hung", None)
    hold(bench, "one")
    assert claims(bench) == ["one/1", "ada/key"]


def test_a_request_that_ended_unknown_is_in_nobodys_way(bench: Bench) -> None:
    first = hold(bench, "one")
    bench.mark_sent(first)
    bench.mark_unknown(first, "it hung", None)
    bench.fail(first)
    assert claims(bench) == ["one/1"] and not bench.ledger.in_flight("ada", "ada", "key")
    hold(bench, "two")


def test_an_answer_that_is_doubted_keeps_the_claim_until_it_is_delivered(bench: Bench) -> None:
    first = hold(bench, "one")
    bench.mark_sent(first)
    bench.post(first, delivered=False)
    assert bench.ledger.in_flight("ada", "ada", "key")
    bench.fail(first)
    assert claims(bench) == [None]


def test_what_is_live_is_found_without_reading_what_is_settled(bench: Bench) -> None:
    plan = bench.sql("EXPLAIN QUERY PLAN SELECT id FROM attempts WHERE claim IS NOT NULL AND state = 'unknown'")
    assert "attempts_live" in plan[0]["detail"]


def test_a_claim_that_an_older_program_left_is_let_go(bench: Bench) -> None:
    first = hold(bench, "one")
    bench.mark_sent(first)
    bench.post(first)
    bench.sql("UPDATE attempts SET claim = 'ada/key'")
    assert [problem.name for problem in bench.check()] == ["attempts"]
    bench.store.recovery.recover(bench.actor)
    assert claims(bench) == [None]
    hold(bench, "two")
