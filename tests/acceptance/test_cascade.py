"""A cascade through the real LiteLLM: each step is billed, one answer is delivered, and no step goes beyond the quote."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.support.openai_server import Body, OpenAIServer
from tests.support.values import QUESTION, WRONG
from tests.support.values import RIGHT as STRONG

RUN = ("run", "--policy", "cascade", "--json", QUESTION)


def delivered(home: Any) -> list[bool]:
    """Which of what was billed reached the user."""
    return [bool(row["metadata"].get("delivered")) for row in home.books.usage()]


def by_model(weak: str) -> Callable[[Body], str]:
    return lambda body: STRONG if body["model"] == "gpt-4o" else weak


def refuse(status: int, model: str = "gpt-4o") -> Callable[[Body], Any]:
    def fail(body: Body) -> Any:
        error = {"error": {"message": "made to fail", "type": "test", "code": None}}
        return (status, {"Content-Type": "application/json"}, json.dumps(error)) if body["model"] == model else None

    return fail


@pytest.fixture
def desk(six: Any, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A home with two models at the server: the cheap one errs, and the strong one is right."""
    monkeypatch.setenv("NEXSCOUT_PROVIDERS_BACKOFF_MIN", "0")
    monkeypatch.setenv("NEXSCOUT_PROVIDERS_BACKOFF_MAX", "0")
    server.reply = by_model(WRONG)
    for name in ("gpt-4o-mini-high", "claude-3-haiku", "claude-3-sonnet", "claude-3-opus"):
        six("models", "disable", name)
    return six


def sound(home: Any) -> None:
    """The books balance, and nothing is held."""
    assert home("db", "check", "--json").status == 0
    assert home.books.total("accounts", "held") == 0


def test_a_doubtful_answer_is_billed_and_sent_up_and_only_the_second_is_delivered(
    desk: Any, server: OpenAIServer
) -> None:
    quoted = desk("simulate", *RUN[1:]).json
    done = desk(*RUN).json
    meta = done["metadata"]
    assert (done["result"], meta["model_used"], meta["routing_reason"]) == (STRONG, "gpt-4o", "cascade_escalated")
    assert [r.body["model"] for r in server.requests] == ["gpt-4o-mini", "gpt-4o"]
    (weak, low), (strong, high) = desk.books.listed("attempts", "model", "actual")
    assert (weak, strong) == ("gpt-4o-mini", "gpt-4o") and Decimal(meta["cost_usd"]) == Decimal(low + high).scaleb(-9)
    assert Decimal(meta["cost_usd"]) <= Decimal(meta["plan"]["max_cost_usd"])
    assert meta["plan"] == quoted
    used = desk.books.listed("usage", "model_used", "energy", "routing_reason")
    assert used == [("gpt-4o-mini", 0, "cascade_first"), ("gpt-4o", 1, "cascade_escalated")]
    assert delivered(desk) == [False, True]
    assert meta["tokens_used"] == sum(desk.books.listed("usage", "total_tokens"))
    assert desk.books.profile("ada")["total_requests"] == 1
    assert desk.books.listed("cached", "response_text") == [STRONG]
    again = desk(*RUN).json
    assert again["metadata"]["from_cache"] and again["result"] == STRONG and server.hits == 2
    sound(desk)


def test_an_answer_that_holds_is_delivered_as_it_is(desk: Any, server: OpenAIServer) -> None:
    server.reply = by_model(STRONG)
    meta = desk(*RUN).json["metadata"]
    assert (meta["model_used"], meta["routing_reason"], server.hits) == ("gpt-4o-mini", "cascade_first", 1)
    assert desk.books.count("cached") == 1
    sound(desk)


@pytest.mark.parametrize(("status", "states"), [
    (400, ["posted", "voided"]), (503, ["posted", "voided", "voided", "voided"])])  # fmt: skip
def test_where_the_strong_model_fails_the_first_answer_is_delivered_and_not_kept(
    desk: Any, server: OpenAIServer, status: int, states: list[str]
) -> None:
    server.fail = refuse(status)
    done = desk(*RUN).json
    meta = done["metadata"]
    assert (done["success"], done["result"], meta["model_used"]) == (True, WRONG, "gpt-4o-mini")
    assert any("may be wrong" in warning for warning in meta["warnings"])
    assert desk.books.listed("attempts", "state") == states
    assert desk.books.listed("usage", "energy") == [1] and delivered(desk) == [True]
    by = {name: desk("report", name, "--json").json["totals"]["energy"] for name in ("users", "models")}
    assert by == {"users": 1, "models": 1}
    assert desk.books.count("cached") == 0
    assert desk.books.listed("requests", "state") == ["posted"]
    sound(desk)


def test_a_strong_call_of_unknown_outcome_keeps_its_hold_and_the_first_answer_is_delivered(
    desk: Any, server: OpenAIServer
) -> None:
    server.fail = refuse(504)
    meta = desk(*RUN).json["metadata"]
    assert meta["model_used"] == "gpt-4o-mini" and Decimal(meta["unsettled_usd"]) > 0
    assert Decimal(meta["cost_usd"]) + Decimal(meta["unsettled_usd"]) <= Decimal(meta["plan"]["max_cost_usd"])
    states = desk.books.listed("attempts", "state")
    assert states[0] == "posted" and set(states[1:]) == {"unknown"}
    assert desk("db", "resolve", meta["request_id"], "--void").status == 0
    sound(desk)


def test_where_the_cheap_model_fails_the_ladder_goes_on_as_ever(desk: Any, server: OpenAIServer) -> None:
    server.fail = refuse(400, "gpt-4o-mini")
    done = desk(*RUN).json
    assert done["success"] and done["metadata"]["routing_reason"] == "fallback"
    sound(desk)


def test_a_retry_of_the_first_step_is_still_the_first_step(desk: Any, server: OpenAIServer) -> None:
    server.fail = lambda body: refuse(503, "gpt-4o-mini")(body) if server.hits == 1 else None
    assert desk(*RUN).json["metadata"]["model_used"] == "gpt-4o"
    assert desk.books.listed("attempts", "state") == ["voided", "posted", "posted"]
    sound(desk)


@pytest.mark.parametrize("change", ["enabled = 0", "output_price = output_price * 1000"])
def test_a_step_that_the_world_no_longer_allows_is_not_taken_and_the_first_answer_not_lost(
    desk: Any, server: OpenAIServer, change: str
) -> None:
    import contextlib
    import sqlite3

    def reply(body: Body) -> str:
        with contextlib.closing(sqlite3.connect(desk.db, timeout=20)) as connection, connection:
            connection.execute(f"UPDATE ai_model_configs SET {change} WHERE model = 'gpt-4o'")
        return WRONG

    server.reply = reply
    done = desk(*RUN).json
    assert done["result"] == WRONG and [r.body["model"] for r in server.requests] == ["gpt-4o-mini"]
    assert any(w.startswith("gpt-4o was not asked") for w in done["metadata"]["warnings"])
    sound(desk)


def test_max_cost_is_for_both_steps(desk: Any, server: OpenAIServer) -> None:
    most = Decimal(desk("simulate", *RUN[1:]).json["cascade"]["steps"][0]["max_cost_usd"]) + Decimal("0.0000001")
    done = desk(*RUN, "--max-cost", str(most)).json
    assert done["result"] == WRONG and server.hits == 1 and Decimal(done["metadata"]["cost_usd"]) <= most
    assert any("would not be sent up" in warning for warning in done["metadata"]["warnings"])
    sound(desk)


@pytest.mark.parametrize(("weak", "shown", "streamed"), [(WRONG, STRONG, [None, True]), (STRONG, STRONG, [None])])
def test_a_stream_begins_once_the_first_answer_was_checked(
    desk: Any, server: OpenAIServer, weak: str, shown: str, streamed: list[bool | None]
) -> None:
    server.reply = by_model(weak)
    assert desk("run", "--policy", "cascade", "--stream", QUESTION).out == shown + "\n"
    assert [request.body.get("stream") for request in server.requests] == streamed
    sound(desk)


def test_the_quote_learns_from_how_often_answers_were_sent_up(desk: Any) -> None:
    chances = []
    for n in range(3):
        chances.append(Decimal(desk("simulate", *RUN[1:]).json["cascade"]["steps"][-1]["chance"]))
        desk("run", "--policy", "cascade", f"{QUESTION} ({n})")
    assert chances == sorted(chances) and chances[0] < chances[2]


def test_the_same_key_gives_the_delivered_answer_again(desk: Any, server: OpenAIServer) -> None:
    server.fail = refuse(400)
    first = desk(*RUN, "--idempotency-key", "k").json
    assert desk(*RUN, "--idempotency-key", "k").json == first and server.hits == 2
    other = ("run", "--policy", "rules", "--json", QUESTION, "--idempotency-key", "k")
    assert desk(*other, ok=False).status == 2


def test_the_users_policy_is_kept_and_followed_and_the_calls_own_goes_before_it(
    desk: Any, server: OpenAIServer
) -> None:
    desk("user", "set-policy", "ada", "cascade")
    assert desk("simulate", QUESTION, "--json").json["policy"] == "cascade"
    assert desk("simulate", QUESTION, "--policy", "rules", "--json").json["cascade"] is None
    desk("user", "set-policy", "ada", "default")
    assert desk("simulate", QUESTION, "--json").json["policy"] == "rules"


def test_an_answer_of_one_policy_does_not_serve_another(desk: Any, server: OpenAIServer) -> None:
    desk("run", QUESTION)
    assert desk(*RUN).json["metadata"]["from_cache"] is False
    assert desk("run", QUESTION, "--policy", "rules", "--json").json["metadata"]["from_cache"] is True


def test_a_batch_counts_both_steps_against_its_purse_and_names_a_rows_wrong_policy(
    desk: Any, server: OpenAIServer
) -> None:
    rows = [
        {"id": "1", "prompt": QUESTION, "options": {"policy": "cascade"}},
        {"id": "2", "prompt": QUESTION, "options": {"policy": "cheapest"}},
        {"id": "3", "prompt": QUESTION, "options": {"policy": "rules"}},
    ]
    (desk.folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    batch = ("batch", str(desk.folder / "rows.jsonl"), "--out", str(desk.folder / "out.jsonl"), "-q")
    assert desk(*batch, "--max-cost", "0.5", ok=False).status == 7
    lines = [json.loads(line) for line in (desk.folder / "out.jsonl").read_text().splitlines()]
    out = {line["id"]: line for line in lines}
    assert out["1"]["metadata"]["model_used"] == "gpt-4o" and out["3"]["metadata"]["model_used"] == "gpt-4o-mini"
    assert "cheapest" in out["2"]["error"]["message"]
    sound(desk)


@pytest.fixture
def three(desk: Any) -> Any:
    """The same with a second cheap model, at the same server under a name of its own."""
    desk("models", "enable", "claude-3-haiku")
    return desk


def asked(server: OpenAIServer) -> list[str]:
    return [request.body["model"] for request in server.requests]


def test_a_doubted_answer_that_a_second_cheap_model_comes_to_as_well_is_delivered(
    three: Any, server: OpenAIServer
) -> None:
    quoted = three("simulate", *RUN[1:]).json
    assert [step["model"] for step in quoted["cascade"]["steps"]] == ["gpt-4o-mini", "claude-3-haiku", "gpt-4o"]
    done = three(*RUN).json
    assert asked(server) == ["gpt-4o-mini", "claude-haiku-test"]
    assert (done["result"], done["metadata"]["model_used"]) == (WRONG, "gpt-4o-mini")
    assert not any("may be wrong" in warning for warning in done["metadata"]["warnings"])
    used = three.books.listed("usage", "routing_reason", "energy")
    assert used == [("cascade_first", 1), ("cascade_second_opinion", 0)] and delivered(three) == [True, False]
    assert three.books.count("cached") == 1
    spent = sum(three.books.listed("attempts", "actual"))
    assert Decimal(done["metadata"]["cost_usd"]) == Decimal(spent).scaleb(-9)
    assert Decimal(done["metadata"]["cost_usd"]) <= Decimal(quoted["max_cost_usd"])
    told = three("why", done["metadata"]["request_id"]).out
    assert "unless claude-3-haiku gives the same answer" in told and "it gives the same answer" in told
    sound(three)


@pytest.mark.parametrize("other", [STRONG, ""], ids=["another answer", "none"])
def test_a_second_model_that_does_not_agree_sends_the_doubted_answer_up(
    three: Any, server: OpenAIServer, other: str
) -> None:
    server.reply = lambda body: {"gpt-4o-mini": WRONG, "claude-haiku-test": other}.get(body["model"], STRONG)
    done = three(*RUN).json
    assert asked(server) == ["gpt-4o-mini", "claude-haiku-test", "gpt-4o"]
    assert (done["result"], done["metadata"]["model_used"]) == (STRONG, "gpt-4o")
    assert three.books.listed("attempts", "state") == ["posted"] * 3
    sound(three)


def test_a_second_opinion_that_fails_is_done_without(three: Any, server: OpenAIServer) -> None:
    server.fail = refuse(503, "claude-haiku-test")
    done = three(*RUN).json
    assert asked(server) == ["gpt-4o-mini", "claude-haiku-test", "gpt-4o"] and done["result"] == STRONG
    assert three.books.listed("attempts", "state") == ["posted", "voided", "posted"]
    sound(three)


def test_a_second_opinion_that_would_cost_more_than_it_saves_is_not_asked_for(three: Any, server: OpenAIServer) -> None:
    three("models", "set", "claude-3-haiku", "--input-price", "0.002", "--output-price", "0.008")
    assert three(*RUN).json["result"] == STRONG and asked(server) == ["gpt-4o-mini", "gpt-4o"]
    sound(three)


def test_a_stream_shows_neither_a_doubted_answer_nor_an_opinion_of_it(three: Any, server: OpenAIServer) -> None:
    server.reply = lambda body: {"gpt-4o-mini": WRONG, "claude-haiku-test": "No idea."}.get(body["model"], STRONG)
    assert three("run", "--policy", "cascade", "--stream", QUESTION).out == STRONG + "\n"
    assert [request.body.get("stream") for request in server.requests] == [None, None, True]
