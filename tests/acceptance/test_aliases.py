"""A short name asks for the model that it stands for, and for nothing else."""

from __future__ import annotations

import pytest

from nexscout_cli.config import Settings
from nexscout_cli.engine.book_types import ApiKey
from nexscout_cli.errors import NotPermitted
from nexscout_cli.server import asking
from tests.acceptance.conftest import Home
from tests.support.openai_server import OpenAIServer


def test_an_alias_is_its_model_in_what_is_sent_booked_quoted_and_cached(six: Home, server: OpenAIServer) -> None:
    six("config", "set", "models.aliases", "mini=gpt-4o-mini,big=gpt-4o")
    quote = six("simulate", "-m", "mini", "Hello", "--json").json
    assert quote["recommended_model"] == "gpt-4o-mini"
    done = six("run", "-m", "mini", "Hello", "--json").json["metadata"]
    assert done["model_used"] == "gpt-4o-mini"
    assert server.requests[-1].body["model"] == "gpt-4o-mini"
    assert six("run", "-m", "gpt-4o-mini", "Hello", "--json").json["metadata"]["from_cache"]
    six("config", "set", "models.aliases", "mini=gpt-4o")
    moved = six("run", "-m", "mini", "Hello", "--json").json["metadata"]
    assert (moved["model_used"], moved["from_cache"]) == ("gpt-4o", False)


def test_an_alias_may_be_the_model_that_is_asked_where_none_is_named(six: Home) -> None:
    six("config", "set", "models.aliases", "mini=gpt-4o-mini")
    six("config", "set", "model", "mini")
    assert six("run", "Hello", "--json").json["metadata"]["model_used"] == "gpt-4o-mini"


@pytest.mark.parametrize(
    "wrong", ["mini", "=gpt-4o", "mini=", "fast=gpt-4o", "a=b,b=gpt-4o", "a=gpt-4o,a=gpt-4o-mini", "a = b"]
)
def test_what_stands_for_no_model_or_for_two_is_refused(six: Home, wrong: str) -> None:
    refused = six("config", "set", "models.aliases", wrong, ok=False)
    assert refused.status == 2 and "mini=gpt-4o-mini" in refused.err


def test_an_alias_of_a_model_that_there_is_not_is_refused_by_the_models_name(six: Home, server: OpenAIServer) -> None:
    six("config", "set", "models.aliases", "mini=no-such-model")
    refused = six("run", "-m", "mini", "Hello", ok=False)
    assert refused.status == 2 and "'no-such-model'" in refused.err and server.hits == 0


def test_a_key_may_name_an_alias_of_its_models_and_of_no_other() -> None:
    settings = Settings().with_values(models__aliases=["mini=gpt-4o-mini", "big=gpt-4o"])
    key = ApiKey("k", "ana", ("gpt-4o-mini",))
    assert asking.build(key, "mini", {}, settings, {}).options.force_model == "gpt-4o-mini"
    with pytest.raises(NotPermitted, match="may not use gpt-4o"):
        asking.build(key, "big", {}, settings, {})
