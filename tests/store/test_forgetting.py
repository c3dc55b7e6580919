"""What is left of a person's prompts once the person is forgotten: figures, and no text, and no hash of any."""

from __future__ import annotations

import pytest

from nexscout_cli.engine.call import Call, Completion, OnText, Usage
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.pipeline import Engine
from nexscout_cli.engine.request import AIRequest, Options
from tests.support.bench import Bench
from tests.support.steps import count

SECRET = "quicksilver"
HASHES = (
    ("requests", "fingerprint"),
    ("cached", "prompt_hash"),
    ("cached", "form_hash"),
)


class Telling:
    """A provider whose answers repeat what they were asked about, without much certainty."""

    def available(self, model: Model) -> str | None:
        return None if model.name in ("gpt-4o-mini", "gpt-4o") else "not here"

    def complete(self, call: Call, on_text: OnText | None) -> Completion:
        return Completion(f"I am not sure, but {SECRET} may be 3 + 4 = 8.", "stop", Usage(1500, 40), "p1", None)


@pytest.fixture
def used(bench: Bench) -> Bench:
    """ada's requests: long, short, in other words, with a key, sent to a second model, and judged."""
    ada = bench.as_actor("ada", cache__match="canonical")
    engine = Engine(ada.ledger, Telling(), ada.settings, ada.clock, count, "ada")
    long = f"The {SECRET} project is late. " * 400
    for prompt, options in (
        (f"{long} Sum it up.", Options(policy="learned")),
        (f"{long} Say it again.", Options(policy="cascade")),
        (f"How do I boil {SECRET}?", Options(force_model="gpt-4o-mini")),
        (f"How can I boil {SECRET}?", Options(force_model="gpt-4o-mini")),
        (f"What is {SECRET}?", Options(idempotency_key="k")),
    ):
        response = engine.run(AIRequest("ada", "ai_chatbot", prompt, options=options))
        assert response.success, response.error
        ada.store.feedback.record("ada", str(response.metadata.request_id), "good", f"{SECRET} it was")
        ada.clock.move(seconds=1)
    return ada


def test_forgetting_removes_the_heads_of_prompts(used: Bench) -> None:
    def heads() -> list[str]:
        return list(used.books.profile("ada")["prompt_heads"])

    kept = heads()
    assert kept
    used.store.users.forget("ada", "ada")
    assert heads() == []
    assert all(head[:32].encode() not in used.path.read_bytes() for head in kept)


def test_forgetting_leaves_no_hash_of_a_prompt(used: Bench) -> None:
    hashes = {found for kind, column in HASHES for found in used.books.listed(kind, column)} - {"", None}
    assert len(hashes) >= 7
    used.store.users.forget("ada", "ada")
    file = used.path.read_bytes()
    assert [found for found in hashes if found.encode() in file] == []
    assert used.check() == []


def test_forgetting_leaves_no_text_in_any_table(used: Bench) -> None:
    before = "\n".join(used.store.db.connection.iterdump())
    assert SECRET in before
    used.store.users.forget("ada", "ada")
    after = "\n".join(used.store.db.connection.iterdump())
    assert SECRET not in after and "weighed" not in after and 'doubt":{' not in after.replace(" ", "")


def test_a_key_whose_outcome_is_unknown_keeps_what_it_stands_for(bench: Bench) -> None:
    bench.unknown(bench.plan("Hello", idempotency_key="k"))
    before = bench.ledger.recall("ada", "ada", "k")
    bench.store.users.forget("ada", "ada")
    assert bench.ledger.recall("ada", "ada", "k") == before and before is not None and before.fingerprint


def test_notes_that_a_person_wrote_on_other_peoples_answers_go_too(bench: Bench) -> None:
    bench.store.users.set_tier("ada", "bob", "free")
    attempt = bench.sent(bench.plan(user="bob"))
    bench.post(attempt)
    bench.store.feedback.record("ada", attempt.request_id, "bad", f"not about {SECRET}")
    bench.store.users.forget("ada", "ada")
    verdict = bench.store.log.why("ada", attempt.request_id)["feedback"]
    assert verdict["note"] is None and verdict["good"] is False
