"""Chat requests through the command line: conversations, tools, pictures, schemas, several answers."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Home
from tests.support.openai_server import Body, OpenAIServer, called

TOOLS = [{"name": "weather", "description": "Weather of a city", "parameters": {"type": "object", "properties": {}}}]
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture(params=["openai", "anthropic", "litellm"])
def any_wire(request: Any, home: Home, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home whose cheapest model is reached over one of the wires, or LiteLLM."""
    target, base = {
        "openai": ("openai/gpt-4o-mini", server.url),
        "anthropic": ("anthropic/claude-haiku-4-5", server.root),
        "litellm": ("custom_openai/gpt-4o-mini", server.url),
    }[request.param]
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    argv = ("--api-base", base, "--api-key-env", "OPENAI_API_KEY", "--can", "tools,images,schema")
    home("models", "set", "gpt-4o-mini", "--litellm-model", target, *argv)
    for name in ("gpt-4o", "gpt-4o-mini-high"):
        home("models", "disable", name)
    return home


def write(name: str, value: Any) -> str:
    Path(name).write_text(json.dumps(value))
    return name


def test_a_tool_call_is_given_and_paid_and_its_result_goes_on(any_wire: Home, server: OpenAIServer) -> None:
    server.reply = lambda body: called("weather", '{"city": "Rome"}') if len(server.requests) == 1 else "It is sunny."
    tools = write("tools.json", TOOLS)
    first = any_wire("run", "--tools", tools, "--json", "What is the weather in Rome?").json
    assert first["metadata"]["finish_reason"] == "tool_calls" and first["result"] == ""
    call = first["choices"][0]["tool_calls"][0]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("weather", {"city": "Rome"})
    talk = [
        {"role": "user", "content": "What is the weather in Rome?"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": '{"sky": "clear"}'},
    ]
    second = any_wire("run", "--tools", tools, "--messages", write("talk.json", talk), "--json").json
    assert second["result"] == "It is sunny."
    assert "sky" in json.dumps(server.requests[-1].body["messages"])
    assert any_wire.books.count("attempts", state="posted") == 2
    any_wire("db", "check")


def test_tool_calls_are_shown_on_a_terminal_of_ones_own_and_streamed(any_wire: Home, server: OpenAIServer) -> None:
    server.reply = lambda body: called("weather", '{"city": "Rome"}')
    done = any_wire("run", "--stream", "--tools", write("tools.json", TOOLS), "Weather?")
    assert done.out.replace(" ", "") == 'weather({"city":"Rome"})\n'


def test_a_picture_is_sent_as_it_is_and_held(any_wire: Home, server: OpenAIServer) -> None:
    Path("dot.png").write_bytes(PNG)
    quote = any_wire("simulate", "--image", "dot.png", "What is this?", "--json").json
    done = any_wire("run", "--image", "dot.png", "What is this?", "--json").json
    sent = json.dumps(server.requests[-1].body)
    assert base64.b64encode(PNG).decode() in sent and "What is this?" in sent
    assert quote["max_input_tokens"] >= done["metadata"]["input_tokens"]


def test_an_answer_by_a_schema_is_checked_and_repaired_once(any_wire: Home, server: OpenAIServer) -> None:
    answers = iter(['{"name": "Ana"}', '{"name": "Ana", "age": 7}'])

    def reply(body: Body) -> str | Body:
        text = next(answers)
        forced = body.get("tool_choice")
        return called(forced["name"], text) if isinstance(forced, dict) and "name" in forced else text

    server.reply = reply
    done = any_wire("run", "--schema", "name, age int", "--json", "Who is it?").json
    assert done["parsed"] == {"name": "Ana", "age": 7} or done["parsed"] == {"name": "Ana", "age": "7"}
    assert any("not as the schema says" in warning for warning in done["metadata"]["warnings"])
    assert any_wire.books.count("attempts", state="posted") == 2
    assert "'age' is a required property" in json.dumps(server.requests[-1].body)
    any_wire("db", "check")


def test_an_answer_by_a_schema_may_come_as_text_from_a_server_that_forces_no_tool(
    home: Home, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    point(home, server, "anthropic")
    server.reply = '{"name": "Ana", "age": 7}'
    done = home("run", "-m", "gpt-4o-mini", "--schema", "name, age int", "--json", "Who is it?").json
    assert str(done["parsed"]["age"]) == "7" and server.hits == 1


@pytest.mark.parametrize("text", ['{"name": NaN}', '{"name": 1e999}', "[" * 500 + "]" * 500])
def test_an_answer_that_is_json_to_python_alone_is_not_as_its_schema_says(
    six: Home, server: OpenAIServer, text: str
) -> None:
    server.reply = text
    done = six("run", "--schema", '{"minProperties": 0}', "--json", "Who is it?").json
    assert "parsed" not in done and done["result"] == text and server.hits == 2
    assert "is not JSON" in done["metadata"]["warnings"][-1]


def test_an_answer_that_stays_wrong_is_given_with_a_warning_and_no_third_call(six: Home, server: OpenAIServer) -> None:
    server.reply = "Ana, seven"
    done = six("run", "--schema", "name, age int", "--json", "Who is it?").json
    assert done["result"] == "Ana, seven" and "parsed" not in done and server.hits == 2
    assert "it is not JSON" in done["metadata"]["warnings"][-1]


@pytest.mark.parametrize("fence", ["```json\n{}\n```", "```\n{}\n```\n", "  ```JSON\n{}```"])
def test_json_in_a_fence_is_the_json_and_asked_for_once(six: Home, server: OpenAIServer, fence: str) -> None:
    server.reply = fence.replace("{}", '{"name": "Ana", "age": 7}')
    done = six("run", "--schema", "name, age int", "--json", "Who is it?").json
    assert done["parsed"] == {"name": "Ana", "age": 7} and json.loads(done["result"]) == done["parsed"]
    assert server.hits == 1 and done["metadata"]["warnings"] == []


def test_text_around_a_fence_is_not_thrown_away(six: Home, server: OpenAIServer) -> None:
    server.reply = 'Here it is:\n```json\n{"name": "Ana"}\n```'
    done = six("run", "--schema", "name", "--json", "Who is it?").json
    assert done["result"] == server.reply and server.hits == 2


def test_an_answer_that_was_cut_is_not_asked_for_again_within_the_same_bound(six: Home, server: OpenAIServer) -> None:
    server.reply, server.finish_reason = '{"name": "An', "length"
    done = six("run", "--schema", "name", "--max-tokens", "20", "--json", "Who is it?").json
    assert server.hits == 1 and done["result"] == server.reply and "parsed" not in done
    assert any("not as the schema says" in warning for warning in done["metadata"]["warnings"])


def test_a_repair_that_the_budget_does_not_cover_is_not_made(six: Home, server: OpenAIServer) -> None:
    server.reply = "Ana, seven"
    argv = ("--schema", "name, age int", "--max-tokens", "20", "--json", "Who is it?")
    most = six("simulate", *argv).json["max_cost_usd"]
    done = six("run", *argv, "--max-cost", str(most)).json
    assert server.hits == 1 and "it was not asked for again" in done["metadata"]["warnings"][-1]


def test_an_answer_by_a_schema_is_cached_and_one_with_tool_calls_is_not(six: Home, server: OpenAIServer) -> None:
    server.reply = '{"name": "Ana"}'
    for _ in range(2):
        done = six("run", "--schema", "name", "--json", "Who?").json
    assert server.hits == 1 and done["metadata"]["from_cache"] and done["parsed"] == {"name": "Ana"}
    server.reply = lambda body: called("weather", "{}")
    for _ in range(2):
        six("run", "--tools", write("tools.json", TOOLS), "Weather?")
    assert server.hits == 3


def test_the_cache_tells_conversations_apart(six: Home, server: OpenAIServer) -> None:
    talks = [[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": text}] for text in ("Yes", "No")]
    for talk in (*talks, talks[0]):
        six("run", "--messages", write("talk.json", talk), "Sure?")
    assert server.hits == 2


def test_several_answers_are_given_and_paid(six: Home, server: OpenAIServer) -> None:
    done = six("run", "--answers", "3", "--json", "Say hello").json
    assert [one["text"] for one in done["choices"]] == ["Hello there."] * 3
    assert server.requests[-1].body["n"] == 3
    assert six("run", "--answers", "2", "--stream", "Say hello again").out == "Hello there.\n---\nHello there.\n"
    six("db", "check")


def test_the_options_of_chat_reach_the_server_under_their_names(six: Home, server: OpenAIServer) -> None:
    given = {"top_p": 0.5, "seed": 7, "stop": ["END"], "presence_penalty": 0.5, "frequency_penalty": -1}
    Path("in.jsonl").write_text(
        json.dumps({"prompt": "Hi", "options": given | {"logprobs": True, "top_logprobs": 2, "end_user": "u1"}})
    )
    six("batch", "in.jsonl", "--out", "out.jsonl")
    assert given.items() <= server.requests[-1].body.items()
    assert (server.requests[-1].body["top_logprobs"], server.requests[-1].body["user"]) == (2, "u1")


def test_what_a_provider_does_not_take_is_said(
    home: Home, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    argv = (
        "--litellm-model",
        "anthropic/claude-haiku-4-5",
        "--api-base",
        server.root,
        "--api-key-env",
        "OPENAI_API_KEY",
    )
    home("models", "set", "gpt-4o-mini", *argv)
    done = home("run", "-m", "gpt-4o-mini", "--seed", "7", "--top-p", "0.5", "Hi")
    assert "gpt-4o-mini does not take seed: not sent" in done.err
    assert server.requests[-1].body["top_p"] == 0.5 and "seed" not in server.requests[-1].body


def test_only_models_that_can_are_chosen_and_one_that_cannot_is_refused(six: Home, server: OpenAIServer) -> None:
    six("models", "set", "gpt-4o-mini", "--can", "nothing")
    tools = write("tools.json", TOOLS)
    done = six("run", "--tools", tools, "--json", "Weather?").json
    assert done["metadata"]["model_used"] != "gpt-4o-mini"
    refused = six("run", "--tools", tools, "-m", "gpt-4o-mini", "Weather?", ok=False)
    assert refused.status == 3 and "it calls no tools" in refused.err and server.hits == 1


def test_a_model_of_which_nothing_is_known_may_be_forced(six: Home, server: OpenAIServer) -> None:
    six(
        "models",
        "add",
        "own",
        "--api-base",
        server.url,
        "--litellm-model",
        "openai/own",
        "--free",
        "--max-tokens",
        "9000",
    )
    done = six("run", "--tools", write("tools.json", TOOLS), "-m", "own", "--json", "Weather?").json
    assert done["metadata"]["model_used"] == "own"


def test_a_conversation_may_end_with_a_tools_result_only(six: Home, server: OpenAIServer) -> None:
    for role in ("assistant", "system"):
        talk = write("talk.json", [{"role": "user", "content": "Hi"}, {"role": role, "content": "Yes"}])
        refused = six("run", "--messages", talk, ok=False)
        assert refused.status == 2 and f"ends with a message of {role}" in refused.err
    assert server.hits == 0


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("--tools", "none.json"), "none.json"),
        (("--tool-choice", "auto"), "need tools"),
        (("--image", "note.txt"), "is not a picture"),
        (("--image", "http://a.example/x.png"), "--image cannot be 'http://a.example/x.png'"),
        (("--image", "."), "give a picture"),
        (("--image", "data:image/png;base64,AAAA"), "no picture in its data"),
        (("--schema", "a b c d"), "types are str, int, float, bool"),
        (("--schema", "name, age int, name"), "names the field name twice"),
        (("--schema", '{"colour": "red"}'), "asks for nothing"),
        (("--schema", '{"properties": {"a": {"$ref": "#/$defs/b"}}}'), "refers to '#/$defs/b'"),
        (("--answers", "9"), "n (--answers) cannot be 9; it must be a whole number from 1 to 8"),
        (("--messages", "body.json"), "'temperature' beside its messages"),
        (("--messages", "empty.json", ""), "is empty"),
        (("--top-p", "2"), "from 0 to 1"),
    ],
)
def test_what_cannot_be_is_said_in_two_lines(six: Home, server: OpenAIServer, argv: tuple[str, ...], says: str) -> None:
    Path("note.txt").write_text("text")
    write("body.json", {"messages": [{"role": "user", "content": "Hi"}], "temperature": 1})
    write("empty.json", [{"role": "user", "content": [{"type": "text", "text": " "}]}])
    refused = six("run", *(argv if "" in argv else (*argv, "Hi")), ok=False)
    assert refused.status == 2 and says in refused.err and refused.err.count("\n") <= 2 and server.hits == 0


def test_a_picture_at_an_address_that_counts_as_too_large_is_better_sent_as_a_file(
    six: Home, server: OpenAIServer
) -> None:
    refused = six("run", "-m", "gpt-4o-mini", "--image", "https://a.example/x.png", "Look", ok=False)
    assert refused.status == 3 and "as a file" in refused.err and server.hits == 0


WIRES = {
    "openai": ("openai/gpt-4o-mini", "/v1"),
    "anthropic": ("anthropic/claude-haiku-4-5", ""),
    "gemini": ("gemini/gemini-2.5-flash", "/v1beta"),
    "litellm": ("custom_openai/gpt-4o-mini", "/v1"),
}


def point(home: Home, server: OpenAIServer, wire: str) -> None:
    """Reach the small model over a wire, or LiteLLM, at one price."""
    target, path = WIRES[wire]
    argv = ("--api-base", server.root + path, "--api-key-env", "OPENAI_API_KEY", "--can", "tools,images,schema")
    home("models", "set", "gpt-4o-mini", "--litellm-model", target, "--does-not-think", "--max-output", "16384", *argv)


def sent(body: Body) -> Body:
    """A request as it was sent; a message that calls tools has no text: null, or left out."""
    for message in body["messages"]:
        if message.get("content") is None:
            message.pop("content", None)
    return body


@pytest.mark.parametrize("wire", WIRES)
def test_a_long_conversation_with_tools_and_pictures_is_quoted_above_what_it_costs(
    home: Home, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, wire: str
) -> None:
    """What is simulated is what is run. Through LiteLLM a server gets what it does over our own wire, and the books are equal."""
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    point(home, server, wire)
    Path("dot.png").write_bytes(PNG)
    url = "data:image/png;base64," + base64.b64encode(PNG).decode()
    talk: list[Body] = [{"role": "system", "content": "You help travellers."}]
    for turn in range(20):
        content: Any = f"Question {turn}: where is the nearest station, and when does the next train leave?"
        if turn in (3, 11):
            content = [{"type": "text", "text": content}, {"type": "image_url", "image_url": {"url": url}}]
        talk.append({"role": "user", "content": content})
        calls_tool = turn % 5 == 2
        server.reply = (
            (lambda body, n=turn: called("weather", f'{{"n": {n}}}', f"call_{n}")) if calls_tool else f"Answer {turn}."
        )
        files = ("--tools", write("tools.json", TOOLS), "--messages", write("talk.json", talk))
        argv = (
            *files,
            "-m",
            "gpt-4o-mini",
            "--max-tokens",
            "500",
            "--no-shape",
            "--json",
        )  # which learning leaves alone
        quote = home("simulate", *argv).json
        done = home("run", *argv, "--no-cache").json
        assert done["metadata"]["plan"] == quote
        cost = float(done["metadata"]["cost_usd"])
        assert 0 < cost <= float(quote["max_cost_usd"]) and not done["metadata"]["flags"]
        if wire == "litellm" and turn % 4 == 3:  # by turns, with a picture and after a tool's result
            point(home, server, "openai")
            ours = home("run", *argv, "--no-cache").json
            point(home, server, "litellm")
            theirs, own = (sent(request.body) for request in server.requests[-2:])
            assert own == theirs
            billed, same = home.sql(
                "SELECT cost_usd, input_tokens, output_tokens, token_classes FROM ai_model_usage ORDER BY id DESC LIMIT 2"
            )
            assert billed == same
            assert ours["metadata"]["token_classes"] == done["metadata"]["token_classes"]
        message: Body = {"role": "assistant", "content": done["result"] or None}
        if calls_tool:
            call = done["choices"][0]["tool_calls"][0]
            result = {"role": "tool", "tool_call_id": call["id"], "content": "clear"}
            talk += [message | {"tool_calls": [call]}, result, {"role": "assistant", "content": "It is clear."}]
        else:
            talk.append(message)
    assert home.books.count("attempts", state="posted") == server.hits == (25 if wire == "litellm" else 20)
    assert home("db", "check").status == 0
