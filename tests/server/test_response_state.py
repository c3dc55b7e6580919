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


def test_a_kept_response_is_read_again_as_it_was_and_removed_by_its_user_alone(alone: Scout) -> None:
    alone.serve(NEXSCOUT_CONVERSATIONS_KEEP="on")
    client = client_of(alone)
    first = client.responses.create(model="gpt-4o-mini", input="one", max_output_tokens=40)
    alone.provider.reply = called("weather", '{"city": "Rome"}')
    second = client.responses.create(model="gpt-4o-mini", input="Weather?", tools=[TOOL], previous_response_id=first.id)
    alone.provider.reply, alone.provider.finish_reason = "cut", "length"
    result: Any = [{"type": "function_call_output", "call_id": second.output[0].call_id, "output": "clear"}]  # type: ignore[union-attr]
    third = client.responses.create(model="gpt-4o-mini", input=result, tools=[TOOL], previous_response_id=second.id)
    assert [one.previous_response_id for one in (first, second, third)] == [None, first.id, second.id]
    for one in (first, second, third):
        again = client.responses.retrieve(one.id)
        for part in ("id", "status", "model", "output", "usage", "previous_response_id", "incomplete_details"):
            assert getattr(again, part) == getattr(one, part), part
        assert abs(again.created_at - one.created_at) <= 2
    items = [item.type for item in client.responses.input_items.list(third.id)]
    assert items == ["function_call_output", "function_call", "message", "message", "message"]

    alone("user", "set-tier", "bob", "pro")
    other = client_of(alone, "--user", "bob")
    for refused in (other.responses.retrieve, other.responses.delete, other.responses.input_items.list):
        with pytest.raises(openai.NotFoundError, match="there is no response"):
            refused(first.id)
    with pytest.raises(openai.ConflictError, match=f"delete {third.id} first"):
        client.responses.delete(first.id)
    before = alone.books.count("usage", outcome="posted")
    for one in (third, second, first):
        client.responses.delete(one.id)
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(one.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.delete(first.id)
    assert alone.books.count("usage", outcome="posted") == before == 3
    assert len(alone("conversation", "list").stdout.splitlines()) == 1
    alone("db", "check")


def test_where_nothing_is_kept_there_is_no_response_to_read(alone: Scout) -> None:
    alone.serve()
    client = client_of(alone)
    made = client.responses.create(model="gpt-4o-mini", input="one")
    for asked in (client.responses.retrieve, client.responses.delete):
        with pytest.raises(openai.NotFoundError, match="there is no response"):
            asked(made.id)
