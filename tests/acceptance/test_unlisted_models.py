"""`-m` with a name that the catalog does not have, and the model of requests that name none."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import Home
from tests.support.openai_server import OpenAIServer


@pytest.fixture
def anywhere(six: Home, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home where OpenAI itself is the server."""
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    return six


def test_an_admins_request_goes_to_a_model_that_the_price_table_knows_and_is_held_and_booked(
    anywhere: Home, server: OpenAIServer
) -> None:
    quote = anywhere("simulate", "-m", "gpt-4.1-nano", "Hello", "--json").json
    done = anywhere("run", "-m", "gpt-4.1-nano", "Hello", "--json").json
    assert server.requests[-1].body["model"] == "gpt-4.1-nano"
    assert 0 < float(done["metadata"]["cost_usd"]) <= float(quote["max_cost_usd"])
    assert anywhere.books.total("attempts", "hold") > 0
    names = [row["model"] for row in anywhere("models", "list", "--all", "--json").json["rows"]]
    assert "gpt-4.1-nano" not in names
    anywhere("why", done["metadata"]["request_id"])
    anywhere("report", "models")
    anywhere("db", "check")


def test_the_price_is_the_one_that_adding_it_would_give(anywhere: Home, server: OpenAIServer) -> None:
    alone = anywhere("simulate", "-m", "gpt-4.1-nano", "Hello", "--json").json
    anywhere("models", "add", "gpt-4.1-nano")
    added = anywhere("simulate", "-m", "gpt-4.1-nano", "Hello", "--json").json
    assert (alone["max_cost_usd"], alone["predicted_cost_usd"]) == (added["max_cost_usd"], added["predicted_cost_usd"])


def test_it_is_asked_where_all_of_its_provider_were_pointed(
    six: Home, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    six("models", "point", "openai", "--api-base", server.url)
    assert six("run", "-m", "gpt-4.1-nano", "Hello", "--json").json["success"]
    assert server.requests[-1].body["model"] == "gpt-4.1-nano"


def test_another_request_does_not_choose_it(anywhere: Home, server: OpenAIServer) -> None:
    anywhere("run", "-m", "gpt-4.1-nano", "Hello")
    anywhere("run", "Hello there")
    assert server.requests[-1].body["model"] != "gpt-4.1-nano"


def test_a_name_that_nobody_knows_is_refused_with_what_adds_it(anywhere: Home, server: OpenAIServer) -> None:
    done = anywhere("run", "-m", "no-such-model-of-anybody", "Hello", ok=False)
    assert done.status == 2 and "models add" in done.err and server.hits == 0


@pytest.mark.parametrize("name", ["text-embedding-3-small", "openrouter/free"])
def test_a_model_whose_price_bounds_nothing_or_that_does_not_chat_is_refused(
    anywhere: Home, server: OpenAIServer, name: str
) -> None:
    done = anywhere("run", "-m", name, "Hello", ok=False)
    assert done.status == 2 and "models add" in done.err and server.hits == 0


def test_only_an_admin_may_use_what_is_not_in_the_catalog(
    anywhere: Home, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    anywhere("user", "set-tier", "bob", "elite")
    monkeypatch.setenv("NEXSCOUT_ACTOR", "bob")
    done = anywhere("run", "-m", "gpt-4.1-nano", "Hello", ok=False)
    assert done.status == 2 and "there is no model" in done.err and server.hits == 0


def test_the_setting_names_the_model_of_requests_that_name_none(
    anywhere: Home, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXSCOUT_MODEL", "gpt-4.1-nano")
    quote = anywhere("simulate", "Hello", "--json").json
    anywhere("run", "Hello")
    assert server.requests[-1].body["model"] == quote["recommended_model"] == "gpt-4.1-nano"
    anywhere("run", "-m", "gpt-4o", "Hello")
    assert server.requests[-1].body["model"] == "gpt-4o"
    assert anywhere("run", "--mode", "fast", "Hello", "--json").json["metadata"]["routing_reason"] != "forced"
    anywhere("template", "add", "strong", "--model", "gpt-4o")
    anywhere("run", "-t", "strong", "Hello you")
    assert server.requests[-1].body["model"] == "gpt-4o"


def test_a_conversation_keeps_its_model_whatever_the_setting_says_later(
    anywhere: Home, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXSCOUT_CONVERSATIONS_KEEP", "on")
    anywhere("run", "-m", "gpt-4o", "Hello")
    monkeypatch.setenv("NEXSCOUT_MODEL", "gpt-4.1-nano")
    anywhere("run", "-C", "And then?")
    assert server.requests[-1].body["model"] == "gpt-4o"
