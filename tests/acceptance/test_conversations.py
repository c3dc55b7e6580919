"""Conversations through the command line: going on with the latest, the chat prompt, and what is kept and removed."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli import assemble
from tests.acceptance.conftest import Home
from tests.support.openai_server import OpenAIServer, called

Patch = pytest.MonkeyPatch


@pytest.fixture
def keeping(six: Home, monkeypatch: Patch) -> Home:
    """A home whose user has conversations kept."""
    monkeypatch.setenv("NEXSCOUT_CONVERSATIONS_KEEP", "on")
    return six


def type_in(monkeypatch: Patch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def said(server: OpenAIServer) -> list[tuple[str, Any]]:
    """Roles and texts of the last request, without what is said by the system."""
    messages = server.requests[-1].body["messages"]
    return [(m["role"], m["content"]) for m in messages if m["role"] != "system"]


def test_a_conversation_goes_on_with_what_was_said_and_what_it_cost_is_the_books(
    keeping: Home, server: OpenAIServer
) -> None:
    server.reply = lambda body: f"Answer {len(server.requests)}."
    first = keeping("run", "--system", "Be brief", "-m", "gpt-4o", "-f", "ai_coaching", "Hello", "--json").json
    second = keeping("run", "-C", "And then?", "--json").json
    assert said(server) == [("user", "Hello"), ("assistant", "Answer 1."), ("user", "And then?")]
    assert server.requests[-1].body["messages"][0]["content"].startswith("Be brief")
    assert server.requests[-1].body["model"] == "gpt-4o"
    name = first["metadata"]["request_id"]
    assert first["conversation"] == second["conversation"] == name
    shown = keeping("conversation", "show", name[:14], "--json").json
    assert (shown["turn_count"], shown["feature"]) == (2, "ai_coaching")
    assert shown["cost_usd"] == f"{keeping.books.total('usage', 'cost_usd') / 1e9:.9f}"
    keeping("db", "check")


def test_an_earlier_conversation_is_gone_on_with_by_its_name_and_is_then_the_latest(
    keeping: Home, server: OpenAIServer
) -> None:
    one = keeping("run", "The first", "--json").json["conversation"]
    keeping("run", "The second")
    keeping("run", "--conversation", one, "On with the first")
    assert said(server)[0] == ("user", "The first")
    rows = keeping("conversation", "list", "--json").json["rows"]
    assert [row["begins"] for row in rows] == ["The first", "The second"]
    assert [row["turn_count"] for row in rows] == [2, 1]
    assert "The second" in keeping("conversation", "list").out


def test_nothing_is_kept_unless_the_user_turned_it_on(six: Home, server: OpenAIServer) -> None:
    six("run", "Quicksilver")
    assert six.sql("SELECT count(*) FROM conversations") == [0]
    refused = six("run", "-C", "And then?", ok=False)
    assert refused.status == 2 and "config set conversations.keep on" in refused.err and server.hits == 1


def test_without_an_earlier_one_there_is_nothing_to_go_on_with(keeping: Home, server: OpenAIServer) -> None:
    assert keeping("run", "-C", "And then?", ok=False).status == 2
    assert "there is no conversation 'abc'" in keeping("run", "--conversation", "abc", "Hello", ok=False).err
    assert server.hits == 0


def test_an_answer_that_fails_is_no_turn(keeping: Home, server: OpenAIServer) -> None:
    keeping("run", "Hello")
    server.fail = 400
    assert keeping("run", "-C", "And then?", ok=False).status == 5
    server.fail = None
    keeping("run", "-C", "Once more")
    assert [text for role, text in said(server) if role == "user"] == ["Hello", "Once more"]


def test_a_tools_result_goes_on_from_the_call_that_was_kept(keeping: Home, server: OpenAIServer) -> None:
    server.reply = lambda body: called("weather", "{}") if len(server.requests) == 1 else "It is sunny."
    tool = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
    Path("tools.json").write_text(json.dumps([tool]))
    first = keeping("run", "--tools", "tools.json", "Weather?", "--json").json
    call = first["choices"][0]["tool_calls"][0]["id"]
    Path("result.json").write_text(json.dumps([{"role": "tool", "tool_call_id": call, "content": "clear"}]))
    assert keeping("run", "-C", "--messages", "result.json").out == "It is sunny.\n"
    assert [role for role, _ in said(server)] == ["user", "assistant", "tool"]
    assert server.requests[-1].body["tools"][0]["function"]["name"] == "weather"
    shown = keeping("conversation", "show").out
    assert "weather({})" in shown and "tool: clear" in shown


def test_a_chat_takes_lines_from_stdin_and_tells_what_it_has_cost_so_far(
    six: Home, server: OpenAIServer, monkeypatch: Patch
) -> None:
    server.reply = lambda body: f"Answer {len(server.requests)}."
    type_in(monkeypatch, "Hello\n\nAnd then?\n")
    turns = [json.loads(line, parse_float=str) for line in six("chat", "--json").out.splitlines()]
    assert [turn["result"] for turn in turns] == ["Answer 1.", "Answer 2."]
    assert said(server) == [("user", "Hello"), ("assistant", "Answer 1."), ("user", "And then?")]
    assert turns[-1]["cost_so_far_usd"] == f"{six.books.total('usage', 'cost_usd') / 1e9:.9f}"
    assert turns[-1]["turn"] == 2 and turns[-1]["conversation"] is None
    assert six.sql("SELECT count(*) FROM conversations") == [0]


def test_a_chat_is_kept_and_gone_on_with_later(keeping: Home, server: OpenAIServer, monkeypatch: Patch) -> None:
    type_in(monkeypatch, "Hello\nAnd then?\n")
    keeping("chat")
    type_in(monkeypatch, "At last?\n")
    keeping("chat", "-C")
    assert [text for role, text in said(server) if role == "user"] == ["Hello", "And then?", "At last?"]
    assert keeping("conversation", "list", "--json").json["rows"][0]["turn_count"] == 3


def test_a_chat_that_reads_no_terminal_ends_with_the_first_failure(
    six: Home, server: OpenAIServer, monkeypatch: Patch
) -> None:
    server.fail = 400
    type_in(monkeypatch, "Hello\nAnd then?\n")
    hits = six("chat", ok=False)
    assert hits.status == 5 and "And then" not in json.dumps([r.body for r in server.requests])


def test_what_was_said_belongs_to_its_user(keeping: Home, server: OpenAIServer, monkeypatch: Patch) -> None:
    keeping("user", "set-tier", "bob", "pro")
    mine = keeping("run", "Mine alone", "--json").json["conversation"]
    keeping("run", "-u", "bob", "Of bob")
    monkeypatch.setenv("NEXSCOUT_ACTOR", "bob")
    assert keeping("conversation", "show", mine, ok=False).status == 2
    assert keeping("conversation", "list", "-u", "ada", ok=False).status == 8
    assert keeping("run", "--conversation", mine, "Hello", ok=False).status == 2
    assert "Of bob" in keeping("conversation", "show").out


def test_a_conversation_is_forgotten_alone_with_all_and_with_its_user(
    keeping: Home, server: OpenAIServer, tmp_path: Path
) -> None:
    name = keeping("run", "Quicksilver one", "--no-cache", "--json").json["conversation"]
    keeping("run", "Quicksilver two", "--no-cache")
    assert keeping("conversation", "forget", name, "--dry-run").out == "1 conversation would be removed\n"
    keeping("conversation", "forget", name)
    assert [row["begins"] for row in keeping("conversation", "list", "--json").json["rows"]] == ["Quicksilver two"]
    assert b"Quicksilver one" not in keeping.db.read_bytes()
    assert keeping("conversation", "forget", ok=False).status == 2
    keeping("db", "backup", str(tmp_path / "copy.bak"), "--without-text")
    assert b"Quicksilver two" not in (tmp_path / "copy.bak").read_bytes()
    assert keeping("user", "forget", "ada", "--yes", "--json").json["conversations"] == 1
    assert b"Quicksilver" not in keeping.db.read_bytes()
    keeping("run", "Quicksilver three")
    assert keeping("conversation", "forget", "--all", "--yes", "--json").json["removed"] == 1
    keeping("db", "check")


def test_a_turn_that_cannot_be_kept_is_a_warning_and_the_answer_is_given(keeping: Home, server: OpenAIServer) -> None:
    keeping("run", "Hello")

    def forget_meanwhile(body: Any) -> str:
        store = assemble.open_store()
        store.conversations.forget("ada", "ada", None)
        store.close()
        return "Here."

    server.reply = forget_meanwhile
    done = keeping("run", "-C", "And then?", "--json").json
    assert done["result"] == "Here." and "forgotten meanwhile" in done["metadata"]["warnings"][-1]
    assert keeping.sql("SELECT count(*) FROM conversation_turns") == [0]


def test_a_turn_that_passes_over_a_tool_call_is_refused_with_what_to_send(keeping: Home, server: OpenAIServer) -> None:
    Path("tools.json").write_text('[{"name": "weather"}]')
    server.reply = lambda body: called("weather", "{}") if len(server.requests) == 1 else "Rain."
    keeping("run", "--tools", "tools.json", "Is it raining?")
    refused = keeping("run", "-C", "And now?", ok=False)
    assert refused.status == 2 and server.hits == 1
    Path("result.json").write_text(refused.err.split("--messages: ")[1])
    assert keeping("run", "-C", "--messages", "result.json").out == "Rain.\n"


def test_going_on_without_a_prompt_says_so(keeping: Home, server: OpenAIServer, monkeypatch: Patch) -> None:
    keeping("run", "Hello")
    for command in ("run", "simulate"):
        refused = keeping(command, "-C", ok=False)
        assert refused.status == 2 and "there is no prompt" in refused.err and server.hits == 1


def test_in_a_chat_the_lines_after_tool_calls_are_their_results(
    six: Home, server: OpenAIServer, monkeypatch: Patch
) -> None:
    Path("tools.json").write_text('[{"name": "weather"}]')
    both = called("weather", "{}")
    both["tool_calls"] += called("weather", "{}", "call_2")["tool_calls"]
    server.reply = lambda body: both if len(server.requests) == 1 else "Rain and sun."
    type_in(monkeypatch, "How is it in Rome, and in Oslo?\nrain\nsun\nThanks\n")
    six("chat", "--tools", "tools.json")
    sent = server.requests[-1].body["messages"]
    results = [(m["tool_call_id"], m["content"]) for m in sent if m["role"] == "tool"]
    assert results == [("call_1", "rain"), ("call_2", "sun")] and server.hits == 3
    assert said(server)[-2:] == [("assistant", "Rain and sun."), ("user", "Thanks")]


def test_the_next_turn_can_be_simulated_and_costs_what_was_said(keeping: Home, server: OpenAIServer) -> None:
    first = keeping("run", "--system", "Be brief", "-m", "gpt-4o", "A first question, of several words", "--json").json
    plan = keeping("simulate", "-C", "And then?", "--json").json
    assert keeping("simulate", "--conversation", first["conversation"], "And then?", "--json").json == plan
    assert keeping("run", "-C", "And then?", "--json").json["metadata"]["plan"] == plan
    assert plan["recommended_model"] == "gpt-4o" and server.hits == 2
    assert (
        plan["predicted_input_tokens"]
        > keeping("simulate", "-m", "gpt-4o", "And then?", "--json").json["predicted_input_tokens"]
    )
