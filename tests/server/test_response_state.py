"""Responses that go on with earlier ones, where conversations are kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from tests.server.conftest import Scout
from tests.support.openai_server import called

TOOL: Any = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}


def client_of(scout: Scout, *argv: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{scout.url}/v1", api_key=scout.key(*argv), max_retries=0)


def said(scout: Scout) -> list[str]:
    """What user and assistant said in what the provider was told last."""
    messages = scout.provider.requests[-1].body["messages"]
    return [f"{one['role']}: {one['content']}" for one in messages if one["role"] != "system"]


def test_a_response_goes_on_with_the_one_that_it_names(alone: Scout) -> None:
    alone.serve(NEXSCOUT_CONVERSATIONS_KEEP="on")
    alone.provider.reply = lambda body: f"answer {len(alone.provider.requests)}"
    client = client_of(alone)
    first = client.responses.create(model="gpt-4o-mini", instructions="Be brief.", input="one")
    with client.responses.stream(model="gpt-4o-mini", input="two", previous_response_id=first.id) as stream:
        second = stream.get_final_response()
    assert said(alone) == ["user: one", "assistant: answer 1", "user: two"]
    client.responses.create(
        model="gpt-4o-mini", input="three", previous_response_id=second.id, instructions="In verse."
    )
    assert said(alone) == ["user: one", "assistant: answer 1", "user: two", "assistant: answer 2", "user: three"]
    sent = str(alone.provider.requests[-1].body)
    assert "In verse." in sent and "Be brief." not in sent
    other = client.responses.create(model="gpt-4o-mini", input="another two", previous_response_id=first.id)
    client.responses.create(model="gpt-4o-mini", input="and on", previous_response_id=other.id)
    assert said(alone) == [
        *("user: one", "assistant: answer 1", "user: another two", "assistant: answer 4", "user: and on"),
    ]

    def branch(n: int) -> openai.types.responses.Response:
        return client.responses.create(model="gpt-4o-mini", input=f"branch {n}", previous_response_id=second.id)

    with ThreadPoolExecutor(5) as pool:
        branches = list(pool.map(branch, range(5)))
    for number, one in enumerate(branches):
        client.responses.create(model="gpt-4o-mini", input="go on", previous_response_id=one.id)
        assert [line for line in said(alone) if "branch" in line] == [f"user: branch {number}"]
    alone("db", "check")


def test_tools_are_answered_over_a_kept_response_and_only_its_user_may_go_on_with_it(alone: Scout) -> None:
    alone.serve(NEXSCOUT_CONVERSATIONS_KEEP="on")
    alone.provider.reply = lambda body: (
        called("weather", '{"city": "Rome"}') if body["messages"][-1]["role"] == "user" else "Sunny."
    )
    client = client_of(alone)
    first = client.responses.create(model="gpt-4o-mini", input="Weather?", tools=[TOOL])
    call: Any = first.output[0]
    result: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "clear"}]
    done = client.responses.create(model="gpt-4o-mini", input=result, tools=[TOOL], previous_response_id=first.id)
    assert done.output_text == "Sunny."
    alone("user", "set-tier", "bob", "pro")
    unkept = client.responses.create(model="gpt-4o-mini", input="Hi", store=False)
    for who, name in (
        (client_of(alone, "--user", "bob"), first.id),
        (client, unkept.id),
        (client, "resp_1"),
        (client, f"resp_{'0' * 21}"),
    ):
        with pytest.raises(openai.NotFoundError, match="there is no response"):
            who.responses.create(model="gpt-4o-mini", input="Go on", previous_response_id=name)
    alone("conversation", "forget", "--all", "--yes")
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="gpt-4o-mini", input="Go on", previous_response_id=done.id)
