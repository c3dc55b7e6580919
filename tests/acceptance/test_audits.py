"""A share of the cheap answers is checked by the strong model: quoted, held, billed, compared, reported and learned from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.openai_server import Body, OpenAIServer

QUESTION = "What is 17 plus 25? Give the number only."


@pytest.fixture
def answers() -> dict[str, str]:
    return {"gpt-4o-mini": "42", "gpt-4o": "42"}


@pytest.fixture
def server(answers: dict[str, str]) -> Iterator[OpenAIServer]:
    def reply(body: Body) -> str:
        return answers[body["model"]]

    with OpenAIServer(reply) as server:
        yield server


@pytest.fixture
def served(home: Any, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    names = {"gpt-4o-mini": "gpt-4o-mini", "gpt-4o": "gpt-4o"}
    home.serve(server.url, names)
    for name in ("gpt-4o-mini-high", "claude-3-haiku", "claude-3-sonnet", "claude-3-opus"):
        home("models", "disable", name)
    home("config", "set", "routing.audit", "1")
    return home


def asked(server: OpenAIServer) -> list[str]:
    return [request.body["model"] for request in server.requests]


def test_off_by_default_nothing_is_audited(served: Any, server: OpenAIServer) -> None:
    served("config", "set", "routing.audit", "0")
    served("run", QUESTION)
    assert asked(server) == ["gpt-4o-mini"]


def test_an_audit_is_quoted_held_billed_compared_and_reported(served: Any, server: OpenAIServer) -> None:
    quote = served("simulate", QUESTION, "--json").json
    done = served("run", QUESTION, "--json").json
    assert asked(server) == ["gpt-4o-mini", "gpt-4o"] and done["metadata"]["model_used"] == "gpt-4o"
    assert [step["model"] for step in quote["cascade"]["steps"]] == ["gpt-4o-mini", "gpt-4o"]
    first, second = served.books.listed("attempts", "hold")
    assert float(quote["max_cost_usd"]) == pytest.approx((first + second) / 1e9)
    found = served("report", "savings", "--json").json["audits"]
    assert (found["audits"], found["same"], found["other"], found["not_compared"]) == (1, 1, 0, 0)
    assert float(found["cost_usd"]) * 1e9 == pytest.approx(served.books.listed("attempts", "actual")[1])
    assert "1 cheap answers were audited" in " ".join(served("report", "savings").out.split())
    why = " ".join(served("why", done["metadata"]["request_id"]).out.split())
    assert "an audit of gpt-4o-mini: it gives the same answer" in why
    assert served("db", "check").status == 0


def test_texts_that_state_no_result_are_not_taken_for_different(
    served: Any, answers: dict[str, str], server: OpenAIServer
) -> None:
    answers |= {"gpt-4o-mini": "A fine day.\n" * 30, "gpt-4o": "The day was fine.\n" * 30}
    served("run", "Describe a day at the sea in a few lines.", "-q")
    found = served("report", "savings", "--json").json["audits"]
    assert (found["audits"], found["same"] + found["other"]) == (1, 0)


def test_a_model_that_audits_find_wrong_is_gone_past_for_that_user(
    served: Any, answers: dict[str, str], server: OpenAIServer
) -> None:
    answers["gpt-4o-mini"] = "41"
    for n in range(8):
        served("run", f"What is {n} plus {42 - n}? Give the number only.", "-q", "--no-cache")
    assert served("report", "savings", "--json").json["audits"]["other"] >= 4
    server.requests.clear()
    served("run", QUESTION, "-q")
    assert asked(server) == ["gpt-4o"]  # nothing cheap is asked, so nothing is audited
    assert served("simulate", QUESTION, "-u", "bob", "--json").json["recommended_model"] == "gpt-4o-mini"


def test_where_the_strong_model_fails_the_first_answer_is_given(served: Any, server: OpenAIServer) -> None:
    server.fail = lambda body: (400, {}, "no") if body["model"] == "gpt-4o" else None
    done = served("run", QUESTION, "--json").json
    assert done["result"] == "42" and done["metadata"]["model_used"] == "gpt-4o-mini"
    assert "may be wrong" not in str(done)
    assert served("db", "check").status == 0


def test_a_forced_model_a_mode_and_an_answer_by_schema_are_not_audited(served: Any, server: OpenAIServer) -> None:
    served("run", QUESTION, "-m", "gpt-4o-mini", "-q")
    served("run", "What is 1 plus 41?", "--mode", "fast", "-q")
    assert set(asked(server)) == {"gpt-4o-mini"}
