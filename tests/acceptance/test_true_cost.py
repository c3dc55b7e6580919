"""What the ledger says a call cost is the server's usage times the catalog's price, to the nano-dollar."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.openai_server import Body, OpenAIServer

PRICES = {
    "gpt-4o-mini": (150, 600),
    "gpt-4o": (2_500, 10_000),
    "gpt-4o-mini-high": (300, 1_200),
    "claude-3-haiku": (250, 1_250),
    "claude-3-sonnet": (3_000, 15_000),
    "claude-3-opus": (15_000, 75_000),
}
"""Nano-dollars a token in and out, as the seeded catalog has them."""


def fixed(prompt: int, completion: int) -> Any:
    def usage(body: Body, text: str) -> dict[str, int]:
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}

    return usage


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", PRICES)
@pytest.mark.parametrize(("prompt", "completion"), [(37, 11), (41, 1), (23, 97)])
def test_cost_is_usage_times_price_in_every_book(
    six: Any, server: OpenAIServer, name: str, stream: bool, prompt: int, completion: int
) -> None:
    server.usage = fixed(prompt, completion)
    nano = prompt * PRICES[name][0] + completion * PRICES[name][1]
    done = six("run", "-m", name, "Hello", "--stream" if stream else "--json")
    if stream:
        assert done.out == "Hello there.\n"
        assert server.requests[-1].body["stream"] is True
    else:
        meta = done.json["metadata"]
        assert meta["cost_usd"] == f"{nano / 1e9:.9f}"
        assert (meta["input_tokens"], meta["output_tokens"], meta["tokens_used"]) == (
            prompt,
            completion,
            prompt + completion,
        )
    columns = ("cost_usd", "input_tokens", "output_tokens", "total_tokens")
    assert [six.books.total("usage", name) for name in columns] == [nano, prompt, completion, prompt + completion]
    assert set(six.books.listed("accounts", "spent", "held", kind="usd")) == {(nano, 0)}
    assert six.books.count("accounts", kind="usd") == 1
    assert set(six.books.listed("accounts", "spent", "held", kind="tokens")) == {(prompt + completion, 0)}
    assert six.books.listed("predictions", "actual_cost_usd", "actual_tokens", "approved", "rejected_reason") == [
        (nano, prompt + completion, 1, None)
    ]
    assert six.books.listed("attempts", "actual", "state") == [(nano, "posted")]
    energy = -(-nano // 15_000_000)
    assert six.books.listed("accounts", "spent", "held", kind="energy") == [(energy, 0)]
    assert six.books.listed("usage", "energy") == [energy]


def test_the_servers_own_count_is_what_is_billed_plain_and_streamed_alike(six: Any, server: OpenAIServer) -> None:
    server.reply = "A longer answer, with ümlauts and 🎈, which the server counts itself."
    for option in ("--stream", "--no-stream"):
        six("run", "--no-cache", option, "Hello")
    rows = six.books.listed("usage", "input_tokens", "output_tokens", "cost_usd")
    assert len(set(rows)) == 1 and rows[0][1] > 10
    assert rows[0][2] == rows[0][0] * 150 + rows[0][1] * 600


def test_fractions_of_a_nano_dollar_are_rounded_up_once_a_call(six: Any, server: OpenAIServer) -> None:
    six("models", "set", "gpt-4o-mini", "--input-price", "0.000000004", "--output-price", "0.000000008")
    server.usage = fixed(100, 100)
    six("run", "Hello")
    assert six.books.listed("usage", "cost_usd") == [2]  # 100 × 4 + 100 × 8 pico-dollars are 1.2 nano-dollars


def test_a_missing_usage_is_counted_here_and_flagged(six: Any, server: OpenAIServer) -> None:
    server.usage = lambda body, text: None
    for option in ((), ("--stream",)):
        six("run", "--no-cache", *option, "Hello")
    rows = [(row["cost_usd"] > 0, row["output_tokens"], row["metadata"]["flags"]) for row in six.books.usage()]
    assert rows == [(True, 3, ["estimated"])] * 2


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -5, "completion_tokens": 3, "total_tokens": -2},
        {"prompt_tokens": 10**9, "completion_tokens": 1, "total_tokens": 1},
        {"prompt_tokens": "many", "completion_tokens": 3, "total_tokens": 3},
    ],
)
def test_a_usage_that_is_none_posts_the_hold(six: Any, server: OpenAIServer, usage: dict[str, Any]) -> None:
    server.usage = lambda body, text: usage
    meta = six("run", "Hello", "--json").json["metadata"]
    assert meta["flags"] == ["usage_invalid"] and meta["cost_usd"] == meta["plan"]["max_cost_usd"]
    assert [row["actual"] == row["hold"] for row in six.books.attempts()] == [True]


def test_a_provider_that_bills_more_than_allowed_is_flagged_and_energy_stays_within_the_hold(
    six: Any, server: OpenAIServer
) -> None:
    server.usage = fixed(5_000, 50_000)
    meta = six("run", "-m", "gpt-4o", "Hello", "--json").json["metadata"]
    assert meta["flags"] == ["provider_excess"] and any(
        "more than it was allowed" in warning for warning in meta["warnings"]
    )
    assert meta["cost_usd"] == f"{(5_000 * 2_500 + 50_000 * 10_000) / 1e9:.9f}"
    assert meta["energy_cost"] == meta["plan"]["max_energy"]


def test_the_answer_is_always_asked_for_with_a_bound(six: Any, server: OpenAIServer) -> None:
    for user, argv in (("a", ()), ("b", ("--max-tokens", "77")), ("c", ("--stream",)), ("d", ("--mode", "fast"))):
        six("run", "-u", user, *argv, "Hello")
    assert [r.body.get("max_tokens") or r.body.get("max_completion_tokens") for r in server.requests] == [
        500,
        77,
        500,
        500,
    ]


def test_a_free_call_is_not_charged_where_an_admin_says_so(six: Any, server: OpenAIServer) -> None:
    meta = six("run", "--no-charge", "Hello", "--json").json["metadata"]
    assert meta["energy_cost"] == 0 and float(meta["cost_usd"]) > 0
    assert six.books.total("accounts", "spent", kind="energy") == 0


def test_only_an_admin_may_say_so(six: Any, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    six("user", "set-tier", "bob", "pro")
    monkeypatch.setenv("NEXSCOUT_ACTOR", "bob")
    assert six("run", "--no-charge", "Hello", ok=False).status == 8
    assert six("run", "-u", "ada", "Hello", ok=False).status == 8
    assert server.hits == 0
    six("run", "Hello")


CLASSES = [
    (
        "openai/gpt-4o",
        {
            "prompt_tokens": 2000,
            "completion_tokens": 100,
            "total_tokens": 2100,
            "prompt_tokens_details": {"cached_tokens": 1920},
        },
        "0.003600000",
        (2000, 100, {"cached": 1920}),
    ),
    (
        "openai/o3",  # $2 and $8 a million: 30 × 2 + 320 × 8
        {
            "prompt_tokens": 30,
            "completion_tokens": 20,
            "total_tokens": 350,
            "completion_tokens_details": {"reasoning_tokens": 300},
        },
        "0.002620000",
        (30, 320, {"reasoning": 300}),
    ),
    (
        "anthropic/claude-haiku-4-5",  # $1 and $5 a million: 20 + 1,000 × 1.25 + 5,000 × 0.1 + 5 × 5
        {
            "input_tokens": 20,
            "cache_creation_input_tokens": 1000,
            "cache_read_input_tokens": 5000,
            "output_tokens": 5,
        },
        "0.001795000",
        (6020, 5, {"cached": 5000, "cache_write": 1000}),
    ),
]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize(("target", "usage", "cost", "counted"), CLASSES, ids=[case[0] for case in CLASSES])
def test_each_class_of_tokens_is_billed_at_its_own_price(
    six: Any,
    server: OpenAIServer,
    target: str,
    usage: dict[str, Any],
    cost: str,
    counted: tuple[Any, ...],
    stream: bool,
) -> None:
    six("models", "add", "it", "--litellm-model", target)
    base = server.root if target.startswith("anthropic") else server.url
    six("models", "set", "it", "--api-base", base, "--litellm-model", target, "--api-key-env", "OPENAI_API_KEY")
    server.usage = lambda body, text: usage
    done = six("run", "-m", "it", "--stream" if stream else "--no-stream", "Hello there, what is new?")
    assert done.status == 0
    entry = six("log", "--json").json["rows"][0]["request_id"]
    shown = six("log", entry, "--json").json
    (row,) = shown["usage"]
    assert row["cost_usd"] == cost and shown["request"]["cost_usd"] == cost
    assert (row["input_tokens"], row["output_tokens"], row["token_classes"]) == counted
    assert ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in counted[2].items()) in six("log", entry).out
    assert six("report", "--json").json["token_classes"] == counted[2]
    assert six("db", "check").status == 0
