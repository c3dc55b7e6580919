"""Conversations in the format of chat completions: read, checked, written back."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.engine.chat import Image, Message, ToolCall, asked, conversation
from nexscout_cli.engine.chat_options import CHECKS, concise, fault, format_for, schema_of
from nexscout_cli.errors import UsageError
from tests.support.values import request

PIXEL = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n" + bytes(30)).decode()
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
TALK: list[dict[str, Any]] = [
    {"role": "system", "content": "Be kind."},
    {
        "role": "user",
        "content": [{"type": "text", "text": "Look:"}, {"type": "image_url", "image_url": {"url": PIXEL}}],
    },
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "content": "sunny", "tool_call_id": "c1"},
    {"role": "assistant", "content": "It is sunny."},
    {"role": "user", "content": "Thanks", "name": "ana"},
]


def test_a_conversation_is_written_back_as_it_was_read() -> None:
    assert [message.as_json() for message in conversation(TALK)] == TALK


def test_an_images_address_may_stand_as_text_and_its_detail_is_kept() -> None:
    parts = [{"type": "image_url", "image_url": "https://example.com/a.png"}]
    assert conversation([{"role": "user", "content": parts}])[0].images == (Image("https://example.com/a.png"),)
    parts = [{"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}}]
    assert conversation([{"role": "user", "content": parts}])[0].as_json()["content"] == parts


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([], "messages is a list"),
        ("Hello", "messages is a list"),
        (["Hello"], "messages[0] is not a JSON object"),
        ([{"role": "robot", "content": "x"}], "messages[0].role cannot be 'robot'"),
        ([{"role": "user"}], "messages[0].content is neither text nor"),
        ([{"role": "user", "content": 5}], "messages[0].content is neither text nor"),
        ([{"role": "user", "content": "a\0b"}], "NUL"),
        ([{"role": "user", "content": "\ud800"}], "surrogate"),
        ([{"role": "user", "content": "x", "audio": {}}], "messages[0].audio is not known"),
        ([{"role": "user", "content": "x", "tool_calls": [CALL]}], "messages[0].tool_calls is not known"),
        (
            [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}],
            "content[0].type cannot be 'input_audio'",
        ),
        (
            [{"role": "assistant", "content": [{"type": "image_url", "image_url": PIXEL}]}],
            "messages[0].content[0] is not taken",
        ),
        (
            [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {}}]}],
            "cache_control is not taken",
        ),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": "http://a/b"}]}],
            "url cannot be 'http://a/b'",
        ),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": "data:image/svg+xml;base64,AAAA"}]}],
            "cannot be",
        ),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PIXEL, "detail": "4k"}}]}], "detail"),
        ([{"role": "tool", "content": "x"}], "has no tool_call_id"),
        ([{"role": "tool", "content": "x", "tool_call_id": "c9"}], "is the id of no tool call before it"),
        ([{"role": "assistant", "tool_calls": [{"id": "c", "type": "custom"}]}], "is not a function call"),
        ([{"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {}}}]}], "as text"),
    ],
)
def test_what_is_no_conversation_is_refused_by_name(messages: Any, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        conversation(messages)
    assert says in caught.value.message and caught.value.suggestion


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda c: (
            st.lists(c)
            | st.dictionaries(
                st.sampled_from(
                    ["role", "content", "type", "text", "image_url", "url", "tool_calls", "id", "function", "name"]
                ),
                c,
            )
        ),
    )
)
def test_any_json_is_read_or_refused(value: Any) -> None:
    try:
        found = conversation(value)
    except UsageError:
        return
    assert conversation([message.as_json() for message in found]) == found


def test_the_last_user_message_is_what_is_asked() -> None:
    assert asked(conversation(TALK)) == "Thanks"
    assert asked(conversation(TALK[:4])) == "Look:"


def test_a_plain_user_message_at_the_end_is_the_prompt() -> None:
    talk = conversation([{"role": "user", "content": "Hi"}])
    assert request("", messages=talk).settled == request("Hi")
    tools_last = conversation(TALK[:4])
    assert request("", messages=tools_last).settled == request("", messages=tools_last)


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tools", []),
        ("tools", {}),
        ("tools", [TOOL] * 2),
        ("tools", [{"type": "web_search"}]),
        ("tools", [{"tools": [TOOL]}]),
        ("tools", [{"type": "function", "function": {"name": "no blanks"}}]),
        ("tools", [{"type": "function", "function": {"name": "f", "parameters": 5}}]),
        ("tools", [TOOL] * 129),
        ("tool_choice", "always"),
        ("tool_choice", {"type": "function"}),
        ("response_format", "json"),
        ("response_format", {"type": "xml"}),
        ("response_format", {"type": "json_schema", "json_schema": {"name": "x"}}),
        ("response_format", {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "what"}}}),
        ("stop", []),
        ("stop", ["a"] * 5),
        ("stop", [""]),
    ],
)
def test_options_that_cannot_be_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        CHECKS[name](value, name)
    assert caught.value.message.startswith(name)


def test_the_short_form_of_a_schema_names_fields_types_and_meanings() -> None:
    assert concise("name, age int, city: where they live") == {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "age": {"type": "integer"},
            "city": {"type": "string", "description": "where they live"},
        },
        "required": ["name", "age", "city"],
        "additionalProperties": False,
    }
    for bad in ("", "a b c", "1x", "age decimal"):
        with pytest.raises(UsageError):
            concise(bad)


def test_an_answers_fault_is_said_with_its_place() -> None:
    schema = schema_of(format_for(concise("name, age int")))
    assert schema is not None
    assert fault('{"name": "A", "age": 3}', schema) is None
    assert fault('{"name": "A", "age": "x"}', schema) == "age: 'x' is not of type 'integer'"
    assert "not JSON" in str(fault("Sure! {}", schema))
    assert "required" in str(fault("{}", schema))


def test_a_schema_that_points_elsewhere_fetches_nothing() -> None:
    assert "cannot be checked" in str(fault("{}", {"$ref": "http://127.0.0.1:9/schema.json"}))


def test_a_schemas_references_may_lead_anywhere_within_it() -> None:
    for schema in (
        {"$defs": {"x": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/x"}}},
        {"$id": "https://a/b", "$defs": {"x": {"$anchor": "q"}}, "properties": {"a": {"$ref": "#q"}}},
        {"properties": {"$ref": {"type": "string"}, "a": {"$ref": "#"}}},
    ):
        CHECKS["response_format"]({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}, "format")
        assert fault('{"a": "text"}', schema) is None


@pytest.mark.parametrize(
    "schema", [{}, {"colour": 1}, {"items": {"$ref": "https://a/b"}}, {"$id": "http://[", "$ref": "#"}]
)
def test_a_schema_by_which_no_answer_could_be_checked_is_refused(schema: Any) -> None:
    with pytest.raises(UsageError):
        CHECKS["response_format"]({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}, "format")


def test_the_short_form_takes_the_type_names_of_json_schema_and_names_with_dashes() -> None:
    assert concise("first-name string, age integer")["properties"] == {
        "first-name": {"type": "string"},
        "age": {"type": "integer"},
    }


def test_messages_of_texts_alone_are_plain() -> None:
    assert Message("user", "x").plain and not Message("assistant", "", tool_calls=(ToolCall("a", "b", "{}"),)).plain
    assert json.dumps(Message("user", "x").as_json()) == '{"role": "user", "content": "x"}'
