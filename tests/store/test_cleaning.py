from __future__ import annotations

import sqlite3
import threading
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexscout_cli.errors import DuplicateInFlight
from nexscout_cli.store.sqlite import answers, cleaning, parts
from nexscout_cli.store.sqlite.transaction import Transaction, stamp
from tests.support.bench import Bench
from tests.support.clock import SettableClock

KB = "x" * 1_000

FIRST_SCHEMA = Path(__file__).parents[2] / "fixtures" / "schema-1.sql"


def keep(bench: Bench, number: int, used: float = 0, text: str = KB, expires: float = 30, user: str = "ada") -> None:
    """An answer last used ``used`` hours ago that expires in ``expires`` days."""
    now = bench.clock.now()
    bench.sql(
        "INSERT INTO cached_ai_responses (prompt_hash, user_id, feature, model_used, quality, response_text, "
        "input_tokens, output_tokens, cost_usd, created_at, last_used_at, expires_at) "
        "VALUES (?, ?, 'ai_message', 'gpt-4o', 0.9, ?, 1, 1, 1, ?, ?, ?)",
        f"h{number}",
        user,
        text,
        stamp(now),
        stamp(now - timedelta(hours=used)),
        stamp(now + timedelta(days=expires)),
    )


def left(bench: Bench) -> list[str]:
    return bench.books.listed("cached", "prompt_hash")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transactions and reads of a few answers."""
    for name in ("FIRST", "LEAST", "MOST"):
        monkeypatch.setattr(cleaning, name, 3)
    monkeypatch.setattr(parts, "PART", 4)


def limited(bench: Bench, kilobytes: int) -> Bench:
    """The same with room for so much text."""
    bench.store.rules = bench.store.rules._replace(cache_bytes=kilobytes * 1_000)
    return bench


def test_without_a_limit_nothing_is_evicted(bench: Bench, small: None) -> None:
    keep(bench, 1)
    assert bench.store.cache.evict() == 0 and left(bench) == ["h1"]


def test_the_least_recently_used_go_until_the_rest_fits(bench: Bench, small: None) -> None:
    limited(bench, 3)
    for number, used in enumerate((5, 1, 400, 0.1, 0.2, 26, 2)):
        keep(bench, number, used)
    assert bench.store.cache.evict(dry_run=True) == 4 and len(left(bench)) == 7
    assert bench.store.cache.evict() == 4
    assert left(bench) == ["h1", "h3", "h4"]
    assert bench.store.cache.evict() == 0


@settings(max_examples=25, deadline=None)
@given(used=st.lists(st.integers(0, 6), max_size=12), most=st.integers(1, 6))
def test_what_stays_fits_and_was_used_last(
    tmp_path_factory: pytest.TempPathFactory, used: list[int], most: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "PART", 5)
        bench = limited(Bench(tmp_path_factory.mktemp("lru") / "nexscout.db"), most)
        for number, quarters in enumerate(used):
            keep(bench, number, quarters / 4)
        bench.store.cache.evict()
        kept = {int(name[1:]) for name in left(bench)}
        bench.store.close()
    assert len(kept) == min(most, len(used))
    gone = set(range(len(used))) - kept
    assert not gone or max(used[n] for n in kept) <= min(used[n] for n in gone)


def test_bytes_count_not_characters(bench: Bench, small: None) -> None:
    limited(bench, 1)
    keep(bench, 1, used=1, text="ä" * 600)
    keep(bench, 2, text="ä" * 400)
    assert bench.store.cache.evict() == 1 and left(bench) == ["h2"]


def test_expired_answers_go_in_short_transactions(bench: Bench, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(8):
        keep(bench, number, expires=-1)
    keep(bench, 8)
    writes: list[int] = []
    begin = Transaction.touch

    def counted(t: Transaction) -> None:
        writes.append(len(left(bench)))
        begin(t)

    monkeypatch.setattr(Transaction, "touch", counted)
    assert bench.store.cache.clean() == 8
    assert left(bench) == ["h8"] and writes == [9, 6, 3]


def test_a_writer_gets_its_turn_while_many_are_removed(
    bench: Bench, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a process of its own: what waits for the queue there is let in between two transactions."""
    for number in range(300):
        keep(bench, number, expires=-1)
    other, seen = bench.as_actor("ada"), list[int]()
    begun, remove = threading.Event(), cleaning._in_turns

    def write() -> None:
        begun.wait(30)
        with other.store.write("ada") as t:
            seen.append(t.execute("SELECT count(*) FROM cached_ai_responses").fetchone()[0])

    def first_of_all(store: Any, count: int, each: Any) -> int:
        def told(t: Transaction, gone: int, most: int) -> int:
            begun.set()
            return int(each(t, gone, most))

        return remove(store, count, told)

    monkeypatch.setattr(cleaning, "_in_turns", first_of_all)
    writer = threading.Thread(target=write)
    writer.start()
    assert bench.store.cache.clean() == 300
    writer.join(30)
    assert 0 < seen[0] < 300


class SlowDisk(SettableClock):
    """A clock by which every transaction takes ``took`` seconds: each second look at it is that much later."""

    took = 0.0
    looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        self.time += timedelta(seconds=self.took * (self.looks % 2 == 0))
        return super().monotonic()


@pytest.mark.parametrize(("took", "grows"), [(cleaning.AIM / 4, True), (cleaning.AIM * 4, False)])
def test_transactions_grow_where_they_are_quick_and_shrink_where_others_would_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, took: float, grows: bool
) -> None:
    monkeypatch.setattr(cleaning, "FIRST", 16)
    monkeypatch.setattr(cleaning, "LEAST", 2)
    clock = SlowDisk()
    clock.took = took
    bench = Bench(tmp_path / "nexscout.db", clock=clock)
    for number in range(100):
        keep(bench, number, expires=-1)
    sizes: list[int] = []
    begin = Transaction.touch

    def counted(t: Transaction) -> None:
        sizes.append(len(left(bench)))
        begin(t)

    monkeypatch.setattr(Transaction, "touch", counted)
    assert bench.store.cache.clean() == 100
    sizes = [a - b for a, b in pairwise([*sizes, 0])]
    assert sizes[0] == 16 and sizes[1] == (32 if grows else 4) and sizes[2] == (52 if grows else 2)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 100)), max_size=60))
def test_the_size_of_transactions_stays_within_its_bounds(turns: list[tuple[bool, float]]) -> None:
    pace = cleaning.Pace()
    for others, took in turns:
        before = pace.size
        pace.after(took, others=others)
        most = cleaning.FIRST if others else cleaning.MOST
        assert cleaning.LEAST <= pace.size <= min(most, 2 * before)
        assert pace.size >= min(most, before) or took > cleaning.AIM


def seconds_of(size: int) -> float:
    """What a transaction takes on a disk that removes ten answers in a millisecond."""
    return size / 10_000


def test_a_writer_who_is_alone_takes_longer_turns_and_gives_them_up_when_another_comes() -> None:
    pace = cleaning.Pace()
    for _ in range(cleaning.QUIET - 1):
        pace.after(seconds_of(pace.size), others=False)
    assert seconds_of(pace.size) == pytest.approx(cleaning.AIM, rel=0.1)
    for _ in range(10):
        pace.after(seconds_of(pace.size), others=False)
    assert seconds_of(pace.size) == pytest.approx(cleaning.ALONE, rel=0.1)
    pace.after(seconds_of(pace.size), others=True)
    assert pace.size == cleaning.FIRST
    for _ in range(cleaning.QUIET - 1):
        pace.after(seconds_of(pace.size), others=False)
        assert seconds_of(pace.size) <= cleaning.AIM * 1.1


@pytest.mark.parametrize("where", ["another process", "this one"])
def test_turns_stay_short_while_others_write(bench: Bench, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    for name, value in (("FIRST", 4), ("LEAST", 2), ("QUIET", 3)):
        monkeypatch.setattr(cleaning, name, value)
    for number in range(200):
        keep(bench, number, expires=-1)
    writer = bench.as_actor("ada").store if where == "another process" else bench.store
    writes = iter([True] * 10 + [False] * 1_000)
    told: list[bool] = []
    after, sleep = cleaning.Pace.after, bench.clock.sleep

    def seen(pace: cleaning.Pace, took: float, *, others: bool) -> None:
        told.append(others)
        after(pace, took, others=others)

    def between_two(seconds: float) -> None:
        if next(writes):
            writer.users.set_tier("ada", "ada", "elite")
        sleep(seconds)

    monkeypatch.setattr(cleaning.Pace, "after", seen)
    monkeypatch.setattr(bench.clock, "sleep", between_two)
    assert bench.store.cache.clean() == 200
    assert told[:12] == [False, *[True] * 10, False] and not any(told[12:])


def test_clear_removes_in_short_transactions_too(bench: Bench, small: None) -> None:
    for number in range(11):
        keep(bench, number, user="ada" if number % 2 else "bob")
    assert bench.store.cache.clear("ada", "bob", None) == 6
    assert left(bench) == ["h1", "h3", "h5", "h7", "h9"]


def test_forgetting_a_shared_answer_removes_what_the_first_request_filled(bench: Bench) -> None:
    attempt = bench.sent()
    bench.post(attempt)
    assert bench.store.cache.forget("ada", attempt.request_id) == 1
    assert left(bench) == []


def test_a_newer_answer_is_not_forgotten_with_an_older_request(bench: Bench) -> None:
    first, second = bench.sent(), bench.sent()
    bench.post(first)
    bench.sql("UPDATE cached_ai_responses SET request_id = ?", second.request_id)
    assert bench.store.cache.forget("ada", first.request_id) == 0
    assert len(left(bench)) == 1


def test_of_identical_requests_one_at_a_time_is_open(bench: Bench) -> None:
    plan = bench.plan()
    bench.hold(plan, "one", cache_key="key")
    before = bench.account("ada")
    with pytest.raises(DuplicateInFlight):
        bench.hold(plan, "two", cache_key="key")
    assert bench.account("ada") == before and bench.books.count("attempts") == 1
    assert bench.ledger.in_flight("ada", "ada", "key") and not bench.ledger.in_flight("ada", "ada", "other")
    bench.hold(plan, "alone")
    assert bench.check() == []


def test_a_request_whose_process_is_gone_is_not_in_flight(bench: Bench) -> None:
    bench.hold(request_id="one", cache_key="key")
    bench.sql("UPDATE attempts SET owner = replace(owner, '/', '/0')")
    assert not bench.ledger.in_flight("ada", "ada", "key")


def test_a_look_up_takes_an_index_whatever_it_looks_for(bench: Bench) -> None:
    for query in (answers._BY_REQUEST, answers._BY_FORM):
        plan = " ".join(row["detail"] for row in bench.sql(f"EXPLAIN QUERY PLAN {query}", "ada", "k", "2026"))
        assert "USING INDEX" in plan and "SCAN" not in plan


def test_hits_of_before_count_as_exact(tmp_path: Path) -> None:
    path = tmp_path / "nexscout.db"
    connection = sqlite3.connect(path)
    connection.executescript(FIRST_SCHEMA.read_text())
    connection.execute(
        "INSERT INTO ai_model_usage (request_id, n, user_id, feature, model_used, outcome, mode, routing_reason, "
        "tokens_saved, avoided_usd, created_at) VALUES ('h', 0, 'ada', 'ai_message', 'gpt-4o', 'hit', 'auto', 'cache', "
        "7, 9, '2026-11-01T00:00:00.000000Z')"
    )
    connection.commit()
    connection.close()
    (row,) = Bench(path).store.cache.stats("ada")["matches"]
    assert (row["match"], row["hits"], row["tokens_saved"], row["saved_usd"]) == ("exact", 1, 7, 9)
