"""What users of other gateways have reported of theirs, by the numbers of LiteLLM's issues, tried on this one."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from http.client import HTTPConnection

import pytest

from tests.server.conftest import Scout
from tests.support.openai_server import OpenAIServer

HELLO = [{"role": "user", "content": "Hello 000"}]


def account(scout: Scout, owner: str) -> dict[str, int]:
    [found] = [row for row in scout.books.accounts() if row["owner"] == owner]
    return {name: found[name] for name in ("held", "spent")}


def a_key(scout: Scout, budget: str) -> tuple[str, str]:
    """A key with a budget, and the owner of that budget's account."""
    made = json.loads(scout("keys", "create", "--json", "--budget", budget).stdout)
    return made["key"], f"*key:{made['key_id']}"


@pytest.mark.parametrize("status", [401, 429, 500])
def test_no_reservation_stays_after_a_fault_27639(shared: Scout, provider: OpenAIServer, status: int) -> None:
    key, owner = a_key(shared, "1/day")
    provider.fail = status
    for n in range(3):
        headers = {"x-nexscout-cache": "off"}
        assert shared.chat(f"Fault {status} {n}", key, "gpt-4o-mini", headers, max_tokens=20).status == 502
    assert account(shared, owner) == {"held": 0, "spent": 0}


def test_what_is_left_by_the_answers_is_what_is_left_by_the_books_30460(shared: Scout, provider: OpenAIServer) -> None:
    key, owner = a_key(shared, "0.001/day")
    for n in range(8):
        answer = shared.chat(f"Counted {n} {time.time()}", key, "gpt-4o-mini", max_tokens=20)
        used = account(shared, owner)
        left = Decimal("0.001") - Decimal(used["held"] + used["spent"]).scaleb(-9)
        assert Decimal(answer.headers["x-nexscout-budget-remaining"]) == left
    spent = sum(row["cost_usd"] for row in shared.books.usage() if row["request_id"] in _of(shared, owner))
    assert spent == account(shared, owner)["spent"]


def _of(scout: Scout, owner: str) -> set[str]:
    """The requests that drew on an account."""
    return {entry["request_id"] for entry in scout.books.entries() if entry["owner"] == owner}


def test_no_key_is_told_429_for_what_others_ask_27735(shared: Scout, provider: OpenAIServer) -> None:
    few, many = shared.key("--rpm", "2"), shared.key("--rpm", "50")
    said = [shared.ask("/v1/models", key=few).status for _ in range(4)]
    assert said == [200, 200, 429, 429]
    assert [shared.ask("/v1/models", key=many).status for _ in range(20)] == [200] * 20


def test_no_crowd_passes_a_budget_26672_40095(shared: Scout, provider: OpenAIServer) -> None:
    plain = shared.key()
    body = {"model": "gpt-4o-mini", "messages": HELLO, "max_tokens": 3}
    most = shared.ask("/v1/quote", body, plain).json["max_cost_usd"]
    key, owner = a_key(shared, f"{3 * most:.9f}/day")
    provider.delay = 0.05
    with ThreadPoolExecutor(20) as pool:
        statuses = list(
            pool.map(lambda n: shared.chat(f"Hello {n:03}", key, "gpt-4o-mini", max_tokens=3).status, range(1, 41))
        )
    assert set(statuses) <= {200, 402, 503} and statuses.count(200) >= 1
    used = account(shared, owner)
    assert used["held"] == 0 and used["spent"] <= round(3 * most * 1e9)


def test_a_stream_that_is_left_is_posted_for_what_came_not_for_its_input_alone(
    shared: Scout, provider: OpenAIServer
) -> None:
    key, owner = a_key(shared, "1/day")
    provider.reply, provider.delay = "A word or two. " * 60, 0.01
    host = shared.url.removeprefix("http://")
    connection = HTTPConnection(host, timeout=30)
    body = {"model": "gpt-4o-mini", "messages": HELLO, "max_tokens": 400, "stream": True}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"authorization": f"Bearer {key}"})
    answer, seen = connection.getresponse(), b""
    while seen.count(b"word") < 5 and (line := answer.readline()):
        seen += line
    answer.close()
    connection.close()
    until = time.monotonic() + 30
    while account(shared, owner)["spent"] == 0 and time.monotonic() < until:
        time.sleep(0.1)
    [row] = [row for row in shared.books.usage() if row["request_id"] in _of(shared, owner)]
    assert (
        row["output_tokens"] > 0 and row["cost_usd"] > row["input_tokens"] * 150 and account(shared, owner)["held"] == 0
    )


def test_a_model_of_unknown_cost_is_refused_and_never_counts_as_free(shared: Scout, provider: OpenAIServer) -> None:
    added = shared("models", "add", "house-model", "--litellm-model", "openai/house-model", ok=False)
    assert added.returncode == 2
    answer = shared.chat("Hello", shared.key("--budget", "1/day"), "house-model")
    assert answer.status in (400, 404) and provider.requests == []
