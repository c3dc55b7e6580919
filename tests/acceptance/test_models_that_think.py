"""Models that think before they answer: room in the bound, what is said of it, and what is done when thinking takes it all."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.openai_server import Body, OpenAIServer


@pytest.fixture
def thinker(six: Any, server: OpenAIServer) -> Any:
    """The six, and a model that thinks for 300 tokens an answer."""
    argv = ("--litellm-model", "openai/gpt-5-mini", "--api-base", server.url, "--api-key-env", "OPENAI_API_KEY")
    assert six("models", "add", "thinker", "--litellm-model", "openai/gpt-5-mini").status == 0
    assert six("models", "set", "thinker", *argv).status == 0
    server.usage = thinks(300)
    return six


def thinks(tokens: int) -> Any:
    def usage(body: Body, text: str) -> dict[str, Any]:
        taken = tokens + len(text.split())
        details = {"completion_tokens_details": {"reasoning_tokens": tokens}}
        return {"prompt_tokens": 20, "completion_tokens": taken, "total_tokens": 20 + taken} | details

    return usage


def bound(server: OpenAIServer) -> int:
    return int(server.requests[-1].body["max_completion_tokens"])


def test_the_bound_that_is_sent_leaves_room_for_thinking(thinker: Any, server: OpenAIServer) -> None:
    quote = thinker("simulate", "-m", "thinker", "Hello", "--json").json
    assert quote["thinking"]["room"] == 4_096 and quote["thinking"]["expected"] > 0
    shown = thinker("simulate", "-m", "thinker", "Hello").out
    assert "thinking" in shown and "room for 4,096" in shown
    done = thinker("run", "-m", "thinker", "Hello", "--json").json
    assert bound(server) == quote["shape"]["max_tokens"] + 4_096 == quote["max_output_tokens"]
    assert done["metadata"]["token_classes"] == {"reasoning": 300}
    assert "reasoning_effort" not in server.requests[-1].body


@pytest.mark.parametrize(
    ("effort", "sent", "room"), [("none", "minimal", 0), ("low", "low", 1_024), ("high", "high", 16_384)]
)
def test_the_effort_is_sent_and_its_room_held(
    thinker: Any, server: OpenAIServer, effort: str, sent: str, room: int
) -> None:
    thinker("run", "-m", "thinker", "--effort", effort, "--max-tokens", "100", "Hello")
    assert server.requests[-1].body["reasoning_effort"] == sent and bound(server) == 100 + room


def test_what_a_model_thought_before_is_expected_next_time(thinker: Any, server: OpenAIServer) -> None:
    server.usage = thinks(3_000)
    for n in range(5):
        thinker("run", "-m", "thinker", "--max-tokens", "100", f"Question {n}")
    quote = thinker("simulate", "-m", "thinker", "--max-tokens", "100", "Another question", "--json").json
    assert quote["thinking"] == {"expected": 3_000, "room": 4_500}


def test_when_thinking_takes_the_whole_bound_the_model_is_asked_once_more_with_more_room(
    thinker: Any, server: OpenAIServer
) -> None:
    answers = iter([("", "length"), ("At last.", "stop")])

    def reply(body: Body) -> str:
        text, server.finish_reason = next(answers)
        return text

    server.reply, server.usage = (
        reply,
        lambda body, text: thinks(body["max_completion_tokens"] if not text else 50)(body, text),
    )
    done = thinker("run", "-m", "thinker", "--max-tokens", "100", "Hard question", "--json").json
    first, second = (int(request.body["max_completion_tokens"]) for request in server.requests)
    assert done["result"] == "At last." and second > first
    assert thinker.books.listed("attempts", "model", "state") == [("thinker", "posted")] * 2
    assert thinker("db", "check").status == 0


def test_after_the_second_time_the_error_says_what_to_do(thinker: Any, server: OpenAIServer) -> None:
    server.reply, server.finish_reason = "", "length"
    server.usage = lambda body, text: thinks(body["max_completion_tokens"])(body, text)
    done = thinker("run", "-m", "thinker", "Hard question", ok=False)
    assert done.status == 5 and server.hits == 2
    assert "thinker: thinking took all of its" in done.err and "--effort low" in done.err


def test_an_effort_that_a_model_does_not_know_is_said(six: Any, server: OpenAIServer) -> None:
    done = six("run", "-m", "gpt-4o-mini", "--effort", "high", "Hello", "--json").json
    assert done["metadata"]["warnings"] == ["gpt-4o-mini does not think before it answers: --effort has no effect"]
    assert "reasoning_effort" not in server.requests[-1].body


@pytest.mark.parametrize(("temperature", "warned"), [("0.2", True), ("1", False)])
def test_a_temperature_that_is_not_sent_is_said(
    thinker: Any, server: OpenAIServer, temperature: str, warned: bool
) -> None:
    done = thinker("run", "-m", "thinker", "--temperature", temperature, "--no-stream", "Hello")
    assert ("temperature" in server.requests[-1].body) is not warned
    assert ("note: thinker takes no temperature but its own: --temperature 0.2 is not sent" in done.err) is warned


def test_answers_of_different_effort_are_not_mixed_up_in_the_cache(thinker: Any, server: OpenAIServer) -> None:
    for effort in ("low", "high"):
        thinker("run", "-m", "thinker", "-f", "ai_message", "--effort", effort, "Hello")
    assert server.hits == 2
    again = thinker("run", "-m", "thinker", "-f", "ai_message", "--effort", "low", "Hello", "--json").json
    assert again["metadata"]["from_cache"] and server.hits == 2
