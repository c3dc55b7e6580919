"""When providers fail: who is tried next, how often, what is held, and what it costs."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.openai_server import Body, Failure, OpenAIServer

EMBEDDED_FILE = os.environ.get("NEXSCOUT_EMBEDDED_MODEL", "")
ERROR = json.dumps({"error": {"message": "made to fail", "type": "test"}})
JSON = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def _soon(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXSCOUT_PROVIDERS_BACKOFF_MIN", "0.01")
    # Other models may answer here, also for the forced one; the defaults have tests of their own at the end.
    monkeypatch.setenv("NEXSCOUT_FALLBACK_MODELS", "always")
    monkeypatch.setenv("NEXSCOUT_FALLBACK_REFUSED_KEY", "next")
    monkeypatch.setenv("NEXSCOUT_FALLBACK_EMBEDDED", "always")


@pytest.fixture
def embedded(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if not EMBEDDED_FILE or not Path(EMBEDDED_FILE).is_file():
        pytest.skip("the embedded model's file is not here (NEXSCOUT_EMBEDDED_MODEL)")
    monkeypatch.setenv("NEXSCOUT_EMBEDDED_MODEL", EMBEDDED_FILE)


def failing(*statuses: int, headers: dict[str, str] | None = None) -> Any:
    """Fails with each of the statuses in turn, then no more."""
    left: Iterator[int] = iter(statuses)

    def fail(body: Body) -> Failure | None:
        status = next(left, None)
        return None if status is None else (status, JSON | (headers or {}), ERROR)

    return fail


def refuses(*names: str, status: int = 401) -> Any:
    """Fails for these models only."""
    return lambda body: (status, JSON, ERROR) if body["model"] in names else None


def models(server: OpenAIServer) -> list[str]:
    return [request.body["model"] for request in server.requests]


def states(home: Any) -> list[Any]:
    return home.books.listed("attempts", "n", "model", "state")


def nothing_left_held(home: Any) -> bool:
    return home.books.total("accounts", "held") == 0


@pytest.mark.parametrize("status", [500, 502, 503, 529])
def test_a_fault_that_passes_is_tried_again_at_the_same_model(six: Any, server: OpenAIServer, status: int) -> None:
    server.fail = failing(status, status)
    meta = six("run", "-m", "gpt-4o", "Hello", "--json").json["metadata"]
    assert (meta["model_used"], meta["routing_reason"], meta["degraded"]) == ("gpt-4o", "forced", False)
    assert models(server) == ["gpt-4o"] * 3
    assert states(six) == [(1, "gpt-4o", "voided"), (2, "gpt-4o", "voided"), (3, "gpt-4o", "posted")]
    assert nothing_left_held(six)
    assert [six.books.total("accounts", "spent", kind="energy")] == [meta["energy_cost"]] == [1]


def test_three_faults_in_a_row_and_the_next_model_is_asked(six: Any, server: OpenAIServer) -> None:
    server.fail = failing(500, 500, 500)
    meta = six("run", "-f", "ai_pitchdeck", "Our deck", "--json").json["metadata"]
    assert models(server) == ["gpt-4o"] * 3 + ["gpt-4o-mini"]
    assert (meta["model_used"], meta["routing_reason"]) == ("gpt-4o-mini-high", "fallback")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_a_refusal_is_not_repeated_and_the_next_model_is_asked_once(
    six: Any, server: OpenAIServer, status: int
) -> None:
    server.fail = refuses("gpt-4o", status=status)
    meta = six("run", "-f", "ai_pitchdeck", "Our deck", "--json").json["metadata"]
    assert models(server) == ["gpt-4o", "gpt-4o-mini"]
    assert (meta["model_used"], meta["routing_reason"], meta["degraded"]) == ("gpt-4o-mini-high", "fallback", False)
    assert nothing_left_held(six)


def test_the_order_is_cheaper_ones_best_first_then_dearer_ones_up_to_three_times_the_quote(
    six: Any, server: OpenAIServer
) -> None:
    server.fail = 401
    done = six("run", "-f", "ai_pitchdeck", "Our deck", "--json", ok=False)
    assert done.status == 5
    assert models(server) == ["gpt-4o", "gpt-4o-mini", "claude-haiku-test", "gpt-4o-mini", "claude-sonnet-test"]
    assert [row[1] for row in states(six)] == [
        "gpt-4o",
        "gpt-4o-mini-high",
        "claude-3-haiku",
        "gpt-4o-mini",
        "claude-3-sonnet",
    ]


def test_too_many_requests_with_retry_after_is_honoured(
    six: Any, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXSCOUT_PROVIDERS_BACKOFF_MIN", "30")
    monkeypatch.setenv("NEXSCOUT_PROVIDERS_BACKOFF_MAX", "30")
    server.fail = failing(429, headers={"Retry-After": "0"})
    meta = six("run", "Hello", "--json").json["metadata"]
    assert models(server) == ["gpt-4o-mini"] * 2 and meta["model_used"] == "gpt-4o-mini"
    assert server.requests[1].time - server.requests[0].time < 10


def test_a_retry_after_beyond_the_deadline_goes_to_the_next_model_at_once(six: Any, server: OpenAIServer) -> None:
    server.fail = failing(429, headers={"Retry-After": "3600"})
    assert six("run", "Hello", "--json").json["metadata"]["routing_reason"] == "fallback"
    assert server.requests[1].time - server.requests[0].time < 10


def test_a_refused_connection_goes_to_the_next_model(six: Any, server: OpenAIServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    six("models", "set", "gpt-4o", "--api-base", closed)
    meta = six("run", "-f", "ai_pitchdeck", "Our deck", "--json").json["metadata"]
    assert meta["routing_reason"] == "fallback" and server.hits == 1
    assert states(six)[0] == (1, "gpt-4o", "voided") and nothing_left_held(six)


def test_a_request_too_long_goes_to_a_larger_window(six: Any, server: OpenAIServer) -> None:
    too_long = json.dumps(
        {"error": {"message": "maximum context length is 10 tokens", "code": "context_length_exceeded"}}
    )
    server.fail = lambda body: None if body["model"].startswith("claude") else (400, JSON, too_long)
    meta = six("run", "-m", "gpt-4o", "Hello", "--json").json["metadata"]
    assert models(server) == ["gpt-4o", "claude-haiku-test"] and meta["model_used"] == "claude-3-haiku"


@pytest.mark.parametrize("status", [408, 504])
def test_an_unknown_outcome_keeps_its_hold_is_tried_once_more_and_then_the_ladder_goes_on(
    six: Any, server: OpenAIServer, status: int
) -> None:
    server.fail = failing(status, status)
    answer = six("run", "-m", "gpt-4o", "Hello", "--json").json
    assert models(server) == ["gpt-4o", "gpt-4o", "gpt-4o-mini"]
    assert [row[2] for row in states(six)] == ["unknown", "unknown", "posted"]
    holds = [six.books.total("attempts", "hold", state="unknown")]
    assert sorted(set(six.books.listed("accounts", "held", kind="usd"))) == holds
    assert six.books.listed("accounts", "held", kind="energy") == [0]
    assert sum("unknown outcome" in warning for warning in answer["metadata"]["warnings"]) == 2


def test_an_answer_that_does_not_come_in_time_is_unknown(
    six: Any, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXSCOUT_PROVIDERS_TIMEOUT", "0.4")
    server.delay = 1.5
    done = six("run", "-m", "gpt-4o-mini", "Hello", "--json", ok=False)
    assert done.status == 5
    assert {row[2] for row in states(six)} == {"unknown"}
    assert six.books.listed("requests", "state") == ["unknown"]
    assert six.books.total("accounts", "spent") == 0


def test_an_empty_answer_is_paid_for_and_the_next_model_is_asked(six: Any, server: OpenAIServer) -> None:
    server.reply = lambda body: "" if body["model"] == "gpt-4o" else "Here."
    answer = six("run", "-m", "gpt-4o", "Hello", "--json").json
    assert answer["result"] == "Here." and models(server) == ["gpt-4o", "gpt-4o-mini"]
    costs = six.books.listed("usage", "cost_usd")
    assert len(costs) == 2 and answer["metadata"]["cost_usd"] == f"{sum(costs) / 1e9:.9f}"
    assert [six.books.total("usage", "energy")] == six.books.listed("accounts", "spent", kind="energy")


@pytest.mark.parametrize("stream", [False, True])
def test_with_every_provider_down_and_nothing_embedded_it_is_exit_5_and_no_energy(
    six: Any, server: OpenAIServer, stream: bool
) -> None:
    server.fail = 401
    six("models", "disable", "smollm2-135m")
    done = six("run", "Hello", *(("--stream",) if stream else ("--json",)), ok=False)
    assert done.status == 5 and "no model answered" in done.err
    if not stream:
        assert done.json["error"]["code"] == "providers_failed" and done.json["metadata"]["energy_cost"] == 0
    assert nothing_left_held(six)
    assert six.books.total("accounts", "spent") == 0
    assert six("energy", "show", "--json").json["balance"] == 5_000
    assert six.books.listed("usage", "outcome", "total_tokens", "cost_usd") == [("failed", 0, 0)]
    assert six.books.listed("requests", "state") == ["voided"]


def test_the_embedded_model_is_the_last_resort_marked_degraded_and_not_kept(
    six: Any, server: OpenAIServer, embedded: None
) -> None:
    server.fail = 503
    line = ("run", "-f", "ai_message", "--max-tokens", "12", "Say hello", "--json")
    answer = six(*line).json
    meta = answer["metadata"]
    assert answer["success"] and answer["result"].strip()
    assert (meta["model_used"], meta["routing_reason"], meta["degraded"], meta["energy_cost"]) == (
        "smollm2-135m",
        "last_resort",
        True,
        0,
    )
    assert nothing_left_held(six) and six.books.total("accounts", "spent") == 0
    assert six.books.count("cached") == 0
    server.fail = None
    again = six(*line).json["metadata"]
    assert (again["from_cache"], again["model_used"]) == (False, "gpt-4o-mini")


def test_budgets_are_checked_again_for_the_model_that_will_bill(six: Any, server: OpenAIServer) -> None:
    server.fail = refuses("gpt-4o-mini")
    done = six("run", "--max-cost", "0.0006", "--max-tokens", "900", "Hello", "--json", ok=False)
    assert done.status in (0, 5)
    assert max(six.books.listed("attempts", "hold")) <= 600_000


def test_no_key_is_ever_shown(six: Any, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "sk-0123456789abcdefghij"
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    server.fail = lambda body: (401, JSON, json.dumps({"error": {"message": f"Incorrect API key provided: {secret}"}}))
    done = six("run", "Hello", "--json", ok=False)
    assert done.status == 5 and secret not in done.out + done.err
    assert secret.encode() not in six.db.read_bytes()
    assert server.requests[0].headers["authorization"] == f"Bearer {secret}"


# What is done when nobody has chosen otherwise


@pytest.fixture
def defaults(_soon: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MODELS", "REFUSED_KEY", "EMBEDDED"):
        monkeypatch.delenv(f"NEXSCOUT_FALLBACK_{name}")


@pytest.mark.usefixtures("defaults")
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_ends_the_call_and_names_its_variable(six: Any, server: OpenAIServer, status: int) -> None:
    server.fail = failing(status)
    done = six("run", "Hello", ok=False)
    assert (done.status, done.out, server.hits) == (5, "", 1)
    assert f"{status}: made to fail" in done.err and "OPENAI_API_KEY" in done.err
    assert states(six) == [(1, "gpt-4o-mini", "voided")] and nothing_left_held(six)


@pytest.mark.usefixtures("defaults", "embedded")
def test_a_refused_key_is_not_answered_by_the_embedded_model(six: Any, server: OpenAIServer) -> None:
    server.fail = lambda body: (401, JSON, ERROR)
    done = six("run", "Hello", ok=False)
    assert (done.status, done.out) == (5, "")


@pytest.mark.usefixtures("defaults")
def test_with_fallback_another_model_answers_after_a_refused_key_and_it_is_said(six: Any, server: OpenAIServer) -> None:
    server.fail = failing(401)
    done = six("run", "--fallback", "--no-stream", "Hello")
    assert done.out == "Hello there.\n" and "note: gpt-4o-mini: 401: made to fail" in done.err
    assert "going on with" in done.err
    entry = six("log", "--json").json["rows"][0]["request_id"]
    assert "going on with" in six("log", entry).out
    assert six("run", "--no-cache", "-q", "Hello again").err == ""


@pytest.mark.usefixtures("defaults")
def test_a_forced_model_answers_or_the_call_fails(six: Any, server: OpenAIServer) -> None:
    server.fail = refuses("gpt-4o", status=500)
    done = six("run", "-m", "gpt-4o", "Hello", ok=False)
    assert done.status == 5 and set(models(server)) == {"gpt-4o"} and "--fallback" in done.err
    assert "gpt-4o: 500: made to fail" in done.err
    done = six("run", "-m", "gpt-4o", "--fallback", "--json", "Hello").json
    assert done["metadata"]["model_used"] != "gpt-4o"
    assert any("gpt-4o: 500" in warning and "going on with" in warning for warning in done["metadata"]["warnings"])


@pytest.mark.usefixtures("defaults")
def test_an_unforced_model_that_fails_is_followed_by_others_and_every_reason_is_told(
    six: Any, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXSCOUT_PROVIDERS_RETRIES", "0")
    server.fail = lambda body: (500, JSON, ERROR)
    done = six("run", "--json", "Hello", ok=False).json
    tried = list(dict.fromkeys(models(server)))
    assert len(tried) > 1
    message = done["error"]["message"]
    assert message.startswith("no model answered: gpt-4o-mini: 500: made to fail")
    assert all(f"{row}: 500: made to fail" in message for row in six.books.listed("attempts", "model"))


@pytest.mark.parametrize(("models_may", "status"), [("never", 5), ("unforced", 0), ("always", 0)])
def test_the_settings_say_when_others_may_answer(
    six: Any, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, models_may: str, status: int
) -> None:
    monkeypatch.setenv("NEXSCOUT_FALLBACK_MODELS", models_may)
    server.fail = failing(404)
    assert six("run", "Hello", ok=False).status == status
