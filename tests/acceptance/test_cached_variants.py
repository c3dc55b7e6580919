"""The opt-in canonical cache, what undoes it, streams, and identical requests in flight."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli import assemble, config
from nexscout_cli.engine.pipeline import Engine
from nexscout_cli.engine.request import AIRequest
from nexscout_cli.engine.response import AIResponse
from tests.support.openai_server import Body, OpenAIServer
from tests.support.waiting import until

COMMAND = Path(sys.executable).with_name("nexscout")
QUESTION, SAME, OTHER = "How do I boil 3 eggs?", "How can I boil 3 eggs?", "How can I boil 4 eggs?"


@pytest.fixture
def canonical(six: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("NEXSCOUT_CACHE_MATCH", "canonical")
    return six


def asked(home: Any, prompt: str, *argv: str) -> dict[str, Any]:
    """The metadata of an answer."""
    metadata: dict[str, Any] = home("run", prompt, *argv, "--json").json["metadata"]
    return metadata


def test_by_default_other_words_are_another_request(six: Any, server: OpenAIServer) -> None:
    assert [asked(six, prompt)["cache_match"] for prompt in (QUESTION, SAME, QUESTION)] == [None, None, "exact"]
    assert server.hits == 2


def test_canonical_matching_says_so_and_sends_the_words_as_they_were_written(
    canonical: Any, server: OpenAIServer
) -> None:
    assert asked(canonical, QUESTION)["cache_match"] is None
    assert server.requests[0].body["messages"][-1]["content"] == QUESTION
    done = canonical("run", SAME)
    assert server.hits == 1 and "in other words" in done.err and "cache forget" in done.err
    assert "in other words" not in canonical("run", QUESTION).err
    assert canonical("run", SAME, "-q").err == ""
    assert asked(canonical, SAME)["cache_match"] == "canonical" and asked(canonical, SAME)["from_cache"] is True
    assert asked(canonical, OTHER)["cache_match"] is None and server.hits == 2


def test_canonical_matching_neither_reads_nor_fills_where_it_is_off(
    six: Any, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(six, QUESTION)
    monkeypatch.setenv("NEXSCOUT_CACHE_MATCH", "canonical")
    assert asked(six, SAME)["cache_match"] is None
    monkeypatch.setenv("NEXSCOUT_CACHE_MATCH", "exact")
    assert asked(six, "How to boil 3 eggs?")["cache_match"] is None and server.hits == 3


@pytest.mark.parametrize("argv", [("-u", "bob"), ("--tone", "warm"), ("--system", "Be brief"), ("-m", "gpt-4o")])
def test_all_else_that_shapes_an_answer_counts_for_canonical_matches_too(
    canonical: Any, server: OpenAIServer, argv: tuple[str, ...]
) -> None:
    asked(canonical, QUESTION)
    assert asked(canonical, SAME, *argv)["cache_match"] is None and server.hits == 2


def test_no_cache_asks_anew(canonical: Any, server: OpenAIServer) -> None:
    asked(canonical, QUESTION)
    assert asked(canonical, SAME, "--no-cache")["cache_match"] is None and server.hits == 2


@pytest.mark.parametrize("which", ["the one that filled it", "the one that was served from it"])
def test_forget_removes_the_answer_that_a_request_filled_or_was_served_from(
    canonical: Any, server: OpenAIServer, which: str
) -> None:
    first, second = asked(canonical, QUESTION), asked(canonical, SAME)
    name = (first if which == "the one that filled it" else second)["request_id"]
    assert canonical("cache", "forget", name, "--json").json == {"removed": 1}
    assert asked(canonical, SAME)["cache_match"] is None and server.hits == 2
    assert canonical("cache", "forget", name, "--json").json == {"removed": 0}
    assert canonical.books.count("cached") == 1


def test_forget_is_for_ones_own_requests(canonical: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    name = asked(canonical, QUESTION)["request_id"]
    canonical("user", "set-tier", "bob", "free")
    monkeypatch.setenv("NEXSCOUT_ACTOR", "bob")
    done = canonical("cache", "forget", name, ok=False)
    assert done.status == 2 and "there is no request" in done.err
    assert canonical.books.count("cached") == 1


def test_stats_tell_what_each_kind_of_match_saved(canonical: Any) -> None:
    first = asked(canonical, QUESTION)
    for prompt in (SAME, SAME, QUESTION):
        asked(canonical, prompt)
    stats = canonical("cache", "stats", "--json").json
    saved = {row["match"]: (row["feature"], row["hits"], row["tokens_saved"]) for row in stats["matches"]}
    tokens = first["tokens_used"]
    assert saved == {"canonical": ("ai_chatbot", 2, 2 * tokens), "exact": ("ai_chatbot", 1, tokens)}
    totals = stats["totals"]
    assert (totals["hits"], totals["requests"], totals["tokens_saved"]) == (3, 4, 3 * tokens)
    assert float(totals["saved_usd"]) == pytest.approx(3 * float(first["cost_usd"]))
    assert totals["bytes"] == len("Hello there.") and totals["disk_bytes"] > 4096


def test_a_stream_fills_the_cache_and_is_answered_from_it(six: Any, server: OpenAIServer) -> None:
    lines = [six("run", QUESTION, "--stream").out for _ in range(2)]
    assert lines == ["Hello there.\n"] * 2 and server.hits == 1
    assert asked(six, QUESTION)["cache_match"] == "exact"


@pytest.fixture
def engine(six: Any) -> Iterator[Engine]:
    """The engine over the home's database, in this process."""
    store = assemble.open_store(config.load())
    yield assemble.build_engine(store, config.load(), "ada")
    store.close()


def at_once(engine: Engine, number: int) -> list[AIResponse]:
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(lambda _: engine.run(AIRequest("ada", "ai_chatbot", QUESTION)), range(number)))


class Other:
    """Another process, whose call of the same question is in flight until it is let go."""

    def __init__(self, server: OpenAIServer) -> None:
        self._gate = threading.Event()
        held = [self._gate]

        def reply(body: Body) -> str:
            if held:
                held.pop().wait(60)
            return "Hello there."

        server.reply = reply
        argv = [COMMAND, "run", QUESTION, "--json"]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        until(lambda: not held)

    def metadata(self) -> dict[str, Any]:
        """Let it go, and what it says of its answer."""
        self._gate.set()
        metadata: dict[str, Any] = json.loads(self.process.communicate(timeout=60)[0])["metadata"]
        return metadata

    def end(self) -> None:
        self._gate.set()
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def other(six: Any, server: OpenAIServer) -> Iterator[Other]:
    other = Other(server)
    yield other
    other.end()


def test_processes_that_ask_the_same_at_once_make_one_call(
    six: Any, server: OpenAIServer, engine: Engine, other: Other
) -> None:
    with ThreadPoolExecutor(1) as pool:
        mine = pool.submit(at_once, engine, 2)
        time.sleep(0.3)
        assert not mine.done()
        assert other.metadata()["cache_match"] is None
        assert [answer.metadata.cache_match for answer in mine.result(60)] == ["exact", "exact"]
    assert server.hits == 1 and six("db", "check").status == 0


def test_who_waits_for_a_process_that_dies_goes_on_by_itself(
    server: OpenAIServer, engine: Engine, other: Other
) -> None:
    with ThreadPoolExecutor(1) as pool:
        mine = pool.submit(at_once, engine, 1)
        time.sleep(0.3)
        assert not mine.done()
        other.process.kill()
        (answer,) = mine.result(60)
    assert answer.success and answer.metadata.cache_match is None and server.hits == 2


def test_threads_that_ask_the_same_at_once_make_one_call(six: Any, server: OpenAIServer, engine: Engine) -> None:
    server.delay = 0.5
    answers = at_once(engine, 6)
    assert sorted(str(answer.metadata.cache_match) for answer in answers) == ["None"] + ["exact"] * 5
    assert {answer.result for answer in answers} == {"Hello there."} and server.hits == 1
    assert six.books.count("requests", state="open") == 0


def test_an_answer_that_is_not_kept_is_asked_for_by_each(server: OpenAIServer, engine: Engine) -> None:
    server.delay, server.finish_reason = 0.5, "length"
    assert all(answer.success for answer in at_once(engine, 3)) and server.hits == 3


def test_who_has_waited_long_enough_goes_on_by_itself(
    server: OpenAIServer, engine: Engine, other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "settings", engine.settings.with_values(providers__timeout=0.2))
    (answer,) = at_once(engine, 1)
    assert answer.success and server.hits == 2 and other.process.poll() is None


@pytest.mark.parametrize("argv", [("--no-cache",), ("-f", "ai_coaching")])
def test_what_is_not_cached_does_not_wait(six: Any, server: OpenAIServer, argv: tuple[str, ...]) -> None:
    claims_itself: list[int] = []

    def reply(body: dict[str, Any]) -> str:
        claims_itself.extend(row["claim"] == f"{row['request_id']}/{row['n']}" for row in six.books.attempts())
        return "Hello there."

    server.reply = reply
    asked(six, QUESTION, *argv)
    assert claims_itself == [1]
