"""``why``, ``simulate --explain`` and ``feedback``: what a person is told, and who may ask."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.books import SqliteBooks
from tests.support.openai_server import OpenAIServer
from tests.support.values import QUESTION, WRONG


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@pytest.fixture
def desk(nexscout: Any, home: Any, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    monkeypatch.setenv("NEXSCOUT_EMBEDDED_MODEL", "/nonexistent/model.gguf")
    for name in ("gpt-4o-mini", "gpt-4o", "gpt-4o-mini-high"):
        assert nexscout("models", "set", name, "--api-base", server.url).exit == 0
    return nexscout


def ran(desk: Any, *line: str) -> str:
    done = desk("run", "--json", *line)
    return str(json.loads(done.stdout)["metadata"]["request_id"])


def refused(desk: Any, home: Any, *line: str) -> str:
    assert desk("run", *line).exit == 3
    return str(SqliteBooks(home / "nexscout.db").predictions()[-1]["request_id"])


def test_under_the_rules_the_row_and_what_each_model_would_have_cost_are_told(desk: Any) -> None:
    told = desk("why", ran(desk, "-f", "ai_pitchdeck", "Our deck")).stdout
    assert "row complex_generation (a pitch deck or coaching) asks for quality 0.95" in told
    found = {line.split()[0]: line for line in told.splitlines() if line.startswith(("gpt", "claude"))}
    assert "0.95  chosen" in found["gpt-4o"] and "below the required quality" in found["gpt-4o-mini"]
    assert "cannot be called: ANTHROPIC_API_KEY is not set" in found["claude-3-opus"]
    assert "Attempt 1, gpt-4o (complex_generation): answered for $" in told and "delivered." in told


def test_it_stays_true_when_the_world_changes(desk: Any) -> None:
    request_id = ran(desk, "Hello there")
    before = desk("why", request_id).stdout
    desk("models", "set", "gpt-4o-mini", "--input-price", "0.01", "--output-price", "0.01")
    desk("models", "disable", "gpt-4o")
    assert desk("why", request_id).stdout == before


def test_what_was_simulated_is_what_is_told_of_the_run(desk: Any) -> None:
    for policy in ("rules", "learned", "cascade"):
        line = ("Name the capital of France", "--policy", policy, "--json")
        simulated = json.loads(desk("simulate", *line, "--explain").stdout)["explanation"]
        done = json.loads(desk("why", ran(desk, *line[:-1], "--no-cache"), "--json").stdout)["decision"]
        assert done == simulated and done["policy"] == policy
        desk("db", "check")


def test_an_estimate_is_told_with_what_weighed_and_the_limit(desk: Any) -> None:
    told = desk("simulate", "What is 2 + 3?", "--policy", "learned", "--explain").stdout
    assert "Policy learned: the prompt's difficulty is estimated at" in told and "What weighed most: " in told
    assert "keep 95% of the strong model's advantage" in told and "(target 0.95)" in told


def test_a_prompt_unlike_anything_measured_is_said_to_be_before_and_after_the_call(desk: Any) -> None:
    strange = "Please tell our neighbours about the garden, if you would be so kind."
    simulated = desk("simulate", strange, "--policy", "learned", "--explain").stdout
    told = desk("why", ran(desk, strange, "--policy", "learned")).stdout
    for text in (simulated, told):
        assert "unlike anything that was measured: its size and structure alone decided" in text


def test_each_step_of_a_cascade_is_told_with_its_doubt(desk: Any, server: OpenAIServer) -> None:
    server.reply = lambda body: "The answer is 5." if body["model"] == "gpt-4o" else WRONG
    request_id = ran(desk, QUESTION, "--policy", "cascade")
    told = desk("why", request_id).stdout
    assert "from a doubt of" in told and "gpt-4o is asked" in told
    assert "Attempt 1, gpt-4o-mini (cascade_first): answered for $" in told and "not delivered." in told
    assert "Attempt 2, gpt-4o (cascade_escalated): answered" in told
    first, second = json.loads(desk("why", request_id, "--json").stdout)["attempts"]
    assert first["doubt"]["score"] >= first["doubt"]["limit"] and first["doubt"]["reasons"] and second["doubt"] is None


def test_a_cached_answer_a_refusal_and_a_fallback_are_told_as_such(desk: Any, home: Any, server: OpenAIServer) -> None:
    ran(desk, "Hello there")
    assert "taken from the cache" in desk("why", ran(desk, "Hello there")).stdout
    told = desk("why", refused(desk, home, "Another thing", "--max-cost", "0")).stdout
    assert "refused (max_cost), and nothing was sent" in told and "not allowed: the call is predicted to cost" in told
    body = json.dumps({"error": {"message": "no", "type": "test", "code": None}})
    server.fail = lambda asked: (400, {"Content-Type": "application/json"}, body) if server.hits == 2 else None
    told = desk("why", ran(desk, "A third thing")).stdout
    assert "(after the one before had failed)" in told and "gave no answer, and is not owed" in told


def test_only_the_user_and_an_admin_may_ask_or_judge(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bob", "eve"):
        desk("user", "set-tier", name, "free")
    request_id = ran(desk, "-u", "bob", "Hello there")
    for actor, status in (("owner", 0), ("bob", 0), ("eve", 2)):
        monkeypatch.setenv("NEXSCOUT_ACTOR", actor)
        assert desk("why", request_id).exit == status
        assert desk("feedback", request_id, "good").exit == status
        assert desk("user", "set-policy", "bob", "learned").exit == (8 if status else 0)


def test_feedback_says_what_it_recorded_and_shows_up(desk: Any) -> None:
    request_id = ran(desk, "Hello there", "--policy", "learned")
    given = json.loads(desk("feedback", request_id[:10], "bad", "--note", "too short", "--json").stdout)
    assert (given["request_id"], given["verdict"]) == (request_id, "bad")
    assert given["bucket"] in range(5) and given["replaced"] is False
    assert "owner said on" in desk("why", request_id).stdout and "bad: too short" in desk("why", request_id).stdout
    scores = json.loads(desk("user", "show", "--json").stdout)["profile"]["model_preference_score"]
    assert scores[given["model"]] < 0.6
    assert desk("feedback", request_id, "so-so").exit == 2 and desk("feedback", "nothing-like-it", "good").exit == 2


@pytest.mark.parametrize("line", [
    ("run", "--policy", "best", "Hello"), ("simulate", "--policy", "", "Hello", "--compare", "--explain"),
    ("user", "set-policy", "owner", "best"), ("why", "000000")])  # fmt: skip
def test_what_there_is_not_is_a_usage_error_in_two_lines(desk: Any, line: tuple[str, ...]) -> None:
    done = desk(*line)
    assert done.exit == 2 and done.stdout == "" and 1 <= len(done.stderr.splitlines()) <= 2


def test_dominated_models_are_shown_with_what_makes_them_needless(desk: Any) -> None:
    rows = {row["model"]: row for row in json.loads(desk("models", "list", "--json").stdout)["rows"]}
    found = rows["claude-3-sonnet"]["dominated"]
    assert found["by"] in ("gpt-4o", "gpt-4o-mini") and found["theirs"] >= found["own"] and found["basis"]
    assert rows["gpt-4o-mini"]["dominated"] is None
    assert f"dominated by {found['by']}" in desk("models", "list").stdout
