"""Our own wires beside LiteLLM: the same calls through both; what a server gets and what comes out are the same.

What differs on purpose, or means the same, is taken out by :func:`_plain_request` and :func:`_plain_outcome`, which say why.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nexscout_cli.engine.call import Completion, OnText
from nexscout_cli.engine.chat import ToolCall
from nexscout_cli.engine.failures import ProviderFailure
from nexscout_cli.providers.litellm.provider import LiteLLMProvider
from nexscout_cli.providers.wires import provider
from nexscout_cli.providers.wires.targets import target_of
from tests.support.calls import TARGETS, Body, Case, case
from tests.support.openai_server import OpenAIServer

EACH = 70
"""Calls of each wire."""
Ask = Callable[[OnText | None], Completion]


@pytest.fixture(scope="module")
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_PROVIDER_KEY", "sk-test-key-0123456789")
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("wire", list(TARGETS))
def test_the_same_calls_come_to_the_same_through_a_wire_and_through_litellm(wire: str, server: OpenAIServer) -> None:
    base = {"openai": server.url, "anthropic": server.root, "gemini": f"{server.root}/v1beta"}[wire]
    litellm = LiteLLMProvider()
    differing, seen = [], set()
    for number in range(EACH):
        one = case(wire, number, base)
        target = target_of(one.call.model)
        assert target is not None
        ours = _both(server, one, lambda on_text: provider.complete(one.call, target, on_text))  # noqa: B023
        theirs = _both(server, one, lambda on_text: litellm.complete(one.call, on_text))  # noqa: B023
        if ours != theirs:
            differing.append((number, one.about, ours, theirs))
        seen |= set(one.about.split(", "))
    assert differing == []
    assert len(seen) >= 12, "so many kinds of calls were made"


def _both(server: OpenAIServer, one: Case, ask: Ask) -> tuple[str, Body, Any]:
    """Path and body of the one request that arrived, and what came of it."""
    before = server.hits
    server.fail = lambda body: one.answer
    outcome = _outcome(one, ask)
    (request,) = server.requests[before:]
    path = request.path.partition("?")[0] if one.wire == "gemini" else request.path
    return path, _plain_request(one.wire, request.body), outcome


def _outcome(one: Case, ask: Ask) -> Any:
    pieces: list[str] = []
    try:
        done = ask(pieces.append)
    except ProviderFailure as failure:
        return failure.kind, failure.status, failure.retry_after, str(failure)
    return "".join(pieces), *_plain_outcome(one.wire, done)


def _plain_outcome(wire: str, done: Completion) -> tuple[Any, ...]:
    """An answer without what may differ.

    LiteLLM writes a tool's input of Anthropic's with escapes, and makes up ids for Gemini's calls, by chance; it does not
    tell Gemini's name for an answer.
    """

    def plain(call: ToolCall) -> tuple[Any, ...]:
        return "" if wire == "gemini" else call.id, call.name, json.loads(call.arguments)

    named = None if wire == "gemini" else done.provider_id
    calls = [plain(call) for call in done.tool_calls]
    return done.text, done.finish_reason, done.usage, named, done.model, calls, done.others, done.not_sent


def _plain_request(wire: str, body: Body) -> Body:
    """A request without what may be written in two ways."""
    return _PLAIN[wire](json.loads(json.dumps(body)))


def _openai(body: Body) -> Body:
    for message in body["messages"]:
        if message.get("content") is None:
            message.pop("content", None)  # a message that calls tools has no text: null, or left out
    return body


def _anthropic(body: Body) -> Body:
    """A text is short for a list with one block; a tool is custom where nothing is said."""

    def blocks(content: Any) -> Any:
        return [{"type": "text", "text": content}] if isinstance(content, str) else content

    for message in body["messages"]:
        message["content"] = blocks(message["content"])
        for block in message["content"]:
            if block["type"] == "tool_result":
                block["content"] = blocks(block["content"])
    if "system" in body:
        body["system"] = blocks(body["system"])
    for tool in body.get("tools", []):
        tool.pop("type", None)
    choice = body.get("tool_choice", {})
    if choice.get("disable_parallel_tool_use") is False:  # the default
        del choice["disable_parallel_tool_use"]
    if choice == {"type": "auto"}:  # so is this one where there are tools
        del body["tool_choice"]
    return body


def _gemini(body: Body) -> Body:
    """Names are taken in either way of writing; contents of one role that follow each other are one.

    ``parametersJsonSchema`` takes a whole JSON schema, ``parameters`` a part of one.
    """
    found = _camel(body)
    contents: list[Body] = []
    for content in found["contents"]:
        if contents and contents[-1]["role"] == content["role"]:
            contents[-1]["parts"] += content["parts"]
        else:
            contents.append(content)
    found["contents"] = contents
    for tools in found.get("tools", []):
        for function in tools["functionDeclarations"]:
            if "parametersJsonSchema" in function:
                function["parameters"] = function.pop("parametersJsonSchema")
    return found


def _camel(value: Any) -> Any:
    if isinstance(value, dict):
        return {re.sub(r"_(\w)", lambda found: found[1].upper(), name): _camel(one) for name, one in value.items()}
    return [_camel(one) for one in value] if isinstance(value, list) else value


_PLAIN = {"openai": _openai, "anthropic": _anthropic, "gemini": _gemini}
