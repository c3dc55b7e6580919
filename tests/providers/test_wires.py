"""Our own wires: what a server gets, and what comes of answers that no provider should give."""

from __future__ import annotations

import gzip
import json
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexscout_cli.coroutines import CoroutineExecutor
from nexscout_cli.engine.call import Call, Completion, Usage
from nexscout_cli.engine.chat import Message, ToolCall
from nexscout_cli.engine.failures import CallInterrupted, ProviderFailure
from nexscout_cli.engine.model import Model
from nexscout_cli.providers import Providers
from nexscout_cli.providers.wires import anthropic, gemini, openai
from nexscout_cli.providers.wires.reader import Damaged, ErrorAnswer, Reader
from nexscout_cli.providers.wires.targets import target_of
from tests.support.openai_server import OpenAIServer, answer, delta, events, raw_server, respond

KEY = "sk-very-secret-key-0123456789"
TALK = (Message("system", "Be brief."), Message("user", "Hello?"))


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_PROVIDER_KEY", KEY)


def model(target: str, base: str | None = None, **params: Any) -> Model:
    return Model("m", target, "small", 1, 1, 9999, 0.7, 0.9, "", True, False, base, "TEST_PROVIDER_KEY", params)


def call(row: Model, *, stream: bool = False, temperature: float | None = None, timeout: float = 5.0) -> Call:
    return Call(row, TALK, 50, temperature, timeout, 10.0, stream)


CALL = call(model("openai/m"))


_coroutines: CoroutineExecutor | None = None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What is asked of a server is asked by a thread, and by a coroutine, whose HTTP is another one."""
    if {"ask", "fails"} & set(metafunc.function.__code__.co_names):
        metafunc.parametrize("_way", ["thread", "coroutine"], indirect=True)


@pytest.fixture(autouse=True)
def _way(request: pytest.FixtureRequest) -> Iterator[None]:
    global _coroutines
    if getattr(request, "param", "thread") == "thread":
        yield
        return
    with CoroutineExecutor(1) as _coroutines:
        yield
    _coroutines = None


def ask(row: Model, on_text: Callable[[str], None] | None = None, **options: Any) -> Completion:
    assert target_of(row) is not None
    made, providers = call(row, **options), Providers(Path("/nonexistent"))
    if _coroutines is None:
        return providers.complete(made, on_text)
    return _coroutines.submit(providers.complete, made, on_text).result()


def fails(row: Model, **options: Any) -> ProviderFailure:
    with pytest.raises(ProviderFailure) as caught:
        ask(row, **options)
    return caught.value


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("openai/gpt-4o-mini", "https://api.openai.com/v1/chat/completions"),
        ("openrouter/anthropic/claude-haiku-4.5", "https://openrouter.ai/api/v1/chat/completions"),
        ("groq/llama-3.3-70b-versatile", "https://api.groq.com/openai/v1/chat/completions"),
        ("deepseek/deepseek-chat", "https://api.deepseek.com/chat/completions"),
        ("mistral/mistral-small-latest", "https://api.mistral.ai/v1/chat/completions"),
        ("xai/grok-4", "https://api.x.ai/v1/chat/completions"),
        ("anthropic/claude-haiku-4-5", "https://api.anthropic.com/v1/messages"),
        ("gemini/gemini-2.5-flash", "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash"),
    ],
)
def test_each_provider_is_reached_at_its_own_address(name: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENAI_BASE_URL", "OPENAI_API_BASE", "ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)
    target = target_of(model(name))
    assert target is not None and target.url == url


@pytest.mark.parametrize(
    "base", ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/", "http://h:1/v1/messages"]
)
def test_a_base_may_be_given_with_or_without_its_end(base: str) -> None:
    target = target_of(model("anthropic/claude-haiku-4-5", base))
    assert target is not None and target.url == "http://h:1/v1/messages"


def test_an_azure_deployment_has_its_own_address_and_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_API_VERSION", raising=False)
    target = target_of(model("azure/my-gpt", "https://me.openai.azure.com/"))
    assert target is not None
    assert target.url.startswith("https://me.openai.azure.com/openai/deployments/my-gpt/chat/completions?api-version=")
    request = openai.request(call(model("azure/my-gpt")), target, "k")
    assert request.headers == (("api-key", "k"),)


@pytest.mark.parametrize(
    "row",
    [
        model("bedrock/anthropic.claude-v2"),
        model("openai/o1-pro"),
        model("openai/gpt-5-codex"),
        model("openai/gpt-4o-mini", extra_body={"x": 1}),
        model("gpt-4o-mini"),
        model("azure/needs-a-base"),
    ],
    ids=lambda row: row.litellm_model,
)
def test_what_no_wire_speaks_is_left_to_litellm(row: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_API_BASE", raising=False)
    assert target_of(row) is None


def test_system_text_goes_where_each_protocol_has_it() -> None:
    rows = ("anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash", "openai/gpt-4o-mini")
    bodies = []
    for name, wire in zip(rows, (anthropic, gemini, openai), strict=True):
        row = model(name)
        target = target_of(row)
        assert target is not None
        bodies.append(json.loads(wire.request(call(row, temperature=0.5), target, None).body))  # type: ignore[attr-defined]
    assert bodies[0] == {
        "model": "claude-haiku-4-5",
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "Hello?"}],
        "max_tokens": 50,
        "temperature": 0.5,
    }
    assert bodies[1] == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [{"role": "user", "parts": [{"text": "Hello?"}]}],
        "generationConfig": {"maxOutputTokens": 50, "temperature": 0.5},
    }
    assert bodies[2]["messages"] == [{"role": m.role, "content": m.content} for m in TALK]


GEMINI = {
    "candidates": [{"content": {"parts": [{"text": "hm", "thought": True}, {"text": "Hi."}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 2, "thoughtsTokenCount": 5},
    "modelVersion": "gemini-2.5-flash-001",
    "responseId": "r1",
}


def test_gemini_answers_whole_and_streamed() -> None:
    done = Completion("Hi.", "stop", Usage(7, 7, reasoning=5), "r1", "gemini-2.5-flash-001")
    with raw_server(respond(json.dumps(GEMINI).encode())) as (url, seen):
        assert ask(model("gemini/gemini-2.5-flash", url)) == done
        assert len(seen) == 1
    first = {"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]}
    last = GEMINI | {"candidates": [{"content": {"parts": [{"text": "."}]}, "finishReason": "STOP"}]}
    pieces: list[str] = []
    with raw_server(events(json.dumps(first).encode(), json.dumps(last).encode())) as (url, seen):
        assert ask(model("gemini/gemini-2.5-flash", url), pieces.append, stream=True) == done
        assert len(seen) == 1 and pieces == ["Hi", "."]


def test_gemini_names_the_model_and_the_way_in_the_address() -> None:
    row = model("gemini/gemini-2.5-flash", "http://h/v1beta")
    target = target_of(row)
    assert target is not None
    made = [gemini.request(call(row, stream=stream), target, KEY) for stream in (False, True)]
    assert [one.url for one in made] == [
        "http://h/v1beta/models/gemini-2.5-flash:generateContent",
        "http://h/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
    ]
    assert made[0].headers == (("x-goog-api-key", KEY),)


def test_a_prompt_that_gemini_refuses_is_filtered() -> None:
    refused = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 7}}
    with raw_server(respond(json.dumps(refused).encode())) as (url, _):
        done = ask(model("gemini/gemini-2.5-flash", url))
    assert (done.text, done.finish_reason, done.usage) == ("", "content_filter", Usage(7, None))


@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_in_parts_is_its_text_without_the_thinking(streamed: bool) -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    said = {"content": [thinking, {"type": "text", "text": "Good"}, {"type": "text", "text": " day."}]}
    document = {"choices": [{"index": 0, "delta" if streamed else "message": said, "finish_reason": "stop"}]}
    body = json.dumps(document).encode()
    reader = openai.ChatReader(CALL)
    reader.start({"content-type": "text/event-stream" if streamed else "application/json"})
    assert [*reader.feed(b"data: " + body + b"\n\n" if streamed else body), *reader.finish()] == ["Good day."]


def test_a_whole_answer_where_a_stream_was_asked_for_is_given() -> None:
    pieces: list[str] = []
    with raw_server(respond(answer())) as (url, _):
        done = ask(model("openai/gpt-4o-mini", url), pieces.append, stream=True)
    assert done.text == "".join(pieces) != "" and done.usage == Usage(9, 2)


def test_a_stream_where_a_whole_answer_was_asked_for_is_read() -> None:
    with raw_server(events(delta("One "), delta("two", "stop"), b"[DONE]")) as (url, _):
        assert ask(model("openai/gpt-4o-mini", url)).text == "One two"


def test_events_under_a_wrong_content_type_are_read() -> None:
    body = b"data: " + delta("One", "stop") + b"\n\ndata: [DONE]\n\n"
    with raw_server(respond(body)) as (url, _):
        assert ask(model("openai/gpt-4o-mini", url), stream=True).text == "One"


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        ({"code": 429, "message": "slow down"}, "limited", 429),
        ({"code": 502, "message": "upstream"}, "server", 502),
        ({"code": "401", "message": "bad key"}, "rejected", 401),
        ({"type": "overloaded_error", "message": "Overloaded"}, "server", 529),
        ({"type": "rate_limit_error", "message": "slow"}, "limited", 429),
        ({"type": "invalid_request_error", "message": "prompt is too long: 9 tokens"}, "too_long", 400),
        ({"message": "who knows"}, "unknown", 200),
        ("just words", "unknown", 200),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_200_that_carries_an_error_is_that_error(error: Any, kind: str, status: int, stream: bool) -> None:
    body = json.dumps({"error": error}).encode()
    behave = events(body) if stream else respond(body)
    with raw_server(behave) as (url, seen):
        failure = fails(model("openai/gpt-4o-mini", url), stream=stream)
    assert (failure.kind, failure.status, len(seen)) == (kind, status, 1)
    assert (error if isinstance(error, str) else error["message"]) in failure.message


def test_an_answer_that_ends_with_an_error_is_that_error() -> None:
    choice = {
        "index": 0,
        "message": {"content": None},
        "finish_reason": "error",
        "error": {"code": 503, "message": "x"},
    }
    with raw_server(respond(answer(choices=[choice]))) as (url, _):
        assert fails(model("openai/gpt-4o-mini", url)).kind == "server"


def endless(start: bytes, piece: bytes, total: int) -> Callable[[socket.socket], None]:
    def send(connection: socket.socket) -> None:
        connection.sendall(start)
        for _ in range(total // len(piece)):
            connection.sendall(piece)

    return send


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
ERROR = b"HTTP/1.1 500 No\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n"


@pytest.mark.parametrize(
    ("start", "piece", "kind"),
    [
        (HEAD + b'{"choices": "', b"x" * 65536, "unknown"),
        (STREAM + b"data: ", b"x" * 65536, "unknown"),
        (STREAM, b"data: {}\n\n" * 6000, "unknown"),
        (STREAM, b": comment\n" * 6000, "unknown"),
        (ERROR + b'{"error": "', b"x" * 65536, "server"),
    ],
    ids=["json", "line", "events", "comments", "error"],
)
def test_an_endless_body_is_left_at_its_bound(start: bytes, piece: bytes, kind: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with raw_server(endless(start, piece, 300_000_000)) as (url, _):
        failure = fails(model("openai/gpt-4o-mini", url), stream=True, timeout=20.0)
    assert failure.kind == kind
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # KiB


def test_a_body_that_is_packed_unasked_is_not_unpacked() -> None:
    packed = gzip.compress(b'{"choices": "' + b"x" * 50_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    with raw_server(lambda connection: connection.sendall(head + packed)) as (url, _):
        assert fails(model("openai/gpt-4o-mini", url)).kind == "unknown"


@pytest.mark.parametrize("key", ["clé-é", "sk-\u200bzero", "sk\nX-Evil: 1"])
def test_a_key_that_no_header_can_carry_is_not_sent(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_PROVIDER_KEY", key)
    with OpenAIServer() as server:
        failure = fails(model("openai/gpt-4o-mini", server.url))
        assert (failure.kind, server.hits) == ("unreached", 0)
    assert "TEST_PROVIDER_KEY" in failure.message and key not in failure.message


@pytest.mark.parametrize("base", ["ftp://h/v1", "h/v1", "http://", "http://[::1/v1", "http://h:99999/v1"])
def test_an_address_that_leads_nowhere_never_arrived(base: str) -> None:
    assert fails(model("openai/gpt-4o-mini", base)).kind == "unreached"


def test_a_proxy_of_an_unknown_kind_never_arrived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "gopher://127.0.0.1:1")
    with OpenAIServer() as server:
        assert (fails(model("openai/gpt-4o-mini", "http://example.invalid/v1")).kind, server.hits) == ("unreached", 0)


def test_a_proxy_is_used_but_for_hosts_it_does_not_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    with OpenAIServer("Directly.") as server, raw_server(respond(answer())) as (proxy, seen):
        monkeypatch.setenv("HTTP_PROXY", proxy.removesuffix("/v1"))
        assert ask(model("openai/gpt-4o-mini", server.url)).text == "Hi."
        assert (server.hits, len(seen)) == (0, 1)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert ask(model("openai/gpt-4o-mini", server.url)).text == "Directly."
        assert (server.hits, len(seen)) == (1, 1)


def test_calls_by_a_proxy_wait_beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2, timeout=5)

    def behave(connection: socket.socket) -> None:
        both.wait()
        respond(answer())(connection)

    with raw_server(behave) as (proxy, seen), CoroutineExecutor(2) as executor:
        monkeypatch.setenv("HTTP_PROXY", proxy.removesuffix("/v1"))
        made = call(model("openai/gpt-4o-mini", "http://example.invalid/v1"))
        asked = [executor.submit(Providers(Path("/nonexistent")).complete, made, None) for _ in range(2)]
        assert [one.result().text for one in asked] == ["Hi.", "Hi."] and len(seen) == 2


def test_a_signal_in_mid_call_says_whether_it_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(text: str) -> None:
        raise KeyboardInterrupt

    with raw_server(events(delta("One "), delta("two", "stop"))) as (url, _), pytest.raises(CallInterrupted) as caught:
        ask(model("openai/gpt-4o-mini", url), interrupt, stream=True)
    assert (caught.value.failure.kind, caught.value.failure.partial) == ("unknown", "One ")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**20) | st.floats(allow_nan=True) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
OPENAI_NAMES = "id model usage choices message delta content finish_reason error code reasoning"
ANTHROPIC_NAMES = "type index text stop_reason content_block"
GEMINI_NAMES = "candidates parts finishReason usageMetadata promptFeedback blockReason thought"
NAMES = st.sampled_from(f"{OPENAI_NAMES} {ANTHROPIC_NAMES} {GEMINI_NAMES}".split())
LIES = st.recursive(
    st.dictionaries(NAMES, VALUES, max_size=4),
    lambda inner: st.dictionaries(NAMES, inner | st.lists(inner, max_size=2), max_size=4),
    max_leaves=10,
)


@pytest.mark.parametrize("kind", [openai.ChatReader, anthropic.MessagesReader, gemini.ContentReader])
@settings(max_examples=300, deadline=None)
@given(lie=LIES, streamed=st.booleans())
def test_whatever_an_answer_says_it_is_read_or_refused(kind: type[Reader], lie: dict[str, Any], streamed: bool) -> None:
    reader = kind(CALL)
    reader.start({"content-type": "text/event-stream" if streamed else "application/json"})
    body = json.dumps(lie).encode()
    try:
        reader.feed(b"data: " + body + b"\n\n" if streamed else body)
        reader.finish()
    except (Damaged, ErrorAnswer):
        pass
    assert isinstance(reader.text, str) and isinstance(reader.finish_reason, str | None)
    assert isinstance(reader.id, str | None) and isinstance(reader.model, str | None)
    reader.usage()


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b"1" * 100_000, b'{"choices": ' + b"9" * 9999])
def test_a_body_nested_too_deep_or_with_too_long_a_number_is_damaged(body: bytes) -> None:
    with raw_server(respond(body)) as (url, _):
        assert fails(model("openai/gpt-4o-mini", url)).kind == "unknown"


def test_two_threads_keep_their_own_deadlines() -> None:
    def later(connection: socket.socket) -> None:
        threading.Event().wait(1.2)
        respond(answer())(connection)

    with raw_server(later) as (url, _):
        found: dict[str, Any] = {}

        def work(name: str, timeout: float) -> None:
            try:
                found[name] = ask(model("openai/gpt-4o-mini", url), timeout=timeout).text
            except ProviderFailure as failure:
                found[name] = failure.kind

        threads = [threading.Thread(target=work, args=args) for args in (("short", 0.4), ("long", 8.0))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found["short"] == "unknown" and found["long"] not in ("unknown", "")


def body_of(target: str, **changes: Any) -> dict[str, Any]:
    row = model(target, "http://h:1")
    where = target_of(row)
    assert where is not None
    wire = {"openai": openai, "anthropic": anthropic, "gemini": gemini}[where.wire]
    made: dict[str, Any] = json.loads(wire.request(call(row, temperature=0.5)._replace(**changes), where, None).body)
    return made


@pytest.mark.parametrize(
    ("name", "effort", "sent"),
    [
        ("gpt-5.4-mini", "low", "low"),
        ("gpt-5.4-mini", "none", "none"),
        ("gpt-5-mini", "none", "minimal"),
        ("o3", "none", "low"),
    ],
)
def test_an_effort_is_sent_in_the_words_that_the_model_knows(name: str, effort: str, sent: str) -> None:
    assert body_of(f"openai/{name}", effort=effort)["reasoning_effort"] == sent
    assert "reasoning_effort" not in body_of(f"openai/{name}")


def test_anthropic_thinks_within_a_budget_and_then_takes_no_temperature() -> None:
    made = body_of("anthropic/claude-haiku-4-5", effort="low", thinking_room=1_024, max_tokens=2_000)
    assert made["thinking"] == {"type": "enabled", "budget_tokens": 1_024} and "temperature" not in made
    assert made["max_tokens"] == 2_000
    for plain in ({}, {"effort": "none"}, {"effort": "low", "thinking_room": 100}):
        made = body_of("anthropic/claude-haiku-4-5", **plain)
        assert "thinking" not in made and made["temperature"] == 0.5


def test_gemini_thinks_within_a_budget() -> None:
    made = body_of("gemini/gemini-2.5-flash", effort="high", thinking_room=9_000)
    assert made["generationConfig"]["thinkingConfig"] == {"thinkingBudget": 9_000}
    assert "thinkingConfig" not in body_of("gemini/gemini-2.5-flash")["generationConfig"]


def test_a_signed_call_of_geminis_goes_back_with_its_signature_and_to_others_without() -> None:
    signed = ToolCall("call_0_r1~c2lnbmVk+/==", "weather", "{}")
    talk = (
        Message("user", "Weather?"),
        Message("assistant", "", tool_calls=(signed,)),
        Message("tool", "clear", tool_call_id=signed.id),
    )
    sent = {}
    for name, wire in (("openai/m", openai), ("anthropic/m", anthropic), ("gemini/m", gemini)):
        row = model(name)
        target = target_of(row)
        assert target is not None
        sent[name] = wire.request(call(row)._replace(messages=talk), target, "k").body.decode()
    assert "c2lnbmVk" in sent["gemini/m"]
    for name in ("openai/m", "anthropic/m"):
        assert "c2lnbmVk" not in sent[name] and sent[name].count('"call_0_r1"') == 2


def test_a_tools_result_is_of_the_latest_call_of_its_id_and_geminis_calls_are_told_apart_by_their_answers() -> None:
    talk: tuple[Message, ...] = ()
    for name in ("weather", "clock"):
        talk += (
            Message("user", "Well?"),
            Message("assistant", "", tool_calls=(ToolCall("call_0", name, "{}"),)),
            Message("tool", "done", tool_call_id="call_0"),
        )
    row = model("gemini/m")
    target = target_of(row)
    assert target is not None
    contents = json.loads(gemini.request(call(row)._replace(messages=talk), target, "k").body)["contents"]
    answered = [
        part["functionResponse"]["name"] for one in contents for part in one["parts"] if "functionResponse" in part
    ]
    assert answered == ["weather", "clock"]
    ids = []
    for answer_id in ("r-1", "r-2"):
        reader = gemini.ContentReader(call(row))
        part = {"functionCall": {"name": "weather", "args": {}}}
        document = {"responseId": answer_id, "candidates": [{"content": {"parts": [part]}, "finishReason": "STOP"}]}
        reader.start({"content-type": "application/json"})
        list(reader.feed(json.dumps(document).encode()))
        list(reader.finish())
        done = reader.more.added_to(Completion(reader.text, "stop", None, None, None))
        ids.append(done.tool_calls[0].id)
    assert ids == ["call_0_r1", "call_0_r2"]


def test_arguments_of_a_tool_call_that_are_an_object_are_kept() -> None:
    said = {"tool_calls": [{"id": "c1", "function": {"name": "weather", "arguments": {"city": "Rome"}}}]}
    body = answer(choices=[{"index": 0, "message": said, "finish_reason": "tool_calls"}])
    with raw_server(respond(body)) as (url, _):
        assert ask(model("openai/m", url)).tool_calls == (ToolCall("c1", "weather", '{"city": "Rome"}'),)
