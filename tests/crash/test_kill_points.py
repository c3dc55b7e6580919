"""Killed with SIGKILL at every step, for every kind of request: the next command recovers, and the books balance."""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli.store.sqlite.journal import wal_is_safe
from tests.crash.conftest import CACHED, PROMPT, in_both
from tests.support.values import QUESTION, WRONG
from tests.support.waiting import until

RUN = ("run", "-f", "ai_message", "-m", "gpt-4o-mini", "--idempotency-key", "k")
NOTHING, VOIDED, UNKNOWN, POSTED = "nothing", "voided", "unknown", "posted"

STEPS = [
    ("after the snapshot", NOTHING, 0),
    ("after the idempotency check", NOTHING, 0),
    ("after the cache lookup", NOTHING, 0),
    ("after the plan", NOTHING, 0),
    ("inside T1", NOTHING, 0),
    ("after T1", VOIDED, 0),
    ("inside T2", VOIDED, 0),
    ("after T2", UNKNOWN, 0),
    ("before the request leaves", UNKNOWN, 0),
    ("while the provider is answering", UNKNOWN, 1),
    ("after the answer", UNKNOWN, 1),
    ("inside T3", UNKNOWN, 1),
    ("after T3", POSTED, 1),
]
"""A point, what becomes of the attempt, and the requests that reached the server."""

BEFORE = 1
"""Attempts, requests and usage rows that every home begins with: the cached answer's."""


def settled(home: Any) -> tuple[list[str], list[str]]:
    """The next command runs: the attempts' and the requests' states after it; the books balance."""
    assert home("cache", "clean").status == 0
    assert home.check() == []
    return home.states()[BEFORE:], home.requests()[BEFORE:]


def assert_held(home: Any, left: str) -> None:
    """Whatever may have been sent keeps its hold; nothing else holds anything."""
    (hold,) = [home.books.total("attempts", "hold", state="unknown")]
    assert (hold > 0) == (left == UNKNOWN)
    assert home.held("usd") == hold
    assert home.held("energy") == (left == UNKNOWN)
    assert (home.held("tokens") > 0) == (left == UNKNOWN)


@in_both
@pytest.mark.parametrize(
    ("how", "point", "left", "reached"),
    [(how, *step) for how in ("--no-stream", "--stream") for step in STEPS]
    + [("--stream", "while the answer streams", UNKNOWN, 1)],
)
def test_a_run_killed_at_any_step_is_settled_by_the_next_command(
    home: Any, server: Any, how: str, point: str, left: str, reached: int
) -> None:
    killed = home.killed(point, *RUN, how, PROMPT)
    until(lambda: server.hits >= reached)
    expected = [] if left == NOTHING else [left]
    assert settled(home) == (expected, expected)
    assert server.hits == reached
    assert_held(home, left)
    assert home.books.count("usage") == BEFORE + (left == POSTED)
    assert killed.out == "" or how == "--stream"

    again = home(*RUN, PROMPT)
    if left == UNKNOWN:
        assert again.status == 9 and "db resolve" in again.err and server.hits == reached
        (request_id,) = home.books.listed("requests", "request_id", state="unknown")
        assert home("db", "resolve", request_id, "--void").status == 0
        again = home(*RUN, PROMPT)
    assert again.status == 0 and again.out == "Dear Sarah, see you.\n"
    assert server.hits == reached + (left != POSTED)
    assert home.check() == [] and home.held("usd") == home.held("energy") == home.held("tokens") == 0
    assert Counter(home.states()[BEFORE:])[POSTED] == 1


@pytest.mark.skipif(wal_is_safe(), reason="there is no rollback journal")
@pytest.mark.parametrize("point", ["inside T1", "inside T2", "inside T3"])
def test_half_a_transaction_in_the_file_is_rolled_back_from_its_journal(home: Any, point: str) -> None:
    before = home.db.read_bytes()
    home.killed(point, *RUN, PROMPT)
    journal = home.db.with_name("nexscout.db-journal")
    assert journal.stat().st_size > 512 and home.db.read_bytes() != before
    settled(home)
    assert not journal.exists()


@pytest.mark.parametrize(("point", "left"), [
    ("after the snapshot", False), ("after the idempotency check", False), ("after the cache lookup", False),
    ("inside the hit's write", False), ("after the hit's write", True),
])  # fmt: skip
@pytest.mark.parametrize("how", ["--no-stream", "--stream"])
def test_a_cached_answer_killed_at_any_step_is_counted_whole_or_not_at_all(
    home: Any, server: Any, point: str, left: bool, how: str
) -> None:
    home.killed(point, *RUN, how, CACHED)
    assert settled(home) == ([], ["posted"] * left)
    assert home.books.count("usage", outcome="hit") == left
    assert home.books.listed("cached", "hit_count") == [left]
    assert_held(home, NOTHING)
    again = home(*RUN, CACHED)
    assert (again.status, again.out) == (0, "Dear Tom.\n")
    assert home.books.count("usage", outcome="hit") == 1
    assert server.hits == 0 and home.check() == []


ROWS = 6


@pytest.mark.parametrize(("point", "left", "reached"), STEPS)
def test_a_batch_killed_at_any_step_goes_on_and_asks_for_nothing_twice(
    home: Any, server: Any, point: str, left: str, reached: int
) -> None:
    server.reply = lambda body: f"About {body['messages'][-1]['content'][:10]}"
    prompts = [f"customer {n}" for n in range(ROWS)]
    lines = [{"id": str(n), "feature": "ai_message", "prompt": prompt} for n, prompt in enumerate(prompts)]
    (home.folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    batch = ("batch", "rows.jsonl", "--out", "out.jsonl", "-m", "gpt-4o-mini", "--concurrency", "2", "-q")
    # Snapshots and checks of all rows but two are past when the third comes to the point: others are answered already.
    home.killed(point, *batch, nth=3)
    states, requests = settled(home)
    assert set(states) <= {POSTED, UNKNOWN, VOIDED} and set(requests) <= {POSTED, UNKNOWN, VOIDED}
    counted = Counter(states)
    assert server.hits <= counted[POSTED] + counted[UNKNOWN]
    assert left == NOTHING or counted[left] >= 1
    assert home.held("energy") == counted[UNKNOWN]

    resumed = home(*batch, "--resume")
    answers = {a["id"]: a for a in map(json.loads, Path("out.jsonl").read_text().splitlines())}
    lost = [a for a in answers.values() if not a["success"]]
    assert len(answers) == ROWS and len(lost) == counted[UNKNOWN]
    assert all(a["error"]["code"] == "unknown" for a in lost)
    assert resumed.status == (7 if lost else 0)
    for request_id in set(home.books.listed("attempts", "request_id", state="unknown")):
        assert home("db", "resolve", request_id, "--post", "0.000001").status == 0
    asked = Counter(str(request.body["messages"][-1]["content"]) for request in server.requests)
    assert asked.total() == len(asked) == server.hits
    assert home.check() == [] and home.held("usd") == home.held("energy") == home.held("tokens") == 0


@in_both
@pytest.mark.parametrize(("point", "nth", "states", "request_state", "energy"), [
    ("inside a void", 1, [UNKNOWN], UNKNOWN, 1),
    ("after a void", 1, [VOIDED], VOIDED, 0),
    ("after T1", 2, [VOIDED, VOIDED], VOIDED, 0),
    ("after T2", 2, [VOIDED, UNKNOWN], UNKNOWN, 1),
    ("after T3", 1, [VOIDED, POSTED], POSTED, 0),
])  # fmt: skip
def test_a_run_killed_around_a_refused_attempt_owes_only_what_may_have_been_sent(
    home: Any, server: Any, point: str, nth: int, states: list[str], request_state: str, energy: int
) -> None:
    server.fail = lambda body: (500, {}, "{}") if server.hits == 1 else None
    home.killed(point, *RUN, PROMPT, nth=nth)
    assert settled(home) == (states, [request_state])
    assert home.held("energy") == energy
    (hold,) = [home.books.total("attempts", "hold", state="unknown")]
    assert home.held("usd") == hold


@pytest.mark.parametrize(("point", "nth", "states", "request_state", "energy"), [
    ("inside an unknown", 1, [UNKNOWN], UNKNOWN, 1),
    ("after an unknown", 1, [UNKNOWN], UNKNOWN, 1),
    ("after T1", 2, [UNKNOWN, VOIDED], UNKNOWN, 1),
    ("after T2", 2, [UNKNOWN, UNKNOWN], UNKNOWN, 1),
    ("after T3", 1, [UNKNOWN, POSTED], POSTED, 0),
])  # fmt: skip
def test_energy_stays_held_after_a_crash_until_what_is_unknown_is_resolved(
    home: Any, server: Any, point: str, nth: int, states: list[str], request_state: str, energy: int
) -> None:
    server.fail = lambda body: (504, {}, "{}") if server.hits == 1 else None
    home.killed(point, *RUN, PROMPT, nth=nth)
    assert settled(home) == (states, [request_state])
    assert home.held("energy") == energy
    (request_id,) = set(home.books.listed("attempts", "request_id", state="unknown"))
    assert home("db", "resolve", request_id, "--post", "0.0001").status == 0
    assert home.check() == [] and home.held("usd") == home.held("energy") == 0
    assert home.requests()[BEFORE:] == [POSTED if request_state == POSTED else VOIDED]


CASCADE = ("run", "-f", "ai_message", "--policy", "cascade", "--idempotency-key", "k", QUESTION)


@pytest.mark.parametrize(("point", "nth", "strong_fails", "states", "request_state"), [
    ("after the answer", 1, False, [UNKNOWN], UNKNOWN),
    ("inside T3", 1, False, [UNKNOWN], UNKNOWN),
    ("after T3", 1, False, [POSTED], VOIDED),
    ("inside T1", 2, False, [POSTED], VOIDED),
    ("after T1", 2, False, [POSTED, VOIDED], VOIDED),
    ("inside T2", 2, False, [POSTED, VOIDED], VOIDED),
    ("after T2", 2, False, [POSTED, UNKNOWN], UNKNOWN),
    ("while the provider is answering", 2, False, [POSTED, UNKNOWN], UNKNOWN),
    ("inside T3", 2, False, [POSTED, UNKNOWN], UNKNOWN),
    ("after T3", 2, False, [POSTED, POSTED], POSTED),
    ("inside a late delivery", 1, True, [POSTED, VOIDED, VOIDED, VOIDED], VOIDED),
    ("after a late delivery", 1, True, [POSTED, VOIDED, VOIDED, VOIDED], POSTED),
])  # fmt: skip
@pytest.mark.parametrize("how", ["--no-stream", "--stream"])
def test_a_cascade_killed_at_any_step_owes_what_was_sent_and_delivers_one_answer(
    home: Any, server: Any, point: str, nth: int, strong_fails: bool, states: list[str], request_state: str, how: str
) -> None:
    server.reply = lambda body: "The answer is 5." if body["model"] == "gpt-4o" else WRONG
    if strong_fails:
        server.fail = lambda body: (503, {}, "{}") if body["model"] == "gpt-4o" else None
    killed = home.killed(point, *CASCADE, how, nth=nth)
    assert settled(home) == (states, [request_state])
    (hold,) = [home.books.total("attempts", "hold", state="unknown")]
    assert home.held("usd") == hold and (home.held("energy") > 0) == (request_state == UNKNOWN)
    assert WRONG not in killed.out or strong_fails
    charged = [row for row in home.books.usage() if row["energy"] > 0 or row["metadata"].get("delivered")]
    assert len(charged) == BEFORE + (request_state == POSTED)
    asked = server.hits
    server.fail = None
    again = home(*CASCADE)
    if request_state == UNKNOWN:
        assert again.status == 9 and server.hits == asked
        (request_id,) = home.books.listed("requests", "request_id", state="unknown")
        assert home("db", "resolve", request_id, "--void").status == 0
        again = home(*CASCADE)
    assert again.out == (WRONG if strong_fails and request_state == POSTED else "The answer is 5.") + "\n"
    assert server.hits == asked + (0 if request_state == POSTED else 2)
    assert home.check() == [] and home.held("usd") == home.held("energy") == home.held("tokens") == 0


@pytest.mark.parametrize("point", ["inside a failure", "after a failure"])
@pytest.mark.parametrize("status", [500, 504])
def test_a_run_killed_while_it_gives_up_ends_as_if_it_had(home: Any, server: Any, point: str, status: int) -> None:
    server.fail = status
    for name in ("gpt-4o", "gpt-4o-mini-high"):
        home("models", "disable", name)
    home.killed(point, *RUN, PROMPT)
    states, requests = settled(home)
    left = UNKNOWN if status == 504 else VOIDED
    assert set(states) == {left} and requests == [left] and len(states) == server.hits
    # A crash keeps the energy of what is unknown; a run that gave up itself had told its user that nothing came.
    assert home.held("energy") == (left == UNKNOWN and point == "inside a failure")


@in_both
def test_a_run_killed_while_it_is_refused_leaves_nothing(home: Any, server: Any) -> None:
    home.killed("inside a refusal", *RUN, "--max-cost", "0", PROMPT)
    assert settled(home) == ([], [])
    assert server.hits == 0 and home.books.count("predictions") == BEFORE


@in_both
@pytest.mark.parametrize("point", ["after T1", "after T2"])
def test_a_recovery_that_is_killed_is_done_by_the_next_one(home: Any, point: str) -> None:
    home.killed(point, *RUN, PROMPT)
    home.killed("inside the recovery", "cache", "clean")
    expected = VOIDED if point == "after T1" else UNKNOWN
    assert settled(home) == ([expected], [expected])
    assert_held(home, expected)


@in_both
@pytest.mark.parametrize("how", [("--post", "0.0001"), ("--void",)])
def test_a_decision_that_is_killed_is_no_decision(home: Any, how: tuple[str, ...]) -> None:
    home.killed("after T2", *RUN, PROMPT)
    settled(home)
    (request_id,) = home.books.listed("requests", "request_id", state="unknown")
    home.killed("inside a decision", "db", "resolve", request_id, *how)
    assert settled(home) == ([UNKNOWN], [UNKNOWN])
    assert_held(home, UNKNOWN)
    assert home("db", "resolve", request_id, *how).status == 0
    assert settled(home)[0] == [POSTED if how[0] == "--post" else VOIDED]
    assert home.held("usd") == home.held("energy") == home.held("tokens") == 0


@pytest.fixture
def real(home: Any, server: Any) -> Any:
    """The home with its models at the server, through the real LiteLLM."""
    for name in ("gpt-4o-mini", "gpt-4o", "gpt-4o-mini-high"):
        assert home("models", "set", name, "--api-base", server.url).status == 0
    del home.env["CRASH_SERVER"]
    return home


@pytest.mark.parametrize("how", ["--no-stream", "--stream"])
def test_killed_while_litellm_waits_for_the_answer_the_call_is_unknown(real: Any, server: Any, how: str) -> None:
    server.delay = 60
    process = real.start(*RUN, how, PROMPT)
    until(lambda: server.hits == 1)
    process.kill()
    out, _ = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL and out == ""
    assert settled(real) == ([UNKNOWN], [UNKNOWN])
    assert_held(real, UNKNOWN)


@pytest.mark.parametrize(("point", "left"), [
    ("while the answer streams", UNKNOWN), ("inside T3", UNKNOWN), ("after T3", POSTED)])  # fmt: skip
def test_killed_while_or_after_litellm_streams_the_call_is_owed_once(
    real: Any, server: Any, point: str, left: str
) -> None:
    real.killed(point, *RUN, "--stream", PROMPT)
    assert server.hits == 1
    assert settled(real) == ([left], [left])
    assert_held(real, left)
    assert real.books.count("usage") == BEFORE + (left == POSTED)
