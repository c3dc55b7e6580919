"""What Python programs use beside the functions: a stock client, budgets of a piece of a program, a budget of a test suite."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from nexscout_cli import AIRequest, Engine, Options, budget, open_engine, openai_client, run_ai_batch, run_ai_optimized
from tests.support.openai_server import OpenAIServer

pytest_plugins = ["pytester"]
SUITE = """
from nexscout_cli import AIRequest, Options, run_ai_optimized

def test_it():
    for n in range({calls}):
        run_ai_optimized(AIRequest("ada", "ai_chatbot", f"What is {{n}}?", options=Options(max_tokens=100)))
"""

PROGRAM = """
import asyncio, threading
from nexscout_cli import AIRequest, Options, run_ai_optimized_async

def ask(n):
    return AIRequest("ada", "ai_chatbot", f"What is {n}?", options=Options(max_tokens=100, force_model="gpt-4o-mini"))

async def main():
    calls = [asyncio.ensure_future(run_ai_optimized_async(ask(n))) for n in range(20)]
    most = 0
    while not all(call.done() for call in calls):
        await asyncio.sleep(0.01)
        most = max(most, threading.active_count())
    print(sum(call.result().success for call in calls), most)

asyncio.run(main())
"""


@pytest.fixture
def server() -> Any:
    with OpenAIServer("Hello there, and a few words more.") as server:
        yield server


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: OpenAIServer) -> Engine:
    for name, value in {
        "HOME": str(tmp_path),
        "NEXSCOUT_HOME": str(tmp_path),
        "NEXSCOUT_ACTOR": "ada",
        "OPENAI_API_KEY": "sk-x",
        "OPENAI_BASE_URL": server.url,
    }.items():
        monkeypatch.setenv(name, value)
    return open_engine()


def ask(n: int) -> AIRequest:
    return AIRequest("ada", "ai_chatbot", f"What is {n}?", options=Options(max_tokens=100, force_model="gpt-4o-mini"))


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"a":' * 100_000, b'{"model": "auto", "model": "fast"}', b"\xff"])
def test_a_body_that_is_no_request_is_refused_as_a_server_does(
    engine: Engine, server: OpenAIServer, body: bytes
) -> None:
    from nexscout_cli.server.in_process import EngineTransport

    with httpx.Client(transport=EngineTransport(engine)) as client:
        answer = client.post("http://nexscout.invalid/v1/chat/completions", content=body)
    assert answer.status_code == 400 and "the body" in answer.json()["error"]["message"]
    assert server.requests == []


def test_a_stock_client_is_answered_in_this_process(engine: Engine, server: OpenAIServer) -> None:
    client = openai_client(engine=engine)
    said = [{"role": "user", "content": "Hi"}]
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=said)  # type: ignore[call-overload]
    assert answer.choices[0].message.content == server.reply and answer.usage.prompt_tokens > 0
    pieces = client.chat.completions.create(model="auto", messages=[*said, *said], stream=True)  # type: ignore[call-overload]
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices) == server.reply
    assert client.responses.create(model="auto", input="Hello?").output_text == server.reply
    assert "gpt-4o-mini" in {model.id for model in client.models.list()}


def test_a_refusal_reaches_the_client_as_its_own_error(engine: Engine, server: OpenAIServer) -> None:
    said = [{"role": "user", "content": "Hi"}]
    with pytest.raises(openai.NotFoundError, match="no-such-model"):
        openai_client(engine=engine).chat.completions.create(model="no-such-model", messages=said)  # type: ignore[call-overload]
    server.fail = 500
    with pytest.raises(openai.APIStatusError) as failed:
        openai_client(engine=engine).chat.completions.create(model="gpt-4o-mini", messages=said, stream=True)  # type: ignore[call-overload]
    assert failed.value.status_code == 502


def test_a_budget_holds_for_all_that_is_asked_inside(engine: Engine, server: OpenAIServer) -> None:
    with budget("0.00005") as purse:
        done = [run_ai_optimized(ask(n), engine) for n in range(8)]
    answered = [one for one in done if one.success]
    assert 0 < len(answered) < 8 and purse.refused == 8 - len(answered)
    assert purse.paid == sum((one.metadata.cost_usd for one in answered if one.metadata), start=0)
    assert {one.error["code"] for one in done if one.error} == {"usd_cap"}
    assert run_ai_optimized(ask(9), engine).success, "outside there is no purse"


def test_a_budget_holds_over_threads_batches_and_coroutines(engine: Engine, server: OpenAIServer) -> None:
    server.usage = lambda body, text: {"prompt_tokens": 20, "completion_tokens": body["max_tokens"]}

    @budget("0.00024")
    def work() -> int:
        with ThreadPoolExecutor(4) as pool:
            contexts = [copy_context() for _ in range(4)]
            threads = list(pool.map(lambda n: contexts[n].run(run_ai_optimized, ask(n), engine), range(4)))
        rows = run_ai_batch([ask(n) for n in range(10, 14)], engine=engine)
        assert any(one.error and one.error["code"] == "usd_cap" for one in rows)
        return sum(one.paid for one in (*threads, *rows))

    assert 100_000 < work() <= 240_000
    assert work() > 100_000, "the next call has a purse of its own"


def test_an_asynchronous_call_draws_on_its_callers_budget(engine: Engine, server: OpenAIServer) -> None:
    from nexscout_cli import run_ai_optimized_async

    async def work() -> bool:
        with budget(0):
            return (await run_ai_optimized_async(ask(1), engine)).success

    assert asyncio.run(work()) is False


def test_asynchronous_calls_wait_without_a_thread_each_and_their_program_ends(
    engine: Engine, server: OpenAIServer
) -> None:
    server.delay = 0.3
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    answered, threads = map(int, done.stdout.split())
    assert answered == 20 and threads < 10


@pytest.mark.parametrize(("dollars", "calls", "failed"), [("0.5", 2, False), ("0.00003", 6, True)])
def test_a_suite_that_would_spend_more_than_its_budget_fails(
    engine: Engine, pytester: pytest.Pytester, dollars: str, calls: int, failed: bool
) -> None:
    pytester.makepyfile(SUITE.format(calls=calls))
    done = pytester.runpytest_subprocess("--nexscout-budget", dollars)
    done.assert_outcomes(passed=1)
    assert (done.ret == 1) is failed
    done.stdout.fnmatch_lines([f"*nexscout: $* of ${float(dollars):.9f} spent*"])


def test_messages_may_be_what_chat_applications_have_and_a_wrong_one_is_refused_by_its_place(
    engine: Engine, server: OpenAIServer
) -> None:
    talk: Any = [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hi"}]
    options = Options(force_model="gpt-4o-mini", allow_cache=False)
    asked = AIRequest("ada", "ai_chatbot", messages=talk, options=options)
    plan = engine.simulate(asked)
    answers = [run_ai_optimized(asked, engine), *run_ai_batch([asked], engine=engine)]
    assert all(one.success for one in answers) and server.hits == 2
    assert answers[0].metadata is not None and answers[0].metadata.plan == plan.as_json()
    assert [message["role"] for message in server.requests[-1].body["messages"]] == ["system", "user"]
    for wrong, says in (
        ([*talk, {"role": "robot"}], "messages[2].role"),
        ("Hi", "messages is a list"),
        ([5], "messages[0]"),
    ):
        refused = run_ai_optimized(asked._replace(messages=wrong), engine)
        assert refused.exit_status == 2 and refused.error is not None and says in refused.error["message"]
    pictures: Any = ["http://a.example/x.png"]
    refused = run_ai_optimized(AIRequest("ada", "ai_chatbot", "Look", images=pictures, options=options), engine)
    assert refused.error is not None and "images[0] cannot be" in refused.error["message"] and server.hits == 2
