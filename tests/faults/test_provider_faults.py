"""The fault table's rows about providers: through the real LiteLLM, over real sockets, with the books checked after each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.fault_server import (
    Connection,
    FaultServer,
    chunk,
    closed_port,
    completion,
    drip,
    fine,
    hang,
    raw,
    reset_after,
    reset_before,
    status,
    stream,
    trickle,
)

NANO_IN, NANO_OUT = 2_500, 10_000
"""gpt-4o's prices, nano-dollars a token."""
UNKNOWN_ONCE_MORE = ["unknown", "unknown", "posted"]


@pytest.fixture
def impatient(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXSCOUT_PROVIDERS_TIMEOUT", "1")
    monkeypatch.setenv("NEXSCOUT_PROVIDERS_STREAM_TIMEOUT", "1")


def cost(given: int = 20, taken: int = 5) -> int:
    return given * NANO_IN + taken * NANO_OUT


def answered(done: Any, model: str = "gpt-4o-mini") -> None:
    assert (done.status, done.code, done.json["metadata"]["model_used"]) == (0, None, model), done


def failed(done: Any) -> None:
    assert (done.status, done.code, done.json["result"]) == (5, "providers_failed", None), done
    assert done.json["metadata"]["energy_cost"] == 0


# Never arrived


@pytest.mark.parametrize("fault", ["refused", "dns", "tls"])
def test_a_connection_refused_a_name_unknown_or_a_failed_handshake_is_voided_and_the_next_model_answers(
    desk: Any, server: FaultServer, fault: str
) -> None:
    nowhere = {"refused": closed_port(), "dns": "http://no-such-host.invalid/v1", "tls": f"https{server.url[4:]}"}
    desk.point(nowhere[fault], "gpt-4o")
    answered(desk.ask())
    assert server.models == ["gpt-4o-mini"]
    desk.settled(["voided", "posted"], energy=1)


def test_with_nobody_listening_anywhere_all_is_voided_and_every_provider_failed(desk: Any, server: FaultServer) -> None:
    desk.point(closed_port(), "gpt-4o", "gpt-4o-mini")
    failed(desk.ask())
    assert server.hits == 0
    desk.settled(["voided", "voided"])


# Definite refusals


@pytest.mark.parametrize("code", [400, 401, 403, 404, 413, 422])
def test_a_refusal_is_one_hit_voided_and_not_repeated(desk: Any, server: FaultServer, code: int) -> None:
    server.script = [status(code)]
    answered(desk.ask())
    assert server.models == ["gpt-4o", "gpt-4o-mini"]
    desk.settled(["voided", "posted"], energy=1)


def test_a_content_policy_refusal_is_one_hit_voided_and_not_repeated(desk: Any, server: FaultServer) -> None:
    policy = {"code": "content_policy_violation"}
    server.script = [status(400, "Your request was rejected as a result of our safety system.", **policy)] * 2
    failed(desk.ask())
    assert server.models == ["gpt-4o", "gpt-4o-mini"]
    desk.settled(["voided", "voided"])


def test_a_context_too_long_is_voided_and_a_larger_window_is_asked_under_a_new_hold(
    desk: Any, server: FaultServer
) -> None:
    larger = ("--litellm-model", "openai/large-window", "--api-key-env", "OPENAI_API_KEY", "--not-retired")
    assert desk("models", "set", "claude-3-haiku", *larger).status == 0
    assert desk("models", "enable", "claude-3-haiku").status == 0
    desk.point(server.url, "claude-3-haiku")
    server.script = [status(400, "maximum context length is 10 tokens", code="context_length_exceeded")]
    answered(desk.ask(), "claude-3-haiku")
    assert server.models == ["gpt-4o", "large-window"]
    assert desk.books.listed("attempts", "n", "model") == [(1, "gpt-4o"), (2, "claude-3-haiku")]
    assert min(desk.books.listed("attempts", "hold")) > 0
    assert desk.books.count("entries", kind="hold", n=2) > 0
    desk.settled(["voided", "posted"], energy=1)


def test_a_context_too_long_without_a_larger_window_ends_there(desk: Any, server: FaultServer) -> None:
    server.script = [status(400, "maximum context length is 10 tokens", code="context_length_exceeded")]
    failed(desk.ask())
    assert server.models == ["gpt-4o"]
    desk.settled(["voided"])


# Try again


def test_429_is_voided_and_retry_after_is_honoured_within_the_deadline(
    desk: Any, server: FaultServer, naps: list[float]
) -> None:
    server.script = [status(429, headers={"Retry-After": "7"})]
    answered(desk.ask(), "gpt-4o")
    assert server.models == ["gpt-4o", "gpt-4o"] and sum(naps) == 7
    desk.settled(["voided", "posted"], energy=1)


def test_429_with_a_retry_after_beyond_the_deadline_is_not_waited_for(
    desk: Any, server: FaultServer, naps: list[float]
) -> None:
    server.script = [status(429, headers={"Retry-After": "61"})]
    answered(desk.ask())
    assert server.models == ["gpt-4o", "gpt-4o-mini"] and naps == []
    desk.settled(["voided", "posted"], energy=1)


def test_two_429_whose_waits_together_pass_the_deadline_are_not_both_waited_for(
    desk: Any, server: FaultServer, naps: list[float]
) -> None:
    server.script = [status(429, headers={"Retry-After": "40"})] * 2
    answered(desk.ask())
    assert server.models == ["gpt-4o", "gpt-4o", "gpt-4o-mini"] and sum(naps) == 40
    desk.settled(["voided", "voided", "posted"], energy=1)


def test_429_without_retry_after_backs_off_twice_with_jitter(
    desk: Any, server: FaultServer, naps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXSCOUT_PROVIDERS_BACKOFF_MIN", "0.25")
    monkeypatch.setenv("NEXSCOUT_PROVIDERS_BACKOFF_MAX", "8")
    server.script = [status(429)] * 3
    answered(desk.ask())
    assert server.models == ["gpt-4o"] * 3 + ["gpt-4o-mini"]
    assert 0.125 <= naps[0] <= 0.25 <= naps[1] <= 0.5 and len(naps) == 2
    desk.settled(["voided"] * 3 + ["posted"], energy=1)


@pytest.mark.parametrize("code", [500, 502, 503, 529])
def test_a_server_error_with_a_body_is_voided_and_each_retry_is_a_new_attempt_with_a_new_hold(
    desk: Any, server: FaultServer, code: int
) -> None:
    server.script = [status(code)] * 2
    answered(desk.ask(), "gpt-4o")
    assert server.models == ["gpt-4o"] * 3
    assert desk.books.listed("attempts", "n") == [1, 2, 3]
    assert set(desk.books.listed("entries", "n", kind="hold", account="usd")) == {1, 2, 3}
    desk.settled(["voided", "voided", "posted"], energy=1)


# Nobody knows


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(status(408), id="408"),
        pytest.param(status(504), id="504"),
        pytest.param(raw(b"", code=500), id="500 without a body"),
        pytest.param(reset_after(), id="reset"),
        pytest.param(reset_before(), id="reset before it was read"),
        pytest.param(raw(b"", length=0), id="empty body"),
        pytest.param(raw(completion(), length=5_000), id="short body"),
        pytest.param(raw(completion()[:60]), id="bad JSON"),
        pytest.param(raw(completion("\x01").replace(b"\\u0001", b"\xff\xfe")), id="bad UTF-8"),
        pytest.param(raw(b"null"), id="null"),
        pytest.param(raw(b'{"error": {"message": "overloaded"}}'), id="an error under 200"),
    ],
)
def test_a_fault_after_sending_is_unknown_and_that_model_is_tried_at_most_once_more(
    desk: Any, server: FaultServer, fault: Any
) -> None:
    server.script = [fault] * 2
    done = desk.ask()
    answered(done)
    assert server.hits == (3 if fault.reads else 1)
    assert desk.books.listed("attempts", "model") == [
        "gpt-4o",
        "gpt-4o",
        "gpt-4o-mini",
    ]
    assert float(done.json["metadata"]["unsettled_usd"]) > 0
    desk.settled(UNKNOWN_ONCE_MORE, energy=1)


def test_after_an_unknown_outcome_one_more_try_is_all_whatever_that_one_comes_to(
    desk: Any, server: FaultServer
) -> None:
    server.script = [status(504), status(500), fine()]
    answered(desk.ask())
    assert server.models == ["gpt-4o", "gpt-4o", "gpt-4o-mini"]
    desk.settled(["unknown", "voided", "posted"], energy=1)


@pytest.mark.usefixtures("impatient")
def test_a_hang_is_ended_by_the_deadline_and_is_unknown(desk: Any, server: FaultServer) -> None:
    server.script = [hang()] * 2
    answered(desk.ask())
    assert server.hits == 3
    desk.settled(UNKNOWN_ONCE_MORE, energy=1)


@pytest.mark.usefixtures("impatient")
def test_a_trickle_of_bytes_is_ended_by_the_wall_clock_deadline_and_is_unknown(desk: Any, server: FaultServer) -> None:
    server.script = [trickle()] * 2
    answered(desk.ask())
    assert server.hits == 3
    desk.settled(UNKNOWN_ONCE_MORE, energy=1)


@pytest.mark.usefixtures("impatient")
def test_a_stream_that_never_ends_is_ended_by_the_wall_clock_deadline_and_is_unknown(
    desk: Any, server: FaultServer
) -> None:
    def more(connection: Connection) -> None:
        drip(connection, chunk("x"))

    server.script = [stream(then=more)] * 2
    assert desk("run", "-m", "gpt-4o", "--stream", "Hello").status == 0
    assert server.hits == 3
    desk.settled(UNKNOWN_ONCE_MORE, energy=1)


def test_unknown_attempts_of_a_request_that_failed_keep_their_usd_and_give_energy_back(
    desk: Any, server: FaultServer
) -> None:
    server.script = [reset_after()] * 4
    failed(desk.ask())
    assert server.models == ["gpt-4o", "gpt-4o", "gpt-4o-mini", "gpt-4o-mini"]
    assert desk.books.listed("requests", "state") == ["unknown"]
    desk.settled(["unknown"] * 4)


@pytest.mark.parametrize(
    "end",
    [
        pytest.param((), id="closed"),
        pytest.param((b"data: [DONE]\n\n",), id="done without a finish reason"),
        pytest.param((b"data: {broken\n\n",), id="bad JSON"),
        pytest.param((b'data: {"error": {"message": "overloaded"}}\n\n',), id="an error in mid-stream"),
    ],
)
def test_a_stream_that_is_cut_is_unknown_and_what_was_counted_so_far_is_kept_as_a_floor(
    desk: Any, server: FaultServer, end: tuple[bytes, ...]
) -> None:
    server.script = [stream(chunk("One "), chunk("two three"), *end)] * 2
    assert desk("run", "-m", "gpt-4o", "--stream", "Hello").status == 0
    assert server.models == ["gpt-4o", "gpt-4o", "gpt-4o-mini"]
    reasons = desk.books.listed("attempts", "reason", state="unknown")
    assert all("+3 tokens, $0.0" in reason and "at least" in reason for reason in reasons), reasons
    assert desk.books.count("cached", model_used="gpt-4o") == 0
    desk.settled(UNKNOWN_ONCE_MORE, energy=1)


def test_a_stream_reset_in_the_middle_is_unknown(desk: Any, server: FaultServer) -> None:
    server.script = [stream(chunk("One "), then=Connection.reset)] * 2
    assert desk("run", "-m", "gpt-4o", "--stream", "Hello").status == 0
    assert server.hits == 3
    desk.settled(UNKNOWN_ONCE_MORE, energy=1)


# Answers that are none


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(raw(completion(choices=[])), id="empty choices"),
        pytest.param(raw(completion(None)), id="null content"),
        pytest.param(raw(completion("  \n")), id="blank content"),
        pytest.param(fine("Half of", finish="content_filter"), id="content filter"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_that_is_empty_or_filtered_is_paid_costs_no_energy_and_is_not_kept(
    desk: Any, server: FaultServer, fault: Any, streamed: bool
) -> None:
    server.script = [fault, fault]
    if streamed:
        empty = chunk(None, "stop", usage={"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25})
        server.script = [stream(empty, b"data: [DONE]\n\n")] * 2
        assert desk("run", "-m", "gpt-4o", "--stream", "-f", "ai_message", "Hello").status == 5
    else:
        failed(desk.ask("-f", "ai_message"))
    assert server.models == ["gpt-4o", "gpt-4o-mini"]
    assert desk.books.listed("attempts", "actual") == [cost(), 20 * 150 + 5 * 600]
    assert desk.books.count("cached") == 0
    desk.settled(["posted", "posted"])


def test_after_an_empty_answer_the_next_model_is_asked(desk: Any, server: FaultServer) -> None:
    server.script = [raw(completion(""))]
    answered(desk.ask())
    assert server.models == ["gpt-4o", "gpt-4o-mini"]
    desk.settled(["posted", "posted"], energy=1)


# Usage that cannot be believed


@pytest.mark.parametrize("how", ["--no-stream", "--stream"])
def test_a_missing_usage_posts_the_local_count_flagged_estimated(desk: Any, server: FaultServer, how: str) -> None:
    server.script = [fine("Hello there.", usage=None)]
    assert desk("run", "-m", "gpt-4o", how, "Hello").status == 0
    assert server.hits == 1 and desk.flags() == ["estimated"]
    given, taken, paid = desk.books.listed("usage", "input_tokens", "output_tokens", "cost_usd")[0]
    assert taken == 3 and given > 10 and paid == cost(given, taken)
    desk.settled(["posted"], energy=1)


HUGE = 10**30


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -20, "completion_tokens": 5},
        {"prompt_tokens": 20, "completion_tokens": -5_000},
        {"prompt_tokens": float("nan"), "completion_tokens": 5},
        {"prompt_tokens": float("inf"), "completion_tokens": 5},
        {"prompt_tokens": "twenty", "completion_tokens": 5},
        {"prompt_tokens": 20, "completion_tokens": None},
        {"prompt_tokens": 20, "completion_tokens": True},
        {"prompt_tokens": 20, "completion_tokens": {}},
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"prompt_tokens": 128_001, "completion_tokens": 5},
        {"prompt_tokens": HUGE, "completion_tokens": 5},
        "plenty",
        [20, 5],
        True,
    ],
    ids=json.dumps,
)
@pytest.mark.parametrize("how", ["--no-stream", "--stream"])
def test_a_usage_negative_no_number_or_beyond_the_window_posts_the_hold_flagged_and_never_a_refund(
    desk: Any, server: FaultServer, usage: Any, how: str
) -> None:
    server.script = [fine(usage=usage)]
    assert desk("run", "-m", "gpt-4o", how, "Hello").status == 0
    assert server.hits == 1 and desk.flags() == ["usage_invalid"]
    assert [row["actual"] == row["hold"] > 0 for row in desk.books.attempts()] == [True]
    energy = desk.books.listed("usage", "energy")[0]
    desk.settled(["posted"], energy=energy)


def test_a_usage_above_the_hold_is_posted_as_billed_flagged_and_never_more_energy_than_was_held(
    desk: Any, server: FaultServer
) -> None:
    server.script = [fine(usage={"prompt_tokens": 100_000, "completion_tokens": 100_000})]
    answered(desk.ask(), "gpt-4o")
    assert desk.flags() == ["provider_excess"]
    assert desk.books.listed("attempts", "actual") == [cost(100_000, 100_000)]
    assert [row["actual"] > row["hold"] for row in desk.books.attempts()] == [True]
    held = desk.books.listed("entries", "amount", kind="hold", account="energy")
    desk.settled(["posted"], energy=held[0])


@pytest.mark.parametrize(
    ("asked", "said", "price"),
    [
        ("gpt-4o-mini", "gpt-4o", cost()),
        ("gpt-4o-mini", "gpt-4o-2024-08-06", cost()),
        ("gpt-4o", "gpt-4o-mini", cost()),
    ],
)
@pytest.mark.parametrize("how", ["--no-stream", "--stream"])
def test_when_another_model_answered_than_asked_the_dearer_price_is_posted_flagged(
    desk: Any, server: FaultServer, asked: str, said: str, price: int, how: str
) -> None:
    server.script = [fine(model=said)]
    assert desk("run", "-m", asked, how, "Hello").status == 0
    assert server.models == [asked] and desk.flags() == ["other_model"]
    assert desk.books.listed("attempts", "actual") == [price]
    desk.settled(["posted"], energy=1)


# Text that cannot be stored


@pytest.mark.parametrize("usage", [True, False])
@pytest.mark.parametrize("how", ["--no-stream", "--stream"])
def test_a_lone_surrogate_in_the_reply_is_settled_and_replaced(
    desk: Any, server: FaultServer, how: str, usage: bool
) -> None:
    server.script = [fine("Good \ud800 morning \udc00.", **({} if usage else {"usage": None}))]
    done = desk("run", "-m", "gpt-4o", "-f", "ai_message", how, "Hello")
    assert (done.status, done.out) == (0, "Good \ufffd morning \ufffd.\n")
    assert server.hits == 1 and desk.books.listed("cached", "response_text") == [done.out.strip()]
    desk.settled(["posted"], energy=1)


def test_a_character_that_comes_in_two_halves_in_two_chunks_is_whole(desk: Any, server: FaultServer) -> None:
    server.script = [stream(chunk("Fine \ud83d"), chunk("\ude00!"), chunk(None, "stop"), b"data: [DONE]\n\n")]
    done = desk("run", "-m", "gpt-4o", "--stream", "Hello")
    assert (done.status, done.out) == (0, "Fine \U0001f600!\n")
    desk.settled(["posted"], energy=1)


def test_a_lone_surrogate_in_an_error_or_an_id_is_settled_as_well(desk: Any, server: FaultServer) -> None:
    server.script = [status(400, "no \ud800 good"), fine(id="id-\udfff")]
    answered(desk.ask())
    assert server.models == ["gpt-4o", "gpt-4o-mini"]
    assert desk.books.listed("attempts", "reason", n=1) == ["400: no ? good"]
    desk.settled(["voided", "posted"], energy=1)


def test_a_key_that_a_provider_echoes_is_shown_nowhere(
    desk: Any, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "sk-0123456789-abcdefghij"
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    echo = {"error": {"message": f"Incorrect API key provided: {secret}", "code": secret}, "id": secret}
    body = json.dumps(echo).encode()
    server.script = [raw(body, code=401), raw(body, code=408), raw(body, code=500)]
    done = desk("run", "-m", "gpt-4o", "--json", "--debug", "Hello")
    assert secret not in done.out + done.err
    assert not any(secret.encode() in path.read_bytes() for path in desk.folder.glob("nexscout.db*"))
    desk.settled(desk.states(), energy=desk.books.total("usage", "energy"))
