"""Remote calls: the real LiteLLM against real HTTP servers on loopback, well-behaved and not."""

from __future__ import annotations

import gc
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli.engine.call import Call, Completion, Usage
from nexscout_cli.engine.chat import Message
from nexscout_cli.engine.failures import ProviderFailure, ReaderGone
from nexscout_cli.engine.model import Model
from nexscout_cli.providers.litellm import provider
from nexscout_cli.providers.litellm.provider import LiteLLMProvider
from nexscout_cli.providers.wires import provider as wires
from nexscout_cli.providers.wires.targets import target_of
from tests.support.openai_server import OpenAIServer, answer, delta, events, raw_server, respond

KEY = "sk-very-secret-key-0123456789"
PROMPT = "Tell Sarah about the unicorn factory."
JSON = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_PROVIDER_KEY", KEY)


def call(
    url: str,
    *,
    model: str = "openai/gpt-4o-mini",
    stream: bool = False,
    timeout: float = 5.0,
    total: float = 10.0,
    max_tokens: int = 50,
    key: str | None = "TEST_PROVIDER_KEY",
    temperature: float | None = None,
    params: dict[str, Any] | None = None,
) -> Call:
    row = Model("m", model, "small", 1, 1, 128_000, 0.7, 0.9, "", True, False, url, key, params or {})
    return Call(row, (Message("user", PROMPT),), max_tokens, temperature, timeout, total, stream)


def by_litellm(made: Call, on_text: Callable[[str], None] | None) -> Completion:
    return LiteLLMProvider().complete(made, on_text)


def by_wire(made: Call, on_text: Callable[[str], None] | None) -> Completion:
    target = target_of(made.model)
    assert target is not None
    return wires.complete(made, target, on_text)


SIDES = {"litellm": by_litellm, "wire": by_wire}
_side = by_litellm


@pytest.fixture(autouse=True, params=SIDES)
def side(request: pytest.FixtureRequest) -> str:
    """Every test runs twice: through LiteLLM, and over our own wires."""
    global _side
    _side = SIDES[request.param]
    return str(request.param)


litellm_alone = pytest.mark.parametrize("side", ["litellm"], indirect=True)


def ask(url: str, on_text: Callable[[str], None] | None = None, **options: Any) -> Completion:
    return _side(call(url, **options), on_text)


def fails(url: str, on_text: Callable[[str], None] | None = None, **options: Any) -> ProviderFailure:
    with pytest.raises(ProviderFailure) as caught:
        ask(url, on_text, **options)
    return caught.value


def test_an_answer_comes_with_text_usage_id_and_model() -> None:
    with OpenAIServer("Good morning.", usage=lambda b, t: {"prompt_tokens": 7, "completion_tokens": 3}) as server:
        done = ask(server.url)
    assert done == Completion("Good morning.", "stop", Usage(7, 3), "chatcmpl-test-1", "gpt-4o-mini")
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_stream_hands_over_pieces_and_ends_with_the_reported_usage() -> None:
    pieces: list[str] = []
    with OpenAIServer("A rather longer answer than eight.") as server:
        done = ask(server.url, pieces.append, stream=True)
        assert server.requests[0].body["stream_options"] == {"include_usage": True}
    assert "".join(pieces) == done.text == "A rather longer answer than eight."
    assert len(pieces) > 2 and done.usage is not None and done.usage.output_tokens > 3


@pytest.mark.parametrize("stream", [False, True])
def test_anthropic_goes_through_its_own_api(stream: bool) -> None:
    with OpenAIServer("Bonjour.", usage=lambda b, t: {"prompt_tokens": 7, "completion_tokens": 3}) as server:
        done = ask(server.root, model="anthropic/claude-haiku-4-5", stream=stream)
        assert server.requests[0].path == "/v1/messages"
        assert server.requests[0].body["max_tokens"] == 50
    assert (done.text, done.finish_reason, done.usage) == ("Bonjour.", "stop", Usage(7, 3))


@pytest.mark.parametrize(
    "model",
    [
        "openai/gpt-4o-mini",
        "openai/gpt-5-mini",
        "openai/o3",
        "openai/unheard-of",
        "deepseek/deepseek-chat",
        "anthropic/claude-sonnet-5-5",
        "mistral/mistral-small-latest",
    ],
)
def test_the_bound_on_the_answer_always_reaches_the_provider(model: str) -> None:
    with OpenAIServer("Yes.") as server:
        ask(server.root if model.startswith("anthropic") else server.url, model=model, max_tokens=33, temperature=0.5)
    body = server.requests[0].body
    assert body.get("max_tokens", body.get("max_completion_tokens")) == 33


@litellm_alone
def test_extra_parameters_of_the_catalog_are_passed_on_but_not_the_instruction() -> None:
    with OpenAIServer("Yes.") as server:
        ask(server.url, model="openai/gpt-5-mini", params={"reasoning_effort": "low", "instruction": "Think."})
    body = server.requests[0].body
    assert body["reasoning_effort"] == "low" and "instruction" not in body


@litellm_alone
@pytest.mark.parametrize("params", [{"extra_body": {"max_tokens": 9999}}, {"n": 5}, {"service_tier": "priority"}])
def test_a_catalog_parameter_that_could_raise_the_cost_is_refused_before_it_is_sent(params: dict[str, Any]) -> None:
    with OpenAIServer("Yes.") as server:
        failure = fails(server.url, params=params)
    assert (failure.kind, server.hits) == ("rejected", 0)
    assert f"{next(iter(params))} may not be set on a model" in failure.message


@pytest.mark.parametrize(("finish"), ["stop", "length", "content_filter"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_finish_reason_passes_through(finish: str, stream: bool) -> None:
    with OpenAIServer("Half an ans", finish_reason=finish) as server:
        assert ask(server.url, stream=stream).finish_reason == finish


@pytest.mark.parametrize("stream", [False, True])
def test_missing_usage_is_none_and_not_zero(stream: bool) -> None:
    with OpenAIServer("Hi.", usage=lambda body, text: None) as server:
        assert ask(server.url, stream=stream).usage is None


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -5, "completion_tokens": 2},
        {"prompt_tokens": "many", "completion_tokens": 2},
        {"prompt_tokens": 1.5, "completion_tokens": None},
        {"prompt_tokens": 10**30, "completion_tokens": 1},
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_odd_usage_is_handed_over_as_reported(usage: dict[str, Any], stream: bool) -> None:
    with OpenAIServer("Hi.", usage=lambda body, text: usage) as server:
        done = ask(server.url, stream=stream)
    assert (done.text, done.usage) == ("Hi.", Usage(usage["prompt_tokens"], usage["completion_tokens"]))


def test_null_content_is_an_empty_text() -> None:
    body = answer(
        choices=[{"index": 0, "message": {"role": "assistant", "content": None}, "finish_reason": "content_filter"}]
    )
    with raw_server(respond(body)) as (url, _):
        assert ask(url) == Completion("", "content_filter", Usage(9, 2), "c1", "gpt-4o-mini")


def test_empty_choices_are_an_empty_text_with_its_usage() -> None:
    with raw_server(respond(answer(choices=[]))) as (url, _):
        done = ask(url)
    assert (done.text, done.usage) == ("", Usage(9, 2))


def test_the_model_that_says_it_answered_is_told() -> None:
    with OpenAIServer("Hi.", model="gpt-99-dear") as server:
        assert ask(server.url).model == "gpt-99-dear"
        assert ask(server.url, stream=True).model == "gpt-99-dear"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "rejected"),
        (401, "rejected"),
        (403, "rejected"),
        (404, "rejected"),
        (413, "rejected"),
        (422, "rejected"),
        (429, "limited"),
        (500, "server"),
        (502, "server"),
        (503, "server"),
        (529, "server"),
        (408, "unknown"),
        (504, "unknown"),
    ],
)
@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"])
@pytest.mark.parametrize("stream", [False, True])
def test_each_status_has_its_kind_and_is_hit_once(status: int, kind: str, model: str, stream: bool) -> None:
    with OpenAIServer(fail=status) as server:
        failure = fails(server.root if model.startswith("anthropic") else server.url, model=model, stream=stream)
        assert (failure.kind, failure.status, server.hits) == (kind, status, 1)


def test_too_much_context_is_told_apart() -> None:
    error = {
        "error": {"message": "This model's maximum context length is 8 tokens.", "code": "context_length_exceeded"}
    }
    with OpenAIServer(fail=lambda body: (400, JSON, json.dumps(error))) as server:
        assert fails(server.url).kind == "too_long"
    error = {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8 maximum"},
    }
    with OpenAIServer(fail=lambda body: (400, JSON, json.dumps(error))) as server:
        assert fails(server.root, model="anthropic/claude-haiku-4-5").kind == "too_long"


def test_retry_after_is_read_in_seconds_and_as_a_date() -> None:
    with OpenAIServer(fail=lambda body: (429, {"Retry-After": "7", **JSON}, "{}")) as server:
        assert fails(server.url).retry_after == 7.0
    when = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 30))
    with OpenAIServer(fail=lambda body: (429, {"Retry-After": when, **JSON}, "{}")) as server:
        assert 25 < (fails(server.url).retry_after or 0) <= 30


def test_a_refused_connection_never_arrived() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert fails(f"http://127.0.0.1:{port}/v1").kind == "unreached"
    assert fails(f"http://127.0.0.1:{port}", model="anthropic/claude-haiku-4-5").kind == "unreached"


def test_a_name_that_does_not_resolve_and_a_failed_tls_handshake_never_arrived() -> None:
    assert fails("http://no-such-host.invalid/v1").kind == "unreached"
    with OpenAIServer() as server:
        failure = fails(server.url.replace("http:", "https:"))
        assert (failure.kind, server.hits) == ("unreached", 0)


@litellm_alone
@pytest.mark.parametrize(
    ("target", "base", "says"),
    [
        ("novita/x", "gopher://h/v1", "gopher"),
        ("azure/x", None, "AZURE_API_BASE is not set"),
        ("vertex_ai/gemini-2.0-flash", None, "google"),
    ],
)
def test_what_litellm_itself_cannot_send_never_left(
    monkeypatch: pytest.MonkeyPatch, target: str, base: str | None, says: str
) -> None:
    monkeypatch.delenv("AZURE_API_BASE", raising=False)
    failure = fails(base, model=target)  # type: ignore[arg-type]
    assert failure.kind == "unreached" and says in failure.message


def test_a_missing_key_is_not_sent_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_PROVIDER_KEY")
    with OpenAIServer() as server:
        assert (fails(server.url).kind, server.hits) == ("unreached", 0)


def test_a_model_without_a_key_needs_none() -> None:
    with OpenAIServer("Hi.") as server:
        assert ask(server.url, key=None).text == "Hi."


def test_a_reset_after_sending_is_unknown() -> None:
    def reset(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")

    with raw_server(reset) as (url, seen):
        assert (fails(url).kind, len(seen)) == ("unknown", 1)
    with raw_server(lambda connection: None) as (url, seen):
        assert (fails(url).kind, len(seen)) == ("unknown", 1)


@pytest.mark.parametrize(
    "behave",
    [
        respond(answer()[:40]),
        respond(answer(), length=5000),
        respond(b'{"choices": [{"message": {"content": "\xff\xfe"}}]}'),
        respond(b"<html>hello</html>"),
        respond(b""),
        respond(b"[]"),
        respond(b"null"),
        respond(b"\x00\x01"),
    ],
)
@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"])
def test_a_damaged_answer_is_unknown(behave: Callable[[socket.socket], None], model: str) -> None:
    with raw_server(behave) as (url, seen):
        failure = fails(url.removesuffix("/v1") if model.startswith("anthropic") else url, model=model)
        assert (failure.kind, len(seen)) == ("unknown", 1)


def test_a_server_error_without_a_body_is_unknown() -> None:
    with OpenAIServer(fail=lambda body: (500, {}, b"")) as server:
        assert (fails(server.url).kind, server.hits) == ("unknown", 1)


def test_a_hang_ends_at_the_deadline_and_is_unknown() -> None:
    with raw_server(lambda connection: time.sleep(10)) as (url, seen):
        start = time.monotonic()
        failure = fails(url, timeout=0.6)
        assert failure.kind == "unknown" and 0.5 < time.monotonic() - start < 2 and len(seen) == 1


def test_a_trickle_of_bytes_ends_at_the_deadline() -> None:
    stopped = threading.Event()

    def trickle(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
        try:
            while True:
                connection.sendall(b" ")
                time.sleep(0.05)
        except OSError:
            stopped.set()

    with raw_server(trickle) as (url, _):
        start = time.monotonic()
        assert fails(url, timeout=0.6).kind == "unknown"
        assert time.monotonic() - start < 2
        assert stopped.wait(3)


def test_a_stream_of_comments_without_text_ends_at_the_deadline_between_tokens() -> None:
    def comment(connection: socket.socket) -> None:
        while True:
            connection.sendall(b": still here\n\n")
            time.sleep(0.05)

    with raw_server(events(delta("One "), delta("two"), then=comment)) as (url, _):
        start = time.monotonic()
        failure = fails(url, stream=True, timeout=0.6)
        assert (failure.kind, failure.partial) == ("unknown", "One two")
        assert time.monotonic() - start < 2


def test_a_stream_that_never_ends_is_stopped_at_the_total_deadline() -> None:
    def more(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"data: " + delta("x") + b"\n\n")
            time.sleep(0.05)

    with raw_server(events(then=more)) as (url, _):
        start = time.monotonic()
        failure = fails(url, stream=True, timeout=5.0, total=0.8)
        assert failure.kind == "unknown" and len(failure.partial) > 3 and time.monotonic() - start < 2


@pytest.mark.parametrize("end", [(), (b"[DONE]",)])
def test_a_stream_without_a_finish_reason_was_cut(end: tuple[bytes, ...]) -> None:
    with raw_server(events(delta("One "), delta("two"), *end)) as (url, _):
        failure = fails(url, stream=True)
        assert (failure.kind, failure.partial, failure.provider_id) == ("unknown", "One two", "c1")


def test_an_anthropic_stream_that_just_ends_was_cut() -> None:
    start = {
        "type": "message_start",
        "message": {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "content": [],
            "model": "c",
            "stop_reason": None,
            "usage": {"input_tokens": 5, "output_tokens": 1},
        },
    }
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    text = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "One"}}
    with raw_server(events(*(json.dumps(e).encode() for e in (start, block, text)))) as (url, _):
        failure = fails(url.removesuffix("/v1"), model="anthropic/claude-haiku-4-5", stream=True)
        assert (failure.kind, failure.partial, failure.usage) == ("unknown", "One", Usage(5, 1))


@pytest.mark.parametrize(
    "bad", [b"{not json", b'{"choices": [{"delta": {"content": "\xff"}}]}', b'{"error": {"message": "overloaded"}}']
)
def test_damage_in_mid_stream_is_unknown_with_what_had_come(bad: bytes) -> None:
    with raw_server(events(delta("One "), bad, delta("two", "stop"), b"[DONE]")) as (url, _):
        failure = fails(url, stream=True)
        assert (failure.kind, failure.partial) == ("unknown", "One ")


@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5", "deepseek/deepseek-chat"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_refused(model: str, status: int) -> None:
    def elsewhere(body: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        return status, {"Location": f"{other.url}/chat/completions"}, b""

    with OpenAIServer() as other, OpenAIServer(fail=elsewhere) as server:
        failure = fails(server.root if model.startswith("anthropic") else server.url, model=model)
        assert (failure.kind, failure.status, server.hits, other.hits) == ("rejected", status, 1, 0)


@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"])
def test_a_provider_that_echoes_key_and_prompt_shows_them_nowhere(
    model: str, capfd: pytest.CaptureFixture[str]
) -> None:
    error = {"error": {"message": f"bad key {KEY}\nfor: {PROMPT} \x1b[31m" + "x" * 500, "type": "auth"}}
    with OpenAIServer(fail=lambda body: (401, JSON, json.dumps(error))) as server:
        failure = fails(server.root if model.startswith("anthropic") else server.url, model=model)
    shown = failure.message + str(failure) + "".join(capfd.readouterr())
    assert KEY not in shown and "unicorn" not in shown and "***" in failure.message
    assert "\n" not in failure.message and "\x1b" not in failure.message and len(failure.message) <= 200
    assert failure.__cause__ is None and failure.__context__ is None


def test_when_the_reader_goes_the_stream_is_closed_and_what_had_come_is_returned() -> None:
    stopped = threading.Event()

    def more(connection: socket.socket) -> None:
        try:
            while True:
                connection.sendall(b"data: " + delta("x") + b"\n\n")
                time.sleep(0.02)
        except OSError:
            stopped.set()

    got: list[str] = []

    def read(text: str) -> None:
        got.append(text)
        if len(got) == 3:
            raise ReaderGone

    with raw_server(events(then=more)) as (url, _):
        done = ask(url, read, stream=True)
        assert (done.text, done.finish_reason, done.usage) == ("xxx", "reader_gone", None)
        assert stopped.wait(3)


def test_an_error_of_the_reader_itself_is_passed_on() -> None:
    def read(text: str) -> None:
        raise KeyError("mine")

    with OpenAIServer("Some text that comes in pieces.") as server, pytest.raises(KeyError):
        ask(server.url, read, stream=True)


def test_fifty_calls_at_once_each_get_their_own_answer() -> None:
    def echo(body: dict[str, Any]) -> str:
        return f"answer {body['max_tokens']}"

    with OpenAIServer(
        echo, delay=1.0, usage=lambda b, t: {"prompt_tokens": b["max_tokens"], "completion_tokens": 1}
    ) as server:
        with ThreadPoolExecutor(50) as pool:
            done = list(
                pool.map(lambda n: ask(server.url, max_tokens=n, stream=n % 2 == 0, timeout=20, total=20), range(1, 51))
            )
        assert [(d.text, d.usage) for d in done] == [(f"answer {n}", Usage(n, 1)) for n in range(1, 51)]
        assert server.hits == 50 and server.max_in_flight > 25


@litellm_alone
def test_a_connection_is_given_back_without_the_help_of_the_garbage_collector() -> None:
    """Left to it, httpcore's pool can deadlock on its own lock; seen once in some ten runs of these tests."""

    def leave(text: str) -> None:
        raise ReaderGone

    gc.collect()
    gc.disable()
    try:
        with OpenAIServer("Some text that comes in pieces.") as server, raw_server(events(delta("One "))) as (cut, _):
            ask(server.url, stream=True)
            ask(server.url, leave, stream=True)
            fails(cut, stream=True)
            pool = provider._client._transport._pool
            end = time.monotonic() + 3
            while pool._requests and time.monotonic() < end:
                time.sleep(0.02)
            assert pool._requests == []
    finally:
        gc.enable()


@litellm_alone
def test_a_call_that_hangs_does_not_keep_the_program_from_ending_and_nothing_is_printed() -> None:
    with raw_server(lambda connection: time.sleep(30)) as (url, _):
        program = (
            "from nexscout_cli.engine.call import Call\nfrom nexscout_cli.engine.failures import ProviderFailure\n"
            "from nexscout_cli.engine.model import Model\nfrom nexscout_cli.engine.chat import Message\n"
            "from nexscout_cli.providers.litellm.provider import LiteLLMProvider\n"
            f"m = Model('m', 'openai/gpt-4o-mini', 'small', 1, 1, 9999, .7, .9, '', True, False, {url!r}, None, {{}})\n"
            "try: LiteLLMProvider().complete(Call(m, (Message('user', 'x'),), 5, None, 4., 5., False), None)\n"
            "except ProviderFailure as failure: raise SystemExit(0 if failure.kind == 'unknown' else 1)\n"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


LIBRARY = """
import json, logging, os, sys, warnings
import litellm
from litellm.llms.custom_httpx.http_handler import HTTPHandler
before = (dict(os.environ), {n: logging.getLogger(n).level for n in ("LiteLLM", "openai", "httpx")}, warnings.filters[:],
          litellm.client_session, logging.root.handlers[:], __import__("gc").get_threshold(), __import__("signal").getsignal(2))
from nexscout_cli import AIRequest, Options, open_engine
engine = open_engine()
assert engine.run(AIRequest("ada", "ai_message", "Hello", options=Options(force_model="gpt-4o-mini"))).success
after = (dict(os.environ), {n: logging.getLogger(n).level for n in ("LiteLLM", "openai", "httpx")}, warnings.filters[:],
         litellm.client_session, logging.root.handlers[:], __import__("gc").get_threshold(), __import__("signal").getsignal(2))
assert before == after, [(a, b) for a, b in zip(before, after) if a != b]
assert HTTPHandler().client.__class__.__name__ == "Client", "another's client is ours"
told = []
class Listener(logging.Handler):
    def emit(self, record): told.append(record.getMessage())
logging.getLogger("httpx").addHandler(Listener()); logging.getLogger("httpx").setLevel("INFO")
asked = [{"role": "user", "content": "Hi"}]
litellm.completion(model="openai/gpt-4o-mini", api_base=os.environ["BASE"], api_key="x", messages=asked)
assert told, "what others log is kept from them"
told.clear()
assert engine.run(AIRequest("ada", "ai_message", "Hello you", options=Options(force_model="gpt-4o-mini"))).success
assert not told, told
"""


@litellm_alone
def test_a_program_that_uses_litellm_itself_finds_its_process_as_it_was(tmp_path: Path) -> None:
    with OpenAIServer("Hi.") as server:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "NEXSCOUT_HOME": str(tmp_path),
            "NEXSCOUT_ACTOR": "ada",
            "OPENAI_API_KEY": "x",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "BASE": server.url,
        }
        nexscout = Path(sys.executable).with_name("nexscout")
        subprocess.run([nexscout, "models", "set", "gpt-4o-mini", "--api-base", server.url], env=env, check=True)
        done = subprocess.run([sys.executable, "-c", LIBRARY], env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@litellm_alone
def test_who_collects_garbage_goes_on_with_it_after_an_import() -> None:
    try:
        for collecting in (False, True):
            (gc.enable if collecting else gc.disable)()
            provider._imported("json")
            assert gc.isenabled() is collecting
            with pytest.raises(ImportError):
                provider._imported("no_such_module")
            assert gc.isenabled() is collecting
    finally:
        gc.enable()
