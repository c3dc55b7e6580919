"""An idempotency key: the same request is paid for once, another one under the same key is an error."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.openai_server import OpenAIServer

KEYED = ("run", "--idempotency-key", "order-1", "--no-cache")


def test_the_same_key_gives_the_first_answer_again_for_one_request(six: Any, server: OpenAIServer) -> None:
    first = six(*KEYED, "Hello", "--json").json
    server.reply = "Something else."
    again = six(*KEYED, "Hello", "--json").json
    assert again == first and server.hits == 1
    assert six.books.count("usage") == 1
    assert six(*KEYED, "Hello").out == first["result"] + "\n"


@pytest.mark.parametrize(
    "other",
    [
        ("Hello!",),
        ("--tone", "warm", "Hello"),
        ("-f", "ai_message", "Hello"),
        ("-m", "gpt-4o", "Hello"),
        ("-c", "a=b", "Hello"),
    ],
)
def test_other_content_under_the_same_key_is_exit_2(six: Any, server: OpenAIServer, other: tuple[str, ...]) -> None:
    six(*KEYED, "Hello")
    done = six(*KEYED, *other, "--json", ok=False)
    assert done.status == 2 and done.json["error"]["code"] == "idempotency_conflict" and server.hits == 1


def test_a_key_belongs_to_its_user(six: Any, server: OpenAIServer) -> None:
    six(*KEYED, "Hello")
    six(*KEYED, "-u", "bob", "Hello")
    assert server.hits == 2


def test_a_key_whose_call_failed_may_be_used_again(six: Any, server: OpenAIServer) -> None:
    server.fail = 401
    assert six(*KEYED, "Hello", ok=False).status == 5
    server.fail = None
    assert six(*KEYED, "Hello").out == "Hello there.\n"


def test_a_refusal_uses_up_no_key(six: Any, server: OpenAIServer) -> None:
    assert six(*KEYED, "--max-cost", "0", "Hello", ok=False).status == 3
    six(*KEYED, "Hello")
    assert server.hits == 1


def test_a_key_whose_outcome_is_unknown_is_refused_with_how_to_resolve_it(
    six: Any, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXSCOUT_PROVIDERS_TIMEOUT", "0.4")
    server.delay = 1.0
    for name in ("gpt-4o", "gpt-4o-mini-high", "claude-3-haiku", "claude-3-sonnet", "claude-3-opus"):
        six("models", "disable", name)
    assert six(*KEYED, "Hello", ok=False).status == 5
    server.delay, before = 0, server.hits
    done = six(*KEYED, "Hello", "--json", ok=False)
    assert (
        done.status == 9
        and done.json["error"]["code"] == "unknown"
        and "db resolve" in done.json["error"]["suggestion"]
    )
    assert server.hits == before
    (request_id,) = six.books.listed("requests", "request_id")
    six("db", "resolve", request_id, "--void")
    six(*KEYED, "Hello")
    assert server.hits == before + 1
    assert six.books.total("accounts", "held") == 0


def test_the_key_is_looked_at_before_the_cache(six: Any, server: OpenAIServer) -> None:
    keyed = ("run", "-f", "ai_message", "--idempotency-key", "k", "--json")
    first = six(*keyed, "Hello").json
    again = six(*keyed, "Hello").json
    assert (
        again["metadata"]["from_cache"] is False and again["metadata"]["request_id"] == first["metadata"]["request_id"]
    )


def test_a_cached_answer_under_a_key_stays_the_keys_answer(six: Any, server: OpenAIServer) -> None:
    six("run", "-f", "ai_message", "Hello")
    keyed = ("run", "-f", "ai_message", "--idempotency-key", "k", "Hello", "--json")
    first = six(*keyed).json
    six("cache", "clear", "--yes", ok=False)
    assert first["metadata"]["from_cache"] is True
    assert six(*keyed).json == first and server.hits == 1
