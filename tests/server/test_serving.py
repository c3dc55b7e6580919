"""The server's own rules: keys, budgets, limits, whose rows are whose, and what becomes of it when it is stopped."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

import pytest

from nexscout_cli.server.openapi import document
from tests.server.conftest import Scout
from tests.server.crowd import crowd
from tests.support.openai_server import Body, OpenAIServer

POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
CLIENTS = 200
HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def user(shared: Scout, provider: OpenAIServer, request: Any) -> str:
    """A user of the test's own, with more energy than it needs."""
    name = f"u{time.time_ns()}"
    shared("user", "set-tier", name, "elite")
    return name


def test_nothing_is_answered_without_a_valid_key(shared: Scout, user: str) -> None:
    for key in (None, "", "nxs-guess", "sk-upstream"):
        for path, body in (("/v1/models", None), ("/v1/chat/completions", {"model": "auto", "messages": HELLO})):
            answer = shared.ask(path, body, key)
            assert answer.status == 401 and answer.headers["www-authenticate"] == "Bearer"
            assert answer.json["error"]["type"] == "authentication_error"
    assert not shared.provider.requests


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json"])
def test_health_and_description_need_no_key(shared: Scout, path: str) -> None:
    assert shared.ask(path).status == 200


def test_a_key_is_kept_as_a_hash_and_ends_when_it_is_revoked_rotated_or_past(shared: Scout, user: str) -> None:
    first = shared.key("--user", user, "--name", f"{user}-a")
    assert shared.ask("/v1/models", key=first).status == 200
    assert first.encode() not in (shared.home / "nexscout.db").read_bytes()
    second = shared("keys", "rotate", f"{user}-a").stdout.strip()
    shared("keys", "revoke", f"{user}-a")
    assert shared.ask("/v1/models", key=second).status == 401
    time.sleep(5.1)  # what a server remembers of a key
    assert shared.ask("/v1/models", key=first).status == 401
    assert shared("keys", "create", "--user", user, "--expires", "2020-01-01", ok=False).returncode == 2


def test_the_list_of_keys_shows_use_and_no_secret(shared: Scout, user: str) -> None:
    secret = shared.key(
        "--user", user, "--models", "auto,gpt-4o", "--budget", "5/day", "--rpm", "60", "--expires", "90d"
    )
    shared.ask("/v1/models", key=secret)
    shown = shared("keys", "list", "--json").stdout
    [row] = [row for row in json.loads(shown)["rows"] if row["user_id"] == user]
    assert row["last_used_at"] and row["budgets"] == ["$5/day"] and row["rpm"] == 60 and secret not in shown


def test_a_key_names_only_its_models(shared: Scout, user: str) -> None:
    key = shared.key("--user", user, "--models", "gpt-4o-mini")
    assert shared.chat("Hi", key, "gpt-4o-mini").status == 200
    refused = shared.chat("Hi", key, "gpt-4o")
    assert refused.status == 403 and "may not use gpt-4o" in refused.json["error"]["message"]
    assert {row["id"] for row in shared.ask("/v1/models", key=key).json["data"]} & {"gpt-4o", "gpt-4o-mini"} == {
        "gpt-4o-mini"
    }


def test_requests_a_minute_are_counted_by_key(shared: Scout, user: str) -> None:
    key = shared.key("--user", user, "--rpm", "3")
    answers = [shared.ask("/v1/models", key=key) for _ in range(5)]
    assert [answer.status for answer in answers] == [200] * 3 + [429] * 2
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60 and answers[-1].headers["x-should-retry"] == "true"


def test_an_answer_says_what_it_cost_and_what_is_left(shared: Scout, user: str) -> None:
    key = shared.key("--user", user, "--budget", "1/day")
    answer = shared.chat(f"Hello {user}", key)
    cost = float(answer.headers["x-nexscout-cost-usd"])
    assert cost > 0 and float(answer.headers["x-nexscout-budget-remaining"]) == pytest.approx(1 - cost)
    assert answer.headers["x-nexscout-model"] == "gpt-4o-mini" and answer.headers["x-nexscout-cache"] == "miss"
    assert shared.chat(f"Hello {user}", key).headers["x-nexscout-cache"] == "exact"
    found = shared.ask(f"/v1/requests/{answer.headers['x-nexscout-request-id']}", key=key).json
    assert found["log"]["summary"]["user_id"] == user if "summary" in found["log"] else user in json.dumps(found)


def test_a_budget_of_a_key_a_user_or_a_tag_refuses_with_402_and_what_is_left(shared: Scout, user: str) -> None:
    key = shared.key("--user", user, "--budget", "0.0000001/week")
    answer = shared.chat("Hello", key, max_tokens=50)
    told = answer.json["error"]["nexscout"]["details"]["budget"]
    assert answer.status == 402 and (told["scope"], told["window"], told["left"]) == ("key", "week", 1e-7)
    assert told["estimate"] > 0 and answer.headers["x-should-retry"] == "false"
    plain = shared.key("--user", user)
    shared("budget", "set", "0.0000001/ever", "--tag", f"t-{user}")
    assert shared.chat("Hello", plain, metadata={"tags": f"t-{user}"}).status == 402
    assert shared.chat("Hello", plain).status == 200
    shared("budget", "set", "0.0000001/day", "--user", user)
    assert shared.chat("Hello again", plain).status == 402
    shared("budget", "remove", "day", "--user", user)
    assert shared.chat("Hello again", plain).status == 200
    assert not [
        row for row in json.loads(shared("budget", "list", "--json").stdout)["rows"] if row["of"] == f"user:{user}"
    ]


def test_a_run_has_a_purse_that_all_its_calls_draw_on(shared: Scout, user: str) -> None:
    key = shared.key("--user", user)
    headers = {"x-nexscout-run": "agent-7", "x-nexscout-run-max-cost": "0.00005"}
    statuses = [shared.chat(f"Step {n} {user}", key, headers=headers, max_tokens=20).status for n in range(12)]
    assert 1 <= statuses.count(200) < 12 and set(statuses) == {200, 402}
    assert shared.chat(f"Step 99 {user}", key, max_tokens=20).status == 200
    [account] = [row for row in shared.books.accounts() if row["owner"] == f"*run:{user}/agent-7"]
    assert account["spent"] <= 50_000 and account["held"] == 0


@pytest.mark.parametrize("of", ["dollars", "energy"])
def test_of_200_clients_on_a_budget_of_10_calls_10_are_answered_and_190_refused(alone: Scout, of: str) -> None:
    alone.serve()
    alone("user", "set-tier", "bob", "elite")
    probe = alone.key("--user", "bob")
    body = {"model": "gpt-4o-mini", "messages": HELLO, "max_tokens": 3}
    quote = alone.ask("/v1/quote", body, probe).json["max_cost_usd"]
    if of == "energy":
        alone("energy", "set", "bob", "10", "--reason", "for the test")
    key = alone.key("--user", "bob", *(["--budget", f"{10 * quote:.9f}/day"] if of == "dollars" else []))
    assert crowd([alone], key, body, clients=200, allowed=10) == {200: 10, 402: 190}
    assert alone.provider.hits == alone.books.count("attempts", state="posted") == 10
    owner, most = ("bob", 10) if of == "energy" else ("*key:bob-2", round(10 * quote * 1e9))
    kind = "energy" if of == "energy" else "usd"
    [account] = [row for row in alone.books.accounts() if (row["owner"], row["kind"]) == (owner, kind)]
    assert 0 < account["spent"] <= most and account["held"] == 0
    alone("db", "check")


def test_whoever_goes_away_is_billed_for_what_came(alone: Scout) -> None:
    alone.serve()
    key = alone.key()
    alone.provider.reply = "word " * 400
    slow = threading.Event()

    def trickle(body: Body, text: str) -> dict[str, int]:
        return {"prompt_tokens": 20, "completion_tokens": 400}

    alone.provider.usage = trickle
    place = urlsplit(alone.url)
    with socket.create_connection((place.hostname or "", place.port or 0)) as connection:
        body = json.dumps({"model": "auto", "messages": HELLO, "stream": True}).encode()
        connection.sendall(POST + f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        assert connection.recv(2_000).startswith(b"HTTP/1.1 200")
    for _ in range(100):
        if alone.books.count("attempts", state="posted"):
            break
        slow.wait(0.05)
    [attempt] = alone.books.attempts()
    assert attempt["state"] == "posted" and attempt["actual"] > 0
    alone("db", "check")


def test_a_name_for_a_request_gives_its_first_answer_again(shared: Scout, user: str) -> None:
    key = shared.key("--user", user)
    headers = {"idempotency-key": f"order-{user}", "x-nexscout-cache": "off"}
    answers = [shared.chat("Hello there", key, headers=headers).json["choices"] for _ in range(2)]
    assert answers[0] == answers[1] and len(shared.provider.requests) == 1
    assert shared.chat("Something else", key, headers=headers).status == 409


def test_a_quote_is_what_simulate_says_and_sends_nothing(shared: Scout, user: str) -> None:
    key = shared.key("--user", user)
    quote = shared.ask("/v1/quote", {"model": "auto", "messages": HELLO}, key).json
    assert quote["recommended_model"] == "gpt-4o-mini" and quote["max_cost_usd"] >= quote["predicted_cost_usd"] > 0
    assert not shared.provider.requests


def test_headers_say_how_a_request_is_run(shared: Scout, user: str) -> None:
    key = shared.key("--user", user)
    answer = shared.chat(
        f"Hello {user}", key, headers={"x-nexscout-feature": "ai_coaching", "x-nexscout-goal": "sell more"}
    )
    assert answer.json["nexscout"]["routing_reason"] == "complex_generation"
    assert shared.chat(f"Hi {user}", key, "auto/ai_coaching").json["nexscout"]["routing_reason"] == "complex_generation"
    assert shared.chat(f"Hey {user}", key, "expert").json["nexscout"]["routing_reason"] == "manual_expert"
    assert shared.chat("Hi", key, headers={"x-nexscout-policy": "best"}).status == 400


def test_nobody_sees_anothers_rows_by_any_route(shared: Scout, user: str) -> None:
    mine, theirs = shared.key("--user", user), f"v{user}"
    shared("user", "set-tier", theirs, "elite")
    other = shared.key("--user", theirs)
    secret = f"the secret of {user}"
    request_id = shared.chat(secret, mine).headers["x-nexscout-request-id"]
    paths = document()["paths"]
    for path, operations in paths.items():
        address = path.replace("{request_id}", request_id).replace("{name}", "gpt-4o")
        for method in operations:
            bodies: list[Any] = (
                [None]
                if method == "get"
                else [
                    {"model": "auto", "messages": HELLO, "max_tokens": 9, "input": "Hi", "user": user, "prompt": "Hi"},
                    {"request_id": request_id, "verdict": "bad"},
                    {"prompt": "Hi", "user": user},
                ]
            )
            for body in bodies:
                answer = shared.ask(address, body, other)
                assert secret.encode() not in answer.body and user.encode() not in answer.body.replace(
                    theirs.encode(), b""
                )
    assert shared.ask(f"/v1/requests/{request_id}", key=other).status in (400, 403, 404)
    assert shared.ask(f"/v1/report?user={user}", key=other).status == 403
    assert shared.ask("/v1/feedback", {"request_id": request_id, "verdict": "bad"}, other).status in (400, 403, 404)
    fresh = shared.chat(secret, other)
    assert fresh.headers["x-nexscout-cache"] == "miss"
    assert shared.ask("/metrics", key=other).status == 403


def test_metrics_count_answers_and_name_nobody(shared: Scout, user: str) -> None:
    key = shared.key()  # ada's, who is an admin
    shared.chat(f"Hello {user}", key)
    text = shared.ask("/metrics", key=key).body.decode()
    assert 'nexscout_answers_total{model="gpt-4o-mini",outcome="answered"}' in text and "ada" not in text


def test_a_reader_may_look_and_not_spend_and_the_last_admin_stays(shared: Scout, user: str) -> None:
    key = shared.key("--user", user)
    shared("user", "set-role", user, "reader")
    assert shared.ask("/v1/report", key=key).status == 200 and shared.chat("Hello", key).status == 403
    shared("user", "set-role", user, "admin")
    assert shared("user", "set-role", "ada", "member", ok=True).returncode == 0
    refused = shared("user", "set-role", "ada", "admin", ok=False)
    assert refused.returncode == 8
    shared.env["NEXSCOUT_ACTOR"] = user
    try:
        assert shared("user", "set-role", user, "member", ok=False).returncode == 2
        shared("user", "set-role", "ada", "admin")
    finally:
        shared.env["NEXSCOUT_ACTOR"] = "ada"
    shared("user", "set-role", user, "member")


BAD_BODIES: list[tuple[bytes, int]] = [
    (b"", 400),
    (b"{", 400),
    (b"[]", 400),
    (b"\xff\xfe{}", 400),
    (b'{"model": "auto", "model": "auto"}', 400),
    (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, 400),
    (b'{"model": 5, "messages": []}', 400),
    (b'{"model": "auto", "messages": "Hi"}', 400),
    (b'{"model": "auto", "messages": [{"role": "user", "content": "\\ud800"}]}', 400),
    (b'{"model": "auto", "messages": [{"role": "user", "content": "a\\u0000b"}]}', 400),
    (b'{"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "n": 1e999}', 400),
    (b'{"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "temperature": 9}', 400),
    (b'{"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "functions": []}', 400),
]


@pytest.mark.parametrize(("body", "status"), BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_a_bad_body_is_refused_with_what_is_wrong(shared: Scout, user: str, body: bytes, status: int) -> None:
    key = shared.key("--user", user)
    for path in ("/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/quote", "/v1/run"):
        answer = shared.ask(path, body or b" ", key)
        assert answer.status == status and answer.json["error"]["message"]
    assert not shared.provider.requests


def test_no_json_of_any_shape_makes_the_server_fail(shared: Scout, user: str) -> None:
    key = shared.key("--user", user)
    chance = random.Random(7)
    names = [
        "model",
        "messages",
        "role",
        "content",
        "type",
        "text",
        "image_url",
        "url",
        "tools",
        "function",
        "name",
        "parameters",
        "input",
        "max_tokens",
        "stream",
        "system",
    ]

    def value(depth: int) -> Any:
        kind = chance.randrange(9 if depth else 6)
        if kind < 6:
            return [
                None,
                True,
                chance.randrange(-9, 9),
                0.5,
                chance.choice(["auto", "user", "", "x" * 50, "é"]),
                -(10**30),
            ][kind]
        if kind == 6:
            return [value(depth - 1) for _ in range(chance.randrange(4))]
        return {chance.choice(names): value(depth - 1) for _ in range(chance.randrange(5))}

    paths = [path for path, operations in document()["paths"].items() if "post" in operations]
    for number in range(300):
        body = {"model": "auto", "messages": value(3), "max_tokens": 5, "input": value(3), "prompt": value(2)}
        body |= {chance.choice(names): value(3) for _ in range(3)}
        if number % 3:
            body.pop("prompt")
        answer = shared.ask(chance.choice(paths), body, key)
        assert answer.status in (200, 400, 402, 404, 409, 422), (body, answer)


def test_what_is_too_large_is_refused_before_it_is_read(alone: Scout) -> None:
    alone.serve(NEXSCOUT_SERVE_MAX_BODY_BYTES="20000")
    key = alone.key()
    assert alone.ask("/v1/chat/completions", b"x" * 20_001, key).status == 413
    place = urlsplit(alone.url)
    with socket.create_connection((place.hostname or "", place.port or 0)) as connection:
        connection.sendall(POST + f"Authorization: Bearer {key}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        connection.sendall(b"".join(b"1000\r\n" + b"x" * 4_096 + b"\r\n" for _ in range(8)))
        assert b" 413 " in connection.recv(1_000).split(b"\r\n")[0]


@pytest.mark.parametrize(
    "raw",
    [
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/models",
        POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        POST + b"Content-Length: -1\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + b"x" * 100_000 + b"\r\n\r\n",
        b"\x00\xff nonsense\r\n\r\n",
    ],
    ids=["both lengths", "two lengths", "negative", "long header", "no http"],
)
def test_a_malformed_request_gets_no_answer_of_ours_and_harms_nobody(shared: Scout, raw: bytes) -> None:
    place = urlsplit(shared.url)
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=15) as connection:
        connection.sendall(raw)
        first = connection.recv(200)
    assert first == b"" or first.split(b" ")[1] in (b"400", b"401", b"413", b"431")
    assert shared.ask("/healthz").status == 200


def test_sigterm_lets_answers_end_and_takes_no_new_ones(alone: Scout) -> None:
    alone.serve()
    key = alone.key()
    alone.provider.delay = 1.0
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(alone.chat, f"Hello {n}", key) for n in range(4)]
        until = time.monotonic() + 30
        while len(alone.provider.requests) < 4 and time.monotonic() < until:
            time.sleep(0.01)
        said = alone.stop(signal.SIGTERM)
        answers = [one.result() for one in asked]
    assert [answer.status for answer in answers] == [200] * 4 and "Traceback" not in said
    assert alone.books.count("attempts", state="posted") == 4
    alone("db", "check")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(int(os.environ.get("NEXSCOUT_TEST_SEEDS", "4"))))
def test_a_killed_server_forgets_nothing_and_charges_nothing_twice(alone: Scout, seed: int) -> None:
    alone.serve()
    key = alone.key("--budget", "0.02/day")
    alone.provider.delay = 0.02
    assert alone.process is not None
    process, chance = alone.process, random.Random(seed)

    def one(n: int) -> None:
        with contextlib.suppress(OSError, HTTPException):
            alone.chat(f"Hello {n}", key, max_tokens=20)

    with ThreadPoolExecutor(CLIENTS) as pool:
        asked = [pool.submit(one, n) for n in range(CLIENTS)]
        while not alone.provider.requests:
            time.sleep(0.01)
        time.sleep(chance.uniform(0.0, 1.0))
        os.kill(process.pid, signal.SIGKILL)
        for each in asked:
            each.result()
    process.wait()
    alone.process = None
    alone("run", "--no-cache", "-m", "gpt-4o-mini", "Hello after all")
    states = [row["state"] for row in alone.books.attempts()]
    assert set(states) <= {"posted", "voided", "unknown"}
    sent = {json.dumps(request.body["messages"][-1]) for request in alone.provider.requests}
    assert len(sent) == len(alone.provider.requests) <= states.count("posted") + states.count("unknown")
    [account] = [row for row in alone.books.accounts() if row["owner"].startswith("*key:")]
    assert account["spent"] + account["held"] <= 20_000_000
    alone("db", "check")


def test_log_lines_name_no_key_and_no_prompt(alone: Scout) -> None:
    alone.serve()
    key = alone.key()
    alone.chat("my secret prompt", key)
    alone.chat("my secret prompt", "nxs-my-wrong-key")
    said = alone.stop()
    assert '"path": "/v1/chat/completions", "status": 200' in said
    assert key not in said and "secret" not in said and "wrong-key" not in said


def test_a_head_that_does_not_come_ends_the_connection(shared: Scout) -> None:
    place = urlsplit(shared.url)
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=30) as connection:
        connection.sendall(POST)
        assert connection.recv(100) == b""
    assert shared.ask("/healthz").status == 200


def test_a_limit_that_is_changed_holds_without_a_new_start(alone: Scout) -> None:
    alone.serve()
    key = alone.key()
    assert alone.chat("Hello", key, max_tokens=50).status == 200
    alone("config", "set", "caps.usd.total_day", "0.0000001")
    until = time.monotonic() + 20
    statuses = []
    while time.monotonic() < until and 402 not in statuses:
        statuses.append(alone.chat(f"Hello {len(statuses)}", key, max_tokens=50).status)
        time.sleep(0.2)
    assert statuses[-1] == 402
