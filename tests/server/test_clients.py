"""Stock clients against the server: the same code that calls OpenAI and Anthropic, with another base address."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any

import anthropic
import openai
import pytest

from tests.server.conftest import Scout
from tests.support.openai_server import Body, OpenAIServer, called

TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]
HELLO: Any = [{"role": "user", "content": "Hello"}]
PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode()


@pytest.fixture(scope="module")
def key(shared: Scout) -> str:
    shared("user", "set-tier", "clients", "elite")
    return shared.key("--user", "clients")


@pytest.fixture
def client(shared: Scout, key: str, provider: OpenAIServer) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{shared.url}/v1", api_key=key, max_retries=2)


@pytest.fixture
def claude(shared: Scout, key: str, provider: OpenAIServer) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=shared.url, api_key=key, max_retries=2)


def asked(text: str) -> Any:
    return [{"role": "user", "content": f"{text} {time.time_ns()}"}]


def test_a_completion_has_text_usage_and_model(client: openai.OpenAI) -> None:
    done = client.chat.completions.create(model="auto", messages=asked("Hello"))
    assert done.choices[0].message.content == "Hello there." and done.choices[0].finish_reason == "stop"
    assert done.usage is not None and done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens
    assert done.model == "gpt-4o-mini" and done.id.startswith("chatcmpl-")


def test_a_stream_comes_in_pieces_and_ends_with_usage(client: openai.OpenAI, provider: OpenAIServer) -> None:
    provider.reply = "A text of several pieces, so that it streams."
    provider.pause = 0.02  # what comes together is passed on together
    pieces, usage = [], None
    for chunk in client.chat.completions.create(
        model="auto", messages=asked("Hello"), stream=True, stream_options={"include_usage": True}
    ):
        pieces += [choice.delta.content or "" for choice in chunk.choices]
        usage = chunk.usage or usage
    assert "".join(pieces) == provider.reply and len([piece for piece in pieces if piece]) > 3
    assert usage is not None and usage.completion_tokens > 0


def test_without_include_usage_no_chunk_has_any(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="auto", messages=asked("Hello"), stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


def test_the_asynchronous_client_does_as_the_other(shared: Scout, key: str, provider: OpenAIServer) -> None:
    async def run() -> tuple[str, str]:
        async with openai.AsyncOpenAI(base_url=f"{shared.url}/v1", api_key=key) as client:
            done = await client.chat.completions.create(model="auto", messages=asked("Hello"))
            stream = await client.chat.completions.create(model="auto", messages=asked("Hi"), stream=True)
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
            return str(done.choices[0].message.content), text

    assert asyncio.run(run()) == ("Hello there.", "Hello there.")


@pytest.mark.parametrize("stream", [False, True])
def test_tools_are_called_and_their_results_taken(client: openai.OpenAI, provider: OpenAIServer, stream: bool) -> None:
    provider.reply = lambda body: (
        called("weather", '{"city": "Rome"}') if body["messages"][-1]["role"] == "user" else "Sunny."
    )
    talk = asked("Weather in Rome?")
    if stream:
        with client.chat.completions.stream(model="auto", messages=talk, tools=TOOLS) as events:
            message: Any = events.get_final_completion().choices[0].message
    else:
        message = client.chat.completions.create(model="auto", messages=talk, tools=TOOLS).choices[0].message
    assert json.loads(message.tool_calls[0].function.arguments) == {"city": "Rome"}
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "clear"}
    done = client.chat.completions.create(
        model="auto", messages=[*talk, message.model_dump(exclude_none=True), result], tools=TOOLS
    )
    assert done.choices[0].message.content == "Sunny."


def test_a_structured_answer_is_parsed(client: openai.OpenAI, provider: OpenAIServer) -> None:
    from pydantic import BaseModel

    class Person(BaseModel):
        name: str
        age: int

    provider.reply = '{"name": "Ana", "age": 7}'
    done = client.chat.completions.parse(model="auto", messages=asked("Who?"), response_format=Person)
    assert done.choices[0].message.parsed == Person(name="Ana", age=7)


def test_a_picture_is_passed_on(client: openai.OpenAI, provider: OpenAIServer) -> None:
    parts: Any = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": PNG}}]
    client.chat.completions.create(model="auto", messages=[{"role": "user", "content": parts}])
    assert provider.requests[-1].body["messages"][-1]["content"] == parts


def test_several_answers_and_options_pass_through(client: openai.OpenAI, provider: OpenAIServer) -> None:
    done = client.chat.completions.create(
        model="gpt-4o-mini", messages=asked("Hi"), n=2, seed=7, top_p=0.5, stop=["END"], user="u"
    )
    assert [choice.message.content for choice in done.choices] == ["Hello there."] * 2
    body = provider.requests[-1].body
    assert (body["seed"], body["top_p"], body["stop"], body["user"], body["n"]) == (7, 0.5, ["END"], "u", 2)


def test_models_are_listed_with_prices(client: openai.OpenAI) -> None:
    found = {model.id: model for model in client.models.list()}
    assert {"auto", "expert", "gpt-4o-mini"} <= found.keys()
    assert found["gpt-4o-mini"].usd_per_token == {"input": 1.5e-7, "output": 6e-7}  # type: ignore[attr-defined]
    assert client.models.retrieve("gpt-4o").id == "gpt-4o"


def test_responses_give_text_tools_and_streams(client: openai.OpenAI, provider: OpenAIServer) -> None:
    done = client.responses.create(model="auto", input=f"Hello {time.time_ns()}", instructions="Be brief.")
    assert done.output_text == "Hello there." and done.status == "completed" and done.usage is not None
    assert provider.requests[-1].body["messages"][0]["content"].startswith("Be brief.")
    with client.responses.stream(model="auto", input=asked("Hi")) as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        assert stream.get_final_response().output_text == text == "Hello there."
    provider.reply = lambda body: called("weather", "{}") if body["messages"][-1]["role"] == "user" else "Sunny."
    tool: Any = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}
    first = client.responses.create(model="auto", input=asked("Weather?"), tools=[tool])
    call: Any = first.output[0]
    assert (call.type, call.name) == ("function_call", "weather")
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "clear"}
    asked_again: Any = [*asked("Weather?"), call.model_dump(exclude_none=True), result]
    assert client.responses.create(model="auto", input=asked_again, tools=[tool]).output_text == "Sunny."


def test_responses_keep_no_state_and_say_so(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="previous_response_id"):
        client.responses.create(model="auto", input="Hi", previous_response_id="resp_1")


def test_claudes_client_gets_messages_whole_and_streamed(claude: anthropic.Anthropic, provider: OpenAIServer) -> None:
    done = claude.messages.create(model="auto", max_tokens=100, system="Be brief.", messages=asked("Hello"))
    assert done.content[0].text == "Hello there." and done.stop_reason == "end_turn"  # type: ignore[union-attr]
    assert done.usage.output_tokens > 0 and provider.requests[-1].body["max_tokens"] == 100
    with claude.messages.stream(model="auto", max_tokens=100, messages=asked("Hi")) as stream:
        assert "".join(stream.text_stream) == "Hello there."
        assert stream.get_final_message().usage.output_tokens > 0


def test_claudes_client_counts_tokens_and_nothing_is_sent(
    claude: anthropic.Anthropic, shared: Scout, provider: OpenAIServer
) -> None:
    before = len(provider.requests)
    short, long = (
        claude.messages.count_tokens(model="gpt-4o-mini", system="Be brief.", messages=asked(text)).input_tokens
        for text in ("Hello", "Hello " * 500)
    )
    assert 0 < short < 100 and 500 <= long - short <= 510
    assert len(provider.requests) == before
    with pytest.raises(anthropic.AuthenticationError):
        claude.with_options(api_key="nxs-wrong").messages.count_tokens(model="auto", messages=HELLO)


@pytest.mark.parametrize("stream", [False, True])
def test_claudes_client_calls_tools(claude: anthropic.Anthropic, provider: OpenAIServer, stream: bool) -> None:
    provider.reply = lambda body: (
        called("weather", '{"city": "Rome"}') if body["messages"][-1]["role"] == "user" else "Sunny."
    )
    tools: Any = [{"name": "weather", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}]
    talk = asked("Weather?")
    if stream:
        with claude.messages.stream(model="auto", max_tokens=99, messages=talk, tools=tools) as events:
            first = events.get_final_message()
    else:
        first = claude.messages.create(model="auto", max_tokens=99, messages=talk, tools=tools)
    use: Any = first.content[0]
    assert first.stop_reason == "tool_use" and use.input == {"city": "Rome"}
    result: Any = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "clear"}]}
    asked_again: Any = [*talk, {"role": "assistant", "content": [use.model_dump()]}, result]
    done = claude.messages.create(model="auto", max_tokens=99, messages=asked_again, tools=tools)
    assert done.content[0].text == "Sunny."  # type: ignore[union-attr]


def test_errors_have_the_clients_own_classes(client: openai.OpenAI, claude: anthropic.Anthropic, shared: Scout) -> None:
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="nxs-wrong").models.list()
    with pytest.raises(openai.NotFoundError, match="there is no model 'gpt-9'"):
        client.chat.completions.create(model="gpt-9", messages=HELLO)
    with pytest.raises(openai.BadRequestError, match="logit_bias"):
        client.chat.completions.create(model="auto", messages=HELLO, logit_bias={"5": 3})
    with pytest.raises(openai.UnprocessableEntityError, match="the limit is"):
        client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "word " * 60_000}])
    with pytest.raises(anthropic.AuthenticationError):
        claude.with_options(api_key="nxs-wrong").messages.create(model="auto", max_tokens=5, messages=HELLO)
    with pytest.raises(anthropic.BadRequestError, match="top_k"):
        claude.messages.create(model="auto", max_tokens=5, messages=HELLO, extra_body={"top_k": 5})


def test_a_failed_provider_is_asked_once_a_request_whatever_the_client_retries(
    client: openai.OpenAI, provider: OpenAIServer
) -> None:
    def fail(body: Body) -> Any:
        return 400, {"Content-Type": "application/json"}, '{"error": {"message": "no"}}'

    provider.fail = fail
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="gpt-4o-mini", messages=asked("Hello"))
    assert caught.value.status_code == 502 and len(provider.requests) == 1


def test_a_stream_that_is_refused_has_its_own_status(client: openai.OpenAI, provider: OpenAIServer) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(
            model="auto", messages=asked("Hello"), stream=True, extra_headers={"x-nexscout-max-cost": "0.0000001"}
        )
    assert caught.value.status_code == 402 and not provider.requests
