"""Verdicts on answers: who may give them, what they count for, and that they can be forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from nexscout_cli.api import get_efficiency_profile
from nexscout_cli.engine.call import Call, Completion, OnText, Usage
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.pipeline import Engine
from nexscout_cli.engine.request import AIRequest, Options
from nexscout_cli.errors import UsageError
from tests.support.bench import Bench
from tests.support.steps import count


def answered(bench: Bench, user: str | None = None) -> str:
    bench.clock.move(seconds=1)
    attempt = bench.sent(bench.plan(user=user))
    bench.post(attempt)
    return attempt.request_id


def verdicts(bench: Bench, policy: str = "learned") -> dict[Any, Any]:
    request = AIRequest(bench.actor, "ai_message", "Hello", options=Options(policy=policy))
    return bench.snapshot(request).verdicts


def test_a_verdict_counts_for_its_feature_and_model_and_rules_do_not_even_read_it(bench: Bench) -> None:
    given = bench.store.feedback.record("ada", answered(bench), "bad", "too long")
    assert given[1:] == ("ada", "ai_message", None, "gpt-4o-mini", "bad", "too long", False)
    assert verdicts(bench) == {("gpt-4o-mini", None): (0, 1)}
    assert verdicts(bench, "rules") == {}


def test_a_second_verdict_replaces_the_first(bench: Bench) -> None:
    request_id = answered(bench)
    bench.store.feedback.record("ada", request_id, "bad")
    assert bench.store.feedback.record("ada", request_id[:12], "good", "after all").replaced
    assert verdicts(bench) == {("gpt-4o-mini", None): (1, 0)}
    assert bench.store.log.why("ada", request_id)["feedback"]["note"] == "after all"


def test_a_bad_answer_is_not_given_again(bench: Bench) -> None:
    kept, good, bad = (answered(bench) for _ in range(3))
    bench.store.feedback.record("ada", good, "good")
    bench.store.feedback.record("ada", bad, "bad")
    assert set(bench.books.listed("cached", "prompt_hash")) == {f"key {kept}", f"key {good}"}


def preference(bench: Bench) -> float:
    """ada's for the model, verdicts included."""
    return get_efficiency_profile("ada", bench.store, "ada").model_preference_score["gpt-4o-mini"]


def test_the_preference_shows_it(bench: Bench) -> None:
    request_id = answered(bench)
    before = preference(bench)
    bench.store.feedback.record("ada", request_id, "bad")
    after = preference(bench)
    bench.store.feedback.record("ada", request_id, "good")
    assert after < before < preference(bench)


def test_the_bucket_is_the_one_that_was_estimated_when_the_request_ran(bench: Bench) -> None:
    request = AIRequest("ada", "ai_message", "Write to Sarah", options=Options(policy="learned"))
    plan = bench.planner.plan(request, bench.snapshot(request))
    attempt = bench.sent(plan)
    bench.post(attempt)
    given = bench.store.feedback.record("ada", attempt.request_id, "good")
    assert given.bucket is not None and given.bucket == plan.decision.bucket
    assert verdicts(bench) == {(plan.model.name, given.bucket): (1, 0)}


def test_only_ones_own_answers_may_be_judged_but_by_an_admin(bench: Bench) -> None:
    bench.store.users.set_tier("ada", "bob", "free")
    bench.store.users.set_tier("ada", "eve", "free")
    of_bob = answered(bench, "bob")
    with pytest.raises(UsageError, match="no request"):
        bench.store.feedback.record("eve", of_bob, "bad")
    assert bench.store.feedback.record("bob", of_bob, "bad").user_id == "bob"
    assert bench.store.feedback.record("ada", of_bob, "good").replaced
    assert "gpt-4o-mini" not in feedback_of(bench, "ada")


def feedback_of(bench: Bench, user: str) -> dict[str, tuple[int, int]]:
    return bench.store.feedback.by_model("ada", user)


@pytest.mark.parametrize(
    ("verdict", "note"), [("fine", None), ("", None), ("good", "x" * 2001)], ids=["word", "empty", "long"]
)
def test_what_is_no_verdict_is_refused(bench: Bench, verdict: str, note: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        bench.store.feedback.record("ada", answered(bench), verdict, note)
    assert caught.value.suggestion


def test_what_was_not_answered_cannot_be_judged(bench: Bench) -> None:
    attempt = bench.sent()
    with pytest.raises(UsageError, match="was not answered"):
        bench.store.feedback.record("ada", attempt.request_id, "bad")
    with pytest.raises(UsageError, match="no request"):
        bench.store.feedback.record("ada", "0123456789ab", "bad")


def test_forgetting_a_person_takes_the_verdicts_and_the_words_along(bench: Bench) -> None:
    request_id = answered(bench)
    bench.store.feedback.record("ada", request_id, "bad", "the secret plan")
    gone = bench.store.users.forget("ada", "ada")
    assert gone["verdicts"] == 1 and verdicts(bench) == {} and feedback_of(bench, "ada") == {}
    assert bench.store.log.why("ada", request_id)["feedback"] is None
    assert b"secret plan" not in bench.path.read_bytes()
    assert bench.check() == []


class Counting:
    """A provider that answers, and counts what it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def available(self, model: Model) -> str | None:
        return None

    def complete(self, call: Call, on_text: OnText | None) -> Completion:
        self.asked += 1
        return Completion(f"Answer {self.asked}", "stop", Usage(40, 10), "p1", None)


class Desk:
    """ada's engine over the store; each request is asked as it comes from the command line."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.provider = Counting()
        self.engine = Engine(bench.ledger, self.provider, bench.settings, bench.clock, count, "ada")

    def ask(self, prompt: str) -> tuple[str, str | None, str | None]:
        """A request's id, the answer, and how the cache matched it."""
        self.bench.clock.move(seconds=1)
        request = AIRequest("ada", "ai_chatbot", prompt, options=Options(force_model="gpt-4o-mini"))
        response = self.engine.run(request)
        return str(response.metadata.request_id), response.result, response.metadata.cache_match

    def bad(self, request_id: str) -> None:
        self.bench.store.feedback.record("ada", request_id, "bad")


@pytest.fixture
def desk(bench: Bench) -> Desk:
    return Desk(bench.as_actor("ada", cache__match="canonical"))


def test_after_a_bad_word_on_a_cached_answer_the_third_ask_is_asked_anew(desk: Desk) -> None:
    desk.ask("How do I boil 3 eggs?")
    second, answer, match = desk.ask("How do I boil 3 eggs?")
    assert (answer, match, desk.provider.asked) == ("Answer 1", "exact", 1)
    desk.bad(second)
    assert desk.ask("How do I boil 3 eggs?")[1:] == ("Answer 2", None)
    assert desk.ask("How do I boil 3 eggs?")[1:] == ("Answer 2", "exact")


def test_that_holds_where_the_cached_answer_was_to_the_same_question_in_other_words(desk: Desk) -> None:
    desk.ask("How do I boil 3 eggs?")
    second, answer, match = desk.ask("How can I boil 3 eggs?")
    assert (answer, match) == ("Answer 1", "canonical")
    desk.bad(second)
    assert desk.ask("How do I boil 3 eggs?")[1:] == ("Answer 2", None)


def test_that_holds_where_the_answer_was_given_on_from_hit_to_hit(bench: Bench) -> None:
    first = answered(bench)
    kept = bench.ledger.cached("ada", "ada", f"key {first}")
    assert kept is not None
    second = bench.hit(bench.request(), kept)
    third = bench.hit(bench.request(), kept._replace(id=0, source=second))
    bench.store.feedback.record("ada", third, "bad")
    assert bench.books.cached() == []


def test_a_bad_word_on_a_hit_leaves_the_answer_that_has_taken_its_place(desk: Desk) -> None:
    first = desk.ask("How do I boil 3 eggs?")[0]
    second = desk.ask("How do I boil 3 eggs?")[0]
    desk.bad(first)
    desk.ask("How do I boil 3 eggs?")
    desk.bad(second)
    assert desk.ask("How do I boil 3 eggs?")[1:] == ("Answer 2", "exact")


def test_hits_that_name_each_other_do_not_go_round_for_ever(bench: Bench) -> None:
    kept = bench.ledger.cached("ada", "ada", f"key {answered(bench)}")
    assert kept is not None
    bench.hit(bench.request(), kept._replace(id=0, source="two"), "one")
    bench.hit(bench.request(), kept._replace(id=0, source="one"), "two")
    bench.store.feedback.record("ada", "one", "bad")
    assert bench.books.count("cached") == 1


def test_a_bad_word_of_another_users_finds_nothing_of_ones_own(bench: Bench) -> None:
    for user in ("bob", "eve"):
        bench.store.users.set_tier("ada", user, "free")
    of_bob = answered(bench, "bob")
    eve = bench.as_actor("eve")
    kept = eve.ledger.cached("ada", "bob", f"key {of_bob}")
    assert kept is not None
    mine = eve.hit(eve.request(), kept._replace(id=0))
    eve.store.feedback.record("eve", mine, "bad")
    assert bench.books.listed("cached", "user_id") == ["bob"]


def test_a_hundred_bad_words_of_one_user_count_for_that_user_and_elsewhere_as_one(bench: Bench) -> None:
    others = [f"user{n}" for n in range(5)]
    for user in ("eve", *others):
        bench.store.users.set_tier("ada", user, "elite")
    for user in others:
        bench.store.feedback.record("ada", answered(bench, user), "good")
    for _ in range(100):
        bench.store.feedback.record("eve", answered(bench, "eve"), "bad")
    seen = {user: bench.ledger.experience("ada", user, "ai_message").verdicts for user in ("ada", "eve", "user0")}
    assert seen == {
        "ada": {("gpt-4o-mini", None): (5, 1)},
        "user0": {("gpt-4o-mini", None): (5, 1)},
        "eve": {("gpt-4o-mini", None): (5, 100)},
    }
