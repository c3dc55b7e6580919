"""What a stranger with curl finds: a status, headers and a body that say what is wrong, whatever the address."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.server.conftest import Scout

BODY: Any = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}


@pytest.fixture(scope="module")
def key(shared: Scout) -> str:
    return shared.key()


def method(scout: Scout, name: str, path: str) -> tuple[int, str | None, Any]:
    """Status, the header Allow, and the error."""
    import http.client
    from urllib.parse import urlsplit

    place = urlsplit(scout.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    connection.request(name, path)
    answer = connection.getresponse()
    error = json.loads(answer.read() or b"{}").get("error")
    connection.close()
    return answer.status, answer.headers["allow"], error


@pytest.mark.parametrize(
    ("name", "path", "allowed"),
    [
        ("GET", "/v1/chat/completions", "POST"),
        ("PUT", "/v1/models", "GET, HEAD"),
        ("OPTIONS", "/v1/messages", "POST"),
        ("POST", "/v1/responses/resp_1", "DELETE, GET, HEAD"),
    ],
)
def test_a_method_that_is_not_taken_is_refused_with_those_that_are(
    shared: Scout, name: str, path: str, allowed: str
) -> None:
    status, allow, error = method(shared, name, path)
    assert (status, allow) == (405, allowed)
    assert error.get("code", "method_not_allowed") == "method_not_allowed" and allowed in error["message"]


@pytest.mark.parametrize("path", ["/healthz/", "/v1/chat/completions/", "/v1/messages/batches", "/nothing"])
def test_an_address_that_there_is_not_is_404_and_leads_nowhere_else(shared: Scout, path: str) -> None:
    status, _, error = method(shared, "GET", path)
    assert status == 404 and "there is nothing here" in error["message"]
    assert ("code" in error) is not path.startswith("/v1/messages")  # each in its protocol's form


def test_a_request_that_there_is_not_is_404_wherever_it_is_named(shared: Scout, key: str) -> None:
    for answer in (
        shared.ask("/v1/requests/zzz", None, key),
        shared.ask("/v1/requests/abcdef123456", None, key),
        shared.ask("/v1/feedback", {"request_id": "abcdef123456", "verdict": "good"}, key),
    ):
        assert (answer.status, answer.json["error"]["code"]) == (404, "request_not_found")


@pytest.mark.parametrize(
    "query", ["limit=-1", "limit=0", "limit=1001", "limit=abc", "limit=", "limit=%D9%A3", "limt=3"]
)
def test_a_list_of_requests_refuses_what_it_cannot_mean(shared: Scout, key: str, query: str) -> None:
    assert shared.ask(f"/v1/requests?{query}", None, key).status == 400
    assert shared.ask("/v1/requests?limit=1000", None, key).status == 200


@pytest.mark.parametrize(
    ("header", "value"),
    [("x-nexscout-max-csot", "0.01"), ("x-nexscout-cache", "maybe"), ("x-nexscout-fallback", "perhaps")],
)
def test_a_header_of_ours_that_says_nothing_known_is_refused_and_nothing_is_sent(
    shared: Scout, key: str, header: str, value: str
) -> None:
    before = shared.provider.hits
    answer = shared.ask("/v1/chat/completions", BODY, key, **{header: value})
    assert answer.status == 400 and header.removeprefix("x-nexscout-") in answer.json["error"]["message"]
    assert shared.provider.hits == before
    assert shared.ask("/v1/chat/completions", BODY, key, **{"x-nexscout-cache": "ON"}).status == 200


@pytest.mark.parametrize("usage", [True, False])
def test_the_last_chunk_of_a_stream_says_what_it_cost_whether_usage_was_asked_for_or_not(
    shared: Scout, key: str, usage: bool
) -> None:
    more = {"stream": True} | ({"stream_options": {"include_usage": True}} if usage else {})
    answer = shared.ask("/v1/chat/completions", BODY | more, key)
    chunks = [json.loads(line[6:]) for line in answer.body.decode().splitlines() if line.startswith("data: {")]
    assert ["nexscout" in chunk for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1]["nexscout"]["request_id"] == answer.headers["x-request-id"] == answer.headers["request-id"]
    assert any(chunk.get("usage") for chunk in chunks) is usage
