"""Kept answers, what was said of answers, and what is on record of requests."""

from __future__ import annotations

from typing import Any

import pytest

from nexscout_cli.engine.recalled import CachedAnswer
from nexscout_cli.errors import NotPermitted, UsageError
from tests.contract.books import Books
from tests.contract.conftest import Shop
from tests.support.steps import Steps


def answered(at: Steps, prompt: str = "Write to Sarah", **options: Any) -> str:
    """A request that was answered and kept; returns its id."""
    attempt = at.sent(at.plan(prompt, **options))
    at.post(attempt)
    return attempt.request_id


def kept(at: Steps, request_id: str) -> CachedAnswer:
    found = at.ledger.cached(at.actor, at.actor, f"key {request_id}")
    assert found is not None
    return found


def test_a_kept_answer_is_found_under_its_key(ada: Steps) -> None:
    request_id = answered(ada)
    found = kept(ada, request_id)
    assert (found.text, found.model, found.match, found.source) == ("Hi Sarah", "gpt-4o-mini", "exact", request_id)
    assert (found.input_tokens, found.output_tokens) == (100, 50) and found.cost > 0
    assert ada.ledger.cached("ada", "ada", "another key") is None


def test_no_answer_is_anyone_elses(ada: Steps, bob: Steps) -> None:
    request_id = answered(ada)
    assert bob.ledger.cached("bob", "bob", f"key {request_id}") is None
    assert ada.ledger.cached("ada", "bob", f"key {request_id}") is None


@pytest.mark.parametrize(("days", "there"), [(0, True), (29, True), (31, False)])
def test_an_answer_is_kept_for_thirty_days(shop: Shop, ada: Steps, days: int, there: bool) -> None:
    request_id = answered(ada)
    shop.clock.move(days=days)
    assert (ada.ledger.cached("ada", "ada", f"key {request_id}") is not None) == there


def test_a_newer_answer_takes_the_place_of_the_older(ada: Steps, books: Books) -> None:
    attempt = ada.sent()
    ada.post(attempt)
    again = ada.sent()
    charge = ada.charge(again, 10, 5)
    delivery = ada.delivery(again, charge, "Dear Sarah")._replace(cache_key=f"key {attempt.request_id}")
    from nexscout_cli.engine.settlement import Posting

    ada.ledger.post("ada", again, Posting(charge, None, delivery))
    assert kept(ada, attempt.request_id).text == "Dear Sarah" and len(books.cached()) == 1


def test_an_answer_is_found_by_the_form_of_its_question_too(ada: Steps) -> None:
    attempt = ada.sent()
    charge = ada.charge(attempt)
    from nexscout_cli.engine.settlement import Posting

    ada.ledger.post("ada", attempt, Posting(charge, None, ada.delivery(attempt, charge)._replace(form_key="form")))
    found = ada.ledger.cached("ada", "ada", "no key", "form")
    assert found is not None and found.match == "canonical"
    assert ada.ledger.cached("ada", "ada", "no key", "other form") is None


def test_a_hit_costs_nothing_and_is_counted(ada: Steps, books: Books) -> None:
    request_id = answered(ada)
    accounts = books.accounts()
    name = ada.hit(ada.request(), kept(ada, request_id))
    assert books.accounts() == accounts
    (row,) = books.usage(name)
    assert (row["outcome"], row["cost_usd"], row["energy"], row["cached_response"]) == ("hit", 0, 0, 1)
    assert (row["tokens_saved"], row["avoided_usd"]) == (150, kept(ada, request_id).cost)
    assert row["metadata"]["cached_from"] == request_id
    assert books.cached()[0]["hit_count"] == 1
    assert ada.store.profiles.learned("ada", "ada").cache_hits == 1


def test_a_hit_with_an_idempotency_key_keeps_its_answer(ada: Steps) -> None:
    found = kept(ada, answered(ada))
    ada.hit(ada.request(idempotency_key="k"), found)
    known = ada.ledger.recall("ada", "ada", "k")
    assert known is not None and known.state == "posted" and known.answer is not None


def test_nobody_counts_a_hit_for_another(ada: Steps, bob: Steps, books: Books) -> None:
    found = kept(ada, answered(ada))
    with pytest.raises(NotPermitted):
        bob.ledger.record_hit("bob", _hit(ada, found))
    assert len(books.usage()) == 1


def _hit(at: Steps, found: CachedAnswer) -> Any:
    from nexscout_cli.engine.cache import hits

    return hits.hit(
        "r-hit",
        at.request(),
        found,
        at.snapshot(),
        at.settings,
        at.clock.now(),
        mode="auto",
        answer={},
        fingerprint="f",
    )


def test_what_has_expired_is_cleaned(shop: Shop, ada: Steps, books: Books) -> None:
    for _ in range(3):
        answered(ada)
    shop.clock.move(days=31)
    answered(ada)
    assert ada.store.cache.clean(dry_run=True) == 3 and len(books.cached()) == 4
    assert ada.store.cache.clean() == 3
    assert len(books.cached()) == 1
    assert ada.store.cache.clean() == 0


def test_the_least_recently_used_answers_go_first(shop: Shop, ada: Steps, books: Books) -> None:
    requests = []
    for _ in range(4):
        requests.append(answered(ada))
        shop.clock.move(hours=2)
    ada.hit(ada.request(), kept(ada, requests[0]))
    small = shop.actor("ada", cache__max_mb=1)
    size = len("Hi Sarah")
    rules = small.store.rules._replace(cache_bytes=2 * size)
    tight = shop.kind.open(shop.place, shop.clock, rules, "ada")
    assert tight.cache.evict(dry_run=True) == 2
    assert tight.cache.evict() == 2
    tight.close()
    assert {row["request_id"] for row in books.cached()} == {requests[0], requests[3]}


def test_answers_are_cleared_by_user_and_feature(ada: Steps, bob: Steps, books: Books) -> None:
    answered(ada)
    answered(bob)
    assert bob.store.cache.clear("bob", None, None, dry_run=True) == 1
    assert ada.store.cache.clear("ada", "bob", "ai_coaching") == 0
    assert ada.store.cache.clear("ada", "bob", "ai_message") == 1
    assert [row["user_id"] for row in books.cached()] == ["ada"]
    with pytest.raises(NotPermitted):
        bob.store.cache.clear("bob", "ada", None)
    assert len(books.cached()) == 1


def test_an_answer_is_forgotten_by_the_request_it_was_given_to(ada: Steps, books: Books) -> None:
    first = answered(ada)
    hit = ada.hit(ada.request(), kept(ada, first))
    again = ada.hit(ada.request(), kept(ada, first)._replace(id=0, source=hit))
    assert ada.store.cache.forget("ada", again) == 1
    assert books.cached() == []
    with pytest.raises(UsageError):
        ada.store.cache.forget("ada", "no such request")


def test_kept_answers_are_listed_without_their_text_and_shown_with_it(ada: Steps, bob: Steps) -> None:
    answered(ada)
    (row,) = ada.store.cache.listing("ada", None, 10)
    assert "response_text" not in row
    assert ada.store.cache.show("ada", row["id"])["response_text"] == "Hi Sarah"
    assert bob.store.cache.listing("bob", None, 10) == []
    with pytest.raises(UsageError):
        bob.store.cache.show("bob", row["id"])


def test_what_the_cache_saved_is_told_by_feature(ada: Steps) -> None:
    found = kept(ada, answered(ada))
    ada.hit(ada.request(), found)
    stats = ada.store.cache.stats("ada")
    (row,) = stats["rows"]
    assert (row["feature"], row["answers"], row["hits"], row["tokens_saved"], row["saved_usd"]) == (
        "ai_message",
        1,
        1,
        150,
        found.cost,
    )


@pytest.mark.parametrize("verdict", ["good", "bad"])
def test_a_verdict_is_on_record(ada: Steps, books: Books, verdict: str) -> None:
    request_id = answered(ada)
    given = ada.store.feedback.record("ada", request_id, verdict, "because")
    assert (given.request_id, given.model, given.verdict, given.note, given.replaced) == (
        request_id,
        "gpt-4o-mini",
        verdict,
        "because",
        False,
    )
    (row,) = books.verdicts()
    assert (row["good"], row["note"], row["actor"]) == (int(verdict == "good"), "because", "ada")
    assert ada.store.feedback.by_model("ada", "ada") == {"gpt-4o-mini": (1, 0) if verdict == "good" else (0, 1)}


def test_a_second_verdict_replaces_the_first(ada: Steps, books: Books) -> None:
    request_id = answered(ada)
    ada.store.feedback.record("ada", request_id, "good")
    assert ada.store.feedback.record("ada", request_id, "bad").replaced
    assert [row["good"] for row in books.verdicts()] == [0]


def test_a_bad_answer_is_not_given_again(ada: Steps, books: Books) -> None:
    first, second = answered(ada), answered(ada)
    ada.store.feedback.record("ada", first, "good")
    assert len(books.cached()) == 2
    ada.store.feedback.record("ada", first, "bad")
    assert [row["request_id"] for row in books.cached()] == [second]


def test_a_bad_cached_answer_is_not_given_a_third_time(ada: Steps, books: Books) -> None:
    first = answered(ada)
    hit = ada.hit(ada.request(), kept(ada, first))
    ada.store.feedback.record("ada", hit, "bad")
    assert ada.ledger.cached("ada", "ada", f"key {first}") is None


def test_a_bad_answer_that_was_shared_by_a_shared_one_goes_too(ada: Steps) -> None:
    first = answered(ada)
    hit = ada.hit(ada.request(), kept(ada, first))
    shared = ada.hit(ada.request(), kept(ada, first)._replace(id=0, source=hit))
    ada.store.feedback.record("ada", shared, "bad")
    assert ada.ledger.cached("ada", "ada", f"key {first}") is None


@pytest.mark.parametrize("verdict", ["", "fine", "GOOD", "good "])
def test_a_verdict_is_good_or_bad(ada: Steps, books: Books, verdict: str) -> None:
    request_id = answered(ada)
    with pytest.raises(UsageError):
        ada.store.feedback.record("ada", request_id, verdict)
    assert books.verdicts() == []


def test_only_an_answer_is_judged(ada: Steps, bob: Steps) -> None:
    refused = ada.sent()
    ada.void(refused)
    ada.fail(refused)
    for at, name in ((ada, refused.request_id), (ada, "no such request"), (bob, answered(ada))):
        with pytest.raises(UsageError):
            at.store.feedback.record(at.actor, name, "good")


def test_one_persons_verdicts_do_not_outweigh_everyone_elses(ada: Steps) -> None:
    for name in ("u1", "u2", "u3", "u4", "u5"):
        ada.store.users.set_tier("ada", name, "elite")
        attempt = ada.sent(ada.plan(user=name))
        ada.post(attempt)
        ada.store.feedback.record("ada", attempt.request_id, "good")
    for _ in range(40):
        ada.store.feedback.record("ada", answered(ada), "bad")

    def verdicts(user: str) -> tuple[int, int]:
        known = ada.ledger.experience("ada", user, "ai_message").verdicts.values()
        return sum(good for good, _ in known), sum(bad for _, bad in known)

    assert verdicts("u1") == (5, 1)
    assert verdicts("ada") == (5, 40)  # one's own all count for oneself


def test_the_log_tells_the_latest_requests_of_those_one_may_see(shop: Shop, ada: Steps, bob: Steps) -> None:
    one = answered(ada)
    shop.clock.move(seconds=1)
    two = answered(bob)
    shop.clock.move(seconds=1)
    ada.refuse(ada.plan(), "too_many_tokens", "r-refused")
    assert [row["request_id"] for row in ada.store.log.latest("ada")] == ["r-refused", two, one]
    assert [row["outcome"] for row in ada.store.log.latest("ada")] == ["refused", "answered", "answered"]
    assert [row["request_id"] for row in bob.store.log.latest("bob")] == [two]
    assert [row["request_id"] for row in ada.store.log.latest("ada", "bob")] == [two]
    assert len(ada.store.log.latest("ada", limit=1)) == 1


def test_one_request_is_told_with_its_attempts_and_entries(ada: Steps, bob: Steps) -> None:
    first = ada.sent()
    ada.void(first, "overloaded")
    second = ada.sent(ada.plan(), first.request_id)
    ada.post(second)
    found = ada.store.log.show("ada", first.request_id)
    assert [(row["n"], row["state"]) for row in found["attempts"]] == [(1, "voided"), (2, "posted")]
    assert {row["kind"] for row in found["entries"]} == {"hold", "void", "post"}
    assert found["request"]["outcome"] == "answered" and found["prediction"]["approved"] == 1
    with pytest.raises(UsageError):
        bob.store.log.show("bob", first.request_id)


def test_how_a_model_was_chosen_is_told_later(ada: Steps) -> None:
    request_id = answered(ada)
    ada.store.feedback.record("ada", request_id, "good", "fine")
    found = ada.store.log.why("ada", request_id)
    assert found["decision"]["reason"] == "forced"
    assert [(row["model"], row["delivered"]) for row in found["attempts"]] == [("gpt-4o-mini", True)]
    assert found["feedback"]["good"] is True and found["feedback"]["note"] == "fine"


def test_a_request_is_found_by_the_beginning_of_its_id(ada: Steps) -> None:
    for name in ("abcdef111", "abcdef222", "zzzzzz333"):
        ada.post(ada.sent(request_id=name))
    assert ada.store.log.full_id("ada", "zzzzzz") == "zzzzzz333"
    for name in ("abcdef", "zz", "nothing"):
        with pytest.raises(UsageError):
            ada.store.log.full_id("ada", name)


def test_text_that_looks_like_an_escape_is_kept_as_it_is(ada: Steps, books: Books) -> None:
    said = r"In JSON a NUL is \u0000, and a backslash \\u0000."
    request_id = answered(ada)
    ada.store.feedback.record("ada", request_id, "good", said)
    attempt = ada.sent()
    charge = ada.charge(attempt, 10, 5)
    from nexscout_cli.engine.settlement import Posting

    doubt = {"score": 0.5, "said": said, "nul": "a\x00b"}
    ada.ledger.post("ada", attempt, Posting(charge, None, ada.delivery(attempt, charge, said), doubt))
    assert kept(ada, attempt.request_id).text == said
    assert books.listed("verdicts", "note") == [said]
    assert books.usage(attempt.request_id)[0]["metadata"]["doubt"]["said"] == said
