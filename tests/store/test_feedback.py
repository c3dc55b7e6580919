"""Verdicts on answers: who may give them, what they count for, and that they can be forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from nexscout_cli.api import get_efficiency_profile
from nexscout_cli.engine.request import AIRequest, Options
from nexscout_cli.errors import UsageError
from tests.support.bench import Bench


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
    assert {row[0] for row in bench.sql("SELECT prompt_hash FROM cached_ai_responses")} == {
        f"key {kept}",
        f"key {good}",
    }


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
